use std::collections::{BTreeMap, BTreeSet};

use forebay_base::{BrokerEpoch, ClusterId, DirectoryId, NodeId, TopicId};

use crate::{Endpoint, Refusal};

/// A wish to change the cluster, decided by the leader against the newest Image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Gives the cluster its identity and feature level: the first command of its life. Repeating it with the same
    /// identity changes nothing.
    Format {
        /// The identity, drawn by the proposer.
        cluster: ClusterId,
        /// At most [`crate::FEATURE_LEVEL_MAX`], at least 1.
        feature_level: u16,
    },
    /// A node has started and says what it is. Always makes a new broker epoch.
    RegisterBroker {
        /// The node.
        node: NodeId,
        /// Its advertised addresses.
        endpoints: Vec<Endpoint>,
        /// Its data directories, at least one.
        directories: Vec<DirectoryId>,
        /// Its failure domain.
        rack: Option<String>,
    },
    /// Makes topics; each one is decided for itself.
    CreateTopics {
        /// The topics.
        topics: Vec<NewTopic>,
        /// What -1 stands for.
        defaults: TopicDefaults,
        /// Data directories that take no new partitions, where there are others.
        avoid: BTreeSet<DirectoryId>,
        /// Decide and answer, change nothing.
        validate_only: bool,
    },
    /// Deletes topics; each one is decided for itself.
    DeleteTopics {
        /// The topics.
        topics: Vec<TopicRef>,
    },
    /// Adds partitions to topics; each one is decided for itself.
    CreatePartitions {
        /// The topics with their new counts.
        topics: Vec<MorePartitions>,
        /// Data directories that take no new partitions, where there are others.
        avoid: BTreeSet<DirectoryId>,
        /// Decide and answer, change nothing.
        validate_only: bool,
    },
    /// Changes settings of topics; each topic's edits are decided together, all or none.
    AlterConfigs {
        /// The topics with their edits.
        topics: Vec<ConfigChange>,
        /// Decide and answer, change nothing.
        validate_only: bool,
    },
    /// Hands a block of producer ids to a broker.
    AllocateProducerIds {
        /// Who asks.
        node: NodeId,
        /// Its broker epoch; an older one is refused (rule R3).
        epoch: BrokerEpoch,
    },
}

/// A topic to make.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewTopic {
    /// Fresh identity, drawn by the proposer: deciding draws nothing.
    pub id: TopicId,
    /// The name.
    pub name: String,
    /// How many partitions; -1 for the default.
    pub partitions: i32,
    /// How many replicas each; -1 for the default.
    pub replication_factor: i16,
    /// Nodes per partition, chosen by the caller; then the two counts above must be -1. Empty: the cluster chooses.
    pub assignments: Vec<(i32, Vec<NodeId>)>,
    /// Settings by Kafka's names; `None` stands for the default.
    pub configs: Vec<(String, Option<String>)>,
}

/// What -1 stands for in [`NewTopic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicDefaults {
    /// `num.partitions`.
    pub partitions: i32,
    /// `default.replication.factor`.
    pub replication_factor: i16,
}

impl Default for TopicDefaults {
    fn default() -> Self {
        Self { partitions: 1, replication_factor: 1 }
    }
}

/// How a request names a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicRef {
    /// By name.
    Name(String),
    /// By id.
    Id(TopicId),
}

/// Partitions to add to one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MorePartitions {
    /// The topic.
    pub name: String,
    /// How many partitions it shall have in all.
    pub count: i32,
    /// Nodes of each added partition, chosen by the caller; `None`: the cluster chooses.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}

/// Edits of one topic's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// The topic.
    pub topic: String,
    /// The edits; each setting at most once.
    pub edits: Vec<ConfigEdit>,
}

/// One edit of one setting (KIP-339).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEdit {
    /// Kafka's name of the setting.
    pub name: String,
    /// What to do.
    pub op: ConfigOp,
    /// The value; unused by [`ConfigOp::Delete`], needed by all others.
    pub value: Option<String>,
}

/// What an edit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigOp {
    /// Sets the value.
    Set,
    /// Back to the default.
    Delete,
    /// Adds elements to a list.
    Append,
    /// Removes elements from a list.
    Subtract,
}

/// The answer to a [`Command`]; the items stand in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To [`Command::Format`].
    Format(Result<(), Refusal>),
    /// To [`Command::RegisterBroker`]: the new broker epoch.
    RegisterBroker(Result<BrokerEpoch, Refusal>),
    /// To [`Command::CreateTopics`].
    CreateTopics(Vec<Result<CreatedTopic, Refusal>>),
    /// To [`Command::DeleteTopics`]: id and name of what was deleted.
    DeleteTopics(Vec<Result<(TopicId, String), Refusal>>),
    /// To [`Command::CreatePartitions`].
    CreatePartitions(Vec<Result<(), Refusal>>),
    /// To [`Command::AlterConfigs`].
    AlterConfigs(Vec<Result<(), Refusal>>),
    /// To [`Command::AllocateProducerIds`].
    AllocateProducerIds(Result<AllocatedIds, Refusal>),
}

/// A topic as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its identity.
    pub id: TopicId,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas each.
    pub replication_factor: i16,
    /// Its settings that differ from the defaults.
    pub configs: BTreeMap<String, String>,
}

/// A block of producer ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocatedIds {
    /// The first one.
    pub first: i64,
    /// How many.
    pub count: i64,
}
