use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::super::Target;
use super::super::appending::Spread;
use super::super::consume::ConsumeArgs;
use super::super::figures::Figures;
use super::super::produce::ProduceArgs;
use super::super::repeat::Repeat;
use super::super::yardstick::LISTENING;
use crate::cluster::ClusterArgs;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::produce::{AcksArg, Codec};

/// Partitions that are written to.
const PARTITIONS: i32 = 4;

/// A yardstick in a process of its own, as a real server would be. Dropping it ends it and removes its files.
#[derive(Debug)]
pub(super) struct Yardstick {
    child: Child,
    dir: PathBuf,
    addr: String,
}

impl Yardstick {
    /// Starts one, with its files in `dir`.
    pub(super) fn start(dir: &Path) -> Result<Self, Failure> {
        let dir = dir.join(format!("forebay-yardstick-{}", std::process::id()));
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "yardstick", "--partitions", &PARTITIONS.to_string(), "--dir"]).arg(&dir);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut started = Self { child, dir, addr: String::new() };
        let mut line = String::new();
        if let Some(stdout) = started.child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let silent = || Failure::new(Exit::NotStarted, "the yardstick did not start");
        line.trim_end().strip_prefix(LISTENING).ok_or_else(silent)?.clone_into(&mut started.addr);
        Ok(started)
    }

    /// Appends `total_bytes` as batches of `batch_bytes`: 16 connections, 5 requests in flight on each.
    pub(super) async fn produce(
        &self,
        batch_bytes: u64,
        total_bytes: u64,
        repeat: u32,
    ) -> Result<Figures, Failure> {
        let args = ProduceArgs {
            connections: 16,
            in_flight: 5,
            batch_bytes,
            record_bytes: 1024,
            total_bytes,
            rate: None,
            rate_bytes: None,
            partitions: PARTITIONS,
            spread: Spread::Connection,
            acks: AcksArg::Leader,
            compression: Codec::None,
            no_check: true,
            repeat: Repeat::times(repeat, self.child.id()),
            target: self.target(),
        };
        args.measure().await
    }

    /// Reads everything that is there.
    pub(super) async fn consume(&self, repeat: u32) -> Result<Figures, Failure> {
        let args = ConsumeArgs {
            connections: 4,
            fetch_bytes: 4 << 20,
            rounds: 1,
            no_check: true,
            cold: false,
            data_dir: Vec::new(),
            repeat: Repeat::times(repeat, self.child.id()),
            target: self.target(),
        };
        args.measure().await
    }

    fn target(&self) -> Target {
        Target {
            topic: "bench".to_owned(),
            output: Output::Json,
            raw: true,
            cluster: ClusterArgs::one(self.addr.clone()),
        }
    }
}

impl Drop for Yardstick {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
