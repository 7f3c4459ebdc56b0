//! What a node can say of itself and of the cluster at one moment: the one source of HTTP answers, of
//! readiness and of the gauges in `/metrics`, so that they never disagree.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::{BrokerEpoch, DirectoryId, NodeId, Offset, PartitionId, WallTime};
use forebay_meta::status::{LeaderView, PartitionStatus, Report, Status, VolumeState, derive};
use forebay_meta::{Assignment, Image, Topic};

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
    /// This node's data directories.
    pub(crate) volumes: Vec<VolumeFacts>,
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
    /// Why it cannot be written (or, if it is not open, used).
    pub(crate) failed: Option<Arc<str>>,
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

    /// What is wrong without making the node useless, a sentence each.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let volumes = self.volumes.iter().filter_map(VolumeFacts::complaint);
        let mut complaints: Vec<String> = self.quorum.complaint().into_iter().chain(volumes).collect();
        let failed =
            self.led().filter(|led| led.facts.as_ref().is_some_and(|facts| facts.failed.is_some())).count();
        if failed > 0 {
            complaints
                .push(format!("{failed} partitions have failed: see /v1/topics/NAME/partitions and the log"));
        }
        complaints
    }

    /// Every partition of the cluster, topic by topic.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = PartitionRow<'_>> {
        self.image
            .names
            .values()
            .filter_map(|id| self.image.topics.get(id))
            .flat_map(|topic| self.rows(topic))
    }

    /// The partitions that this node leads.
    pub(crate) fn led(&self) -> impl Iterator<Item = PartitionRow<'_>> {
        self.partitions().filter(|row| row.assignment.leader == Some(self.node))
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
        let leads = row.assignment.leader == Some(self.node);
        let report = row.facts.as_ref().filter(|_| leads).map(|facts| Report {
            volume: self.volume_state(row.assignment.directory_of(self.node)),
            failed: facts.failed.is_some(),
        });
        // Nodes do not report to each other yet: of others nothing is known, and nothing is made up.
        let mut status = derive(row.assignment, LeaderView { reachable: leads, report });
        let volume = self.volume(row.assignment.directory_of(self.node)).filter(|_| leads);
        match status.status {
            Status::Throttled | Status::OutOfSpace | Status::Failed | Status::Unknown => {
                let complaint = volume.and_then(VolumeFacts::complaint);
                status.sentence = complaint.unwrap_or(status.sentence);
            }
            Status::Online | Status::UnderReplicated | Status::NoLeader => {}
        }
        if let Some(reason) = row.facts.as_ref().and_then(|facts| facts.failed.as_ref()) {
            status.sentence = reason.to_string();
        }
        status
    }

    /// How many in-sync replicas `acks=all` needs on a topic.
    pub(crate) fn min_isr(&self, topic: &Topic) -> usize {
        let own = topic.configs.get("min.insync.replicas").and_then(|text| text.parse().ok());
        own.unwrap_or(self.min_insync_replicas)
    }

    fn volume(&self, directory: Option<DirectoryId>) -> Option<&VolumeFacts> {
        self.volumes.iter().find(|volume| Some(volume.directory) == directory)
    }

    fn volume_state(&self, directory: Option<DirectoryId>) -> VolumeState {
        self.volume(directory).map_or(VolumeState::Probing, VolumeFacts::state)
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

/// A small cluster for tests: one node, one topic "orders" of two partitions, everything well.
#[cfg(test)]
pub(crate) mod testing {
    use std::collections::BTreeMap;

    use forebay_base::{ClusterId, Id128, LeaderEpoch, TopicId};
    use forebay_log::Space;
    use forebay_meta::{Broker, Endpoint};

    use super::*;

    const NODE: NodeId = NodeId(1);
    const DIRECTORY: DirectoryId = DirectoryId(Id128([3; 16]));

    pub(crate) fn partition() -> PartitionFacts {
        let log = LogFacts {
            start: Offset(10),
            end: Offset(100),
            high_watermark: Offset(90),
            stable: Offset(90),
            size_bytes: 4096,
        };
        PartitionFacts { log: Some(log), failed: None }
    }

    pub(crate) fn connection(id: u64) -> ConnectionFacts {
        ConnectionFacts {
            id,
            peer: SocketAddr::from(([10, 0, 0, 7], 40_000)),
            listener: "PLAINTEXT".into(),
            principal: "User:ANONYMOUS".to_owned(),
            client_id: Some("billing".to_owned()),
            software: None,
            opened_at: WallTime(1_000),
            idle_ms: 20,
            requests_in_work: 1,
            requests: 3,
            received_bytes: 300,
            sent_bytes: 100,
        }
    }

    pub(crate) fn image() -> Image {
        let assignment = Arc::new(Assignment {
            replicas: vec![NODE],
            directories: vec![DIRECTORY],
            isr: vec![NODE],
            leader: Some(NODE),
            leader_epoch: LeaderEpoch(4),
            partition_epoch: 5,
        });
        let id = TopicId(Id128([2; 16]));
        let configs = BTreeMap::from([("retention.ms".to_owned(), "1000".to_owned())]);
        let topic = Topic {
            id,
            name: "orders".into(),
            partitions: [assignment.clone(), assignment].into_iter().collect(),
            configs: Arc::new(configs),
        };
        let endpoint =
            Endpoint { listener: "PLAINTEXT".to_owned(), host: "127.0.0.1".to_owned(), port: 9092 };
        let broker = Broker {
            epoch: BrokerEpoch(7),
            endpoints: vec![endpoint],
            directories: vec![DIRECTORY],
            rack: None,
        };
        let mut image = Image::default();
        image.brokers.insert(NODE, broker);
        image.names.insert(topic.name.clone(), id);
        image.topics.insert(id, Arc::new(topic));
        (image.cluster, image.feature_level, image.index) = (ClusterId(Id128([1; 16])), 1, 42);
        image
    }

    /// The one volume, as its monitor would report it.
    pub(crate) fn volume(space: Option<Space>, state: forebay_log::volume::VolumeState) -> VolumeFacts {
        use forebay_log::volume::{Cause, Marks};
        let report = forebay_replica::Report {
            path: "/data/1".into(),
            state,
            cause: Cause::NoRoom,
            since: WallTime(5_000),
            space,
            sampled_at: forebay_base::Instant(0),
            marks: Marks::of(1 << 40),
            reserve_left_bytes: 128 << 20,
            full_in: None,
        };
        VolumeFacts {
            directory: DIRECTORY,
            report: Arc::new(report),
            age: Duration::ZERO,
            in_state: Duration::from_secs(9),
            counts: forebay_replica::VolumeCounts::default(),
        }
    }

    pub(crate) fn facts() -> Facts {
        let space = Space { total_bytes: 1 << 40, free_bytes: 1 << 39, free_files: 1000 };
        Facts {
            node: NODE,
            broker_epoch: BrokerEpoch(7),
            image: Arc::new(image()),
            quorum: Quorum {
                leader: Some(NODE),
                term: 3,
                alive: true,
                restarts: 0,
                last_failure: None,
                outage: None,
                used_bytes: 1000,
                limit_bytes: 32 << 20,
                disk_silent_for: None,
            },
            volumes: vec![volume(Some(space), forebay_log::volume::VolumeState::Normal)],
            memory: Memory { used_bytes: 64, limit_bytes: 1 << 28 },
            fetch_sessions: FetchSessionCounts { sessions: 2, partitions: 50, evictions: 3 },
            min_insync_replicas: 1,
            hosted: Box::new(|_| Some(partition())),
            connections: Box::new(|after| {
                let ids = (1..=3).filter(|id| *id > after.id);
                (ids.clone().take(after.limit).map(connection).collect(), ids.count() > after.limit)
            }),
        }
    }
}
