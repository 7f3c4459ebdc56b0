//! Measures a server from outside, through its Kafka door, and checks every record on the way; and the machine under
//! it, so that each figure can be told as a part of what is possible.
//!
//! ```text
//! produce ─┐   routes: who leads what (a Client asks)      appending ─┐
//! consume ─┼─> repeat: runs, medians ─> threads: blocking, fetching  ─┴─> frames ─> socket ─> server
//! latency ─┘                            one a connection                               └───> yardstick
//! limits ───> disk, network, and produce and consume against a yardstick in a process of its own
//! ```
//! Client and server share the machine's cores, so the client does as little as it can: batches are built once,
//! requests are patched and sent with one system call for each window, and answers are read where it matters.

mod appending;
mod consume;
mod fetching;
mod figures;
mod frames;
mod latency;
mod limits;
mod load;
mod machine;
mod produce;
mod reading;
mod repeat;
mod routes;
mod socket;
mod threads;
mod yardstick;

use clap::{Args, Subcommand};
use forebay_client::Client;

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
    /// Append at a fixed rate: time until acknowledged, and until a parked consumer has it
    Latency(latency::LatencyArgs),
    /// Measure what this machine can do at most: files, sockets, and a yardstick
    Limits(limits::LimitsArgs),
    /// Serve `--raw` loads with as little work as a server can do, as a measure for real ones
    Yardstick(yardstick::YardstickArgs),
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

    /// The server is a `bench yardstick`: ask it for nothing, and use partitions from 0 on
    #[arg(long)]
    raw: bool,

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
                Self::Limits(args) => args.run().await,
                Self::Yardstick(args) => tokio::task::block_in_place(|| args.run()),
            }
        })
    }
}

impl Target {
    /// A client, for everything but the load itself.
    async fn connect(&self) -> Result<Client, Failure> {
        self.cluster.connect("forebay-bench").await
    }
}
