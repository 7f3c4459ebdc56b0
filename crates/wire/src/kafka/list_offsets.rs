//! ListOffsets, key 2, versions 1 to 8: the offset that goes with a timestamp.
//!
//! 2 isolation level · 4 leader epochs (KIP-320) · 6 flexible · 7 timestamp -3, the largest timestamp (KIP-734)
//! · 8 timestamp -4, the first local offset (KIP-405).

use crate::Text;

messages! {
    /// Asks for offsets.
    request ListOffsetsRequest: ListOffsets => ListOffsetsResponse {
        /// The follower that asks, or -1 for a consumer.
        replica_id: i32 [..];
        /// 0: read uncommitted. 1: read committed, -1 means the last stable offset.
        isolation_level: i8 [2..] or refuse;
        /// What to look for, by topic.
        topics: Vec<ListOffsetsTopic> [..];
    }

    /// Partitions of one topic.
    part ListOffsetsTopic {
        /// Name of the topic.
        name: Text [..];
        /// The partitions.
        partitions: Vec<ListOffsetsPartition> [..];
    }

    /// One partition.
    part ListOffsetsPartition {
        /// Index of the partition.
        partition_index: i32 [..];
        /// The leader epoch the client knows, or -1.
        current_leader_epoch: i32 [4..] = -1;
        /// In milliseconds, the first record at or after it is asked for; or -1 the end, -2 the start, -3 the
        /// record with the largest timestamp, -4 the start of what is local.
        timestamp: i64 [..];
    }

    /// Brings offsets.
    response ListOffsetsResponse: ListOffsets {
        /// How long the client is throttled, in milliseconds.
        throttle_time_ms: i32 [2..];
        /// The answers, by topic.
        topics: Vec<ListOffsetsTopicResponse> [..];
    }

    /// Answers for one topic.
    part ListOffsetsTopicResponse {
        /// Name of the topic.
        name: Text [..];
        /// The answers, by partition.
        partitions: Vec<ListOffsetsPartitionResponse> [..];
    }

    /// The answer for one partition.
    part ListOffsetsPartitionResponse {
        /// Index of the partition.
        partition_index: i32 [..];
        /// What went wrong, or 0.
        error_code: i16 [..];
        /// Timestamp of the record found, or -1.
        timestamp: i64 [..] = -1;
        /// The offset, or -1 if there is none.
        offset: i64 [..] = -1;
        /// Leader epoch of the record found, or -1.
        leader_epoch: i32 [4..] = -1;
    }
}
