use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::RaftError;
use openraft::{BasicNode, Config, RaftMetrics, ServerState, SnapshotPolicy};
use tokio::time::Instant;

use crate::controller::Shared;
use crate::raft::{
    Machine, MachineError, Newest, NoPeers, Raft, RaftLog, SharedLog, SharedSnapshots, replay,
};
use crate::store::{self, LogConfig, LogStore, SnapshotStore};

/// The first wait before the Raft task is started again; doubled up to [`BACK_OFF_MAX`].
const BACK_OFF_MIN: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// A Raft task that lived this long has earned a fresh back-off.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// How often the log's size is looked at without being told; also the wait before a skipped snapshot is retried.
const TICK: Duration = Duration::from_secs(5);
/// How long a dead Raft task is waited for; nothing it still does reaches the disk.
const JOIN_MAX: Duration = Duration::from_secs(5);
/// So many starts in a row that fail are an outage: whoever wants metadata changed is told, and waits no longer.
const FAILED_STARTS_MAX: u32 = 2;

type Metrics = RaftMetrics<u64, BasicNode>;
type Failure = Box<dyn Error + Send + Sync>;

/// A Raft task that runs, and what it keeps on disk.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) raft: Raft,
    pub(crate) log: SharedLog,
    pub(crate) snapshots: SharedSnapshots,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("log", &self.log)
            .field("snapshots", &self.snapshots)
            .finish_non_exhaustive()
    }
}

/// How the watch over a Raft task ended.
enum Ended {
    /// Shutdown was asked for.
    Stopped,
    /// The task is dead.
    Died(String),
    /// Its disk must not be written any more.
    Barred,
}

/// May the disk be written?
enum Leave {
    /// Shutdown was asked for.
    Stopped,
    /// It may; `late` if that had to be waited for.
    Given { late: bool },
}

/// Starts the Raft task from disk, watches it, keeps its log short, and starts it again when it dies.
#[derive(Debug)]
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    /// When a snapshot was last asked for.
    snapshot_asked: Option<Instant>,
    /// The Raft task has committed something since it was started: its disk can be written.
    worked: bool,
}

impl Supervisor {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, snapshot_asked: None, worked: false }
    }

    /// The first start. Where there is none to be had, what the disk says is handed out instead; an error if it does not
    /// say enough, for then nothing can be served.
    pub(crate) async fn begin(&mut self) -> Result<(), Failure> {
        let barred = self.shared.bar.borrow().clone();
        let failure: Failure = match barred {
            Some(reason) => reason.to_string().into(),
            None => match self.start().await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            },
        };
        self.make_do().await;
        if self.shared.publisher.is_closed() {
            return Err(failure);
        }
        self.note_failure(&failure.to_string());
        self.note_outage(&failure.to_string()).await;
        Ok(())
    }

    /// Who has no Image yet gets what the disk says, if that can be read.
    async fn make_do(&self) {
        if self.shared.publisher.is_closed()
            && let Ok(newest) = self.look().await
            && newest.image.is_formatted()
        {
            self.shared.publisher.make_do(newest);
        }
    }

    /// Reads the Image without writing.
    async fn look(&self) -> Result<Newest, MachineError> {
        let (disk, dir) = (self.shared.env.disk.clone(), self.shared.config.dir.clone());
        let seen = self.shared.log_thread.run(move || store::look(disk.as_ref(), &dir)).await?;
        replay(seen, u64::try_from(self.shared.config.node.0).unwrap_or(0))
    }

    /// Opens the store and starts the Raft task.
    pub(crate) async fn start(&mut self) -> Result<(), Failure> {
        let (config, env) = (&self.shared.config, &self.shared.env);
        let node = u64::try_from(config.node.0)?;
        if self.shared.publisher.newest().image.is_formatted() && !self.look().await?.image.is_formatted() {
            // A new one would know of no topic, and so have all of them deleted.
            return Err(format!("there is nothing of it in {} any more", config.dir.display()).into());
        }
        let (disk, dir, log_bytes) = (env.disk.clone(), config.dir.clone(), config.log_bytes);
        let thread = self.shared.log_thread.clone();
        let log = thread.run(move || LogStore::open(disk.as_ref(), &dir, LogConfig { log_bytes })).await?;
        let log = SharedLog::new(log, thread);
        let (disk, dir, bytes) = (env.disk.clone(), config.dir.clone(), config.snapshot_bytes);
        let thread = self.shared.snapshot_thread.clone();
        let snapshots = thread.run(move || SnapshotStore::open(disk.as_ref(), &dir, bytes)).await?;
        let snapshots = SharedSnapshots::new(snapshots, thread);
        let machine = Machine::open(snapshots.clone(), self.shared.publisher.clone()).await?;
        let raft_config = Arc::new(raft_config().validate()?);
        let raft = Raft::new(node, raft_config, NoPeers, RaftLog(log.clone()), machine).await?;
        let initialized = match raft.is_initialized().await {
            Ok(true) => Ok(()),
            Ok(false) => raft.initialize(BTreeMap::from([(node, BasicNode::default())])).await,
            Err(fatal) => Err(RaftError::Fatal(fatal)),
        };
        let running = Running { raft, log, snapshots };
        match initialized {
            Ok(()) => {
                (self.snapshot_asked, self.worked) = (None, false);
                self.shared.running.send_replace(Some(running));
                Ok(())
            }
            Err(error) => {
                self.retire(running).await;
                Err(error.into())
            }
        }
    }

    /// Watches until shutdown. The first start has been made.
    pub(crate) async fn run(mut self) {
        let (mut back_off, mut failed_starts) = (BACK_OFF_MIN, 0);
        loop {
            let started = Instant::now();
            let running = self.shared.running.borrow().clone();
            if let Some(running) = running {
                let ended = self.watch(&running).await;
                let barred = self.shared.bar.borrow().clone();
                if let Some(reason) = barred {
                    // To retire may take a while on a disk like this, and nobody is to wait for it.
                    self.note_outage(&reason).await;
                }
                self.retire(running).await;
                match ended {
                    Ended::Stopped => return,
                    Ended::Died(reason) => {
                        self.note_failure(&reason);
                        failed_starts = if self.worked { 0 } else { failed_starts + 1 };
                        if failed_starts >= FAILED_STARTS_MAX {
                            self.note_outage(&reason).await;
                        }
                    }
                    Ended::Barred => {}
                }
            }
            let was_barred = match self.wait_for_leave().await {
                Leave::Stopped => return,
                Leave::Given { late } => late,
            };
            if was_barred || started.elapsed() >= HEALTHY_AFTER {
                back_off = BACK_OFF_MIN;
            }
            if !was_barred && self.stopped_within(back_off).await {
                return;
            }
            if self.shared.bar.borrow().is_some() {
                continue;
            }
            back_off = (back_off * 2).min(BACK_OFF_MAX);
            self.shared.status().restarts += 1;
            match self.start().await {
                Ok(()) => tracing::info!("the Raft task runs again"),
                Err(error) => {
                    failed_starts += 1;
                    self.note_failure(&error.to_string());
                    if failed_starts >= FAILED_STARTS_MAX {
                        self.note_outage(&error.to_string()).await;
                    }
                }
            }
        }
    }

    /// Waits while the disk must not be written, which is an outage.
    async fn wait_for_leave(&self) -> Leave {
        let (mut bar, mut stop) = (self.shared.bar.subscribe(), self.shared.stop.subscribe());
        let mut late = false;
        loop {
            let barred = bar.borrow_and_update().clone();
            let Some(reason) = barred else { return Leave::Given { late } };
            late = true;
            self.note_outage(&reason).await;
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Leave::Stopped,
                changed = bar.changed() => if changed.is_err() {
                    return Leave::Stopped;
                },
            }
        }
    }

    /// Ends with the first catch-up of a Raft task.
    async fn note_outage(&self, reason: &str) {
        self.make_do().await;
        let sentence = format!(
            "the metadata log cannot be written: reads go on with the metadata of before, records are refused, and no \
             topic can be changed, because {reason}"
        );
        self.shared.outage.send_replace(Some(sentence.into()));
    }

    fn note_failure(&self, reason: &str) {
        tracing::error!(%reason, "the Raft task is down; metadata cannot change until it runs again");
        self.shared.status().last_failure = Some(reason.to_owned());
    }

    /// Sleeps, unless shutdown is asked for; or until the disk is barred, which is nothing to sleep over.
    async fn stopped_within(&self, time: Duration) -> bool {
        let (mut stop, mut bar) = (self.shared.stop.subscribe(), self.shared.bar.subscribe());
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => true,
            _ = bar.wait_for(Option::is_some) => false,
            () = tokio::time::sleep(time) => false,
        }
    }

    /// Nothing that still runs of this Raft task may touch the disk once the next one is started, so this waits for a
    /// disk that does not answer.
    async fn retire(&self, running: Running) {
        let space = running.log.space();
        {
            let mut status = self.shared.status();
            (status.space_used, status.space_total) = (space.used, space.total);
            status.term = running.raft.metrics().borrow().current_term;
        }
        self.shared.running.send_replace(None);
        if tokio::time::timeout(JOIN_MAX, running.raft.shutdown()).await.is_err() {
            tracing::warn!("the Raft task does not end; it is left behind without access to the disk");
        }
        const ENDED: &str = "the Raft task has ended";
        let log = running.log.call(|store| {
            store.fence(ENDED);
            Ok(())
        });
        let snapshots = running.snapshots.call(|store| {
            store.fence(ENDED);
            Ok(())
        });
        if let (Err(error), _) | (_, Err(error)) = (log.await, snapshots.await) {
            tracing::error!(%error, "the files of a Raft task that has ended cannot be closed to it");
        }
    }

    async fn watch(&mut self, running: &Running) -> Ended {
        let mut metrics = running.raft.metrics();
        let mut stop = self.shared.stop.subscribe();
        let mut bar = self.shared.bar.subscribe();
        let mut elect_asked = false;
        loop {
            let now = metrics.borrow_and_update().clone();
            if let Err(fatal) = &now.running_state {
                return Ended::Died(fatal.to_string());
            }
            let tend = async {
                self.catch_up(running, &now).await;
                if !elect_asked && self.is_sole_voter(&now) && now.current_leader.is_none() {
                    elect_asked = true;
                    // There is nobody to wait for; if this fails the election timeout does it.
                    let _ = running.raft.trigger().elect().await;
                }
                self.keep_short(running, &now).await;
            };
            // Tending waits for the disk, and shutdown must not.
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Ended::Stopped,
                _ = bar.wait_for(Option::is_some) => return Ended::Barred,
                () = tend => {}
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Ended::Stopped,
                _ = bar.wait_for(Option::is_some) => return Ended::Barred,
                changed = metrics.changed() => if changed.is_err() {
                    return Ended::Died("the Raft task panicked".to_owned());
                },
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    fn is_sole_voter(&self, now: &Metrics) -> bool {
        now.membership_config.voter_ids().eq([now.id])
    }

    /// Opens the publisher once the machine has all that the quorum had committed.
    async fn catch_up(&mut self, running: &Running, now: &Metrics) {
        let down = self.shared.outage.borrow().is_some();
        let ready = now.state == ServerState::Leader && !self.worked;
        if ready && running.raft.ensure_linearizable().await.is_ok() {
            self.worked = true;
            self.shared.publisher.open();
            if down {
                tracing::info!("the metadata log works again");
                self.shared.outage.send_replace(None);
            }
        }
    }

    /// Takes snapshots as the log grows and purges what they cover, leaving a tail for members that lag.
    async fn keep_short(&mut self, running: &Running, now: &Metrics) {
        let config = &self.shared.config;
        let next_after_snapshot = now.snapshot.map_or(0, |id| id.index + 1);
        let applied_next = now.last_applied.map_or(0, |id| id.index + 1);
        let grown_entries = applied_next.saturating_sub(next_after_snapshot);
        let bytes_max = config.snapshot_after_bytes.unwrap_or_else(|| running.log.space().total / 4);
        let snapshot = now.snapshot;
        let looked = running.log.call(move |log| {
            let point = snapshot.and_then(|id| log.purge_point(id.index, bytes_max / 2));
            Ok((log.bytes_from(next_after_snapshot), point))
        });
        // As below, an error is seen by the watch itself.
        let Ok((grown_bytes, purge_point)) = looked.await else { return };
        let due = grown_entries >= config.snapshot_after_entries || grown_bytes >= bytes_max;
        if due && grown_entries > 0 && self.snapshot_asked.is_none_or(|asked| asked.elapsed() >= TICK) {
            self.snapshot_asked = Some(Instant::now());
            // Errors here and below mean that the Raft task has died, which the watch sees by itself.
            let _ = running.raft.trigger().snapshot().await;
        }
        if !due {
            self.snapshot_asked = None;
        }
        if let Some(upto) = purge_point.filter(|upto| now.purged.is_none_or(|purged| purged.index < *upto)) {
            let _ = running.raft.trigger().purge_log(upto).await;
        }
    }
}

fn raft_config() -> Config {
    Config {
        cluster_name: "forebay".to_owned(),
        heartbeat_interval: 250,
        election_timeout_min: 1_000,
        election_timeout_max: 2_000,
        // Snapshots and purges follow the log's bytes, which openraft does not see.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        ..Config::default()
    }
}
