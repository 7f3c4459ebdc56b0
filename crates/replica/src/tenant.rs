use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use forebay_base::{Clock, LeaderEpoch, Mutant, Offset, WallTime};
use forebay_log::{Files, Log, LogError, Stamped, SyncPool};

use crate::Refused;
use crate::claims::Claims;
use crate::condition::Condition;
use crate::event::{Appended, Effect, Event, Ticket};
use crate::inbox::{Append, Inbox, Opening, Reply, Slot};
use crate::partition::{OpenError, Partition, PartitionConfig};
use crate::readers::Readers;
use crate::replica::{Recovered, Replica};
use crate::retention_clock::RetentionClock;
use crate::view::View;

mod act;
mod opening;
mod rest;
mod rolling;
mod tend;

use rolling::Room;

/// Bytes gathered into one write. Beyond this nothing is won, and others wait.
const GATHER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What a writer's partitions share.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) files: Arc<Files>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pool: Arc<SyncPool>,
    pub(crate) readers: Readers,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) claims: Claims,
    /// What is known of the volume.
    pub(crate) condition: Arc<Condition>,
    pub(crate) partitions_path: PathBuf,
    /// By which records and segments age.
    pub(crate) retention: Mutex<RetentionClock>,
}

impl Site {
    /// The time by which records and segments age.
    fn age_time(&self) -> WallTime {
        let mut retention = self.retention.lock().unwrap_or_else(PoisonError::into_inner);
        retention.read(self.clock.now(), self.clock.wall())
    }
}

/// A partition on its writer: the core, the log it decides about, and those who wait for an answer.
#[derive(Debug)]
pub(crate) struct Tenant {
    partition: Arc<Partition>,
    slot: Slot,
    site: Arc<Site>,
    config: PartitionConfig,
    core: Replica,
    log: Log,
    /// Appends not stepped yet.
    queue: VecDeque<Append>,
    tickets: u64,
    appends: BTreeMap<Ticket, (Bytes, Reply<Appended>)>,
    deletions: BTreeMap<Ticket, Reply<Offset>>,
    /// Answers that are due: see [`Tenant::answer`].
    answers: Vec<(Reply<Appended>, Result<Appended, Refused>)>,
    /// Empty between two steps; kept for its memory.
    effects: Vec<Effect>,
    /// Batches stamped and not written yet.
    stamped: Vec<Stamped>,
    /// Who waits for it to close; nobody: it stays open.
    closing: Vec<Reply<()>>,
    /// Start and durable end as of the last checkpoint.
    checkpointed: (Offset, Offset),
    /// The end when it was last asked to rest.
    idle_since: Offset,
    /// What is known of producers is only in memory: there was no room for it.
    unkept: bool,
    /// The last roll was one that came early, and failed.
    early_roll_failed: bool,
}

impl Tenant {
    /// Opens and recovers a log, and the producers' state with it.
    pub(crate) fn open(site: &Arc<Site>, opening: &Opening) -> Result<Self, OpenError> {
        let Opening { id, slot, config, epoch, .. } = opening;
        let mut log = opening::open_log(site, opening)?;
        log.age_from(site.age_time());
        let producers = opening::recover_producers(&log, site.clock.as_ref())?;
        let found = Recovered { start: log.start(), durable: log.durable_end(), end: log.end(), producers };
        let mut core = Replica::new(site.clock.now(), *epoch, config.producer_expiry, config.flush, found);
        if let Some(reason) = log.poisoned() {
            core = core.failed(Arc::clone(reason));
        }
        let view = view(&core, &log);
        let partition = Arc::new(Partition::new(*id, *slot, site, view));
        let (checkpointed, idle_since) = ((log.start(), log.durable_end()), log.end());
        Ok(Self {
            partition,
            slot: *slot,
            site: Arc::clone(site),
            config: config.clone(),
            core,
            log,
            queue: VecDeque::new(),
            tickets: 0,
            appends: BTreeMap::new(),
            deletions: BTreeMap::new(),
            answers: Vec::new(),
            effects: Vec::new(),
            stamped: Vec::new(),
            closing: Vec::new(),
            checkpointed,
            idle_since,
            unkept: false,
            early_roll_failed: false,
        })
    }

    pub(crate) fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    /// Why it takes no writes any more, if so.
    pub(crate) fn failure(&self) -> Option<&Arc<str>> {
        self.core.failure()
    }

    pub(crate) fn config(&self) -> &PartitionConfig {
        &self.config
    }

    /// Takes an append in; [`Tenant::serve`] does it.
    pub(crate) fn enqueue(&mut self, append: Append) {
        let (bytes, bytes_max) = (append.batch.bytes.len() as u64, self.config.log.segment_bytes_max);
        let refused = if !self.closing.is_empty() {
            Refused::NotLeader
        } else if bytes > bytes_max {
            Refused::LargerThanSegment { bytes, bytes_max }
        } else {
            self.queue.push_back(append);
            return;
        };
        self.site.inbox.release(1);
        let _ = append.reply.send(Err(refused));
    }

    /// Writes what is queued, as much as possible at once. Stops early if a roll must wait for a sync, whose end
    /// calls it again.
    pub(crate) fn serve(&mut self) {
        while !self.queue.is_empty() {
            let (count, bytes) = self.gather();
            let room = self.make_room(count, bytes);
            if matches!(room, Room::Later) {
                return;
            }
            self.site.inbox.release(count);
            let (now, at) = (self.site.clock.now(), self.site.clock.wall());
            for _ in 0..count {
                let Some(Append { batch, acks, reply }) = self.queue.pop_front() else { break };
                let ticket = self.ticket();
                let (header, timestamp_type) = (batch.header, batch.timestamp_type);
                self.appends.insert(ticket, (batch.bytes, reply));
                self.step_at(now, Event::Append { ticket, header, acks, timestamp_type, at });
            }
            self.write(room);
        }
    }

    /// Sends the answers that are due. Called at the end of a turn, when all partitions are written, so that whoever
    /// has appended to several is woken once.
    pub(crate) fn answer(&mut self) {
        for (reply, result) in self.answers.drain(..) {
            // Who asked may have gone.
            let _ = reply.send(result);
        }
    }

    /// How many of the queued appends make one write, and their bytes: at least one.
    fn gather(&self) -> (usize, u64) {
        let bytes_max = GATHER_BYTES_MAX.min(self.config.log.segment_bytes_max);
        let (mut count, mut bytes) = (0, 0);
        for append in &self.queue {
            let len = append.batch.bytes.len() as u64;
            if count > 0 && bytes + len > bytes_max {
                break;
            }
            (count, bytes) = (count + 1, bytes + len);
        }
        (count, bytes)
    }

    fn write(&mut self, room: Room) {
        let batches = std::mem::take(&mut self.stamped);
        if batches.is_empty() {
            return;
        }
        if let Room::Refused(refused) = room {
            self.step(Event::WriteFailed { refused });
            return;
        }
        self.log.reserve_ahead(self.site.condition.ahead_bytes());
        let bytes = batches.iter().map(|batch| batch.info.len as u64).sum();
        if Mutant::ViewBeforeWrite.is_planted() {
            self.step(Event::Written { bytes, watched: false });
        }
        match self.log.append(&batches, self.site.age_time()) {
            Ok(()) => {
                if let Some(back) = self.log.write_back_due() {
                    self.site.pool.write_back(back);
                }
                self.step(Event::Written { bytes, watched: self.partition.is_watched() });
                if self.log.is_nearly_full() {
                    self.step(Event::RollNears);
                }
            }
            Err(error) => {
                let refused = self.site.condition.note(&error);
                self.step(Event::WriteFailed { refused });
                self.bear(&error);
            }
        }
    }

    /// A log operation failed. What it says of the volume is told to its monitor, which says so for all partitions at
    /// once. The refusal for whoever asked.
    fn fault(&mut self, error: &LogError) -> Refused {
        let refused = self.site.condition.note(error);
        self.bear(error);
        refused
    }

    /// A poisoned log fails the replica, anything else may be tried again.
    fn bear(&mut self, error: &LogError) {
        if is_storage_fault(error) {
            self.step(Event::SyncFailed { reason: with_way_out(&error.to_string()) });
        } else if !error.is_full() {
            tracing::warn!(partition = %self.partition.id(), %error, "the log refused an operation");
        }
    }

    /// A sync that this partition asked for has ended.
    pub(crate) fn synced(&mut self, upto: Offset, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.log.synced(upto);
                self.roll_early(upto);
                self.step(Event::Synced { upto, watched: self.partition.is_watched() });
                self.drop_deleted();
            }
            Err(reason) => self.step(Event::SyncFailed { reason: with_way_out(&reason) }),
        }
    }

    /// A fetch waits for what is written and not committed.
    pub(crate) fn watched(&mut self) {
        self.step(Event::Watched);
    }

    pub(crate) fn delete_records(&mut self, to: Option<Offset>, reply: Reply<Offset>) {
        if let Some(failed) = self.site.condition.failure() {
            let _ = reply.send(Err(Refused::Storage(failed)));
            return;
        }
        let ticket = self.ticket();
        self.deletions.insert(ticket, reply);
        self.step(Event::DeleteRecords { ticket, to });
        self.drop_deleted();
    }

    pub(crate) fn lead(&mut self, epoch: LeaderEpoch) {
        self.step(Event::Lead { epoch });
    }

    pub(crate) fn configure(&mut self, config: PartitionConfig) {
        self.log.configure(config.log.clone());
        self.step(Event::Configure { producer_expiry: config.producer_expiry, flush: config.flush });
        self.config = config;
    }

    /// Takes no more appends; [`Tenant::is_quiet`] says when to finish.
    pub(crate) fn begin_close(&mut self, reply: Reply<()>) {
        self.closing.push(reply);
    }

    /// True if it wants to close and nothing is in work.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.closing.is_empty() && self.queue.is_empty() && !self.core.is_syncing()
    }

    /// Closes the log; true if it is sound on the disk.
    pub(crate) fn finish(mut self) -> bool {
        let failed = self.core.failure().map(ToString::to_string);
        let failure = failed.or_else(|| self.site.condition.failure());
        self.step(Event::Stop);
        self.answer();
        if self.unkept && failure.is_none() {
            self.keep_producers();
        }
        let closed = match failure {
            Some(reason) => Err(reason),
            None => self.log.close(&self.core.producers().encode()).map_err(|error| {
                self.site.condition.note(&error);
                if is_storage_fault(&error) {
                    // The core, which tells it otherwise, has stopped.
                    self.site.condition.note_fault();
                }
                error.to_string()
            }),
        };
        if let Err(reason) = &closed {
            tracing::error!(partition = %self.partition.id(), %reason, "the log was not closed cleanly");
        }
        let sound = closed.is_ok();
        // Before anybody hears of it, who may open it again at once.
        self.release();
        for reply in self.closing.drain(..) {
            let _ = reply.send(closed.clone().map_err(Refused::Storage));
        }
        self.partition.wake();
        sound
    }

    /// Removes the log from the disk, unless that has `failed`: then it is only closed.
    pub(crate) fn delete(mut self, failed: Option<String>) -> Result<(), Refused> {
        self.step(Event::Stop);
        self.answer();
        self.refuse_queued(&Refused::NotLeader);
        self.partition.wake();
        match failed {
            Some(sentence) => Err(Refused::Storage(sentence)),
            None => self.log.delete().map_err(|error| Refused::Storage(error.to_string())),
        }
    }

    /// Lets somebody else open it.
    fn release(&self) {
        self.site.claims.release(self.partition.id(), self.slot);
    }

    /// Gives up after a panic or a failure: everybody who waits is told, readers keep the last view.
    pub(crate) fn break_down(mut self, reason: &Arc<str>) -> Arc<Partition> {
        let refused = Refused::Storage(reason.to_string());
        self.answer();
        self.refuse_queued(&refused);
        for (_, reply) in std::mem::take(&mut self.appends).into_values() {
            let _ = reply.send(Err(refused.clone()));
        }
        for reply in std::mem::take(&mut self.deletions).into_values() {
            let _ = reply.send(Err(refused.clone()));
        }
        for reply in self.closing.drain(..) {
            let _ = reply.send(Err(refused.clone()));
        }
        self.partition.publish_failure(reason);
        self.partition
    }

    fn refuse_queued(&mut self, refused: &Refused) {
        self.site.inbox.release(self.queue.len());
        for append in self.queue.drain(..) {
            let _ = append.reply.send(Err(refused.clone()));
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }
}

/// Why a partition takes no writes, and how it comes to take them again.
fn with_way_out(reason: &str) -> String {
    format!("{reason}; when its disk is sound again, `forebay cluster readmit` opens the partition anew")
}

/// True if what is on the disk is not known any more.
fn is_storage_fault(error: &LogError) -> bool {
    matches!(error, LogError::Poisoned { .. })
}

fn view(core: &Replica, log: &Log) -> View {
    let positions = core.positions();
    let mut epochs = log.epochs().clone();
    // A leader's epoch begins when it begins to lead, not with its first batch.
    epochs.assign(core.epoch(), positions.end);
    View {
        start: positions.start,
        end: positions.end,
        high_watermark: positions.high_watermark,
        durable: positions.durable,
        stable: positions.stable,
        leader_epoch: core.epoch(),
        segments: log.segments(),
        epochs,
        size_bytes: log.size_bytes(),
        failed: core.failure().cloned(),
    }
}
