//! Metadata, key 3, versions 0 to 12: the brokers, and which of them leads what.
//!
//! Version 0 asks for all topics with an empty array, later ones with null. 1 rack, controller, internal topics ·
//! 2 cluster id · 4 auto-creation is the client's choice · 5 offline replicas · 7 leader epochs · 8 to 10 operations
//! on the cluster · 8 operations on topics · 9 flexible · 10 topic ids (KIP-516) · 12 topics by id alone.

use forebay_base::Id128;

use crate::Text;

messages! {
    /// Asks for brokers and topics.
    request MetadataRequest: Metadata => MetadataResponse {
        /// Which topics; null means all, except in version 0 where an empty array does.
        topics: Option<Vec<MetadataRequestTopic>> [..] null [1..] = Some(Vec::new());
        /// Whether missing topics may be created. Versions before 4 always allow it.
        allow_auto_topic_creation: bool [4..] or refuse = true;
        /// Whether to say what the client may do to the cluster.
        include_cluster_authorized_operations: bool [8..=10] or refuse;
        /// Whether to say what the client may do to each topic.
        include_topic_authorized_operations: bool [8..] or refuse;
    }

    /// A topic asked for.
    part MetadataRequestTopic {
        /// Its id, or zero.
        topic_id: Id128 [10..];
        /// Its name, or null if it is asked for by id.
        name: Option<Text> [..] null [10..] = Some(Text::default());
    }

    /// Brings brokers and topics.
    response MetadataResponse: Metadata {
        /// How long the client is throttled, in milliseconds.
        throttle_time_ms: i32 [3..];
        /// The brokers alive.
        brokers: Vec<MetadataResponseBroker> [..];
        /// Id of the cluster.
        cluster_id: Option<Text> [2..];
        /// The controller's node, or -1.
        controller_id: i32 [1..] = -1;
        /// The topics.
        topics: Vec<MetadataResponseTopic> [..];
        /// What the client may do to the cluster, as bits; `i32::MIN` if it was not asked.
        cluster_authorized_operations: i32 [8..=10] = i32::MIN;
    }

    /// A broker.
    part MetadataResponseBroker {
        /// Its node.
        node_id: i32 [..];
        /// Host name or address.
        host: Text [..];
        /// TCP port.
        port: i32 [..];
        /// The rack it stands in.
        rack: Option<Text> [1..];
    }

    /// A topic.
    part MetadataResponseTopic {
        /// What went wrong, or 0.
        error_code: i16 [..];
        /// Its name; null if it was asked for by an id that is not known.
        name: Option<Text> [..] null [12..] = Some(Text::default());
        /// Its id; zero if it was asked for by a name that is not known.
        topic_id: Id128 [10..];
        /// True for topics of the system.
        is_internal: bool [1..];
        /// Its partitions.
        partitions: Vec<MetadataResponsePartition> [..];
        /// What the client may do to the topic, as bits; `i32::MIN` if it was not asked.
        topic_authorized_operations: i32 [8..] = i32::MIN;
    }

    /// A partition.
    part MetadataResponsePartition {
        /// What went wrong, or 0.
        error_code: i16 [..];
        /// Index of the partition.
        partition_index: i32 [..];
        /// The node that leads it, or -1.
        leader_id: i32 [..];
        /// Epoch of that leadership, or -1.
        leader_epoch: i32 [7..] = -1;
        /// Nodes that hold a replica.
        replica_nodes: Vec<i32> [..];
        /// Nodes whose replica is in sync.
        isr_nodes: Vec<i32> [..];
        /// Nodes whose replica is offline.
        offline_replicas: Vec<i32> [5..];
    }
}
