//! The shapes of the answers. `openapi` describes the same to programs; a test holds the two together.

use std::collections::BTreeMap;
use std::time::Duration;

use forebay_base::{DirectoryId, NodeId, Offset};
use forebay_meta::status::Status;
use forebay_meta::topic_config::FLUSH_ASYNC_WARNING;
use forebay_meta::{Broker, Endpoint, Topic, VolumeSpace};
use serde::Serialize;

use crate::facts::{ConnectionFacts, Facts, LogFacts, PartitionRow, Quorum, VERSION, VolumeFacts};

#[derive(Debug, Serialize)]
pub(super) struct ErrorView {
    pub(super) error: String,
}

#[derive(Debug, Serialize)]
pub(super) struct HealthView {
    alive: bool,
    version: &'static str,
}

impl HealthView {
    pub(super) fn alive() -> Self {
        Self { alive: true, version: VERSION }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct ReadyView {
    pub(super) ready: bool,
    pub(super) reason: Option<String>,
    pub(super) complaints: Vec<String>,
}

impl ReadyView {
    pub(super) fn of(facts: &Facts) -> Self {
        let reason = facts.unready();
        Self { ready: reason.is_none(), reason, complaints: facts.complaints() }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct SessionsResetView {
    /// Sessions that there were.
    pub(super) reset: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct ClusterView {
    cluster_id: String,
    version: &'static str,
    node: i32,
    feature_level: u16,
    topics: usize,
    partitions: u64,
    /// How many partitions have which status; those that none has are left out.
    partitions_by_status: BTreeMap<String, u64>,
    metadata: MetadataView,
    brokers: Vec<BrokerView>,
}

#[derive(Debug, Serialize)]
struct MetadataView {
    index: i64,
    leader: Option<i32>,
    term: u64,
    running: bool,
    restarts: u64,
    last_failure: Option<String>,
    log_used_bytes: u64,
    log_limit_bytes: u64,
}

#[derive(Debug, Serialize)]
struct BrokerView {
    id: i32,
    epoch: i64,
    rack: Option<String>,
    endpoints: Vec<EndpointView>,
    directories: Vec<String>,
    partitions_led: u64,
    /// How it and the controller stand: `Reachable` if it reports in time.
    contact: String,
    /// The same as a sentence.
    sentence: String,
    /// How long ago it last reported; `None` if the controller has not heard of it.
    heard_ms_ago: Option<u64>,
}

#[derive(Debug, Serialize)]
struct EndpointView {
    listener: String,
    host: String,
    port: u16,
}

impl ClusterView {
    pub(super) fn of(facts: &Facts) -> Self {
        let image = &facts.image;
        let brokers = image.brokers.iter().map(|(node, broker)| BrokerView::of(facts, *node, broker));
        let mut partitions_by_status = BTreeMap::new();
        for row in facts.partitions() {
            *partitions_by_status.entry(facts.status(&row).status.to_string()).or_default() += 1;
        }
        Self {
            cluster_id: image.cluster.to_string(),
            version: VERSION,
            node: facts.node.0,
            feature_level: image.feature_level,
            topics: image.topics.len(),
            partitions: image.partition_count,
            partitions_by_status,
            metadata: MetadataView::of(image.index, &facts.quorum),
            brokers: brokers.collect(),
        }
    }
}

impl BrokerView {
    fn of(facts: &Facts, node: NodeId, broker: &Broker) -> Self {
        let view = facts.view(node);
        let endpoint = |at: &Endpoint| EndpointView {
            listener: at.listener.clone(),
            host: at.host.clone(),
            port: at.port,
        };
        Self {
            id: node.0,
            epoch: broker.epoch.0,
            rack: broker.rack.clone(),
            endpoints: broker.endpoints.iter().map(endpoint).collect(),
            directories: broker.directories.iter().map(ToString::to_string).collect(),
            partitions_led: facts.image.led_by(node),
            contact: view.contact.to_string(),
            sentence: view.sentence(),
            heard_ms_ago: view.last.is_some().then(|| millis(view.heard_ago)),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl MetadataView {
    fn of(index: i64, quorum: &Quorum) -> Self {
        Self {
            index,
            leader: quorum.leader.map(|leader| leader.0),
            term: quorum.term,
            running: quorum.alive,
            restarts: quorum.restarts,
            last_failure: quorum.last_failure.clone(),
            log_used_bytes: quorum.used_bytes,
            log_limit_bytes: quorum.limit_bytes,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct TopicListView {
    pub(super) topics: Vec<TopicView>,
    /// Asked for with `after` to go on; `None` at the end.
    pub(super) next: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct TopicView {
    id: String,
    name: String,
    partitions: usize,
    replication_factor: usize,
    /// The worst of its partitions.
    status: String,
    /// Of the replicas on this node; `None` while one of them is not open yet.
    size_bytes: Option<u64>,
    configs: BTreeMap<String, String>,
    /// What its owner should know.
    warnings: Vec<&'static str>,
}

impl TopicView {
    pub(super) fn of(facts: &Facts, topic: &Topic) -> Self {
        let (mut status, mut size_bytes) = (Status::Online, Some(0));
        for row in facts.rows(topic) {
            status = status.max(facts.status(&row).status);
            if let Some(facts) = row.facts {
                size_bytes = size_bytes.zip(facts.log).map(|(sum, log)| sum + log.size_bytes);
            }
        }
        Self {
            id: topic.id.to_string(),
            name: topic.name.to_string(),
            partitions: topic.partitions.len(),
            replication_factor: topic.partitions.front().map_or(0, |first| first.replicas.len()),
            status: status.to_string(),
            size_bytes,
            configs: (*topic.configs).clone(),
            warnings: if topic.configs.get("flush.mode").is_some_and(|mode| mode == "async") {
                vec![FLUSH_ASYNC_WARNING]
            } else {
                Vec::new()
            },
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct PartitionListView {
    pub(super) topic: String,
    pub(super) partitions: Vec<PartitionView>,
}

#[derive(Debug, Serialize)]
pub(super) struct PartitionView {
    index: i32,
    status: String,
    /// With status Unknown: what it was when the leader was last heard of.
    last_status: Option<String>,
    /// Wall time since when it is so, where that is known; with status Unknown, when the leader was last heard of.
    since_ms: Option<i64>,
    sentence: String,
    leader: Option<i32>,
    leader_epoch: i32,
    partition_epoch: i32,
    replicas: Vec<i32>,
    in_sync_replicas: Vec<i32>,
    directories: Vec<String>,
    /// What this node has of it.
    log: Option<LogView>,
}

#[derive(Debug, Serialize)]
struct LogView {
    start_offset: i64,
    end_offset: i64,
    high_watermark: i64,
    last_stable_offset: i64,
    size_bytes: u64,
}

impl PartitionView {
    pub(super) fn of(facts: &Facts, row: &PartitionRow<'_>) -> Self {
        let derived = facts.status(row);
        let numbers = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect();
        Self {
            index: row.index,
            status: derived.status.to_string(),
            last_status: derived.last.map(|last| last.to_string()),
            since_ms: derived.since.map(|since| since.0),
            sentence: derived.sentence,
            leader: row.assignment.leader.map(|leader| leader.0),
            leader_epoch: row.assignment.leader_epoch.0,
            partition_epoch: row.assignment.partition_epoch,
            replicas: numbers(&row.assignment.replicas),
            in_sync_replicas: numbers(&row.assignment.isr),
            directories: row.assignment.directories.iter().map(ToString::to_string).collect(),
            log: row.facts.as_ref().and_then(|facts| facts.log.as_ref()).map(LogView::of),
        }
    }
}

impl LogView {
    fn of(facts: &LogFacts) -> Self {
        let Offset(start_offset) = facts.start;
        Self {
            start_offset,
            end_offset: facts.end.0,
            high_watermark: facts.high_watermark.0,
            last_stable_offset: facts.stable.0,
            size_bytes: facts.size_bytes,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct ConnectionListView {
    connections: Vec<ConnectionView>,
    /// Asked for with `after` to go on; `None` at the end.
    next: Option<u64>,
}

#[derive(Debug, Serialize)]
struct ConnectionView {
    id: u64,
    peer: String,
    listener: String,
    principal: String,
    /// The first that it named.
    client_id: Option<String>,
    software_name: Option<String>,
    software_version: Option<String>,
    /// Wall time of its opening.
    opened_ms: i64,
    /// Since its last request came or answer went.
    idle_ms: u64,
    requests_in_work: u32,
    requests: u64,
    received_bytes: u64,
    sent_bytes: u64,
}

impl ConnectionListView {
    pub(super) fn of((connections, more): (Vec<ConnectionFacts>, bool)) -> Self {
        let next = connections.last().map(|last| last.id).filter(|_| more);
        Self { connections: connections.into_iter().map(ConnectionView::of).collect(), next }
    }
}

impl ConnectionView {
    fn of(facts: ConnectionFacts) -> Self {
        let software = facts.software.as_deref();
        Self {
            id: facts.id,
            peer: facts.peer.to_string(),
            listener: facts.listener.to_string(),
            principal: facts.principal,
            client_id: facts.client_id,
            software_name: software.map(|software| software.name.to_string()),
            software_version: software.map(|software| software.version.to_string()),
            opened_ms: facts.opened_at.0,
            idle_ms: facts.idle_ms,
            requests_in_work: facts.requests_in_work,
            requests: facts.requests,
            received_bytes: facts.received_bytes,
            sent_bytes: facts.sent_bytes,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct VolumeListView {
    volumes: Vec<VolumeView>,
}

#[derive(Debug, Serialize)]
struct VolumeView {
    node: i32,
    directory: String,
    path: String,
    /// `Unknown` while its node is not heard of.
    state: String,
    /// With state Unknown: what it was when its node was last heard of.
    last_state: Option<String>,
    /// Why it is in that state.
    cause: String,
    /// Wall time since when.
    since_ms: i64,
    /// What is wrong with it.
    sentence: Option<String>,
    /// How old the figures below are: up to a second, or more for a file system that does not answer.
    age_ms: u64,
    total_bytes: Option<u64>,
    free_bytes: Option<u64>,
    /// `None` also where the file system has no such bound.
    free_files: Option<u64>,
    /// Below so many free bytes, records are refused ...
    full_bytes: u64,
    /// ... and from so many on they are taken again.
    resume_bytes: u64,
    /// Kept for what must go on when it is full.
    reserve_left_bytes: u64,
    /// Seconds until it is full, if it goes on filling as it does.
    full_in_s: Option<u64>,
    /// Partitions on it that take no writes until it is readmitted.
    failed_partitions: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct ReadmissionView {
    pub(super) path: String,
    /// The volume's now.
    pub(super) state: String,
    /// Written, synced, and read back from the device.
    pub(super) tested_bytes: u64,
    /// Partitions that had failed and are being opened anew.
    pub(super) reopened_partitions: u64,
}

impl VolumeListView {
    /// The volumes of all nodes that have ever reported.
    pub(super) fn of(facts: &Facts) -> Self {
        let mut volumes = Vec::new();
        for node in facts.image.brokers.keys() {
            let view = facts.view(*node);
            let failed = facts.failed_partitions(*node, &view);
            volumes.extend(VolumeFacts::of(*node, &view).map(|volume| VolumeView::of(&volume, &failed)));
        }
        Self { volumes }
    }
}

impl VolumeView {
    fn of(volume: &VolumeFacts<'_>, failed_partitions: &BTreeMap<DirectoryId, u64>) -> Self {
        let report = volume.report;
        let space = |of: fn(&VolumeSpace) -> u64| report.space.as_ref().map(of);
        Self {
            node: volume.node.0,
            directory: volume.directory.to_string(),
            path: report.path.clone(),
            state: volume.state().map_or_else(|| "Unknown".to_owned(), |state| state.to_string()),
            last_state: volume.last_state().map(|state| state.to_string()),
            cause: report.cause.clone(),
            since_ms: report.since.0,
            sentence: volume.complaint(),
            age_ms: millis(volume.age()),
            total_bytes: space(|space| space.total_bytes),
            free_bytes: space(|space| space.free_bytes),
            free_files: report.space.and_then(|space| space.free_files),
            full_bytes: report.full_bytes,
            resume_bytes: report.resume_bytes,
            reserve_left_bytes: report.reserve_left_bytes,
            full_in_s: report.full_in.map(|full_in| full_in.as_secs()),
            failed_partitions: failed_partitions.get(&volume.directory).copied().unwrap_or(0),
        }
    }
}
