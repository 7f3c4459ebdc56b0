use std::time::Duration;

use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::{Output, table};

/// Waiting times in microseconds, one per request.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<u32>);

impl Samples {
    /// Adds one.
    pub(super) fn add(&mut self, took: Duration) {
        self.0.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// Adds another collection's.
    pub(super) fn merge(&mut self, other: Samples) {
        self.0.extend(other.0);
    }

    /// How they are distributed; `None` without any.
    pub(super) fn quantiles(mut self) -> Option<Quantiles> {
        self.0.sort_unstable();
        let last = self.0.len().checked_sub(1)?;
        let at = |per_mille: usize| f64::from(self.0[(last * per_mille).div_ceil(1000)]) / 1000.0;
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

/// The result of a measurement.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) measured: &'static str,
    pub(super) topic: String,
    pub(super) partitions: usize,
    pub(super) connections: usize,
    /// What was moved in the time measured.
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    /// In millions of bytes.
    pub(super) megabytes_per_second: f64,
    pub(super) records_per_second: f64,
    /// Until a request was answered.
    pub(super) answered: Option<Quantiles>,
    /// Until a consumer had the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) received: Option<Quantiles>,
    pub(super) checked: Checked,
}

impl Figures {
    /// Fills in the rates.
    pub(super) fn per_second(mut self, took: Duration) -> Self {
        self.seconds = took.as_secs_f64();
        let seconds = self.seconds.max(f64::EPSILON);
        self.megabytes_per_second = self.bytes as f64 / 1e6 / seconds;
        self.records_per_second = self.records as f64 / seconds;
        self
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
        let mut rows = table(["what", "figure"]);
        let mut row = |what: &str, figure: String| {
            rows.add_row([what.to_owned(), figure]);
        };
        row("measured", format!("{} on {}, {} partitions", self.measured, self.topic, self.partitions));
        row("connections", self.connections.to_string());
        row(
            "moved",
            format!("{} records, {:.1} MB in {:.2} s", self.records, self.bytes as f64 / 1e6, self.seconds),
        );
        row(
            "rate",
            format!("{:.1} MB/s, {:.0} records/s", self.megabytes_per_second, self.records_per_second),
        );
        for (what, quantiles) in [("until answered", self.answered), ("until received", self.received)] {
            if let Some(times) = quantiles {
                let Quantiles { p50_ms, p99_ms, p999_ms, max_ms } = times;
                row(
                    what,
                    format!(
                        "p50 {p50_ms:.3} ms, p99 {p99_ms:.3} ms, p99.9 {p999_ms:.3} ms, max {max_ms:.3} ms"
                    ),
                );
            }
        }
        row("records checked", self.checked.records.to_string());
        row("records lost", self.checked.lost.to_string());
        row("batches damaged", self.checked.damaged.to_string());
        rows.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let mut samples = Samples::default();
        assert_eq!(Samples::default().quantiles(), None);
        for millisecond in (1..=1000).rev() {
            samples.add(Duration::from_millis(millisecond));
        }
        let quantiles = samples.quantiles().unwrap();
        assert_eq!(quantiles, Quantiles { p50_ms: 501.0, p99_ms: 991.0, p999_ms: 1000.0, max_ms: 1000.0 });
    }
}
