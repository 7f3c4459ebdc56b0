use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use forebay_base::QuietLog;
use forebay_broker::{Config, ConfigError, ConfigSources, ServeError, real_clock};
use rustix::thread::disable_transparent_huge_pages;

use crate::failure::{Exit, Failure};
use crate::values::pair;
use crate::{logging, output};

/// Flags of `forebay serve`. Each stands for a setting, under Kafka's name where Kafka has it.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Directory for data; made if missing. Repeat it for more disks [setting: log.dirs]
    #[arg(long, value_name = "DIR")]
    data_dir: Vec<PathBuf>,

    /// Address for Kafka clients; port 0 picks a free one. Repeatable [setting: listeners]
    #[arg(long, value_name = "[NAME=]HOST:PORT", value_parser = listener)]
    kafka_listen: Vec<String>,

    /// Address that clients of a listener are told to use. Repeatable [setting: advertised.listeners]
    #[arg(long, value_name = "[NAME=]HOST:PORT", value_parser = listener)]
    advertise: Vec<String>,

    /// Address for health, metrics and /v1; empty for none [setting: http.listen]
    #[arg(long, value_name = "IP:PORT")]
    http_listen: Option<String>,

    /// File of NAME=VALUE lines, as Kafka's server.properties
    #[arg(long, value_name = "FILE", env = "FOREBAY_CONFIG")]
    config: Option<PathBuf>,

    /// Any setting; wins over the file and the environment. Repeatable
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
    settings: Vec<(String, String)>,

    /// Print the whole configuration with its manual, as a file for --config, and end
    #[arg(long)]
    print_config: bool,

    /// How the server's log is written to standard error [setting: log.format]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

impl ServeArgs {
    /// Runs a server until it is told to stop.
    pub(crate) fn run(self) -> Result<(), Failure> {
        // The allocator would ask for huge pages. Without them it holds less and nothing is slower (decision 0010); where they
        // cannot be forgone, it holds more.
        let _ = disable_transparent_huge_pages(true);
        let print = self.print_config;
        let config = Config::load(self.sources()).map_err(misconfigured)?;
        if print {
            return output::write(config.print().as_bytes());
        }
        let quiet = Arc::new(QuietLog::new(real_clock()));
        logging::start(&config, quiet.clone())?;
        forebay_broker::serve(config, quiet).map_err(failed)
    }

    fn sources(self) -> ConfigSources {
        let mut overrides = Vec::new();
        let mut set = |name: &str, value: String| overrides.push((name.to_owned(), value));
        for dir in self.data_dir {
            set("log.dirs", dir.to_string_lossy().into_owned());
        }
        for listener in self.kafka_listen {
            set("listeners", listener);
        }
        for listener in self.advertise {
            set("advertised.listeners", listener);
        }
        if let Some(address) = self.http_listen {
            set("http.listen", address);
        }
        match self.log_format {
            Some(Format::Text) => set("log.format", "text".to_owned()),
            Some(Format::Json) => set("log.format", "json".to_owned()),
            None => {}
        }
        overrides.extend(self.settings);
        ConfigSources { file: self.config, env: std::env::vars().collect(), overrides }
    }
}

/// `NAME=HOST:PORT` in Kafka's form; without a name the server gives it its default one.
fn listener(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, address)) if !name.is_empty() && !address.is_empty() => Ok(format!("{name}://{address}")),
        Some(_) => Err(format!("'{text}' is not NAME=HOST:PORT")),
        None => Ok(text.to_owned()),
    }
}

fn misconfigured(error: ConfigError) -> Failure {
    Failure::usage(error.to_string())
        .advise("`forebay serve --print-config` shows every setting with its manual.")
}

fn failed(error: ServeError) -> Failure {
    let exit = match &error {
        ServeError::System(_) | ServeError::Start(_) => Exit::NotStarted,
        ServeError::Stop(_) => Exit::NotStopped,
    };
    Failure::new(exit, error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: ServeArgs,
    }

    #[test]
    fn flags_are_settings() {
        let line = "x --data-dir a --data-dir b --kafka-listen IN=127.0.0.1:0 --kafka-listen [::1]:9092 \
                    --advertise IN=example.org:1 --http-listen 127.0.0.1:0 --set num.partitions=3 --log-format json";
        let sources = Line::parse_from(line.split_whitespace()).args.sources();
        let expected = [
            ("log.dirs", "a"),
            ("log.dirs", "b"),
            ("listeners", "IN://127.0.0.1:0"),
            ("listeners", "[::1]:9092"),
            ("advertised.listeners", "IN://example.org:1"),
            ("http.listen", "127.0.0.1:0"),
            ("log.format", "json"),
            ("num.partitions", "3"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(sources.overrides, expected);
        let config = Config::load(ConfigSources { env: Vec::new(), ..sources }).unwrap();
        assert_eq!((config.log_dirs.len(), config.listeners.len(), config.num_partitions), (2, 2, 3));
        assert!(listener("=h:1").is_err());
    }
}
