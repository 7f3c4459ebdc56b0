mod lines;
mod sender;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use forebay_client::{Acks, Compression, ProducerConfig, RecordHeader};
use serde::Serialize;

use crate::cluster::{ClusterArgs, block_on};
use crate::failure::Failure;
use crate::output::{Output, note};
use crate::progress;
use crate::values::{bytes, pair};

use self::lines::{Line, Lines};
use self::sender::Sender;

/// `forebay produce`
#[derive(Debug, Args)]
pub(crate) struct ProduceArgs {
    topic: String,

    /// Read lines from this file instead of standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Each line is KEY, this text, VALUE; a line without it has no key
    #[arg(long, short = 'K', value_name = "TEXT")]
    key_separator: Option<String>,

    /// A header for every record; names may repeat. Repeatable
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE", value_parser = pair)]
    headers: Vec<(String, String)>,

    /// A value (or key) that is exactly this text is sent as null
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,

    /// How batches are compressed
    #[arg(long, short = 'z', value_enum, default_value = "none")]
    compression: Codec,

    /// When a record counts as written: 0 sent, 1 taken by the leader, all on stable storage of every in-sync replica
    #[arg(long, value_enum, default_value = "all")]
    acks: AcksArg,

    /// Retries may duplicate records. Implied by --acks 0 and 1
    #[arg(long)]
    no_idempotence: bool,

    /// Send everything here [default: by key as other Kafka clients do, without a key to each in turn]
    #[arg(long, short)]
    partition: Option<i32>,

    /// Records are gathered into batches of up to this size
    #[arg(long, value_name = "BYTES", default_value = "256K", value_parser = bytes)]
    batch_bytes: u64,

    /// How the summary is printed; a table goes to standard error
    #[arg(long, value_enum, default_value_t)]
    output: Output,

    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Codecs by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    pub(crate) fn compression(self) -> Compression {
        match self {
            Self::None => Compression::None,
            Self::Gzip => Compression::Gzip,
            Self::Snappy => Compression::Snappy,
            Self::Lz4 => Compression::Lz4,
            Self::Zstd => Compression::Zstd,
        }
    }
}

/// Acks as Kafka's clients write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AcksArg {
    #[value(name = "0")]
    None,
    #[value(name = "1")]
    Leader,
    #[value(name = "all", alias = "-1")]
    All,
}

impl AcksArg {
    pub(crate) fn acks(self) -> Acks {
        match self {
            Self::None => Acks::None,
            Self::Leader => Acks::Leader,
            Self::All => Acks::All,
        }
    }
}

/// What was done.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    topic: &'a str,
    records: u64,
    bytes: u64,
}

impl ProduceArgs {
    /// Sends every line.
    pub(crate) fn run(self) -> Result<(), Failure> {
        block_on(self.produce())
    }

    async fn produce(self) -> Result<(), Failure> {
        let client = self.cluster.connect("forebay-produce").await?;
        let partitions = client.partitions(&self.topic, true).await?;
        if let Some(wanted) = self.partition.filter(|wanted| !partitions.contains(wanted)) {
            let has = partitions.len();
            return Err(Failure::usage(format!(
                "topic {} has no partition {wanted}: it has {has} of them, from 0",
                self.topic
            )));
        }
        let (mut lines, total) = Lines::open(self.file.as_deref())?;
        let bar = progress::bytes("sent", total, self.output);
        let headers = self.headers.iter().map(|(name, value)| RecordHeader::new(name.clone(), value.clone()));
        let mut sender = Sender::new(client, &self.topic, partitions, self.producer_config()).batches(
            self.batch_bytes,
            self.compression.compression(),
            headers.collect(),
        );
        let mut bytes = 0;
        let outcome = async {
            while let Some(chunk) = lines.next(sender.linger()).await? {
                for line in &chunk {
                    bytes += line.len() as u64 + 1;
                    let line = Line::split(line, self.key_separator.as_deref(), self.null.as_deref());
                    sender.send(self.partition, line).await?;
                }
                if chunk.is_empty() {
                    sender.flush().await?;
                }
                bar.set_position(bytes);
            }
            sender.finish().await
        }
        .await;
        bar.finish_and_clear();
        let records = sender.acknowledged();
        if let Err(failure) = outcome {
            return Err(failure.after(&format!("after {records} acknowledged records")));
        }
        self.summarise(&Summary { topic: &self.topic, records, bytes })
    }

    fn producer_config(&self) -> ProducerConfig {
        let acks = self.acks.acks();
        ProducerConfig {
            acks,
            idempotent: acks == Acks::All && !self.no_idempotence,
            delivery_timeout: Duration::from_secs(120),
            ..ProducerConfig::default()
        }
    }

    fn summarise(&self, summary: &Summary<'_>) -> Result<(), Failure> {
        match self.output {
            Output::Table => {
                note(&format!("{} records written to {}", summary.records, summary.topic));
                Ok(())
            }
            Output::Json | Output::Yaml => self.output.print(summary, |_| String::new()),
        }
    }
}
