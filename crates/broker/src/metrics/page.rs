use std::fmt::{Display, Write};

use super::histogram::Histogram;

/// What kind of number a family holds, in Prometheus' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// Only grows, and starts at zero with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in buckets.
    Histogram,
    /// Durations by count and sum.
    Summary,
}

/// The declaration of one family of series.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Family {
    /// Its name.
    pub(super) name: &'static str,
    /// Its kind.
    pub(super) kind: Type,
    /// Names of its labels.
    pub(super) labels: &'static [&'static str],
    /// One sentence.
    pub(super) help: &'static str,
}

/// A page in Prometheus' text format (version 0.0.4), written family by family.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// Writes a family: its head, then what `fill` adds to it.
    pub(super) fn family(&mut self, family: &'static Family, fill: impl FnOnce(&mut Samples<'_>)) {
        let kind = match family.kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
            Type::Summary => "summary",
        };
        self.put(format_args!("# HELP {} {}\n# TYPE {} {kind}\n", family.name, family.help, family.name));
        fill(&mut Samples { page: self, family });
    }

    /// Writes a family that is one number.
    pub(super) fn single(&mut self, family: &'static Family, value: impl Display) {
        self.family(family, |samples| samples.add(&[], value));
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn put(&mut self, parts: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(parts);
    }
}

/// The open family of a page.
#[derive(Debug)]
pub(super) struct Samples<'a> {
    page: &'a mut Page,
    family: &'static Family,
}

impl Samples<'_> {
    /// One series. `labels` are the values of the family's labels, in its order; an empty one leaves the
    /// label out.
    pub(super) fn add(&mut self, labels: &[&str], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// The series of one histogram.
    pub(super) fn histogram(&mut self, labels: &[&str], histogram: &Histogram) {
        for (bound, count) in histogram.cumulative() {
            self.line("_bucket", labels, Some(&bound.to_string()), count);
        }
        self.line("_bucket", labels, Some("+Inf"), histogram.count());
        self.line("_sum", labels, None, histogram.sum_seconds());
        self.line("_count", labels, None, histogram.count());
    }

    /// The series of a summary without quantiles, in milliseconds.
    pub(super) fn summary_ms(&mut self, labels: &[&str], histogram: &Histogram) {
        self.line("_sum", labels, None, histogram.sum_seconds() * 1000.0);
        self.line("_count", labels, None, histogram.count());
    }

    fn line(&mut self, suffix: &str, values: &[&str], bound: Option<&str>, value: impl Display) {
        debug_assert_eq!(values.len(), self.family.labels.len(), "{}", self.family.name);
        self.page.put(format_args!("{}{suffix}", self.family.name));
        let labels = self.family.labels.iter().zip(values).map(|(name, value)| (*name, *value));
        let mut opened = false;
        for (name, text) in
            labels.chain(bound.map(|bound| ("le", bound))).filter(|(_, text)| !text.is_empty())
        {
            let separator = if opened { ',' } else { '{' };
            self.page.put(format_args!("{separator}{name}=\"{}\"", escaped(text)));
            opened = true;
        }
        self.page.put(format_args!("{} {value}\n", if opened { "}" } else { "" }));
    }
}

/// A label's value with backslash, quote and line feed escaped.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            other => escaped.push(other),
        }
    }
    escaped
}
