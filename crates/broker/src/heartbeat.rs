//! The node's side of its session with the controller: it reports all of its state every so often, and at once when a
//! volume's state changes.
//!
//! What is shown of a node comes from what the controller heard in this way, also where both are one process. A session
//! may break at any time; the next one begins with a whole report like every other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::{BrokerEpoch, Clock, DirectoryId, Instant, NodeId, PartitionId};
use forebay_controller::{Controller, Session};
use forebay_log::volume;
use forebay_meta::{Failure, NodeReport, VolumeReport, VolumeSpace, VolumeState};
use forebay_replica::{Condition, Report};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;

use crate::partitions::PartitionMap;
use crate::shared::Shared;

/// A node reports at least so often.
const HEARTBEAT_EVERY: Duration = Duration::from_millis(500);

/// The partitions are looked at for failed ones so often: there may be very many.
const SURVEY_EVERY: Duration = Duration::from_secs(1);

/// The first wait before a session is opened again; doubled up to [`BACK_OFF_MAX`] until a report is heard.
const BACK_OFF_MIN: Duration = Duration::from_millis(20);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// How the reporting in one session ended.
enum Ended {
    /// The node stops.
    Stopping,
    /// The session broke, or the controller does not listen.
    Broken,
}

/// The task that reports.
pub(crate) struct Heartbeats {
    controller: Controller,
    node: NodeId,
    /// The registration that the node speaks with: a start without a metadata log gets another one later.
    registered: watch::Receiver<BrokerEpoch>,
    clock: Arc<dyn Clock>,
    volumes: BTreeMap<DirectoryId, Arc<Condition>>,
    partitions: Arc<PartitionMap>,
    /// Of the last heartbeat, over all sessions.
    sequence: u64,
    failed: Arc<BTreeMap<PartitionId, Failure>>,
    outage: watch::Receiver<Option<Arc<str>>>,
    /// The outage as it was told last.
    told_outage: Option<Failure>,
    survey_at: Instant,
    back_off: Duration,
}

impl Heartbeats {
    pub(crate) fn new(shared: &Shared) -> Self {
        Self {
            controller: shared.controller.clone(),
            node: shared.node,
            registered: shared.registered.clone(),
            clock: shared.clock.clone(),
            volumes: shared.volumes.clone(),
            partitions: shared.partitions.clone(),
            sequence: 0,
            failed: Arc::default(),
            outage: shared.outage.clone(),
            told_outage: None,
            survey_at: shared.clock.now(),
            back_off: BACK_OFF_MIN,
        }
    }

    /// Reports until the node stops, in one session after the other.
    pub(crate) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        while !*stopping.borrow() {
            let epoch = *self.registered.borrow_and_update();
            match self.controller.open_session(self.node, epoch).await {
                Ok(session) => match self.report_in(&session, &mut stopping).await {
                    Ended::Stopping => {
                        // A controller that stops as well does not need to know.
                        let _ = session.close().await;
                        return;
                    }
                    Ended::Broken => tracing::debug!(session = %session.id(), "the session broke"),
                },
                Err(error) => tracing::debug!(%error, "the controller gives no session"),
            }
            let stopped = stopping.wait_for(|stopping| *stopping);
            if tokio::time::timeout(self.back_off, stopped).await.is_ok() {
                return;
            }
            self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
        }
    }

    async fn report_in(&mut self, session: &Session, stopping: &mut watch::Receiver<bool>) -> Ended {
        let (mut registered, mut outage) = (self.registered.clone(), self.outage.clone());
        loop {
            // What moves from here on is told in the next report.
            outage.mark_unchanged();
            let reports = self.reports();
            let report = self.report(&reports);
            self.sequence += 1;
            if let Err(error) = session.heartbeat(self.sequence, self.clock.wall(), report).await {
                tracing::debug!(%error, "a heartbeat was not heard");
                return Ended::Broken;
            }
            self.back_off = BACK_OFF_MIN;
            tokio::select! {
                biased;
                // A sender that is gone means the node is gone.
                _ = stopping.wait_for(|stopping| *stopping) => return Ended::Stopping,
                () = session.broken() => return Ended::Broken,
                () = registered_anew(&mut registered) => return Ended::Broken,
                () = self.moved(&reports) => {}
                Ok(()) = outage.changed() => {}
                () = tokio::time::sleep(HEARTBEAT_EVERY) => {}
            }
        }
    }

    fn reports(&self) -> BTreeMap<DirectoryId, Arc<Report>> {
        self.volumes.iter().map(|(id, condition)| (*id, condition.report())).collect()
    }

    /// Ends when a volume is in another state than it was told to be.
    async fn moved(&self, told: &BTreeMap<DirectoryId, Arc<Report>>) {
        let moves = self.volumes.iter().map(|(id, condition)| {
            let told = told.get(id).map(|report| report.state);
            async move {
                let moved = |report: &Arc<Report>| Some(report.state) != told;
                // A volume that is gone moves no more.
                if condition.watch().wait_for(moved).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        });
        let mut moves: FuturesUnordered<_> = moves.collect();
        if moves.next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Everything there is to say.
    fn report(&mut self, reports: &BTreeMap<DirectoryId, Arc<Report>>) -> NodeReport {
        let now = self.clock.now();
        if now >= self.survey_at {
            self.survey();
            self.survey_at = now + SURVEY_EVERY;
        }
        let outage = self.outage.borrow().clone();
        if self.told_outage.as_ref().map(|told| &told.reason) != outage.as_ref() {
            self.told_outage = outage.map(|reason| Failure { reason, since: self.clock.wall() });
        }
        let volumes = reports.iter().map(|(id, report)| (*id, told(report, now)));
        NodeReport {
            volumes: volumes.collect(),
            failed: self.failed.clone(),
            outage: self.told_outage.clone(),
        }
    }

    /// Looks for partitions that have failed; those that were known to have keep their time.
    fn survey(&mut self) {
        let since = self.clock.wall();
        let found = self.partitions.failed().into_iter().map(|(id, reason)| {
            let known = self.failed.get(&id).map(|failure| failure.since);
            (id, Failure { reason, since: known.unwrap_or(since) })
        });
        self.failed = Arc::new(found.collect());
    }
}

/// Ends when the node has registered again.
async fn registered_anew(registered: &mut watch::Receiver<BrokerEpoch>) {
    if registered.changed().await.is_err() {
        // Its registration is for good.
        std::future::pending::<()>().await;
    }
}

/// Waits until the controller has heard of the node.
pub(crate) async fn heard(shared: &Shared) {
    let mut liveness = shared.controller.liveness();
    let reachable = liveness.wait_for(|known| known.view(shared.clock.now(), shared.node).is_reachable());
    // A controller that is gone hears of nobody.
    let _ = reachable.await;
}

/// What the monitor of a volume says, as the controller hears it.
pub(crate) fn told(report: &Report, now: Instant) -> VolumeReport {
    VolumeReport {
        path: report.path.display().to_string(),
        state: match report.state {
            volume::VolumeState::Normal => VolumeState::Normal,
            volume::VolumeState::Low => VolumeState::Low,
            volume::VolumeState::Full => VolumeState::Full,
            volume::VolumeState::HardFull => VolumeState::HardFull,
            volume::VolumeState::Failed => VolumeState::Failed,
            volume::VolumeState::Probing => VolumeState::Probing,
        },
        cause: report.cause.to_string(),
        since: report.since,
        sentence: report.sentence(),
        age: now.since(report.sampled_at),
        space: report.space.map(|space| VolumeSpace {
            total_bytes: space.total_bytes,
            free_bytes: space.free_bytes,
            free_files: (space.free_files != u64::MAX).then_some(space.free_files),
        }),
        full_bytes: report.marks.full_bytes,
        resume_bytes: report.marks.resume_bytes,
        reserve_left_bytes: report.reserve_left_bytes,
        full_in: report.full_in,
    }
}
