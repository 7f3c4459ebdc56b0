use clap::Args;
use forebay_client::{Client, ErrorCode, OffsetAt};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Target;
use super::figures::{Checked, Figures, Samples};
use super::reading::Stretch;
use crate::failure::{Exit, Failure};
use crate::progress;
use crate::values::bytes;

/// `forebay bench consume`
#[derive(Debug, Args)]
pub(crate) struct ConsumeArgs {
    /// TCP connections; the partitions are spread over them, each with one fetch under way
    #[arg(long, default_value_t = 4)]
    connections: usize,

    /// Bound of one answer
    #[arg(long, value_name = "BYTES", default_value = "4M", value_parser = bytes)]
    fetch_bytes: u64,

    /// Read all of it so many times
    #[arg(long, default_value_t = 1)]
    rounds: u32,

    #[command(flatten)]
    target: Target,
}

impl ConsumeArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        if self.connections == 0 {
            return Err(Failure::usage("--connections must be at least 1"));
        }
        let answer_bytes =
            i32::try_from(self.fetch_bytes).map_err(|_| Failure::usage("--fetch-bytes is above 2G"))?;
        let client = self.target.connect().await?;
        let stretches = self.stretches(&client).await?;
        let mut clients = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            clients.push(self.target.connect().await?);
        }
        let bar = progress::bytes("read", None, self.target.output);
        let (partitions, mut readers) = (stretches.len(), JoinSet::new());
        let begun = Instant::now();
        for (number, stretch) in stretches.into_iter().enumerate() {
            let (client, bar, rounds) = (clients[number % clients.len()].clone(), bar.clone(), self.rounds);
            readers.spawn(async move {
                let (mut checked, mut answers) = (Checked::default(), Samples::default());
                for _ in 0..rounds {
                    let read =
                        stretch.read(&client, answer_bytes, |_, _| true, |bytes| bar.inc(bytes)).await?;
                    checked.merge(read.checked);
                    answers.merge(read.answers);
                }
                Ok::<_, forebay_client::ClientError>((checked, answers))
            });
        }
        let (mut checked, mut answers) = (Checked::default(), Samples::default());
        while let Some(read) = readers.join_next().await {
            let read = read.map_err(|lost| Failure::new(Exit::Failed, lost.to_string()))??;
            checked.merge(read.0);
            answers.merge(read.1);
        }
        let took = begun.elapsed();
        bar.finish_and_clear();
        let figures = Figures {
            measured: "consume",
            topic: self.target.topic,
            partitions,
            connections: self.connections,
            records: checked.records,
            bytes: checked.bytes,
            seconds: 0.0,
            megabytes_per_second: 0.0,
            records_per_second: 0.0,
            answered: answers.quantiles(),
            received: None,
            checked,
        };
        figures.per_second(took).report(self.target.output)
    }

    /// Everything that is in the topic now.
    async fn stretches(&self, client: &Client) -> Result<Vec<Stretch>, Failure> {
        let topic = &self.target.topic;
        let nothing = || {
            Failure::usage(format!("there are no records in topic {topic}"))
                .advise("`forebay bench produce` makes some.")
        };
        let partitions = match client.partitions(topic, false).await {
            Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => return Err(nothing()),
            partitions => partitions?,
        };
        let at = |place| partitions.iter().map(|partition| (*partition, place)).collect::<Vec<_>>();
        let first = client.list_offsets(topic, &at(OffsetAt::Earliest)).await?;
        let end = client.list_offsets(topic, &at(OffsetAt::Latest)).await?;
        let stretches: Vec<Stretch> = first
            .iter()
            .filter_map(|(partition, first)| {
                let (from, upto) = (first.offset, end.get(partition)?.offset);
                (from < upto).then(|| Stretch { topic: topic.clone(), partition: *partition, from, upto })
            })
            .collect();
        if stretches.is_empty() { Err(nothing()) } else { Ok(stretches) }
    }
}
