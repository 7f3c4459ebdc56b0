use std::path::PathBuf;

use clap::{Args, Subcommand};
use forebay_broker::Verified;
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::{Output, table};
use crate::progress;
use crate::values::bytes;

/// `forebay log ...`
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Read every record batch of data directories and check it; changes nothing, a server may run on them
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A data directory. Repeatable
    #[arg(long, required = true, value_name = "DIR")]
    data_dir: Vec<PathBuf>,

    /// Read at most this much a second, so that a running server keeps the disk
    #[arg(long, value_name = "BYTES", default_value = "100M", value_parser = bytes)]
    rate: u64,

    /// How the result is printed
    #[arg(long, value_enum, default_value_t, env = "FOREBAY_OUTPUT")]
    output: Output,
}

/// What was found, as data.
#[derive(Debug, Serialize)]
struct Found {
    partitions: u64,
    batches: u64,
    bytes: u64,
    /// All damages; `damages` lists the first ones.
    damaged: u64,
    damages: Vec<FoundDamage>,
}

#[derive(Debug, Serialize)]
struct FoundDamage {
    partition: String,
    offset: i64,
    file: PathBuf,
    at: u64,
    reason: String,
}

impl LogCommand {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Verify(args) => args.run(),
        }
    }
}

impl VerifyArgs {
    fn run(self) -> Result<(), Failure> {
        let bar = progress::bytes("checked", None, self.output);
        let verified = forebay_broker::verify(&self.data_dir, self.rate, |read| bar.inc(read));
        bar.finish_and_clear();
        let found = Found::from(verified.map_err(|error| Failure::usage(error.to_string()))?);
        self.output.print(&found, Found::text)?;
        match found.damaged {
            0 => Ok(()),
            damaged => Err(Failure::new(Exit::Damaged, format!("{damaged} damaged places were found")).advise(
                "Nothing was changed. Consumers get an error for these batches alone; restore them from a copy.",
            )),
        }
    }
}

impl From<Verified> for Found {
    fn from(verified: Verified) -> Self {
        let damages = verified.bad.into_iter().map(|bad| FoundDamage {
            partition: bad.partition,
            offset: bad.offset,
            file: bad.file,
            at: bad.at,
            reason: bad.reason,
        });
        Self {
            partitions: verified.partitions,
            batches: verified.batches,
            bytes: verified.bytes,
            damaged: verified.bad_count,
            damages: damages.collect(),
        }
    }
}

impl Found {
    fn text(&self) -> String {
        let sound = format!(
            "{} batches in {} partitions are sound ({} bytes)",
            self.batches, self.partitions, self.bytes
        );
        if self.damages.is_empty() {
            return sound;
        }
        let mut rows = table(["partition", "offset", "file", "at byte", "what"]);
        for damage in &self.damages {
            rows.add_row([
                damage.partition.clone(),
                damage.offset.to_string(),
                damage.file.display().to_string(),
                damage.at.to_string(),
                damage.reason.clone(),
            ]);
        }
        format!("{rows}\n{sound}")
    }
}
