use std::time::Duration;

use serde::Serialize;

use super::machine::Usage;
use crate::failure::{Exit, Failure};
use crate::output::{Output, table};

/// The commit that this binary is built from.
pub(super) const COMMIT: &str = env!("BUILD_COMMIT");

/// Waiting times, one per request, in units of 100 ns.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<u32>);

impl Samples {
    /// Adds one.
    pub(super) fn add(&mut self, took: Duration) {
        self.0.push(u32::try_from(took.as_nanos() / 100).unwrap_or(u32::MAX));
    }

    /// Adds another collection's.
    pub(super) fn merge(&mut self, other: Samples) {
        self.0.extend(other.0);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How they are distributed; `None` without any.
    pub(super) fn quantiles(mut self) -> Option<Quantiles> {
        self.0.sort_unstable();
        let last = self.0.len().checked_sub(1)?;
        let at = |per_mille: usize| f64::from(self.0[(last * per_mille).div_ceil(1000)]) / 10_000.0;
        Some(Quantiles { p50_ms: at(500), p99_ms: at(990), p999_ms: at(999), max_ms: at(1000) })
    }
}

/// Waiting times: half, 99 % and 99.9 % of all requests took at most this long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p999_ms: f64,
    pub(super) max_ms: f64,
}

impl Quantiles {
    /// The median of each, over runs that have any.
    fn median(runs: &[Run], of: fn(&Run) -> Option<Quantiles>) -> Option<Self> {
        let mid = |get: fn(&Quantiles) -> f64| median(runs.iter().filter_map(of).map(|q| get(&q)).collect());
        Some(Self {
            p50_ms: mid(|q| q.p50_ms)?,
            p99_ms: mid(|q| q.p99_ms)?,
            p999_ms: mid(|q| q.p999_ms)?,
            max_ms: mid(|q| q.max_ms)?,
        })
    }

    fn text(self) -> String {
        let Self { p50_ms, p99_ms, p999_ms, max_ms } = self;
        format!("p50 {p50_ms:.3} ms, p99 {p99_ms:.3} ms, p99.9 {p999_ms:.3} ms, max {max_ms:.3} ms")
    }
}

/// The middle value, or the mean of the two in the middle; `None` without any.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some((low + high) / 2.0)
}

/// The smallest and the largest value; `None` without any.
pub(super) fn range(values: Vec<f64>) -> Option<[f64; 2]> {
    let low = values.iter().copied().min_by(f64::total_cmp)?;
    Some([low, values.into_iter().max_by(f64::total_cmp)?])
}

/// What reading found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Checked {
    /// Records that were read, their checksums and offsets right.
    pub(super) records: u64,
    /// Bytes of their batches.
    pub(super) bytes: u64,
    /// Records that should have been there.
    pub(super) lost: u64,
    /// Batches with a wrong checksum or wrong content.
    pub(super) damaged: u64,
}

impl Checked {
    /// Adds another part's findings.
    pub(super) fn merge(&mut self, other: Checked) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.damaged += other.damaged;
    }
}

/// What one run measured, or the median of several.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Run {
    /// What was moved in the time measured.
    pub(super) requests: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    /// In millions of bytes.
    pub(super) megabytes_per_second: f64,
    pub(super) records_per_second: f64,
    pub(super) requests_per_second: f64,
    /// Until a request was answered.
    pub(super) answered: Option<Quantiles>,
    /// Until a consumer had the batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) received: Option<Quantiles>,
    /// Megabytes moved in the slowest whole second, where there were at least three.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slowest_second: Option<f64>,
    /// The same of the second in the middle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) median_second: Option<f64>,
    /// Megabytes moved in each whole second, if asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) by_second: Vec<f64>,
    /// User and system time of the server for a billion bytes, if its process is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server_cpu_seconds_per_gb: Option<f64>,
    /// The most memory the server ever had resident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server_peak_rss_bytes: Option<u64>,
}

impl Run {
    /// Fills in the rates.
    pub(super) fn per_second(mut self, took: Duration) -> Self {
        self.seconds = took.as_secs_f64();
        let seconds = self.seconds.max(f64::EPSILON);
        self.megabytes_per_second = self.bytes as f64 / 1e6 / seconds;
        self.records_per_second = self.records as f64 / seconds;
        self.requests_per_second = self.requests as f64 / seconds;
        self
    }

    /// Fills in what happened in each second; every one of them is kept if `all`.
    pub(super) fn seconds(mut self, by_second: &[u64], all: bool) -> Self {
        let seconds: Vec<f64> = by_second.iter().map(|bytes| *bytes as f64 / 1e6).collect();
        if seconds.len() >= 3 {
            self.slowest_second = range(seconds.clone()).map(|[slowest, _]| slowest);
            self.median_second = median(seconds.clone());
        }
        if all {
            self.by_second = seconds;
        }
        self
    }

    /// Fills in what the server used.
    pub(super) fn used(mut self, usage: Option<(Usage, Usage)>) -> Self {
        if let Some((before, after)) = usage {
            let gigabytes = (self.bytes as f64 / 1e9).max(f64::EPSILON);
            self.server_cpu_seconds_per_gb = Some((after.cpu_seconds - before.cpu_seconds) / gigabytes);
            self.server_peak_rss_bytes = Some(after.peak_rss_bytes);
        }
        self
    }

    /// The median of each figure.
    fn median(runs: &[Run]) -> Self {
        let some = |get: fn(&Run) -> Option<f64>| median(runs.iter().filter_map(get).collect());
        let mid = |get: fn(&Run) -> f64| median(runs.iter().map(get).collect()).unwrap_or(0.0);
        let of = |get: fn(&Run) -> u64| runs.iter().map(get).max().unwrap_or(0);
        Self {
            requests: of(|run| run.requests),
            records: of(|run| run.records),
            bytes: of(|run| run.bytes),
            seconds: mid(|run| run.seconds),
            megabytes_per_second: mid(|run| run.megabytes_per_second),
            records_per_second: mid(|run| run.records_per_second),
            requests_per_second: mid(|run| run.requests_per_second),
            answered: Quantiles::median(runs, |run| run.answered),
            received: Quantiles::median(runs, |run| run.received),
            slowest_second: some(|run| run.slowest_second),
            median_second: some(|run| run.median_second),
            by_second: Vec::new(),
            server_cpu_seconds_per_gb: some(|run| run.server_cpu_seconds_per_gb),
            server_peak_rss_bytes: runs.iter().filter_map(|run| run.server_peak_rss_bytes).max(),
        }
    }
}

/// What was measured, and how.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Setting {
    pub(super) measured: &'static str,
    /// The commit of the load client.
    pub(super) commit: &'static str,
    pub(super) topic: String,
    /// True if the server was not asked for its partitions: a yardstick.
    pub(super) raw: bool,
    pub(super) partitions: usize,
    pub(super) connections: usize,
    /// Requests under way on each connection.
    pub(super) in_flight: usize,
    /// Bytes of a batch as it was sent, or the bound of an answer.
    pub(super) request_bytes: u64,
    pub(super) acks: Option<i16>,
    /// Requests a second that were asked for.
    pub(super) rate: Option<f64>,
    /// `cold` if the data was dropped from the page cache before each run.
    pub(super) cache: &'static str,
    /// True if a first run was done and discarded.
    pub(super) warmed_up: bool,
}

/// Smallest and largest value of all runs.
#[derive(Debug, Default, Serialize)]
pub(super) struct Range {
    pub(super) megabytes_per_second: Option<[f64; 2]>,
    pub(super) requests_per_second: Option<[f64; 2]>,
    pub(super) answered_p50_ms: Option<[f64; 2]>,
    pub(super) answered_p99_ms: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server_cpu_seconds_per_gb: Option<[f64; 2]>,
}

/// The result of a measurement.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    #[serde(flatten)]
    setting: Setting,
    #[serde(flatten)]
    median: Run,
    range: Range,
    runs: Vec<Run>,
    checked: Checked,
}

impl Figures {
    /// Of at least one run.
    pub(super) fn new(setting: Setting, runs: Vec<Run>, checked: Checked) -> Self {
        let of = |get: fn(&Run) -> Option<f64>| range(runs.iter().filter_map(get).collect());
        let range = Range {
            megabytes_per_second: of(|run| Some(run.megabytes_per_second)),
            requests_per_second: of(|run| Some(run.requests_per_second)),
            answered_p50_ms: of(|run| Some(run.answered?.p50_ms)),
            answered_p99_ms: of(|run| Some(run.answered?.p99_ms)),
            server_cpu_seconds_per_gb: of(|run| run.server_cpu_seconds_per_gb),
        };
        Self { setting, median: Run::median(&runs), range, runs, checked }
    }

    /// What each run has measured.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Prints the result, which is a failure if anything was lost or damaged.
    pub(super) fn report(&self, output: Output) -> Result<(), Failure> {
        output.print(self, Self::text)?;
        match self.checked {
            Checked { lost: 0, damaged: 0, .. } => Ok(()),
            Checked { lost, damaged, .. } => {
                Err(Failure::new(Exit::Damaged, format!("{lost} records lost, {damaged} batches damaged")))
            }
        }
    }

    fn text(&self) -> String {
        let (setting, run) = (&self.setting, &self.median);
        let mut rows = table(["what", "figure"]);
        let mut row = |what: &str, figure: String| {
            rows.add_row([what.to_owned(), figure]);
        };
        let Setting { measured, topic, partitions, cache, .. } = setting;
        row("measured", format!("{measured} on {topic}, {partitions} partitions, {cache}, by {COMMIT}"));
        let Setting { connections, in_flight, request_bytes, .. } = setting;
        row("load", format!("{connections} connections, {in_flight} in flight, {request_bytes} bytes each"));
        let megabytes = run.bytes as f64 / 1e6;
        row("moved", format!("{} records, {megabytes:.1} MB in {:.2} s", run.records, run.seconds));
        let Run { megabytes_per_second: mb, records_per_second, requests_per_second, .. } = run;
        row(
            "rate",
            format!("{mb:.1} MB/s, {records_per_second:.0} records/s, {requests_per_second:.0} requests/s"),
        );
        if let Some([low, high]) = self.range.megabytes_per_second.filter(|_| self.runs.len() > 1) {
            row(
                "range",
                format!("{low:.1} to {high:.1} MB/s in {} runs; others are medians", self.runs.len()),
            );
        }
        for (what, quantiles) in [("until answered", run.answered), ("until received", run.received)] {
            if let Some(times) = quantiles {
                row(what, times.text());
            }
        }
        if let (Some(slowest), Some(middle)) = (run.slowest_second, run.median_second) {
            row("slowest second", format!("{slowest:.1} MB, the median {middle:.1} MB"));
        }
        if let (Some(cpu), Some(rss)) = (run.server_cpu_seconds_per_gb, run.server_peak_rss_bytes) {
            row("server", format!("{cpu:.3} CPU-s/GB, peak RSS {:.1} MB", rss as f64 / 1e6));
        }
        row("records checked", self.checked.records.to_string());
        row("records lost", self.checked.lost.to_string());
        row("batches damaged", self.checked.damaged.to_string());
        rows.to_string()
    }
}

#[cfg(test)]
mod tests;
