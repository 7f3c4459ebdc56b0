//! DeleteRecords, key 21, versions 0 to 2: everything before an offset.
//!
//! 2 flexible.

use crate::Text;

messages! {
    /// Asks to delete records.
    request DeleteRecordsRequest: DeleteRecords => DeleteRecordsResponse {
        /// What to delete, by topic.
        topics: Vec<DeleteRecordsTopic> [..];
        /// How long to wait, in milliseconds.
        timeout_ms: i32 [..];
    }

    /// Partitions of one topic.
    part DeleteRecordsTopic {
        /// Name of the topic.
        name: Text [..];
        /// The partitions.
        partitions: Vec<DeleteRecordsPartition> [..];
    }

    /// One partition.
    part DeleteRecordsPartition {
        /// Index of the partition.
        partition_index: i32 [..];
        /// The first offset to keep; -1 for the high watermark.
        offset: i64 [..];
    }

    /// Says what was deleted.
    response DeleteRecordsResponse: DeleteRecords {
        /// How long the client is throttled, in milliseconds.
        throttle_time_ms: i32 [..];
        /// The answers, by topic.
        topics: Vec<DeleteRecordsTopicResult> [..];
    }

    /// Answers for one topic.
    part DeleteRecordsTopicResult {
        /// Name of the topic.
        name: Text [..];
        /// The answers, by partition.
        partitions: Vec<DeleteRecordsPartitionResult> [..];
    }

    /// The answer for one partition.
    part DeleteRecordsPartitionResult {
        /// Index of the partition.
        partition_index: i32 [..];
        /// The first offset kept.
        low_watermark: i64 [..];
        /// What went wrong, or 0.
        error_code: i16 [..];
    }
}
