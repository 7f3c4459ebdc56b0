//! CreateTopics, key 19, versions 2 to 7.
//!
//! 4 -1 partitions or replicas mean the broker's default · 5 flexible, the answer shows the settings · 6 error 89
//! · 7 topic ids.

use forebay_base::Id128;

use crate::Text;

messages! {
    /// Asks to create topics.
    request CreateTopicsRequest: CreateTopics => CreateTopicsResponse {
        /// The topics.
        topics: Vec<CreatableTopic> [..];
        /// How long to wait, in milliseconds.
        timeout_ms: i32 [..] = 60_000;
        /// Only say whether it would work.
        validate_only: bool [..];
    }

    /// A topic to create.
    part CreatableTopic {
        /// Its name.
        name: Text [..];
        /// How many partitions; -1 for the default or where `assignments` says it.
        num_partitions: i32 [..];
        /// How many replicas of each; -1 for the default or where `assignments` says it.
        replication_factor: i16 [..];
        /// Which nodes hold what; empty to leave it to the broker.
        assignments: Vec<CreatableReplicaAssignment> [..];
        /// Its settings.
        configs: Vec<CreatableTopicConfig> [..];
    }

    /// Nodes that shall hold a partition.
    part CreatableReplicaAssignment {
        /// Index of the partition.
        partition_index: i32 [..];
        /// The nodes, preferred leader first.
        broker_ids: Vec<i32> [..];
    }

    /// A setting.
    part CreatableTopicConfig {
        /// Its name.
        name: Text [..];
        /// Its value.
        value: Option<Text> [..];
    }

    /// Says which topics were created.
    response CreateTopicsResponse: CreateTopics {
        /// How long the client is throttled, in milliseconds.
        throttle_time_ms: i32 [..];
        /// The answers, by topic.
        topics: Vec<CreatableTopicResult> [..];
    }

    /// The answer for one topic.
    part CreatableTopicResult {
        /// Its name.
        name: Text [..];
        /// Its id.
        topic_id: Id128 [7..];
        /// What went wrong, or 0.
        error_code: i16 [..];
        /// Why.
        error_message: Option<Text> [..];
        /// Why `configs` are not shown, or 0.
        topic_config_error_code: i16 [5..] tag 0;
        /// How many partitions it has, or -1.
        num_partitions: i32 [5..] = -1;
        /// How many replicas each has, or -1.
        replication_factor: i16 [5..] = -1;
        /// Its settings.
        configs: Option<Vec<CreatableTopicConfigs>> [5..];
    }

    /// A setting of the topic created.
    part CreatableTopicConfigs {
        /// Its name.
        name: Text [5..];
        /// Its value.
        value: Option<Text> [5..];
        /// True if it cannot be changed.
        read_only: bool [5..];
        /// Where the value comes from: 1 topic, 2 dynamic broker, 4 static broker, 5 default; -1 unknown.
        config_source: i8 [5..] = -1;
        /// True if the value must not be shown.
        is_sensitive: bool [5..];
    }
}
