use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use forebay_base::{Offset, PartitionId, Turn, Worker};
use forebay_log::{Left, remove_partition};
use tokio::sync::oneshot;

use crate::Refused;
use crate::alarms::{Alarms, Chore};
use crate::inbox::{Message, Opening, Reply, Slot};
use crate::partition::{OpenError, Partition};
use crate::tenant::{Site, Tenant};
use crate::volume::{Opened, open_later};

/// How long a recovery point may lag behind. It bounds what a start after a crash checks, not what survives.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);

/// How often retention is applied while space is short, at least.
const TEND_WHEN_SHORT: Duration = Duration::from_secs(1);

/// Chores done per turn, so that appends never wait for a whole round of them.
const CHORES_PER_TURN: usize = 4;

/// How long a partition that is not written to keeps its descriptor and its index, at least.
const REST_AFTER: Duration = Duration::from_secs(10);

/// Messages for which memory is kept between two turns.
const MESSAGES_KEPT: usize = 256;

/// Partitions put to rest per turn.
const RESTS_PER_TURN: usize = 32;

/// A partition's place on its writer.
enum Seat {
    Running(Box<Tenant>),
    /// It broke an invariant, or failed and is being opened anew: its reads go on with what it last showed.
    Broken(Arc<Partition>, Arc<str>),
}

/// A sync that has ended.
struct Ended {
    slot: Slot,
    upto: Offset,
    result: Result<(), String>,
}

/// One writer: owns the partitions bound to it, each with its log, and is the only one who writes them.
///
/// A turn: take all messages; gather the appends of each partition into one write; then take in the syncs that have
/// ended, so that the next ones cover what was just written; send the answers; then a few chores.
pub(crate) struct Writer {
    site: Arc<Site>,
    seats: BTreeMap<Slot, Seat>,
    /// Empty between two turns; kept for its memory.
    messages: VecDeque<Message>,
    /// Those that broke and may be opened anew.
    broken: HashMap<PartitionId, Slot>,
    /// Partitions with queued appends.
    touched: BTreeSet<Slot>,
    /// Partitions that may have answers to send at the end of the turn.
    served: Vec<Slot>,
    alarms: Alarms,
    /// Partitions that hold a descriptor for writing, those first that took it up first.
    rests: Alarms,
    stopping: bool,
    /// True while every log was opened and closed soundly.
    sound: bool,
    /// Who wants to know when it is done.
    told: Vec<oneshot::Sender<bool>>,
    outcome: Arc<OnceLock<bool>>,
}

impl Writer {
    /// A writer without partitions. `outcome` is set when it is done: true if all its logs are sound on the disk.
    pub(crate) fn new(site: Arc<Site>, outcome: Arc<OnceLock<bool>>) -> Self {
        Self {
            site,
            seats: BTreeMap::new(),
            messages: VecDeque::new(),
            broken: HashMap::new(),
            touched: BTreeSet::new(),
            served: Vec::new(),
            alarms: Alarms::default(),
            rests: Alarms::default(),
            stopping: false,
            sound: true,
            told: Vec::new(),
            outcome,
        }
    }

    fn receive(&mut self, message: Message, synced: &mut Vec<Ended>) {
        match message {
            Message::Append(slot, append) => match self.seats.get_mut(&slot) {
                Some(Seat::Running(tenant)) => {
                    tenant.enqueue(append);
                    self.touched.insert(slot);
                }
                absent => {
                    let refused = refusal(absent.as_deref());
                    self.site.inbox.release(1);
                    let _ = append.reply.send(Err(refused));
                }
            },
            Message::Synced(slot, upto, result) => synced.push(Ended { slot, upto, result }),
            Message::DeleteRecords(slot, to, reply) => {
                self.ask(slot, reply, |tenant, reply| tenant.delete_records(to, reply));
            }
            Message::Configure(slot, config) => {
                self.with(slot, |tenant| tenant.configure(config));
                self.schedule(slot, Chore::Tend);
            }
            Message::Watched(slot) => self.with(slot, Tenant::watched),
            Message::Lead(slot, epoch) => self.with(slot, |tenant| tenant.lead(epoch)),
            Message::Close(slot, reply) => {
                self.ask(slot, reply, Tenant::begin_close);
                self.settle(slot);
            }
            Message::Delete(slot, reply) => self.delete(slot, reply),
            Message::Adopt(tenant) => self.adopt(tenant),
            Message::Reopen(slot, opening, reply) => self.reopen(slot, *opening, reply),
            Message::DeleteStray(id, reply) => {
                let _ = reply.send(self.delete_stray(id));
            }
            Message::VolumeMoved => self.volume_moved(),
            Message::Stop(clean, told) => {
                self.told.extend(told);
                self.stop(clean);
            }
        }
    }

    /// Runs `work` on a partition, after what is queued for it. A panic isolates that partition.
    fn with(&mut self, slot: Slot, work: impl FnOnce(&mut Tenant)) {
        let Some(Seat::Running(tenant)) = self.seats.get_mut(&slot) else { return };
        let worked = catch_unwind(AssertUnwindSafe(|| {
            tenant.serve();
            work(tenant);
        }));
        match worked {
            Ok(()) => self.served.push(slot),
            Err(panic) => self.isolate(slot, panic.as_ref()),
        }
    }

    /// As [`Writer::with`], for work that has somebody to answer.
    fn ask<T>(&mut self, slot: Slot, reply: Reply<T>, work: impl FnOnce(&mut Tenant, Reply<T>)) {
        match self.seats.get(&slot) {
            Some(Seat::Running(_)) => self.with(slot, |tenant| work(tenant, reply)),
            absent => {
                let _ = reply.send(Err(refusal(absent)));
            }
        }
    }

    fn isolate(&mut self, slot: Slot, panic: &(dyn Any + Send)) {
        let Some(tenant) = self.vacate(slot) else { return };
        let reason: Arc<str> = format!("an internal fault stopped the partition: {}", sentence(panic)).into();
        tracing::error!(partition = %tenant.partition().id(), %reason, "isolated; reads go on");
        self.sound = false;
        self.retire(tenant, reason);
    }

    /// Takes a partition off its log, and leaves what readers see of it.
    fn retire(&mut self, tenant: Tenant, reason: Arc<str>) {
        let (id, slot) = (tenant.partition().id(), tenant.slot());
        let partition = tenant.break_down(&reason);
        self.site.claims.release(id, slot);
        self.broken.insert(id, slot);
        self.seats.insert(slot, Seat::Broken(partition, reason));
    }

    /// Has a partition opened anew that has failed. Until that is done its reads go on with what it last showed, and what
    /// is asked of it is refused.
    fn reopen(&mut self, slot: Slot, mut opening: Opening, reply: Opened) {
        match self.seats.get(&slot) {
            Some(Seat::Running(tenant)) if tenant.failure().is_some() => {
                let reason = tenant.failure().cloned().unwrap_or_default();
                if let Some(tenant) = self.vacate(slot) {
                    self.retire(tenant, reason);
                }
            }
            Some(Seat::Broken(..)) => {}
            Some(Seat::Running(_)) | None => return drop(reply.send(Err(OpenError::AlreadyOpen))),
        }
        let Some(Seat::Broken(partition, _)) = self.seats.get(&slot) else { return };
        opening.left = Left::Faulty(partition.view().promised());
        opening.failed = Some(Arc::clone(partition));
        open_later(&self.site, opening, reply);
    }

    /// Finishes a partition that wants to close and has nothing in work.
    fn settle(&mut self, slot: Slot) {
        let Some(Seat::Running(tenant)) = self.seats.get(&slot) else { return };
        if !tenant.is_quiet() {
            return;
        }
        if let Some(tenant) = self.vacate(slot) {
            let id = tenant.partition().id();
            let closed = catch_unwind(AssertUnwindSafe(|| tenant.finish()));
            self.sound &= closed.unwrap_or(false);
            self.site.claims.release(id, slot);
        }
    }

    /// Takes a running partition off the writer.
    fn vacate(&mut self, slot: Slot) -> Option<Tenant> {
        match self.seats.remove(&slot)? {
            Seat::Running(tenant) => {
                self.touched.remove(&slot);
                self.alarms.cancel(slot);
                self.rests.cancel(slot);
                Some(*tenant)
            }
            broken @ Seat::Broken(..) => {
                self.seats.insert(slot, broken);
                None
            }
        }
    }

    fn adopt(&mut self, tenant: Box<Tenant>) {
        let (id, slot) = (tenant.partition().id(), tenant.slot());
        if let Some(broken) = self.broken.remove(&id) {
            self.seats.remove(&broken);
        }
        self.seats.insert(slot, Seat::Running(tenant));
        self.schedule(slot, Chore::Tend);
        if self.stopping {
            self.close(slot);
        }
    }

    fn delete(&mut self, slot: Slot, reply: Reply<()>) {
        let failed = self.site.condition.failure();
        let answer = match self.seats.get(&slot) {
            Some(Seat::Running(_)) => match self.vacate(slot) {
                Some(tenant) => {
                    let id = tenant.partition().id();
                    let deleted = catch_unwind(AssertUnwindSafe(|| tenant.delete(failed)));
                    self.site.claims.release(id, slot);
                    deleted.unwrap_or_else(|panic| Err(Refused::Storage(sentence(panic.as_ref()))))
                }
                None => Err(Refused::NotLeader),
            },
            Some(Seat::Broken(partition, _)) => {
                let id = partition.id();
                self.delete_stray(id)
            }
            None => Err(Refused::NotLeader),
        };
        let _ = reply.send(answer);
    }

    fn delete_stray(&mut self, id: PartitionId) -> Result<(), Refused> {
        if self.site.claims.is_taken(id) {
            return Err(Refused::Storage("the partition is open".to_owned()));
        }
        if let Some(sentence) = self.site.condition.failure() {
            return Err(Refused::Storage(sentence));
        }
        if let Some(slot) = self.broken.remove(&id) {
            self.seats.remove(&slot);
        }
        let dir = self.site.partitions_path.join(id.to_string());
        remove_partition(self.site.files.disk().as_ref(), &dir)
            .map_err(|error| Refused::Storage(error.to_string()))
    }

    fn stop(&mut self, clean: bool) {
        self.stopping = true;
        let slots: Vec<Slot> = self.seats.keys().copied().collect();
        if !clean {
            self.sound = false;
            self.seats.clear();
        }
        for slot in slots {
            self.close(slot);
        }
    }

    /// The volume has another state: partitions give back what they can, and their retention comes soon.
    fn volume_moved(&mut self) {
        let slots: Vec<Slot> = self.seats.keys().copied().collect();
        for slot in slots {
            self.with(slot, Tenant::volume_moved);
            self.schedule(slot, Chore::Tend);
        }
    }

    /// Sends the answers of the partitions that were served.
    fn answer(&mut self) {
        for slot in self.served.drain(..) {
            if let Some(Seat::Running(tenant)) = self.seats.get_mut(&slot) {
                tenant.answer();
            }
        }
    }

    /// Closes a partition that nobody asked to close.
    fn close(&mut self, slot: Slot) {
        let (reply, _) = oneshot::channel();
        self.ask(slot, reply, Tenant::begin_close);
        self.settle(slot);
    }

    /// True if it shall stop and no partition runs any more; those that broke have nothing left to do.
    fn is_done(&self) -> bool {
        self.stopping && !self.seats.values().any(|seat| matches!(seat, Seat::Running(_)))
    }

    /// Sets the next alarm of a partition, in place of one that is set.
    fn schedule(&mut self, slot: Slot, chore: Chore) {
        let Some(Seat::Running(tenant)) = self.seats.get(&slot) else { return };
        let now = self.site.clock.now();
        let due = match chore {
            Chore::Sync => tenant.sync_due(),
            Chore::Tend if self.site.condition.is_pressed() => {
                Some(now + tenant.config().retention_check.min(TEND_WHEN_SHORT))
            }
            Chore::Tend => Some(now + tenant.config().retention_check),
            Chore::Checkpoint => Some(now + CHECKPOINT_EVERY),
            Chore::Rest => Some(now + REST_AFTER),
        };
        let alarms = if chore == Chore::Rest { &mut self.rests } else { &mut self.alarms };
        if let Some(due) = due {
            alarms.set(due, slot, chore);
        }
    }

    /// Sets the alarms that follow from what was written.
    fn arm(&mut self, slot: Slot) {
        let Some(Seat::Running(tenant)) = self.seats.get(&slot) else { return };
        let (dirty, awake) = (tenant.is_dirty(), tenant.is_awake());
        if tenant.sync_due().is_some() && !self.alarms.is_set(slot, Chore::Sync) {
            self.schedule(slot, Chore::Sync);
        }
        if dirty && !self.alarms.is_set(slot, Chore::Checkpoint) {
            self.schedule(slot, Chore::Checkpoint);
        }
        if awake && !self.rests.is_set(slot, Chore::Rest) {
            self.schedule(slot, Chore::Rest);
        }
    }

    /// Puts partitions to rest: those that are due, and as many more as hold too many descriptors.
    fn rest(&mut self) {
        for _ in 0..RESTS_PER_TURN {
            if !self.rest_one() {
                return;
            }
        }
    }

    /// Puts the one to rest that took up its descriptor first, if its time has come or there are too many; false if not.
    fn rest_one(&mut self) -> bool {
        let must = self.site.files.is_crowded();
        let next = if must { self.rests.take_first() } else { self.rests.take_due(self.site.clock.now()) };
        let Some((slot, _)) = next else { return false };
        self.with(slot, |tenant| tenant.rest(must));
        self.arm(slot);
        true
    }

    /// Does some of the chores that are due; true if there are more.
    fn chores(&mut self) -> bool {
        let now = self.site.clock.now();
        for _ in 0..CHORES_PER_TURN {
            let Some((slot, chore)) = self.alarms.take_due(now) else { return false };
            match chore {
                Chore::Tend => {
                    self.with(slot, Tenant::tend);
                    self.schedule(slot, Chore::Tend);
                }
                Chore::Checkpoint => self.with(slot, Tenant::checkpoint),
                Chore::Rest => self.with(slot, |tenant| tenant.rest(false)),
                Chore::Sync => self.with(slot, Tenant::tick),
            }
            self.arm(slot);
        }
        self.alarms.next().is_some_and(|due| due <= now)
    }
}

/// Why a partition that is not running takes nothing.
fn refusal(absent: Option<&Seat>) -> Refused {
    match absent {
        Some(Seat::Broken(_, reason)) => Refused::Storage(reason.to_string()),
        Some(Seat::Running(_)) | None => Refused::NotLeader,
    }
}

pub(crate) fn sentence(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

impl Worker for Writer {
    fn turn(&mut self) -> Turn {
        let mut synced = Vec::new();
        let mut messages = std::mem::take(&mut self.messages);
        if let Some(waited) = self.site.inbox.take(&mut messages) {
            self.site.readers.pace().note_append(self.site.clock.now(), waited);
        }
        for message in messages.drain(..) {
            self.receive(message, &mut synced);
        }
        messages.shrink_to(MESSAGES_KEPT);
        self.messages = messages;
        for slot in std::mem::take(&mut self.touched) {
            self.with(slot, |_| {});
            self.arm(slot);
            // One comes to rest for each that takes up a descriptor.
            if self.site.files.is_crowded() {
                self.rest_one();
            }
        }
        for Ended { slot, upto, result } in synced {
            self.with(slot, |tenant| {
                tenant.synced(upto, result);
                tenant.serve();
            });
            self.settle(slot);
            self.arm(slot);
        }
        self.answer();
        let more = self.chores();
        self.rest();
        self.answer();
        if self.is_done() {
            self.seats.clear();
            self.site.inbox.close();
            self.sound &= self.site.claims.are_sound();
            let _ = self.outcome.set(self.sound);
            for told in self.told.drain(..) {
                let _ = told.send(self.sound);
            }
            return Turn::Done;
        }
        let next = self.alarms.next().into_iter().chain(self.rests.next()).min();
        if more { Turn::More } else { Turn::Wait(next) }
    }
}
