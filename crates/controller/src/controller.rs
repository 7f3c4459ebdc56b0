use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use forebay_base::{BrokerEpoch, NodeId, limits};
use forebay_meta::liveness::Liveness;
use forebay_meta::{Command, Image, Reply};
use openraft::ServerState;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::{ControllerConfig, ControllerEnv};
use crate::propose::{Decider, Proposal, ProposeError};
use crate::raft::{Publisher, with_rng};
use crate::sessions::{Ear, Listener, Session, SessionError, ear};
use crate::storage::StorageThread;
use crate::supervise::{Running, Supervisor};

/// A handle to the controller of this node; clones share it.
#[derive(Debug, Clone)]
pub struct Controller {
    shared: Arc<Shared>,
}

/// Why a controller could not start at all. Later failures are healed by its supervision.
#[derive(Debug, thiserror::Error)]
#[error("the metadata store cannot be opened: {0}")]
pub struct StartError(#[source] pub(crate) Box<dyn std::error::Error + Send + Sync>);

/// What a controller says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ControllerStatus {
    /// Who leads the quorum, if anyone is known to.
    pub leader: Option<NodeId>,
    /// The current term.
    pub term: u64,
    /// False while the Raft task is down.
    pub raft_alive: bool,
    /// True once Images have been published: the first catch-up is done.
    pub caught_up: bool,
    /// How often the Raft task was started again.
    pub restarts: u64,
    /// Why it last went down.
    pub last_failure: Option<String>,
    /// Bytes of the metadata log in use; the last known value while the Raft task is down.
    pub space_used: u64,
    /// Bytes of the metadata log in all.
    pub space_total: u64,
    /// Index of the last Raft entry applied.
    pub applied: Option<u64>,
    /// Index of the last Raft entry in a snapshot.
    pub snapshot: Option<u64>,
    /// Index of the newest Image.
    pub image_index: i64,
    /// For how long the disk has not answered a call for the metadata log or a snapshot; `None` if none is in work.
    pub disk_silent_for: Option<Duration>,
}

/// What the handle and the tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) env: ControllerEnv,
    pub(crate) config: ControllerConfig,
    pub(crate) publisher: Arc<Publisher>,
    /// The Raft task as it runs; `None` while it is down.
    pub(crate) running: watch::Sender<Option<Running>>,
    /// True once shutdown was asked for.
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) status: Mutex<ControllerStatus>,
    /// Why the disk must not be written, if so.
    pub(crate) bar: watch::Sender<Option<Arc<str>>>,
    /// Why there is no working metadata log, if so.
    pub(crate) outage: watch::Sender<Option<Arc<str>>>,
    /// Calls that found the disk failed.
    faults: watch::Sender<u64>,
    /// Where the files of the log are read and written.
    pub(crate) log_thread: Arc<StorageThread>,
    /// Those of the snapshots: apart, so that a long snapshot holds up no proposal.
    pub(crate) snapshot_thread: Arc<StorageThread>,
    /// Where nodes are heard.
    ear: Arc<Ear>,
    proposals: mpsc::Sender<Proposal>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Shared {
    pub(crate) fn status(&self) -> MutexGuard<'_, ControllerStatus> {
        self.status.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The term in which this node leads the quorum, if it does.
    pub(crate) fn leads_in(&self) -> Option<u64> {
        let running = self.running.borrow();
        let metrics = running.as_ref()?.raft.metrics();
        let now = metrics.borrow();
        (now.state == ServerState::Leader).then_some(now.current_term)
    }

    fn stop_threads(&self) {
        self.log_thread.stop();
        self.snapshot_thread.stop();
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Controller {
    /// Opens the store, starts the Raft task and the decide task on the current runtime, and supervises them there
    /// until [`Controller::shutdown`].
    ///
    /// Returns before the quorum is ready: the first Image comes through [`Controller::image`], and proposals wait.
    /// Where the store cannot be opened, or is barred, and an Image can be read from it all the same, that one is handed
    /// out, [`Controller::outage`] says so, and it is tried again. An error if none can: then nothing can be served.
    pub async fn start(env: ControllerEnv, config: ControllerConfig) -> Result<Self, StartError> {
        let (proposals, queue) = mpsc::channel(limits::PROPOSALS_MAX);
        let rng = env.rng.clone();
        let faults = watch::channel(0).0;
        let thread =
            |name| StorageThread::start(env.workers.as_ref(), env.clock.clone(), name, faults.clone());
        let (ear, asked, show) = ear();
        let (log_thread, snapshot_thread) = (thread("metadata-log"), thread("metadata-snapshot"));
        let shared = Arc::new(Shared {
            bar: watch::channel(config.barred.clone()).0,
            outage: watch::channel(None).0,
            faults,
            env,
            config,
            publisher: Arc::new(Publisher::new()),
            running: watch::channel(None).0,
            stop: watch::channel(false).0,
            status: Mutex::default(),
            log_thread,
            snapshot_thread,
            ear,
            proposals,
            tasks: Mutex::default(),
        });
        let mut supervisor = Supervisor::new(shared.clone());
        if let Err(failure) = with_rng(rng.clone(), supervisor.begin()).await {
            shared.stop_threads();
            return Err(StartError(failure));
        }
        let supervision = tokio::spawn(with_rng(rng.clone(), supervisor.run()));
        let decisions = tokio::spawn(with_rng(rng, Decider::new(shared.clone(), queue).run()));
        let sessions = tokio::spawn(Listener::new(shared.clone(), asked, show).run());
        *shared.tasks() = vec![supervision, decisions, sessions];
        Ok(Self { shared })
    }

    /// Has the leader decide `command` and waits until the outcome is committed, for the time that
    /// [`ControllerConfig::propose_timeout`] gives.
    ///
    /// Refusals of single items are part of the [`Reply`]; [`ProposeError`] means that nothing is known to have
    /// happened, and its docs say what may have.
    pub async fn propose(&self, command: Command) -> Result<Reply, ProposeError> {
        self.propose_within(command, self.shared.config.propose_timeout).await
    }

    /// As [`Controller::propose`], for those who wait for less: the shorter of the two times counts.
    pub async fn propose_within(&self, command: Command, limit: Duration) -> Result<Reply, ProposeError> {
        if let Some(reason) = self.shared.outage.borrow().clone() {
            return Err(ProposeError::Down { reason });
        }
        let (reply, answer) = oneshot::channel();
        let ask = async {
            self.shared
                .proposals
                .send(Proposal { command, reply })
                .await
                .map_err(|_| ProposeError::Stopped)?;
            answer.await.map_err(|_| ProposeError::Stopped)?
        };
        let limit = limit.min(self.shared.config.propose_timeout);
        tokio::time::timeout(limit, ask).await.unwrap_or(Err(ProposeError::Timeout { limit }))
    }

    /// The Images as they are committed. The first one that is formatted is at least as new as what was committed
    /// when the controller started; before that it is an empty one.
    pub fn image(&self) -> watch::Receiver<Arc<Image>> {
        self.shared.publisher.subscribe()
    }

    /// Why there is no working metadata log, as a sentence; `None` while there is one, and while it is started again after
    /// a mere panic. The last Image stands meanwhile, and proposals are refused.
    pub fn outage(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.shared.outage.subscribe()
    }

    /// True once the Image is what the quorum has committed: before that, what it does not know may yet be there.
    pub fn is_caught_up(&self) -> bool {
        self.shared.publisher.is_open()
    }

    /// With a reason, the disk of the metadata log is let alone until this is called without one: its volume has failed.
    pub fn bar(&self, reason: Option<Arc<str>>) {
        self.shared.bar.send_if_modified(|barred| {
            let news = *barred != reason;
            *barred = reason;
            news
        });
    }

    /// How many calls have found the disk of the metadata log failed.
    pub fn faults(&self) -> watch::Receiver<u64> {
        self.shared.faults.subscribe()
    }

    /// What the controller is doing. Waits for nothing, also while the disk does not answer.
    pub fn status(&self) -> ControllerStatus {
        let mut status = self.shared.status().clone();
        status.caught_up = self.shared.publisher.is_open();
        status.image_index = self.shared.publisher.newest().image.index;
        let threads = [&self.shared.log_thread, &self.shared.snapshot_thread];
        status.disk_silent_for = threads.into_iter().filter_map(|thread| thread.silent_for()).max();
        let running = self.shared.running.borrow().clone();
        let Some(running) = running else {
            (status.raft_alive, status.leader) = (false, None);
            return status;
        };
        let metrics = running.raft.metrics().borrow().clone();
        let space = running.log.space();
        ControllerStatus {
            leader: metrics.current_leader.and_then(|node| i32::try_from(node).ok()).map(NodeId),
            term: metrics.current_term,
            raft_alive: metrics.running_state.is_ok(),
            space_used: space.used,
            space_total: space.total,
            applied: metrics.last_applied.map(|id| id.index),
            snapshot: metrics.snapshot.map(|id| id.index),
            ..status
        }
    }

    /// Asks for a snapshot now. It is taken in the background; [`ControllerStatus::snapshot`] moves when it is done.
    pub async fn snapshot(&self) {
        let running = self.shared.running.borrow().clone();
        if let Some(running) = running {
            // A Raft task that just died is restarted; the log's size asks for the snapshot again.
            let _ = running.raft.trigger().snapshot().await;
        }
    }

    /// Fault injection: makes the Raft task panic. Supervision starts it again from disk.
    pub fn kill_raft(&self) {
        if let Some(running) = self.shared.running.borrow().as_ref() {
            running
                .raft
                .external_request(|_| std::panic::resume_unwind(Box::new("killed by fault injection")));
        }
    }

    /// Opens a session of `node`, registered as `epoch`: its reports come in it.
    pub async fn open_session(&self, node: NodeId, epoch: BrokerEpoch) -> Result<Session, SessionError> {
        self.shared.ear.open(node, epoch).await
    }

    /// What is known of the nodes, by the sessions they have; [`Liveness::view`] tells it for a moment.
    pub fn liveness(&self) -> watch::Receiver<Arc<Liveness>> {
        self.shared.ear.shown()
    }

    /// Fault injection: breaks the sessions of all nodes, as a network would; how many there were. Nodes open new ones by
    /// themselves.
    pub async fn reset_sessions(&self) -> usize {
        self.shared.ear.reset().await
    }

    /// Stops all tasks and waits for them. Proposals not answered yet get [`ProposeError::Stopped`].
    pub async fn shutdown(&self) {
        self.shared.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.shared.tasks());
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a controller task panicked");
            }
        }
        // Nothing of theirs is in work any more: the last thing they asked for was to be shut out.
        self.shared.stop_threads();
    }
}
