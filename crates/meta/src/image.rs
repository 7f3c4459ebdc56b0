use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_base::{BrokerEpoch, ClusterId, DirectoryId, LeaderEpoch, NodeId, PartitionId, TopicId};
use imbl::{OrdMap, Vector};

/// The immutable metadata of the cluster at one index. Clones share their structure: a clone costs a few counters,
/// and one change of one topic copies a path in a tree, never the map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// Identity of the cluster; the zero id until the cluster is formatted.
    pub cluster: ClusterId,
    /// Gates record kinds: raised only once every node understands them. 0 until the cluster is formatted.
    pub feature_level: u16,
    /// Index of the last record replayed, counted from 1; 0 for the Image before the first record.
    pub index: i64,
    /// Every node that ever registered.
    pub brokers: OrdMap<NodeId, Broker>,
    /// Every topic by id.
    pub topics: OrdMap<TopicId, Arc<Topic>>,
    /// Topic names to ids; holds exactly the topics of `topics`.
    pub names: OrdMap<Arc<str>, TopicId>,
    /// The first producer id not handed out yet.
    pub next_producer_id: i64,
    /// Partitions of all topics together.
    pub partition_count: u64,
    /// Replicas per directory. Derived from `topics` as records are replayed, so that placing the 20,000th topic does
    /// not count the partitions of all others.
    pub(crate) replicas_in: OrdMap<DirectoryId, u64>,
    /// Partitions led per node; derived like `replicas_in`.
    pub(crate) led_by: OrdMap<NodeId, u64>,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Identity; a new one for every topic made, also under an old name.
    pub id: TopicId,
    /// Name, unique in the Image.
    pub name: Arc<str>,
    /// The partitions, by index from 0 without gaps.
    pub partitions: Vector<Arc<Assignment>>,
    /// Settings that differ from the defaults, by Kafka's names; each one valid by [`crate::topic_config`].
    pub configs: Arc<BTreeMap<String, String>>,
}

/// Who holds and who leads one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Nodes that hold a replica; the first is the preferred leader. Never empty.
    pub replicas: Vec<NodeId>,
    /// Directory of each replica, in the order of `replicas`.
    pub directories: Vec<DirectoryId>,
    /// Replicas that are in sync.
    pub isr: Vec<NodeId>,
    /// Who leads, if anyone.
    pub leader: Option<NodeId>,
    /// Raised by one on every change of leader (rule R2).
    pub leader_epoch: LeaderEpoch,
    /// Raised by one on every change of this assignment (rule R2).
    pub partition_epoch: i32,
}

impl Assignment {
    /// The directory that holds `node`'s replica; `None` if it has none.
    pub fn directory_of(&self, node: NodeId) -> Option<DirectoryId> {
        let position = self.replicas.iter().position(|replica| *replica == node)?;
        self.directories.get(position).copied()
    }
}

/// One registered node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Index of its last registration record (rule R1).
    pub epoch: BrokerEpoch,
    /// Where clients and peers reach it.
    pub endpoints: Vec<Endpoint>,
    /// Its data directories. Never empty.
    pub directories: Vec<DirectoryId>,
    /// Failure domain (`broker.rack`).
    pub rack: Option<String>,
}

/// One advertised address of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name of the listener.
    pub listener: String,
    /// Host name or address that clients resolve.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Image {
    /// True once the cluster has an identity. Before that an Image says nothing about which data is wanted.
    pub fn is_formatted(&self) -> bool {
        self.feature_level > 0
    }

    /// The topic with that id.
    pub fn topic(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }

    /// The topic with that name.
    pub fn topic_named(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(self.names.get(name)?)
    }

    /// The assignment of one partition.
    pub fn partition(&self, id: PartitionId) -> Option<&Arc<Assignment>> {
        self.topic(id.topic)?.partitions.get(usize::try_from(id.index).ok()?)
    }

    /// How many replicas lie in `directory`.
    pub fn replicas_in(&self, directory: DirectoryId) -> u64 {
        self.replicas_in.get(&directory).copied().unwrap_or(0)
    }

    /// How many partitions `node` leads.
    pub fn led_by(&self, node: NodeId) -> u64 {
        self.led_by.get(&node).copied().unwrap_or(0)
    }
}
