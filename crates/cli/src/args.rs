use clap::{CommandFactory, Parser, Subcommand};

use crate::failure::Failure;
use crate::{bench, connections, consume, log, output, produce, serve, topic};

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD_COMMIT"), ")");

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong usage or configuration
  3  the server cannot be reached, or did not answer in time
  4  the server refused
  5  damaged data was found
  6  the server could not start
  7  the server did not stop cleanly
  8  something in the cluster is not as it should be (cluster status)";

/// Streams over the Kafka protocol, on one log.
#[derive(Debug, Parser)]
#[command(name = "forebay", version = VERSION, after_help = EXIT_CODES, arg_required_else_help = true)]
#[command(max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server in the foreground
    Serve(serve::ServeArgs),
    /// Make, look at and change topics
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// Append lines to a topic
    Produce(produce::ProduceArgs),
    /// Print the records of a topic
    Consume(consume::ConsumeArgs),
    /// Look at servers, and mend them
    #[command(subcommand)]
    Cluster(connections::ClusterCommand),
    /// Look at data directories
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Measure a server through its Kafka door, checking every record
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

impl Cli {
    /// Runs what was asked for.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(args) => args.run(),
            Command::Topic(command) => command.run(),
            Command::Produce(args) => args.run(),
            Command::Consume(args) => args.run(),
            Command::Cluster(command) => command.run(),
            Command::Log(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "forebay", &mut script);
                output::write(&script)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_manual_parses() {
        for line in [
            "serve --data-dir a --data-dir b --kafka-listen 127.0.0.1:0 --kafka-listen OUT=[::1]:0 --http-listen [::1]:0",
            "serve --advertise OUT=example.org:9092 --set num.partitions=3 --print-config --log-format json",
            "topic create rain --partitions 3 --config retention.ms=1000 -b h:1 --output json",
            "topic alter rain --config retention.ms=1000 --delete-config segment.ms",
            "topic add-partitions rain --partitions 4",
            "produce rain --file f --key-separator : --header a=b --header a=c --compression zstd --acks 1 --no-idempotence",
            "consume rain --from timestamp=2026-01-02T03:04:05Z --follow --max-messages 5 --partition 0 --format %v",
            "cluster connections --http 127.0.0.1:9644 --output json",
            "cluster status --http 127.0.0.1:9644 --output yaml",
            "topic describe rain --http 127.0.0.1:9644",
            "cluster readmit --volume /data/1 --http 127.0.0.1:9644 -o json",
            "log verify --data-dir a --rate 100M",
            "bench produce --connections 2 --in-flight 4 --batch-bytes 1M --total-bytes 1G --acks all",
            "bench produce --raw --rate 5000 --spread random --repeat 5 --server-pid 1 --series --no-check",
            "bench consume --output yaml --cold --data-dir d --no-check",
            "bench latency --rate 500 --duration 5",
            "bench limits --dir d --total-bytes 1G --sustained-bytes 20G --repeat 5 --output json",
            "bench yardstick --listen 127.0.0.1:0 --dir d --partitions 4 --file-bytes 1G",
            "completions bash",
        ] {
            let words = std::iter::once("forebay").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
        assert!(Cli::try_parse_from(["forebay", "consume", "rain", "--from", "somewhere"]).is_err());
        assert!(Cli::try_parse_from(["forebay", "bench", "consume", "--cold"]).is_err());
        assert!(VERSION.contains(" ("));
    }
}
