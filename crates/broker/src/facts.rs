//! What a node can say of itself and of the cluster at one moment: the one source of HTTP answers, of
//! readiness and of the gauges in `/metrics`, so that they never disagree.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::{BrokerEpoch, DirectoryId, Instant, NodeId, Offset, PartitionId, WallTime};
use forebay_meta::liveness::Liveness;
use forebay_meta::status::{LeaderView, PartitionStatus, Status, derive};
use forebay_meta::{Assignment, Image, NodeView, Topic};
use forebay_replica::VolumeCounts;

use crate::kafka::FetchSessionCounts;
use crate::metrics::Software;

mod volume;

pub(crate) use volume::VolumeFacts;

/// This release.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Everything known at one moment.
pub(crate) struct Facts {
    /// This node.
    pub(crate) node: NodeId,
    /// The registration of this start.
    pub(crate) broker_epoch: BrokerEpoch,
    /// The cluster's metadata as this node has it.
    pub(crate) image: Arc<Image>,
    /// The metadata quorum.
    pub(crate) quorum: Quorum,
    /// What is known of the nodes by what they report; the one source of everything about volumes and status.
    pub(crate) liveness: Arc<Liveness>,
    /// When that is.
    pub(crate) now: Instant,
    /// The same by the wall clock.
    pub(crate) wall: WallTime,
    /// What was counted of this node's data directories since the start.
    pub(crate) volume_counts: BTreeMap<DirectoryId, VolumeCounts>,
    /// Memory for requests.
    pub(crate) memory: Memory,
    /// Fetch sessions of clients.
    pub(crate) fetch_sessions: FetchSessionCounts,
    /// The server's default of `min.insync.replicas`.
    pub(crate) min_insync_replicas: usize,
    /// What this node hosts of a partition; `None` if nothing, or not yet.
    pub(crate) hosted: Box<dyn Fn(PartitionId) -> Option<PartitionFacts> + Send + Sync>,
    /// Some of the open Kafka connections.
    pub(crate) connections: Box<dyn Fn(ConnectionsAfter) -> (Vec<ConnectionFacts>, bool) + Send + Sync>,
}

/// Which part of the open connections is wanted: those with ids above `id`, at most `limit`. The answer tells whether
/// there are more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionsAfter {
    pub(crate) id: u64,
    pub(crate) limit: usize,
}

/// One open Kafka connection.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionFacts {
    /// Drawn in the order of opening.
    pub(crate) id: u64,
    /// The other end.
    pub(crate) peer: SocketAddr,
    /// Name of the listener it came in by.
    pub(crate) listener: Arc<str>,
    /// Who it speaks for.
    pub(crate) principal: String,
    /// The first client id it named.
    pub(crate) client_id: Option<String>,
    /// The software it told.
    pub(crate) software: Option<Arc<Software>>,
    /// When it was opened.
    pub(crate) opened_at: WallTime,
    /// Since its last request came or answer went.
    pub(crate) idle_ms: u64,
    /// Requests that came and are not answered.
    pub(crate) requests_in_work: u32,
    /// Requests that came.
    pub(crate) requests: u64,
    /// Their bytes.
    pub(crate) received_bytes: u64,
    /// Bytes of answers that went.
    pub(crate) sent_bytes: u64,
}

/// The metadata quorum as this node sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quorum {
    /// Who leads it, if known.
    pub(crate) leader: Option<NodeId>,
    /// Its term.
    pub(crate) term: u64,
    /// This node's part in it is running.
    pub(crate) alive: bool,
    /// Times that part was restarted.
    pub(crate) restarts: u64,
    /// Why it last went down.
    pub(crate) last_failure: Option<String>,
    /// Why there is no working metadata log, if so.
    pub(crate) outage: Option<Arc<str>>,
    /// Space of the metadata log in use, in bytes.
    pub(crate) used_bytes: u64,
    /// Space of the metadata log in all, in bytes.
    pub(crate) limit_bytes: u64,
    /// For how long its disk has not answered a call; `None` if none is in work.
    pub(crate) disk_silent_for: Option<Duration>,
}

/// A disk that has not answered for this long is complained about.
const SILENCE: Duration = Duration::from_secs(1);

impl Quorum {
    /// What is wrong with its disk, as a sentence; `None` if nothing is.
    fn complaint(&self) -> Option<String> {
        let silent = self.disk_silent_for.filter(|silent| *silent >= SILENCE)?;
        Some(format!(
            "the disk of the metadata log has not answered for {} s: topics and settings can be changed again when it \
             does, everything else goes on",
            silent.as_secs()
        ))
    }
}

/// Memory that requests may take, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Held now.
    pub(crate) used_bytes: u64,
    /// In all.
    pub(crate) limit_bytes: u64,
}

/// What this node hosts of one partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartitionFacts {
    /// Its log; `None` while it is not open, for what it holds is not known then.
    pub(crate) log: Option<LogFacts>,
}

/// An open log.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogFacts {
    /// First offset.
    pub(crate) start: Offset,
    /// Offset of the next record.
    pub(crate) end: Offset,
    /// Consumers see what is below.
    pub(crate) high_watermark: Offset,
    /// Consumers that read committed records only see what is below.
    pub(crate) stable: Offset,
    /// Bytes of its files.
    pub(crate) size_bytes: u64,
}

impl Facts {
    /// Why this node must not get clients yet (or any more), as a sentence; `None` if it is ready.
    pub(crate) fn unready(&self) -> Option<String> {
        if let Some(outage) = &self.quorum.outage {
            return Some(outage.to_string());
        }
        if !self.quorum.alive {
            let reason = self.quorum.last_failure.as_deref().unwrap_or("it has not started yet");
            return Some(format!(
                "the metadata quorum is not running on this node and is being started again ({reason}); records \
                 are still served"
            ));
        }
        if self.quorum.leader.is_none() {
            return Some(
                "the metadata quorum has no leader: no topic can be changed until one is elected".to_owned(),
            );
        }
        if !self.image.is_formatted() {
            return Some("the metadata of the cluster has not been read yet".to_owned());
        }
        match self.image.brokers.get(&self.node) {
            Some(broker) if broker.epoch >= self.broker_epoch => None,
            _ => Some(format!("node {} is not registered in the cluster yet", self.node)),
        }
    }

    /// What is wrong without making the node useless, a sentence each. `forebay cluster status` has findings of its own and
    /// leaves out what is one of them already, by its words.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let view = self.view(self.node);
        let unheard = format!("the controller does not hear of this node: {}", view.sentence());
        let unheard = (!view.is_reachable()).then_some(unheard);
        let volumes = VolumeFacts::of(self.node, &view).filter_map(|volume| volume.complaint());
        let mut complaints: Vec<String> =
            self.quorum.complaint().into_iter().chain(unheard).chain(volumes).collect();
        let failed = view.last.as_ref().map_or(0, |report| report.failed.len());
        if failed > 0 {
            complaints.push(format!(
                "{failed} partitions are Failed: `forebay topic describe` shows which and why"
            ));
        }
        complaints
    }

    /// What is known of a node.
    pub(crate) fn view(&self, node: NodeId) -> NodeView {
        self.liveness.view(self.now, node)
    }

    /// How many partitions have failed on a node that is seen like this, by the directory they lie in.
    pub(crate) fn failed_partitions(&self, node: NodeId, view: &NodeView) -> BTreeMap<DirectoryId, u64> {
        let mut failed = BTreeMap::new();
        for id in view.last.iter().flat_map(|report| report.failed.keys()) {
            let topic = self.image.topics.get(&id.topic);
            let index = usize::try_from(id.index).unwrap_or(usize::MAX);
            let assignment = topic.and_then(|topic| topic.partitions.get(index));
            if let Some(directory) = assignment.and_then(|assignment| assignment.directory_of(node)) {
                *failed.entry(directory).or_default() += 1;
            }
        }
        failed
    }

    /// Every partition of the cluster, topic by topic.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = PartitionRow<'_>> {
        self.image
            .names
            .values()
            .filter_map(|id| self.image.topics.get(id))
            .flat_map(|topic| self.rows(topic))
    }

    /// The partitions of one topic.
    pub(crate) fn rows<'a>(&'a self, topic: &'a Topic) -> impl Iterator<Item = PartitionRow<'a>> {
        (0..).zip(topic.partitions.iter()).map(move |(index, assignment)| {
            let facts = (self.hosted)(PartitionId { topic: topic.id, index });
            PartitionRow { topic, index, assignment, facts }
        })
    }

    /// The derived status of a partition.
    pub(crate) fn status(&self, row: &PartitionRow<'_>) -> PartitionStatus {
        let leader = row.assignment.leader.unwrap_or(self.node);
        let (view, directory) = (self.view(leader), row.assignment.directory_of(leader));
        let leader_view = LeaderView {
            node: &view,
            directory,
            partition: PartitionId { topic: row.topic.id, index: row.index },
        };
        let derived = derive(row.assignment, leader_view);
        // Nobody takes up what lies in a directory that the leader was started without: that has failed, as it says.
        let has =
            |directory| view.last.as_ref().is_some_and(|report| report.volumes.contains_key(&directory));
        let is_left_out = directory.is_some_and(|directory| !has(directory));
        let is_awaited = row.facts.is_none() && row.assignment.leader == Some(self.node) && !is_left_out;
        if !is_awaited || derived.status == Status::Unknown {
            return derived;
        }
        // Its report is older than the Image that gave it the partition.
        let sentence = format!("node {leader} leads and has not taken the partition up yet");
        PartitionStatus { status: Status::Unknown, last: None, since: None, sentence }
    }

    /// How many in-sync replicas `acks=all` needs on a topic.
    pub(crate) fn min_isr(&self, topic: &Topic) -> usize {
        let own = topic.configs.get("min.insync.replicas").and_then(|text| text.parse().ok());
        own.unwrap_or(self.min_insync_replicas)
    }
}

/// One partition: what the metadata says and what this node has.
pub(crate) struct PartitionRow<'a> {
    /// Its topic.
    pub(crate) topic: &'a Topic,
    /// Its index.
    pub(crate) index: i32,
    /// Who holds and leads it.
    pub(crate) assignment: &'a Assignment,
    /// What this node hosts of it.
    pub(crate) facts: Option<PartitionFacts>,
}

impl PartitionRow<'_> {
    /// True if fewer replicas are in sync than are assigned.
    pub(crate) fn is_under_replicated(&self) -> bool {
        self.assignment.isr.len() < self.assignment.replicas.len()
    }
}

#[cfg(test)]
pub(crate) mod testing;
