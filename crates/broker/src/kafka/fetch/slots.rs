//! Which fetch sessions there are: ids, epochs, owners, and who must go when there is no room (KIP-227). The clock's
//! reading and the dice are arguments.
//!
//! ```text
//!   open ──> resting ──lend (the epoch moves on)──> lent ──give back──> resting
//!               └── closed, evicted, or lost with the request that had it: the id is unknown from then on ──┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::Instant;
use forebay_wire::kafka::ErrorCode;

use super::super::auth::Principal;
use super::session::FetchSession;

/// A session that was used within this time gives way only to a larger one, and one that was made within it to none
/// (Kafka's constant `min.incremental.fetch.session.eviction.ms`).
pub(super) const EVICTION_AGE: Duration = Duration::from_secs(120);

/// The epoch with which a request opens a session.
pub(super) const EPOCH_INITIAL: i32 = 0;

/// The epoch with which a request closes a session, or does without one.
pub(super) const EPOCH_FINAL: i32 = -1;

/// Draws for an id that is free. One in two thousand million is taken for each session there is.
const DRAWS: usize = 16;

/// Who opened a session: nobody else can use or close it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) listener: Arc<str>,
    pub(super) principal: Principal,
    /// Versions that name topics by id do not go on with sessions of those that name them by name (KIP-516).
    pub(super) names_ids: bool,
}

impl Owner {
    fn is_same_client(&self, other: &Owner) -> bool {
        self.listener == other.listener && self.principal == other.principal
    }
}

/// The right to give back a session that was lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) id: i32,
    /// Tells the session apart from a later one under the same id.
    serial: u64,
}

/// One session, resting or lent to the request that is being answered.
#[derive(Debug)]
struct Slot {
    owner: Owner,
    /// The epoch of the next request.
    epoch: i32,
    serial: u64,
    created: Instant,
    used: Instant,
    partitions: usize,
    resting: Option<FetchSession>,
}

/// All sessions of a node.
#[derive(Debug)]
pub(super) struct Slots {
    slots: BTreeMap<i32, Slot>,
    slots_max: usize,
    partitions: usize,
    partitions_max: usize,
    next_serial: u64,
    evictions: u64,
}

impl Slots {
    /// Room for `slots_max` sessions of `partitions_max` partitions in all.
    pub(super) fn new(slots_max: usize, partitions_max: usize) -> Self {
        Self {
            slots: BTreeMap::new(),
            slots_max,
            partitions: 0,
            partitions_max,
            next_serial: 0,
            evictions: 0,
        }
    }

    /// How many sessions there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Partitions of all sessions together.
    pub(super) fn partitions(&self) -> usize {
        self.partitions
    }

    /// Sessions that had to give way so far.
    pub(super) fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Keeps a new session, if there is room or one that gives way, and tells its id; its next epoch is 1. `draw` rolls
    /// the dice.
    pub(super) fn open(
        &mut self,
        now: Instant,
        owner: Owner,
        session: FetchSession,
        mut draw: impl FnMut() -> u64,
    ) -> Option<i32> {
        let partitions = session.len();
        if partitions == 0 || partitions > self.partitions_max {
            return None;
        }
        if self.slots.len() >= self.slots_max {
            let id = self.who_gives_way(now, partitions)?;
            self.remove(id);
            self.evictions += 1;
        }
        if self.partitions + partitions > self.partitions_max {
            return None;
        }
        let positive = |bits: u64| i32::try_from(bits >> 33).unwrap_or(0);
        let id = (0..DRAWS).map(|_| positive(draw())).find(|id| *id > 0 && !self.slots.contains_key(id))?;
        let (serial, epoch) = (self.next_serial, next_epoch(EPOCH_INITIAL));
        self.next_serial += 1;
        self.partitions += partitions;
        let slot = Slot { owner, epoch, serial, created: now, used: now, partitions, resting: Some(session) };
        self.slots.insert(id, slot);
        Some(id)
    }

    /// Lends the session to the request of that epoch; the next request must come with the next epoch.
    ///
    /// `FETCH_SESSION_ID_NOT_FOUND` if there is none of that id, `INVALID_FETCH_SESSION_EPOCH` if the request is not the
    /// next one or the one before is still being answered, `FETCH_SESSION_TOPIC_ID_ERROR` if the session names topics
    /// in the other way.
    pub(super) fn lend(
        &mut self,
        now: Instant,
        id: i32,
        epoch: i32,
        owner: &Owner,
    ) -> Result<(Ticket, FetchSession), ErrorCode> {
        let slot = self.slots.get_mut(&id).filter(|slot| slot.owner.is_same_client(owner));
        let slot = slot.ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if slot.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if slot.owner != *owner {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        let session = slot.resting.take().ok_or(ErrorCode::InvalidFetchSessionEpoch)?;
        slot.epoch = next_epoch(epoch);
        slot.used = now;
        Ok((Ticket { id, serial: slot.serial }, session))
    }

    /// Takes a session back after its answer is made. It is gone if it was closed or evicted meanwhile, if nothing is
    /// left in it, or if it has grown beyond what there is room for.
    pub(super) fn give_back(&mut self, ticket: Ticket, session: FetchSession) {
        let partitions = session.len();
        let Some(slot) = self.slots.get_mut(&ticket.id).filter(|slot| slot.serial == ticket.serial) else {
            return;
        };
        let total = self.partitions - slot.partitions + partitions;
        if partitions == 0 || total > self.partitions_max {
            self.remove(ticket.id);
            return;
        }
        (slot.partitions, slot.resting, self.partitions) = (partitions, Some(session), total);
    }

    /// Forgets a lent session that does not come back: its request was cut off.
    pub(super) fn lose(&mut self, ticket: Ticket) {
        if self.slots.get(&ticket.id).is_some_and(|slot| slot.serial == ticket.serial) {
            self.remove(ticket.id);
        }
    }

    /// Ends a session, if there is one of that id and owner.
    pub(super) fn close(&mut self, id: i32, owner: &Owner) {
        if self.slots.get(&id).is_some_and(|slot| slot.owner.is_same_client(owner)) {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: i32) {
        if let Some(slot) = self.slots.remove(&id) {
            self.partitions -= slot.partitions;
        }
    }

    /// Kafka's rule: a session that was not used for [`EVICTION_AGE`], the longest unused first; else the smallest of
    /// those at least that old, if it is smaller than the new one. Goes through all of them, but only when they are
    /// full.
    fn who_gives_way(&self, now: Instant, partitions: usize) -> Option<i32> {
        let (unused, slot) = self.slots.iter().min_by_key(|(_, slot)| slot.used)?;
        if now.since(slot.used) > EVICTION_AGE {
            return Some(*unused);
        }
        let old = self.slots.iter().filter(|(_, slot)| now.since(slot.created) > EVICTION_AGE);
        let (smallest, slot) = old.min_by_key(|(_, slot)| slot.partitions)?;
        (slot.partitions < partitions).then_some(*smallest)
    }
}

/// Epochs count from 1 and begin again there, since 0 and -1 mean something else.
fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
mod tests;
