//! A topic's settings as the rooms below want them.

use std::collections::BTreeMap;

use forebay_log::LogConfig;
use forebay_meta::topic_config::{TOPIC_CONFIGS, TimestampType, TopicSettings};
use forebay_replica::intake::IntakeRules;

use crate::{Config, Source};

/// The server's own defaults of topic settings, by the topic setting's name: those that somebody set.
pub(crate) fn server_defaults(config: &Config) -> BTreeMap<String, String> {
    let set = config.values().into_iter().filter(|(_, _, source)| *source != Source::Default);
    let by_server_name: BTreeMap<_, _> = set.map(|(name, value, _)| (name, value)).collect();
    let named = TOPIC_CONFIGS.iter().filter_map(|topic| {
        let value = by_server_name.get(topic.server_name)?;
        Some((topic.name.to_owned(), value.clone()))
    });
    named.collect()
}

/// What a batch must satisfy to be appended.
pub(crate) fn intake_rules(settings: &TopicSettings) -> IntakeRules {
    IntakeRules {
        max_message_bytes: settings.max_message_bytes,
        timestamp_type: match settings.timestamp_type {
            TimestampType::CreateTime => forebay_replica::TimestampType::CreateTime,
            TimestampType::LogAppendTime => forebay_replica::TimestampType::LogAppendTime,
        },
        before_max_ms: settings.timestamp_before_max_ms,
        after_max_ms: settings.timestamp_after_max_ms,
        compacted: settings.compact,
    }
}

/// How the log is cut into segments and when they go.
pub(crate) fn log_config(settings: &TopicSettings) -> LogConfig {
    LogConfig {
        segment_bytes_max: settings.segment_bytes_max,
        segment_age_max: settings.segment_age_max,
        index_interval_bytes: settings.index_interval_bytes,
        retention_bytes: settings.retention_bytes,
        retention_age: settings.retention_age,
    }
}
