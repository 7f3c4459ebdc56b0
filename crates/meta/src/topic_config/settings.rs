use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use super::{elements, find};

/// Whose clock stamps records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, when it appends.
    LogAppendTime,
}

/// The settings of a topic that act, typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicSettings {
    /// `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// `retention.bytes`; `None`: no bound, or the policy does not delete.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`; `None`: for ever, or the policy does not delete.
    pub retention_age: Option<Duration>,
    /// `segment.bytes`.
    pub segment_bytes_max: u64,
    /// `segment.ms`.
    pub segment_age_max: Duration,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u64,
    /// `flush.mode` is `async`: batches are committed before they are on stable storage.
    pub flush_async: bool,
    /// `disk.full.policy` is `delete-oldest`.
    pub delete_oldest_when_full: bool,
    /// `disk.full.error` is `fail`: producers are told to give up instead of to try again.
    pub fail_when_full: bool,
    /// `max.message.bytes`: largest batch as sent.
    pub max_message_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `min.insync.replicas`.
    pub min_insync_replicas: usize,
}

impl TopicSettings {
    /// Reads the settings of a topic: `configs` are its own, `defaults` the server's, both by the topic setting's
    /// name. A value that is not valid counts as not set (it was written by a release with other bounds).
    pub fn from_configs(configs: &BTreeMap<String, String>, defaults: &BTreeMap<String, String>) -> Self {
        let values = Values { configs, defaults };
        let policy = values.text("cleanup.policy");
        let delete = elements(policy).any(|element| element == "delete");
        let bound = |number: i64| u64::try_from(number).ok().filter(|_| delete);
        Self {
            compact: elements(policy).any(|element| element == "compact"),
            delete,
            retention_bytes: bound(values.number("retention.bytes", -1)),
            retention_age: bound(values.number("retention.ms", -1)).map(Duration::from_millis),
            segment_bytes_max: values.number("segment.bytes", 1 << 30),
            segment_age_max: Duration::from_millis(values.number("segment.ms", u64::MAX)),
            index_interval_bytes: values.number("index.interval.bytes", 4096),
            flush_async: values.text("flush.mode") == "async",
            delete_oldest_when_full: values.text("disk.full.policy") == "delete-oldest",
            fail_when_full: values.text("disk.full.error") == "fail",
            max_message_bytes: values.number("max.message.bytes", 1_048_588),
            timestamp_type: match values.text("message.timestamp.type") {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: values.number("message.timestamp.before.max.ms", i64::MAX),
            timestamp_after_max_ms: values.number("message.timestamp.after.max.ms", 3_600_000),
            min_insync_replicas: values.number("min.insync.replicas", 1),
        }
    }
}

struct Values<'a> {
    configs: &'a BTreeMap<String, String>,
    defaults: &'a BTreeMap<String, String>,
}

impl<'a> Values<'a> {
    fn text(&self, name: &str) -> &'a str {
        let valid = |map: &'a BTreeMap<String, String>| {
            map.get(name).filter(|value| super::validate(name, value).is_ok()).map(|value| value.trim())
        };
        valid(self.configs)
            .or_else(|| valid(self.defaults))
            .unwrap_or_else(|| find(name).map_or("", |config| config.default))
    }

    /// `fallback` stands for a default that does not parse, which the table's test excludes.
    fn number<N: FromStr>(&self, name: &str, fallback: N) -> N {
        self.text(name).parse().unwrap_or(fallback)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(configs: &[(&str, &str)]) -> TopicSettings {
        let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        TopicSettings::from_configs(&configs, &BTreeMap::new())
    }

    #[test]
    fn defaults_are_kafkas() {
        let defaults = settings(&[]);
        assert!(defaults.delete && !defaults.compact);
        assert_eq!(defaults.retention_bytes, None);
        assert_eq!(defaults.retention_age, Some(Duration::from_secs(7 * 24 * 3600)));
        assert_eq!(defaults.segment_bytes_max, 1 << 30);
        assert_eq!(defaults.max_message_bytes, 1_048_588);
        assert_eq!(defaults.timestamp_before_max_ms, i64::MAX);
        assert_eq!(defaults.min_insync_replicas, 1);
    }

    #[test]
    fn a_topic_that_only_compacts_deletes_nothing() {
        let compacted =
            settings(&[("cleanup.policy", "compact"), ("retention.bytes", "10"), ("retention.ms", "10")]);
        assert_eq!((compacted.retention_bytes, compacted.retention_age), (None, None));
        let both = settings(&[
            ("cleanup.policy", "compact, delete"),
            ("retention.bytes", "10"),
            ("retention.ms", "0"),
        ]);
        assert_eq!((both.retention_bytes, both.retention_age), (Some(10), Some(Duration::ZERO)));
        assert!(both.compact && both.delete);
    }

    #[test]
    fn values_out_of_bounds_count_as_not_set() {
        assert_eq!(settings(&[("segment.bytes", "7"), ("min.insync.replicas", "no")]), settings(&[]));
    }
}
