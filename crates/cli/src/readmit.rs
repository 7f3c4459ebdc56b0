use clap::Args;
use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure};
use crate::http::HttpArgs;
use crate::output::Output;

/// Flags of `forebay cluster readmit`.
#[derive(Debug, Args)]
pub(crate) struct ReadmitArgs {
    #[command(flatten)]
    server: HttpArgs,
    /// Which volume, by its data directory or its id; else the only one that has failed
    #[arg(long, value_name = "DIR|ID")]
    volume: Option<String>,
    /// How to print the result
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Deserialize)]
struct Volumes {
    volumes: Vec<Volume>,
}

#[derive(Debug, Deserialize)]
struct Volume {
    directory: String,
    path: String,
    state: String,
    failed_partitions: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Readmission {
    path: String,
    state: String,
    tested_bytes: u64,
    reopened_partitions: u64,
}

impl ReadmitArgs {
    /// Has the server test the volume, and says what came of it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let volume = match &self.volume {
            Some(named) => named.clone(),
            None => only_failed(self.server.get::<Volumes>("/v1/volumes")?.volumes)?.directory,
        };
        let readmission: Readmission =
            self.server.post(&format!("/v1/volumes/{}/readmit", as_part(&volume)))?;
        self.output.print(&readmission, sentence)
    }
}

fn sentence(readmission: &Readmission) -> String {
    let Readmission { path, state, tested_bytes, reopened_partitions } = readmission;
    let mib = tested_bytes.div_ceil(1 << 20);
    let anew = match reopened_partitions {
        0 => String::new(),
        1 => "; a partition that had failed is opened anew".to_owned(),
        count => format!("; {count} partitions that had failed are opened anew"),
    };
    format!("{path} is {state}: {mib} MiB were written, synced and read back{anew}")
}

/// The volume that is meant if none is named.
fn only_failed(volumes: Vec<Volume>) -> Result<Volume, Failure> {
    let (failed, others): (Vec<_>, Vec<_>) = volumes.into_iter().partition(|volume| volume.state == "Failed");
    // A partition may fail alone; its volume is meant where none has failed as a whole.
    let partly = |volume: &Volume| volume.failed_partitions > 0;
    let mut meant = if failed.is_empty() { others.into_iter().filter(partly).collect() } else { failed };
    match (meant.pop(), meant.is_empty()) {
        (Some(volume), true) => Ok(volume),
        (Some(last), false) => {
            let paths: Vec<_> = meant.iter().chain([&last]).map(|volume| volume.path.as_str()).collect();
            let sentence = format!("several volumes have failed: {}", paths.join(", "));
            Err(Failure::usage(sentence).advise("Name one with --volume."))
        }
        (None, _) => {
            let sentence =
                "no volume of this server has failed, and no partition: there is nothing to readmit";
            Err(Failure::new(Exit::Refused, sentence))
        }
    }
}

/// Text as one part of a path.
fn as_part(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(path: &str, state: &str, failed_partitions: u64) -> Volume {
        let (directory, path, state) = (format!("id of {path}"), path.to_owned(), state.to_owned());
        Volume { directory, path, state, failed_partitions }
    }

    #[test]
    fn the_only_one_that_has_failed_is_meant() {
        let meant = |volumes| only_failed(volumes).map(|volume| volume.path);
        let well = || volume("/a", "Normal", 0);
        assert_eq!(meant(vec![well(), volume("/b", "Failed", 3)]).unwrap(), "/b");
        assert_eq!(meant(vec![well(), volume("/b", "Low", 1)]).unwrap(), "/b");
        assert_eq!(meant(vec![volume("/a", "Normal", 1), volume("/b", "Failed", 0)]).unwrap(), "/b");
        assert_eq!(meant(vec![well()]).unwrap_err().exit(), Exit::Refused);
        let both = meant(vec![volume("/a", "Failed", 1), volume("/b", "Failed", 0)]).unwrap_err();
        assert_eq!(both.exit(), Exit::Usage);
    }

    #[test]
    fn a_path_is_one_part_of_a_path() {
        assert_eq!(as_part("/data/größe 1"), "%2Fdata%2Fgr%C3%B6%C3%9Fe%201");
    }
}
