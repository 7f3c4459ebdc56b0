use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use forebay_client::{Client, Consumer, FetchOptions, FetchedPartition, OffsetAt};

use crate::cluster::{ClusterArgs, block_on};
use crate::failure::Failure;
use crate::format::Format;
use crate::json::RecordView;
use crate::output::{self, Output};
use crate::values::time_ms;

/// `forebay consume`
#[derive(Debug, Args)]
pub(crate) struct ConsumeArgs {
    topic: String,

    /// Where to begin: beginning, end, offset=N (negative: that many records before the end), timestamp=T
    ///
    /// T is in milliseconds since 1970, or UTC as in 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "WHERE", default_value = "beginning", value_parser = Begin::parse)]
    from: Begin,

    /// Wait for further records at the end instead of stopping there
    #[arg(long, short)]
    follow: bool,

    /// Stop after this many records
    #[arg(long, short = 'n', value_name = "N")]
    max_messages: Option<u64>,

    /// Only this partition. Repeatable
    #[arg(long, short)]
    partition: Vec<i32>,

    /// How each record is printed: %v value, %k key, %o offset, %p partition, %t topic, %T timestamp, %h headers,
    /// %S %K lengths, %%; \n \r \t \0 \\ \xHH
    #[arg(long, value_name = "FORMAT", default_value = "%v\\n", value_parser = Format::parse)]
    #[arg(conflicts_with = "output")]
    format: Format,

    /// What is printed for a null key or value
    #[arg(long, value_name = "TEXT", default_value = "", conflicts_with = "output")]
    null: String,

    /// Print records as data: json (one object a line) or yaml (one document each)
    #[arg(long, value_enum)]
    output: Option<Output>,

    /// Only records of finished transactions
    #[arg(long)]
    read_committed: bool,

    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Where to begin reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    Beginning,
    End,
    Offset(i64),
    /// So many records before the end of each partition.
    BeforeEnd(i64),
    Timestamp(i64),
}

impl Begin {
    fn parse(text: &str) -> Result<Self, String> {
        let (what, value) = text.split_once(['=', ':']).unwrap_or((text, ""));
        match (what, value) {
            ("beginning", "") => Ok(Self::Beginning),
            ("end", "") => Ok(Self::End),
            ("timestamp", time) => time_ms(time).map(Self::Timestamp),
            ("offset", offset) => match offset.parse() {
                Ok(offset) if offset >= 0 => Ok(Self::Offset(offset)),
                Ok(before) => Ok(Self::BeforeEnd(i64::saturating_neg(before))),
                Err(_) => Err(format!("'{offset}' is not an offset")),
            },
            _ => Err("must be beginning, end, offset=N or timestamp=T".to_owned()),
        }
    }
}

impl ConsumeArgs {
    /// Prints records until there are no more, or for ever.
    pub(crate) fn run(self) -> Result<(), Failure> {
        block_on(self.consume())
    }

    async fn consume(self) -> Result<(), Failure> {
        let client = self.cluster.connect("forebay-consume").await?;
        let partitions = self.partitions(&client).await?;
        let begins = self.begins(&client, &partitions).await?;
        let ends = if self.follow {
            BTreeMap::new()
        } else {
            offsets(&client, &self.topic, &partitions, OffsetAt::Latest).await?
        };
        let options = FetchOptions {
            max_wait: Duration::from_millis(500),
            read_committed: self.read_committed,
            ..FetchOptions::default()
        };
        let mut consumer = Consumer::new(client, options);
        for (partition, begin) in begins {
            if ends.get(&partition).is_none_or(|end| begin < *end) {
                consumer.assign(&self.topic, partition, begin);
            }
        }
        let mut left = self.max_messages.unwrap_or(u64::MAX);
        while !consumer.is_idle() && left > 0 {
            let fetched = consumer.poll().await?;
            let mut out = Vec::new();
            for part in &fetched {
                let end = ends.get(&part.partition).copied();
                self.print(part, end, &mut left, &mut out)?;
                if end.is_some_and(|end| part.next_offset >= end) {
                    consumer.unassign(&self.topic, part.partition);
                }
            }
            output::write(&out)?;
        }
        Ok(())
    }

    /// The partitions to read.
    async fn partitions(&self, client: &Client) -> Result<Vec<i32>, Failure> {
        let all = client.partitions(&self.topic, false).await?;
        match self.partition.iter().find(|wanted| !all.contains(wanted)) {
            Some(missing) => Err(Failure::usage(format!(
                "topic {} has no partition {missing}: it has {} of them, from 0",
                self.topic,
                all.len()
            ))),
            None if self.partition.is_empty() => Ok(all),
            None => Ok(self.partition.clone()),
        }
    }

    async fn begins(&self, client: &Client, partitions: &[i32]) -> Result<BTreeMap<i32, i64>, Failure> {
        let latest = || offsets(client, &self.topic, partitions, OffsetAt::Latest);
        let earliest = || offsets(client, &self.topic, partitions, OffsetAt::Earliest);
        match self.from {
            Begin::Beginning => earliest().await,
            Begin::End => latest().await,
            Begin::Offset(offset) => Ok(partitions.iter().map(|partition| (*partition, offset)).collect()),
            Begin::BeforeEnd(count) => {
                let first = earliest().await?;
                let place = |(partition, end): (i32, i64)| {
                    let begin = end.saturating_sub(count).max(first.get(&partition).copied().unwrap_or(0));
                    (partition, begin)
                };
                Ok(latest().await?.into_iter().map(place).collect())
            }
            Begin::Timestamp(time) => {
                let ends = latest().await?;
                let found = offsets(client, &self.topic, partitions, OffsetAt::Timestamp(time)).await?;
                // No record is that new: only what comes later is.
                let place = |(partition, offset): (i32, i64)| {
                    let end = ends.get(&partition).copied().unwrap_or(0);
                    (partition, if offset < 0 { end } else { offset })
                };
                Ok(found.into_iter().map(place).collect())
            }
        }
    }

    /// Appends up to `left` of the records that lie before `end`.
    fn print(
        &self,
        part: &FetchedPartition,
        end: Option<i64>,
        left: &mut u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let records = part.records.iter().filter(|record| end.is_none_or(|end| record.offset.0 < end));
        for record in records.take(usize::try_from(*left).unwrap_or(usize::MAX)) {
            *left -= 1;
            let view = || RecordView::new(&part.topic, part.partition, record);
            let unprintable = |reason: String| Failure::new(crate::failure::Exit::Failed, reason);
            match self.output {
                None | Some(Output::Table) => {
                    self.format.write(&part.topic, part.partition, record, self.null.as_bytes(), out);
                }
                Some(Output::Json) => {
                    serde_json::to_writer(&mut *out, &view())
                        .map_err(|error| unprintable(error.to_string()))?;
                    out.push(b'\n');
                }
                Some(Output::Yaml) => {
                    out.extend_from_slice(b"---\n");
                    serde_norway::to_writer(&mut *out, &view())
                        .map_err(|error| unprintable(error.to_string()))?;
                }
            }
        }
        Ok(())
    }
}

async fn offsets(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    at: OffsetAt,
) -> Result<BTreeMap<i32, i64>, Failure> {
    let places: Vec<_> = partitions.iter().map(|partition| (*partition, at)).collect();
    let found = client.list_offsets(topic, &places).await?;
    Ok(found.into_iter().map(|(partition, found)| (partition, found.offset)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        for (text, place) in [
            ("beginning", Begin::Beginning),
            ("end", Begin::End),
            ("offset=7", Begin::Offset(7)),
            ("offset:0", Begin::Offset(0)),
            ("offset=-10", Begin::BeforeEnd(10)),
            ("timestamp=1000", Begin::Timestamp(1000)),
            ("timestamp=1970-01-01T00:00:01Z", Begin::Timestamp(1000)),
        ] {
            assert_eq!(Begin::parse(text), Ok(place), "{text}");
        }
        for wrong in ["", "middle", "offset", "offset=x", "beginning=1", "timestamp="] {
            assert!(Begin::parse(wrong).is_err(), "{wrong}");
        }
    }
}
