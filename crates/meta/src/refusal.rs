use forebay_base::TopicId;

/// Why a command, or one item of it, was refused. Every variant stands for one of Kafka's error codes (named in its
/// doc) and shows itself as the sentence for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 36 `TOPIC_ALREADY_EXISTS`.
    #[error("topic '{0}' already exists")]
    TopicAlreadyExists(String),
    /// 17 `INVALID_TOPIC_EXCEPTION`.
    #[error("{0}")]
    InvalidTopic(String),
    /// 3 `UNKNOWN_TOPIC_OR_PARTITION`.
    #[error("there is no topic '{0}'")]
    UnknownTopic(String),
    /// 100 `UNKNOWN_TOPIC_ID`.
    #[error("there is no topic with id {0}")]
    UnknownTopicId(TopicId),
    /// 37 `INVALID_PARTITIONS`.
    #[error("{0}")]
    InvalidPartitions(String),
    /// 38 `INVALID_REPLICATION_FACTOR`.
    #[error("{0}")]
    InvalidReplicationFactor(String),
    /// 39 `INVALID_REPLICA_ASSIGNMENT`.
    #[error("{0}")]
    InvalidReplicaAssignment(String),
    /// 40 `INVALID_CONFIG`.
    #[error("{0}")]
    InvalidConfig(String),
    /// 42 `INVALID_REQUEST`.
    #[error("{0}")]
    InvalidRequest(String),
    /// 44 `POLICY_VIOLATION`.
    #[error("{0}")]
    PolicyViolation(String),
    /// 77 `STALE_BROKER_EPOCH`.
    #[error(
        "node {node} has registered again since: its broker epoch is {current}, the request carries {given}"
    )]
    StaleBrokerEpoch {
        /// The node.
        node: i32,
        /// Its epoch in the Image.
        current: i64,
        /// The epoch of the request.
        given: i64,
    },
    /// 102 `BROKER_ID_NOT_REGISTERED`.
    #[error("node {0} is not registered in this cluster")]
    BrokerNotRegistered(i32),
    /// 104 `INCONSISTENT_CLUSTER_ID`.
    #[error("this cluster is {ours}, the request is for {theirs}")]
    InconsistentCluster {
        /// Identity of this cluster.
        ours: String,
        /// Identity in the request.
        theirs: String,
    },
    /// 35 `UNSUPPORTED_VERSION`: a feature level this release cannot run.
    #[error("feature level {asked} is not supported; this release runs levels 1 to {max}")]
    UnsupportedFeature {
        /// What was asked for.
        asked: u16,
        /// The newest level known.
        max: u16,
    },
    /// 15 `COORDINATOR_NOT_AVAILABLE`: nothing can be decided before the cluster has an identity.
    #[error("the cluster is not formatted yet")]
    NotFormatted,
}
