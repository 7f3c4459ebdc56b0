//! OffsetForLeaderEpoch, key 23, versions 2 to 4: where the log of an epoch ends, for clients that suspect
//! truncation (KIP-320).
//!
//! 3 the follower that asks · 4 flexible.

use crate::Text;

messages! {
    /// Asks where epochs end.
    request OffsetForLeaderEpochRequest: OffsetForLeaderEpoch => OffsetForLeaderEpochResponse {
        /// The follower that asks, -1 for a consumer, -2 for a debugger.
        replica_id: i32 [3..] = -2;
        /// The partitions, by topic.
        topics: Vec<OffsetForLeaderTopic> [..];
    }

    /// Partitions of one topic.
    part OffsetForLeaderTopic {
        /// Name of the topic.
        topic: Text [..];
        /// The partitions.
        partitions: Vec<OffsetForLeaderPartition> [..];
    }

    /// One partition.
    part OffsetForLeaderPartition {
        /// Index of the partition.
        partition: i32 [..];
        /// The leader epoch the client knows, or -1.
        current_leader_epoch: i32 [..] = -1;
        /// The epoch whose end is asked for.
        leader_epoch: i32 [..];
    }

    /// Says where epochs end.
    response OffsetForLeaderEpochResponse: OffsetForLeaderEpoch {
        /// How long the client is throttled, in milliseconds.
        throttle_time_ms: i32 [..];
        /// The answers, by topic.
        topics: Vec<OffsetForLeaderTopicResult> [..];
    }

    /// Answers for one topic.
    part OffsetForLeaderTopicResult {
        /// Name of the topic.
        topic: Text [..];
        /// The answers, by partition.
        partitions: Vec<EpochEndOffset> [..];
    }

    /// The answer for one partition.
    part EpochEndOffset {
        /// What went wrong, or 0.
        error_code: i16 [..];
        /// Index of the partition.
        partition: i32 [..];
        /// The largest epoch known that is not above the one asked for, or -1.
        leader_epoch: i32 [..] = -1;
        /// The offset after that epoch's last record, or -1.
        end_offset: i64 [..] = -1;
    }
}
