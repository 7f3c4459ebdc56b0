use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use forebay_base::{BrokerEpoch, Clock, DirectoryId, Instant, NodeId, PartitionId, Rng, TopicId};
use forebay_controller::Controller;
use forebay_log::volume::VolumeState;
use forebay_meta::{Assignment, Image, Topic};
use forebay_replica::Condition;
use tokio::sync::watch;

use crate::Config;
use crate::kafka::{Budget, Connections, FetchSessions, ProducerIds, SlowRequests};
use crate::metrics::Metrics;
use crate::partitions::{Hosted, PartitionMap};

/// What every request handler may use of the node. Nothing in it is locked across a wait.
pub(crate) struct Shared {
    pub(crate) node: NodeId,
    /// This node's newest registration (rule R1): of this start, or of an earlier one while there is no metadata log.
    pub(crate) registered: watch::Receiver<BrokerEpoch>,
    /// Why there is no working metadata log, if so.
    pub(crate) outage: watch::Receiver<Option<Arc<str>>>,
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) clocks: SameMoment,
    pub(crate) rng: Arc<dyn Rng>,
    /// This node's data directories.
    pub(crate) directories: BTreeSet<DirectoryId>,
    /// What is known of the volume of each.
    pub(crate) volumes: BTreeMap<DirectoryId, Arc<Condition>>,
    /// The server's own defaults of topic settings.
    pub(crate) topic_defaults: BTreeMap<String, String>,
    pub(crate) controller: Controller,
    pub(crate) image: watch::Receiver<Arc<Image>>,
    pub(crate) partitions: Arc<PartitionMap>,
    pub(crate) budget: Budget,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) connections: Connections,
    pub(crate) slow_requests: SlowRequests,
    pub(crate) metrics: Arc<Metrics>,
    /// True once the node is stopping: nobody waits for news any more.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("node", &self.node).finish_non_exhaustive()
    }
}

/// One moment on both monotonic clocks, so that times of one can be told in the other: the reactor's, by which
/// connections live, and the node's, which its writers read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SameMoment {
    pub(crate) reactor: tokio::time::Instant,
    pub(crate) node: Instant,
}

impl SameMoment {
    /// Now.
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self { reactor: tokio::time::Instant::now(), node: clock.now() }
    }

    /// A time of the reactor, from this moment on, on the node's clock.
    pub(crate) fn on_node(&self, at: tokio::time::Instant) -> Instant {
        self.node + at.saturating_duration_since(self.reactor)
    }
}

/// Why a partition cannot be used through this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// No such topic, or no such partition of it.
    Unknown,
    /// Another node leads it, or nobody does.
    NotLeader,
    /// It should be here and cannot be used; the sentence says why.
    Storage(Arc<str>),
}

impl Shared {
    /// The registration that this node speaks with.
    pub(crate) fn broker_epoch(&self) -> BrokerEpoch {
        *self.registered.borrow()
    }

    /// Why no record may be taken on any volume, if so: without a metadata log this node cannot know whether it still
    /// leads.
    pub(crate) fn outage(&self) -> Option<Arc<str>> {
        self.outage.borrow().clone()
    }

    /// The Image as of now.
    pub(crate) fn image(&self) -> Arc<Image> {
        self.image.borrow().clone()
    }

    /// An open partition that this node leads. Waits, until `deadline`, for the reconciler where the Image is ahead of
    /// it.
    pub(crate) async fn led(
        &self,
        topic: &Topic,
        index: i32,
        deadline: tokio::time::Instant,
    ) -> Result<Hosted, Unavailable> {
        let id = self.leads(topic, index)?;
        usable(self.partitions.wait_for(id, deadline).await.ok_or(Unavailable::NotLeader)?)
    }

    /// As [`Shared::led`], but `None` where it would wait.
    pub(crate) fn led_now(&self, topic: &Topic, index: i32) -> Result<Option<Hosted>, Unavailable> {
        self.partitions.get(self.leads(topic, index)?).map(usable).transpose()
    }

    /// Checks that this node leads the partition, in a directory that it has.
    fn leads(&self, topic: &Topic, index: i32) -> Result<PartitionId, Unavailable> {
        let assignment = assignment(topic, index).ok_or(Unavailable::Unknown)?;
        if assignment.leader != Some(self.node) {
            return Err(Unavailable::NotLeader);
        }
        if !assignment.directory_of(self.node).is_some_and(|directory| self.directories.contains(&directory))
        {
            let sentence = "the partition lies in a data directory that this node does not have: its disk could not be \
                            read when the server was started, or it was not named";
            return Err(Unavailable::Storage(sentence.into()));
        }
        Ok(PartitionId { topic: topic.id, index })
    }

    /// The data directories that new partitions are not to be put in: those that are not well, where another one is, or
    /// else those that take no records. A sentence if none takes any.
    pub(crate) fn not_to_be_used(&self) -> Result<BTreeSet<DirectoryId>, String> {
        let reports: Vec<_> = self.volumes.iter().map(|(id, condition)| (*id, condition.report())).collect();
        let without = |fit: fn(VolumeState) -> bool| -> BTreeSet<DirectoryId> {
            reports.iter().filter(|(_, report)| !fit(report.state)).map(|(id, _)| *id).collect()
        };
        for fit in [|state| state == VolumeState::Normal, VolumeState::takes_writes] {
            let avoid = without(fit);
            if avoid.len() < reports.len() {
                return Ok(avoid);
            }
        }
        let sentences: Vec<String> = reports.iter().filter_map(|(_, report)| report.sentence()).collect();
        Err(format!("no data directory takes new partitions: {}", sentences.join("; ")))
    }

    /// The topic of that id.
    pub(crate) fn topic_by_id(&self, id: TopicId) -> Option<Arc<Topic>> {
        self.image.borrow().topics.get(&id).cloned()
    }

    /// The topic of that name.
    pub(crate) fn topic_by_name(&self, name: &str) -> Option<Arc<Topic>> {
        let image = self.image.borrow();
        image.names.get(name).and_then(|id| image.topics.get(id)).cloned()
    }
}

fn usable(hosted: Hosted) -> Result<Hosted, Unavailable> {
    match hosted {
        Hosted::Failed(reason) => Err(Unavailable::Storage(reason)),
        open @ Hosted::Open { .. } => Ok(open),
    }
}

/// The assignment of one partition of `topic`.
pub(crate) fn assignment(topic: &Topic, index: i32) -> Option<&Arc<Assignment>> {
    usize::try_from(index).ok().and_then(|index| topic.partitions.get(index))
}
