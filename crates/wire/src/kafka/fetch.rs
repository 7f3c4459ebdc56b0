//! Fetch, key 1, versions 4 to 16: whole record batches from an offset on.
//!
//! 4 isolation level, aborted transactions · 5 log start offset · 7 sessions (KIP-227) · 9 leader epochs (KIP-320)
//! · 11 rack (KIP-392) · 12 flexible, diverging epoch · 13 topic ids instead of names (KIP-516) · 15 replica state
//! (KIP-903) · 16 node endpoints (KIP-951).

use forebay_base::Id128;

use crate::{Payload, Text};

messages! {
    /// Asks for batches.
    request FetchRequest: Fetch => FetchResponse {
        /// Id of the cluster, if it is known.
        cluster_id: Option<Text> [12..] tag 0;
        /// The follower that asks, or -1 for a consumer.
        replica_id: i32 [..=14] or refuse = -1;
        /// The follower that asks.
        replica_state: ReplicaState [15..] tag 1;
        /// How long to wait for `min_bytes`, in milliseconds.
        max_wait_ms: i32 [..];
        /// How many bytes to wait for.
        min_bytes: i32 [..];
        /// Most bytes of all batches together; the first batch is returned whatever its size (KIP-74).
        max_bytes: i32 [..] = i32::MAX;
        /// 0: read uncommitted. 1: read committed.
        isolation_level: i8 [..];
        /// The session continued, or 0.
        session_id: i32 [7..];
        /// Position in the session; 0 opens one, -1 closes it or does without.
        session_epoch: i32 [7..] = -1;
        /// What to read, by topic.
        topics: Vec<FetchTopic> [..];
        /// Partitions to drop from the session.
        forgotten_topics_data: Vec<ForgottenTopic> [7..] or refuse;
        /// The rack the consumer stands in.
        rack_id: Text [11..];
    }

    /// The follower that asks.
    part ReplicaState {
        /// Its node, or -1 for a consumer.
        replica_id: i32 [15..] = -1;
        /// Its broker epoch, or -1.
        replica_epoch: i64 [15..] = -1;
    }

    /// Partitions of one topic to read.
    part FetchTopic {
        /// Name of the topic.
        topic: Text [..=12];
        /// Id of the topic.
        topic_id: Id128 [13..];
        /// The partitions.
        partitions: Vec<FetchPartition> [..];
    }

    /// One partition to read.
    part FetchPartition {
        /// Index of the partition.
        partition: i32 [..];
        /// The leader epoch the client knows, or -1.
        current_leader_epoch: i32 [9..] = -1;
        /// From which offset.
        fetch_offset: i64 [..];
        /// Epoch of the last record the follower has, or -1.
        last_fetched_epoch: i32 [12..] or refuse = -1;
        /// First offset the follower has, or -1.
        log_start_offset: i64 [5..] = -1;
        /// Most bytes of this partition; the first batch is returned whatever its size (KIP-74).
        partition_max_bytes: i32 [..];
    }

    /// Partitions of one topic to drop from the session.
    part ForgottenTopic {
        /// Name of the topic.
        topic: Text [7..=12];
        /// Id of the topic.
        topic_id: Id128 [13..];
        /// Indexes of the partitions.
        partitions: Vec<i32> [7..];
    }

    /// Brings batches.
    response FetchResponse: Fetch {
        /// How long the client is throttled, in milliseconds.
        throttle_time_ms: i32 [..];
        /// What went wrong with the whole request, or 0.
        error_code: i16 [7..];
        /// The session, or 0 for none.
        session_id: i32 [7..];
        /// The answers, by topic.
        responses: Vec<FetchableTopicResponse> [..];
        /// Where the leaders named in the answers are.
        node_endpoints: Vec<NodeEndpoint> [16..] tag 0;
    }

    /// Answers for one topic.
    part FetchableTopicResponse {
        /// Name of the topic.
        topic: Text [..=12];
        /// Id of the topic.
        topic_id: Id128 [13..];
        /// The answers, by partition.
        partitions: Vec<PartitionData> [..];
    }

    /// The answer for one partition.
    part PartitionData {
        /// Index of the partition.
        partition_index: i32 [..];
        /// What went wrong, or 0.
        error_code: i16 [..];
        /// The high watermark.
        high_watermark: i64 [..];
        /// Below it, all transactions are decided.
        last_stable_offset: i64 [..] = -1;
        /// First offset of the partition's log.
        log_start_offset: i64 [5..] = -1;
        /// Where the follower's log parts from the leader's.
        diverging_epoch: EpochEndOffset [12..] tag 0;
        /// The leader to go to, with errors 6 and 74.
        current_leader: LeaderIdAndEpoch [12..] tag 1;
        /// The snapshot to fetch instead.
        snapshot_id: SnapshotId [12..] tag 2;
        /// Transactions whose records the client must drop.
        aborted_transactions: Option<Vec<AbortedTransaction>> [..];
        /// The replica to read from next time, or -1 (KIP-392).
        preferred_read_replica: i32 [11..] = -1;
        /// The batches. Empty by default, not null: clients take it better.
        records: Option<Payload> [..] = Some(Payload::default());
    }

    /// Where the log of an epoch ends.
    part EpochEndOffset {
        /// The epoch.
        epoch: i32 [12..] = -1;
        /// The offset after its last record.
        end_offset: i64 [12..] = -1;
    }

    /// The leader of a partition.
    part LeaderIdAndEpoch {
        /// Its node, or -1 if it is not known.
        leader_id: i32 [12..] = -1;
        /// Its epoch, or -1 if it is not known.
        leader_epoch: i32 [12..] = -1;
    }

    /// A snapshot.
    part SnapshotId {
        /// The offset after its last record.
        end_offset: i64 [..] = -1;
        /// Epoch of its last record.
        epoch: i32 [..] = -1;
    }

    /// A transaction that was aborted.
    part AbortedTransaction {
        /// Its producer.
        producer_id: i64 [..];
        /// Its first offset.
        first_offset: i64 [..];
    }

    /// Where a node is.
    part NodeEndpoint {
        /// The node.
        node_id: i32 [16..];
        /// Host name or address.
        host: Text [16..];
        /// TCP port.
        port: i32 [16..];
        /// The rack it stands in.
        rack: Option<Text> [16..];
    }
}
