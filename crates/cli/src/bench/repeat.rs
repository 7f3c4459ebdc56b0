use clap::Args;

use super::figures::Run;
use super::machine::Usage;
use crate::failure::Failure;
use crate::output::note;

/// How often it is measured, and what is told of it.
#[derive(Debug, Clone, Args)]
pub(super) struct Repeat {
    /// Measure so many times, after a first run that is discarded [default: once, without a first run]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: Option<u32>,

    /// The server's process on this machine, to tell its CPU time and memory
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,

    /// Tell what was moved in each second, too
    #[arg(long)]
    series: bool,
}

impl Repeat {
    /// `times` runs against the server `server_pid`, after one that is discarded.
    pub(super) fn times(times: u32, server_pid: u32) -> Self {
        Self { repeat: Some(times), server_pid: Some(server_pid), series: false }
    }

    /// True if a first run is discarded.
    pub(super) fn warms_up(&self) -> bool {
        self.repeat.is_some()
    }

    /// True if every second is told.
    pub(super) fn series(&self) -> bool {
        self.series
    }

    /// Runs `once` as often as asked for, and gives what those that count have measured.
    pub(super) async fn runs(
        &self,
        mut once: impl AsyncFnMut() -> Result<Run, Failure>,
    ) -> Result<Vec<Run>, Failure> {
        let mut runs = Vec::new();
        if self.warms_up() {
            once().await?;
        }
        for number in 1..=self.repeat.unwrap_or(1) {
            let run = once().await?;
            if self.warms_up() {
                note(&format!("run {number}: {:.1} MB/s", run.megabytes_per_second));
            }
            runs.push(run);
        }
        Ok(runs)
    }

    /// What the server has used until now, if its process was named.
    pub(super) fn usage(&self) -> Result<Option<Usage>, Failure> {
        self.server_pid.map(Usage::of).transpose()
    }
}
