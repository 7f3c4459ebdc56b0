use std::collections::{BTreeMap, BTreeSet};

use forebay_base::Instant;

use crate::inbox::Slot;

/// What comes by time, per partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Chore {
    /// Syncing what nobody waits for.
    Sync,
    /// Retention, forgetting of producers, rolling by age.
    Tend,
    /// Persisting the recovery point.
    Checkpoint,
    /// Giving back what only a partition that is written needs.
    Rest,
}

/// The chores of a writer's partitions, by when they are due. At most one of each kind per partition.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    by_time: BTreeSet<(Instant, Slot, Chore)>,
    set: BTreeMap<(Slot, Chore), Instant>,
}

impl Alarms {
    /// Sets an alarm, in place of one that is set.
    pub(crate) fn set(&mut self, due: Instant, slot: Slot, chore: Chore) {
        if let Some(before) = self.set.insert((slot, chore), due) {
            self.by_time.remove(&(before, slot, chore));
        }
        self.by_time.insert((due, slot, chore));
    }

    pub(crate) fn is_set(&self, slot: Slot, chore: Chore) -> bool {
        self.set.contains_key(&(slot, chore))
    }

    pub(crate) fn cancel(&mut self, slot: Slot) {
        for chore in [Chore::Sync, Chore::Tend, Chore::Checkpoint, Chore::Rest] {
            if let Some(due) = self.set.remove(&(slot, chore)) {
                self.by_time.remove(&(due, slot, chore));
            }
        }
    }

    /// The first alarm that is due, which it unsets.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(Slot, Chore)> {
        let due = self.by_time.first().is_some_and(|(due, _, _)| *due <= now);
        if due { self.take_first() } else { None }
    }

    /// The first alarm, due or not, which it unsets.
    pub(crate) fn take_first(&mut self) -> Option<(Slot, Chore)> {
        let (_, slot, chore) = self.by_time.pop_first()?;
        self.set.remove(&(slot, chore));
        Some((slot, chore))
    }

    /// When the first alarm is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(due, _, _)| *due)
    }
}
