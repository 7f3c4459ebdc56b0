//! CreatePartitions, key 37, versions 0 to 3: more partitions for topics that exist.
//!
//! 2 flexible · 3 error 89.

use crate::Text;

messages! {
    /// Asks for more partitions.
    request CreatePartitionsRequest: CreatePartitions => CreatePartitionsResponse {
        /// The topics.
        topics: Vec<CreatePartitionsTopic> [..];
        /// How long to wait, in milliseconds.
        timeout_ms: i32 [..];
        /// Only say whether it would work.
        validate_only: bool [..];
    }

    /// A topic that shall have more partitions.
    part CreatePartitionsTopic {
        /// Its name.
        name: Text [..];
        /// How many partitions it shall have in all.
        count: i32 [..];
        /// Which nodes hold the new ones; null to leave it to the broker.
        assignments: Option<Vec<CreatePartitionsAssignment>> [..];
    }

    /// Nodes that shall hold a new partition.
    part CreatePartitionsAssignment {
        /// The nodes, preferred leader first.
        broker_ids: Vec<i32> [..];
    }

    /// Says which topics have more partitions.
    response CreatePartitionsResponse: CreatePartitions {
        /// How long the client is throttled, in milliseconds.
        throttle_time_ms: i32 [..];
        /// The answers, by topic.
        results: Vec<CreatePartitionsTopicResult> [..];
    }

    /// The answer for one topic.
    part CreatePartitionsTopicResult {
        /// Its name.
        name: Text [..];
        /// What went wrong, or 0.
        error_code: i16 [..];
        /// Why.
        error_message: Option<Text> [..];
    }
}
