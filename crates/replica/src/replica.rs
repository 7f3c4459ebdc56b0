use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::{Instant, LeaderEpoch, Offset, WallTime};
use forebay_records::{BatchHeader, TimestampType};

use crate::Refused;
use crate::event::{Acks, Appended, Effect, Event, Flush, Passage, Ticket};
use crate::producers::{Producers, Verdict};

mod deleting;
mod positions;

pub use positions::Positions;

/// How often silent producers are looked for; Kafka's `producer.id.expiration.check.interval.ms`.
const EXPIRY_CHECK: Duration = Duration::from_secs(600);

/// How long a batch that nobody waits for may stay invisible: a sync starts at the latest so long after its write ...
const VISIBLE_WITHIN: Duration = Duration::from_millis(10);
/// ... or after this many bytes. Near the end of a segment that bounds what `flush.mode=async` leaves unsynced, too.
const VISIBLE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// With `flush.mode=async`, a sync starts at the latest so long after a write; it bounds what a power cut takes.
const ASYNC_WITHIN: Duration = Duration::from_secs(1);

/// May this replica write?
#[derive(Debug, Clone, PartialEq, Eq)]
enum Role {
    Leading,
    /// A sync failed. Reads below the high watermark go on; only opening the log anew ends this.
    Failed(Arc<str>),
    Stopped,
}

/// An append as it arrives.
struct Sent {
    ticket: Ticket,
    header: BatchHeader,
    acks: Acks,
    append_time: Option<i64>,
    at: WallTime,
    now: Instant,
}

/// An append that is stored, or about to be, and not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiter {
    ticket: Ticket,
    acks: Acks,
    base: Offset,
    /// The offset after its last record.
    next: Offset,
    append_time: Option<i64>,
    passage: Passage,
}

/// What a log was found to hold when it was opened.
#[derive(Debug)]
pub struct Recovered {
    /// First offset kept.
    pub start: Offset,
    /// First offset that may not be durable.
    pub durable: Offset,
    /// First offset not written.
    pub end: Offset,
    /// What producers have written.
    pub producers: Producers,
}

/// One partition's replica: a pure core. It decides what is written where and who is answered when; its host does
/// it. The step order of an append: `Append` -> `Write` -> `Written` -> `Sync` -> `Synced` -> `Answer`.
#[derive(Debug)]
pub struct Replica {
    role: Role,
    epoch: LeaderEpoch,
    producer_expiry: Duration,
    flush: Flush,
    positions: Positions,
    /// The end of the log once the open `Write` effects are in the file.
    tentative_end: Offset,
    syncing: bool,
    /// Bytes written since the last sync was asked for.
    unsynced_bytes: u64,
    /// When a sync starts though nobody waits for it.
    sync_due: Option<Instant>,
    producers: Producers,
    expiry_due: Instant,
    /// Appends whose batch is in an open `Write` effect.
    writing: Vec<Waiter>,
    /// `acks=all` appends in the file, by the high watermark they wait for.
    committing: BTreeMap<(Offset, Ticket), Waiter>,
    /// Deletions whose `AdvanceStart` is in work, or comes when what they delete is durable.
    deleting: Vec<(Ticket, Offset)>,
}

impl Replica {
    /// A replica that leads in `epoch`, on a log just opened.
    pub fn new(
        now: Instant,
        epoch: LeaderEpoch,
        producer_expiry: Duration,
        flush: Flush,
        found: Recovered,
    ) -> Self {
        let Recovered { start, durable, end, producers } = found;
        Self {
            role: Role::Leading,
            epoch,
            producer_expiry,
            flush,
            positions: Positions { start, stable: durable, high_watermark: durable, durable, end },
            tentative_end: end,
            syncing: false,
            unsynced_bytes: 0,
            sync_due: None,
            producers,
            expiry_due: now + EXPIRY_CHECK,
            writing: Vec::new(),
            committing: BTreeMap::new(),
            deleting: Vec::new(),
        }
    }

    /// The same replica, failed from the start: it serves what there is, durable or not, and takes nothing.
    pub fn failed(mut self, reason: Arc<str>) -> Self {
        self.role = Role::Failed(reason);
        let found = self.positions.end;
        (self.positions.stable, self.positions.high_watermark) = (found, found);
        self
    }

    /// Where the log stands.
    pub fn positions(&self) -> Positions {
        self.positions
    }

    /// The epoch it leads in.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Why it has failed, if it has.
    pub fn failure(&self) -> Option<&Arc<str>> {
        match &self.role {
            Role::Failed(reason) => Some(reason),
            Role::Leading | Role::Stopped => None,
        }
    }

    /// What producers have written.
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// Bytes written since the last sync was asked for.
    pub fn unsynced_bytes(&self) -> u64 {
        self.unsynced_bytes
    }

    /// True while a sync is asked for and not reported.
    pub fn is_syncing(&self) -> bool {
        self.syncing
    }

    /// Gives memory back that only a replica in use needs.
    pub fn shrink(&mut self) {
        if self.committing.is_empty() {
            self.committing = BTreeMap::new();
        }
        self.writing.shrink_to_fit();
        self.deleting.shrink_to_fit();
    }

    /// When `Timeout` is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        let expiry_due = (!self.producers.is_empty()).then_some(self.expiry_due);
        self.sync_due.into_iter().chain(expiry_due).min()
    }

    /// When a sync is due that nobody waits for.
    pub fn sync_due(&self) -> Option<Instant> {
        self.sync_due
    }

    /// Takes in an event; adds to `effects` what is to be done.
    pub fn step(&mut self, now: Instant, event: Event, effects: &mut Vec<Effect>) {
        let (before, first) = (self.shown(), effects.len());
        match event {
            Event::Append { ticket, header, acks, timestamp_type, at } => {
                let append_time = match timestamp_type {
                    TimestampType::CreateTime => None,
                    TimestampType::LogAppendTime => Some(at.0),
                };
                self.append(Sent { ticket, header, acks, append_time, at, now }, effects);
            }
            Event::Written { bytes, watched } => {
                self.written(now, bytes, effects);
                self.sync(now, watched, effects);
            }
            Event::RollNears => {
                if self.unsynced_bytes >= VISIBLE_BYTES_MAX && !self.syncing {
                    self.sync_due = Some(now);
                    self.sync(now, false, effects);
                }
            }
            Event::WriteFailed { refused } => self.write_failed(&refused, effects),
            Event::Synced { upto, watched } => {
                self.syncing = false;
                self.durable(now, upto, effects);
                self.sync(now, watched, effects);
            }
            Event::Watched => self.sync(now, true, effects),
            Event::SyncFailed { reason } => {
                self.syncing = false;
                self.fail(&reason, effects);
            }
            Event::Durable { upto } => self.durable(now, upto, effects),
            Event::DeleteRecords { ticket, to } => self.delete_records(now, ticket, to, effects),
            Event::StartMoved { to } => self.start_moved(to, effects),
            Event::StartStuck { reason } => self.start_stuck(&reason, effects),
            Event::Lead { epoch } => self.lead(epoch, effects),
            Event::Configure { producer_expiry, flush } => {
                (self.producer_expiry, self.flush) = (producer_expiry, flush);
            }
            Event::Timeout { at } => {
                if self.expiry_due <= now {
                    self.producers.expire(at, self.producer_expiry);
                    self.expiry_due = now + EXPIRY_CHECK;
                }
                self.sync(now, false, effects);
            }
            Event::Stop => {
                self.role = Role::Stopped;
                self.sync_due = None;
                self.send_away(&Refused::NotLeader, effects);
            }
        }
        // Before the answers: whoever has an answer must find what it speaks of.
        if before != self.shown() {
            effects.insert(first, Effect::Publish);
        }
    }

    /// What readers are shown.
    fn shown(&self) -> (Positions, LeaderEpoch, bool) {
        let Positions { start, stable, high_watermark, end, .. } = self.positions;
        let unseen = Offset(0);
        (
            Positions { start, stable, high_watermark, durable: unseen, end },
            self.epoch,
            self.role == Role::Leading,
        )
    }

    /// Why nothing may be written, if so.
    fn refusal(&self) -> Option<Refused> {
        match &self.role {
            Role::Leading => None,
            Role::Failed(reason) => Some(Refused::Storage(reason.to_string())),
            Role::Stopped => Some(Refused::NotLeader),
        }
    }

    fn append(&mut self, sent: Sent, effects: &mut Vec<Effect>) {
        let Sent { ticket, header, acks, append_time, at, now } = sent;
        let passage = Passage { taken: now, written: now, committed: None };
        if let Some(refused) = self.refusal() {
            effects.push(Effect::Answer { ticket, result: Err(refused) });
            return;
        }
        let verdict = if header.is_idempotent() { self.producers.judge(&header) } else { Verdict::Fresh };
        match verdict {
            Verdict::Refuse(refused) => effects.push(Effect::Answer { ticket, result: Err(refused) }),
            Verdict::Duplicate(original) => {
                let (base, next) = (original.base_offset, original.last_offset.plus(1));
                let append_time = append_time.map(|_| original.max_timestamp);
                self.wait(Waiter { ticket, acks, base, next, append_time, passage }, effects);
            }
            Verdict::Fresh => {
                let (base, epoch) = (self.tentative_end, self.epoch);
                let max_timestamp = append_time.unwrap_or(header.max_timestamp);
                let stamped = BatchHeader { base_offset: base, leader_epoch: epoch, max_timestamp, ..header };
                self.tentative_end = stamped.next_offset();
                if stamped.is_idempotent() {
                    self.producers.note(&stamped, at);
                }
                effects.push(Effect::Write { ticket, base, epoch, append_time });
                let next = self.tentative_end;
                self.wait(Waiter { ticket, acks, base, next, append_time, passage }, effects);
            }
        }
    }

    /// Answers an append if its batch is far enough, else keeps it until it is.
    fn wait(&mut self, waiter: Waiter, effects: &mut Vec<Effect>) {
        if waiter.next > self.positions.end {
            self.writing.push(waiter);
            return;
        }
        match waiter.acks {
            Acks::All if waiter.next > self.positions.high_watermark => {
                self.committing.insert((waiter.next, waiter.ticket), waiter);
            }
            Acks::All | Acks::Leader => effects.push(self.answer(&waiter)),
        }
    }

    fn answer(&self, waiter: &Waiter) -> Effect {
        let Waiter { ticket, base: base_offset, append_time: log_append_time, passage, .. } = *waiter;
        let log_start = self.positions.start;
        Effect::Answer { ticket, result: Ok(Appended { base_offset, log_append_time, log_start, passage }) }
    }

    fn written(&mut self, now: Instant, bytes: u64, effects: &mut Vec<Effect>) {
        self.positions.end = self.tentative_end;
        self.unsynced_bytes += bytes;
        self.producers.settle();
        if self.flush == Flush::Async {
            self.commit(now, effects);
        }
        for mut waiter in std::mem::take(&mut self.writing) {
            waiter.passage.written = now;
            self.wait(waiter, effects);
        }
    }

    fn write_failed(&mut self, refused: &Refused, effects: &mut Vec<Effect>) {
        self.tentative_end = self.positions.end;
        self.producers.discard();
        for waiter in self.writing.drain(..) {
            effects.push(Effect::Answer { ticket: waiter.ticket, result: Err(refused.clone()) });
        }
    }

    /// Group commit without a timer: while somebody waits, the next sync starts when the last one ends. What nobody
    /// waits for is synced together with what comes within the next moments.
    fn sync(&mut self, now: Instant, watched: bool, effects: &mut Vec<Effect>) {
        if self.role != Role::Leading || self.syncing || self.positions.end <= self.positions.durable {
            return;
        }
        let (awaited, within) = match self.flush {
            Flush::Sync => (watched || self.unsynced_bytes >= VISIBLE_BYTES_MAX, VISIBLE_WITHIN),
            Flush::Async => (false, ASYNC_WITHIN),
        };
        let due = *self.sync_due.get_or_insert(now + within);
        if awaited || !self.committing.is_empty() || self.deletion_waits() || due <= now {
            (self.syncing, self.unsynced_bytes, self.sync_due) = (true, 0, None);
            effects.push(Effect::Sync);
        }
    }

    fn durable(&mut self, now: Instant, upto: Offset, effects: &mut Vec<Effect>) {
        if self.role != Role::Leading {
            return;
        }
        let before = self.positions.durable;
        self.positions.durable = before.max(upto.min(self.positions.end));
        self.commit(now, effects);
        self.delete_durable(before, effects);
        if self.positions.durable == self.positions.end {
            (self.unsynced_bytes, self.sync_due) = (0, None);
        }
    }

    /// The durable ends of the in-sync replicas. This one is the whole set today.
    fn in_sync_durable(&self) -> impl Iterator<Item = Offset> {
        std::iter::once(self.positions.durable)
    }

    /// The high watermark is the least durable end of the in-sync replicas (rule R18), or, with `flush.mode=async`, the
    /// end of the log; it never moves back.
    fn commit(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let committed = match self.flush {
            Flush::Sync => self.in_sync_durable().min().unwrap_or(self.positions.high_watermark),
            Flush::Async => self.positions.end,
        };
        self.positions.high_watermark = self.positions.high_watermark.max(committed);
        self.positions.stable = self.positions.high_watermark;
        while let Some(first) = self.committing.first_entry()
            && first.key().0 <= self.positions.high_watermark
        {
            let mut waiter = first.remove();
            waiter.passage.committed = Some(now);
            effects.push(self.answer(&waiter));
        }
    }

    fn lead(&mut self, epoch: LeaderEpoch, effects: &mut Vec<Effect>) {
        if epoch > self.epoch {
            self.epoch = epoch;
            // Rule R9: `acks=all` is answered in the epoch it was asked in, or not at all.
            let asked =
                std::mem::take(&mut self.committing).into_values().chain(std::mem::take(&mut self.writing));
            effects.extend(
                asked.map(|waiter| Effect::Answer { ticket: waiter.ticket, result: Err(Refused::NotLeader) }),
            );
        }
    }

    /// Resigns after a failed sync. Never retried: the kernel forgets the error and marks the lost pages clean
    /// (rules R5 and R32).
    fn fail(&mut self, reason: &str, effects: &mut Vec<Effect>) {
        if self.role != Role::Leading {
            return;
        }
        let reason: Arc<str> = reason.into();
        self.role = Role::Failed(Arc::clone(&reason));
        self.sync_due = None;
        self.send_away(&Refused::Storage(reason.to_string()), effects);
        effects.push(Effect::Fail { reason });
    }

    fn send_away(&mut self, refused: &Refused, effects: &mut Vec<Effect>) {
        let appends =
            std::mem::take(&mut self.committing).into_values().chain(std::mem::take(&mut self.writing));
        effects.extend(
            appends.map(|waiter| Effect::Answer { ticket: waiter.ticket, result: Err(refused.clone()) }),
        );
        let deletions = std::mem::take(&mut self.deleting).into_iter();
        effects.extend(deletions.map(|(ticket, _)| Effect::Deleted { ticket, result: Err(refused.clone()) }));
    }
}

#[cfg(test)]
mod tests;
