//! Measures a server from outside, through its Kafka door, and checks every record on the way.

mod consume;
mod figures;
mod latency;
mod load;
mod produce;
mod reading;

use clap::{Args, Subcommand};
use forebay_client::{Client, ErrorCode, NewTopic};

use crate::cluster::{ClusterArgs, block_on};
use crate::failure::Failure;
use crate::output::Output;

/// `forebay bench ...`
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Append as fast as possible, then read back what was acknowledged
    Produce(produce::ProduceArgs),
    /// Read a topic as fast as possible
    Consume(consume::ConsumeArgs),
    /// Append at a fixed rate: time until acknowledged, and until a consumer has it
    Latency(latency::LatencyArgs),
}

/// Which topic of which cluster, and how the result is printed.
#[derive(Debug, Args)]
struct Target {
    /// The topic to use; made where it is missing and records are appended
    #[arg(long, default_value = "bench")]
    topic: String,

    /// How the result is printed
    #[arg(long, value_enum, default_value_t, env = "FOREBAY_OUTPUT")]
    output: Output,

    #[command(flatten)]
    cluster: ClusterArgs,
}

impl BenchCommand {
    /// Measures.
    pub(crate) fn run(self) -> Result<(), Failure> {
        block_on(async {
            match self {
                Self::Produce(args) => args.run().await,
                Self::Consume(args) => args.run().await,
                Self::Latency(args) => args.run().await,
            }
        })
    }
}

impl Target {
    /// A client with connections of its own.
    async fn connect(&self) -> Result<Client, Failure> {
        self.cluster.connect("forebay-bench").await
    }

    /// The partitions of the topic, which is made with `partitions` of them if it is missing.
    async fn prepare(&self, client: &Client, partitions: i32) -> Result<Vec<i32>, Failure> {
        let topic = NewTopic { partitions: Some(partitions), ..NewTopic::named(&self.topic) };
        match client.create_topic(&topic, false).await {
            Err(error) if error.code() != Some(ErrorCode::TopicAlreadyExists) => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
        Ok(client.partitions(&self.topic, true).await?)
    }
}
