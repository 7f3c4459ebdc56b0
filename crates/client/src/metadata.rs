use std::collections::BTreeMap;

use forebay_base::TopicId;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::metadata::{MetadataResponse, MetadataResponseTopic};

/// Who is in the cluster and who leads what, as one answer told it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The cluster's id.
    pub cluster_id: Option<String>,
    /// The node that leads the metadata quorum.
    pub controller: Option<i32>,
    /// `HOST:PORT` of each node.
    pub brokers: BTreeMap<i32, String>,
    /// Topics by name; those that were asked for.
    pub topics: BTreeMap<String, TopicInfo>,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Why the topic cannot be used; `ErrorCode::None` if it can.
    pub error: ErrorCode,
    /// Its id; all zero from servers that do not tell.
    pub id: TopicId,
    /// Made by the system for itself.
    pub internal: bool,
    /// Its partitions, by index.
    pub partitions: BTreeMap<i32, PartitionInfo>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionInfo {
    /// The node that leads it.
    pub leader: Option<i32>,
    /// Its leader epoch; -1 if unknown.
    pub leader_epoch: i32,
    /// Nodes that should hold it.
    pub replicas: Vec<i32>,
    /// Nodes that hold all of it.
    pub isr: Vec<i32>,
}

impl Metadata {
    /// The address of the node that leads a partition.
    pub fn leader_addr(&self, topic: &str, partition: i32) -> Option<&str> {
        let leader = self.topics.get(topic)?.partitions.get(&partition)?.leader?;
        self.brokers.get(&leader).map(String::as_str)
    }

    /// Takes an answer over what was known: brokers as it says, topics replaced where it names them.
    pub(crate) fn merge(&self, answer: MetadataResponse) -> Self {
        let mut merged = Self {
            cluster_id: answer.cluster_id.as_deref().map(str::to_owned),
            controller: (answer.controller_id >= 0).then_some(answer.controller_id),
            brokers: answer
                .brokers
                .iter()
                .map(|broker| (broker.node_id, host_port(&broker.host, broker.port)))
                .collect(),
            topics: self.topics.clone(),
        };
        for topic in answer.topics {
            let Some(name) = topic.name.as_deref().map(str::to_owned) else { continue };
            let error = ErrorCode::from_code(topic.error_code).unwrap_or(ErrorCode::UnknownServerError);
            if error == ErrorCode::UnknownTopicOrPartition {
                merged.topics.remove(&name);
            } else {
                merged.topics.insert(name, topic_info(error, topic));
            }
        }
        merged
    }
}

fn topic_info(error: ErrorCode, topic: MetadataResponseTopic) -> TopicInfo {
    let partitions = topic.partitions.into_iter().map(|partition| {
        let info = PartitionInfo {
            leader: (partition.leader_id >= 0).then_some(partition.leader_id),
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes,
            isr: partition.isr_nodes,
        };
        (partition.partition_index, info)
    });
    TopicInfo {
        error,
        id: TopicId(topic.topic_id),
        internal: topic.is_internal,
        partitions: partitions.collect(),
    }
}

/// `HOST:PORT`, with IPv6 addresses in brackets.
pub(crate) fn host_port(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
