//! Produce, key 0, versions 3 to 11: record batches to append, at most one per partition.
//!
//! 5 log start offset · 7 zstd · 8 per-record errors and messages · 9 flexible · 10 the current leader comes with
//! error 6 (KIP-951) · 11 error 120 instead of 48 (KIP-890).

use bytes::Bytes;

use crate::Text;

messages! {
    /// Asks to append batches.
    request ProduceRequest: Produce => ProduceResponse {
        /// Set by a transactional producer.
        transactional_id: Option<Text> [..];
        /// How many must have a batch before it is answered: 0 none (and no answer), 1 the leader, -1 all in sync.
        acks: i16 [..];
        /// How long to wait for `acks`, in milliseconds.
        timeout_ms: i32 [..];
        /// The batches, by topic.
        topic_data: Vec<TopicProduceData> [..];
    }

    /// Batches for one topic.
    part TopicProduceData {
        /// Name of the topic.
        name: Text [..];
        /// The batches, by partition.
        partition_data: Vec<PartitionProduceData> [..];
    }

    /// A batch for one partition.
    part PartitionProduceData {
        /// Index of the partition.
        index: i32 [..];
        /// The batch, as its producer made it.
        records: Option<Bytes> [..];
    }

    /// Says where batches were appended.
    response ProduceResponse: Produce {
        /// The answers, by topic.
        responses: Vec<TopicProduceResponse> [..];
        /// How long the client is throttled, in milliseconds.
        throttle_time_ms: i32 [..];
        /// Where the leaders named in the answers are.
        node_endpoints: Vec<NodeEndpoint> [10..] tag 0;
    }

    /// Answers for one topic.
    part TopicProduceResponse {
        /// Name of the topic.
        name: Text [..];
        /// The answers, by partition.
        partition_responses: Vec<PartitionProduceResponse> [..];
    }

    /// The answer for one partition.
    part PartitionProduceResponse {
        /// Index of the partition.
        index: i32 [..];
        /// What went wrong, or 0.
        error_code: i16 [..];
        /// Offset of the batch's first record.
        base_offset: i64 [..];
        /// When the leader appended it, in milliseconds, if the topic has log append time; else -1.
        log_append_time_ms: i64 [..] = -1;
        /// First offset of the partition's log.
        log_start_offset: i64 [5..] = -1;
        /// Which records caused the batch to be refused.
        record_errors: Vec<BatchIndexAndErrorMessage> [8..];
        /// Why the batch was refused.
        error_message: Option<Text> [8..];
        /// The leader to go to, with error 6.
        current_leader: LeaderIdAndEpoch [10..] tag 0;
    }

    /// A record that caused its batch to be refused.
    part BatchIndexAndErrorMessage {
        /// Index of the record in the batch.
        batch_index: i32 [8..];
        /// What is wrong with it.
        batch_index_error_message: Option<Text> [8..];
    }

    /// The leader of a partition.
    part LeaderIdAndEpoch {
        /// Its node, or -1 if it is not known.
        leader_id: i32 [10..] = -1;
        /// Its epoch, or -1 if it is not known.
        leader_epoch: i32 [10..] = -1;
    }

    /// Where a node is.
    part NodeEndpoint {
        /// The node.
        node_id: i32 [10..];
        /// Host name or address.
        host: Text [10..];
        /// TCP port.
        port: i32 [10..];
        /// The rack it stands in.
        rack: Option<Text> [10..];
    }
}
