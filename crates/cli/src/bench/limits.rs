//! What this machine can do at most, each measured on its own. Figures of a server mean little without them: the same
//! machine may be twice as fast an hour later.

mod against;
mod disk;
mod echo;
mod network;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tokio::task::block_in_place;

use self::disk::Scratch;
use super::figures::{COMMIT, median, range};
use crate::failure::Failure;
use crate::output::{Output, note, table};
use crate::values::bytes;

/// `forebay bench limits`
#[derive(Debug, Args)]
pub(crate) struct LimitsArgs {
    /// Where files are written, and removed again: the disk that the server would use
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    /// Bytes that each run moves
    #[arg(long, value_name = "BYTES", default_value = "1G", value_parser = bytes)]
    total_bytes: u64,

    /// Bytes that the run with write-behind moves
    #[arg(long, value_name = "BYTES", default_value = "4G", value_parser = bytes)]
    sustained_bytes: u64,

    /// Runs of each, after a first one that is discarded; those with write-behind are done once
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,

    /// Leave the yardstick out
    #[arg(long)]
    no_yardstick: bool,

    /// How the result is printed
    #[arg(long, value_enum, default_value_t, env = "FOREBAY_OUTPUT")]
    output: Output,
}

/// One limit: a rate, or a time.
#[derive(Debug, Clone, Serialize)]
struct Limit {
    unit: &'static str,
    median: f64,
    range: [f64; 2],
}

#[derive(Debug, Serialize)]
struct Limits {
    measured: &'static str,
    commit: &'static str,
    total_bytes: u64,
    sustained_bytes: u64,
    /// Runs that count, of each.
    runs: u32,
    limits: BTreeMap<&'static str, Limit>,
}

impl LimitsArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut limits = Limits {
            measured: "limits",
            commit: COMMIT,
            total_bytes: self.total_bytes,
            sustained_bytes: self.sustained_bytes,
            runs: self.repeat,
            limits: BTreeMap::new(),
        };
        block_in_place(|| self.disk(&mut limits))?;
        block_in_place(|| self.network(&mut limits))?;
        self.echo(&mut limits).await?;
        if !self.no_yardstick {
            self.yardstick(&mut limits).await?;
        }
        self.output.print(&limits, Limits::text)
    }

    fn disk(&self, limits: &mut Limits) -> Result<(), Failure> {
        for (name, piece) in [("page_cache_write_1m", 1 << 20), ("page_cache_write_16k", 16 << 10)] {
            limits.repeated(name, "MB/s", self.repeat, || disk::write(&self.dir, self.total_bytes, piece))?;
        }
        let (written, synced) = disk::write_behind(&self.dir, self.sustained_bytes)?;
        limits.once("write_behind", "MB/s", written);
        limits.once("write_behind_synced", "MB/s", synced);
        if let Some(times) = disk::append_and_sync(&self.dir)?.quantiles() {
            limits.once("fdatasync_4k_p50", "ms", times.p50_ms);
            limits.once("fdatasync_4k_p99", "ms", times.p99_ms);
        }
        Ok(())
    }

    fn network(&self, limits: &mut Limits) -> Result<(), Failure> {
        limits.repeated("loopback_128k", "MB/s", self.repeat, || network::loopback(self.total_bytes))?;
        let file = Scratch::filled(&self.dir, self.total_bytes.min(256 << 20))?;
        limits.repeated("sendfile_1m", "MB/s", self.repeat, || network::sendfile(&file, self.total_bytes))
    }

    async fn echo(&self, limits: &mut Limits) -> Result<(), Failure> {
        let addr = echo::serve().await?;
        for (name, len) in [("echo_64_p50", 64), ("echo_1k_p50", 1024)] {
            limits.repeated(name, "ms", self.repeat, || block_in_place(|| echo::p50_ms(&addr, len)))?;
        }
        Ok(())
    }

    async fn yardstick(&self, limits: &mut Limits) -> Result<(), Failure> {
        let shapes = [
            ("yardstick_produce_1k", "requests/s", 1, self.total_bytes / 8),
            ("yardstick_produce_16k", "MB/s", 16 << 10, self.total_bytes),
            ("yardstick_produce_1m", "MB/s", 1 << 20, self.total_bytes),
        ];
        for (name, unit, batch_bytes, total_bytes) in shapes {
            // A process of its own for each: its files are removed in between.
            let yardstick = against::Yardstick::start(&self.dir)?;
            let figures = yardstick.produce(batch_bytes, total_bytes, self.repeat).await?;
            let of = |run: &super::figures::Run| {
                if unit == "MB/s" { run.megabytes_per_second } else { run.requests_per_second }
            };
            limits.put(name, unit, figures.runs().iter().map(of).collect());
            if batch_bytes == 1 << 20 {
                let figures = yardstick.consume(self.repeat).await?;
                limits.put(
                    "yardstick_consume",
                    "MB/s",
                    figures.runs().iter().map(|run| run.megabytes_per_second).collect(),
                );
            }
        }
        Ok(())
    }
}

impl Limits {
    /// Measures `times` times, after a first time that does not count.
    fn repeated(
        &mut self,
        name: &'static str,
        unit: &'static str,
        times: u32,
        mut once: impl FnMut() -> Result<f64, Failure>,
    ) -> Result<(), Failure> {
        once()?;
        let values = (0..times).map(|_| once()).collect::<Result<Vec<f64>, _>>()?;
        self.put(name, unit, values);
        Ok(())
    }

    fn once(&mut self, name: &'static str, unit: &'static str, value: f64) {
        self.put(name, unit, vec![value]);
    }

    fn put(&mut self, name: &'static str, unit: &'static str, values: Vec<f64>) {
        if let (Some(median), Some(range)) = (median(values.clone()), range(values)) {
            note(&format!("{name}: {median:.3} {unit}"));
            self.limits.insert(name, Limit { unit, median, range });
        }
    }

    fn text(&self) -> String {
        let mut rows = table(["limit", "median", "smallest", "largest", "unit"]);
        for (name, Limit { unit, median, range: [low, high] }) in &self.limits {
            let show = |value: &f64| format!("{value:.3}");
            rows.add_row([(*name).to_owned(), show(median), show(low), show(high), (*unit).to_owned()]);
        }
        rows.to_string()
    }
}
