use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use forebay_base::PartitionId;

use crate::inbox::Slot;

/// The partitions of one writer that are open or being opened. Logs are opened on other threads than the writer's, and
/// two at once would recover the same files.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    slots: Mutex<HashMap<PartitionId, Slot>>,
    refused: AtomicBool,
}

impl Claims {
    fn slots(&self) -> MutexGuard<'_, HashMap<PartitionId, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if nobody else had the partition; it is `slot`'s until it is released.
    pub(crate) fn take(&self, id: PartitionId, slot: Slot) -> bool {
        let mut slots = self.slots();
        let free = !slots.contains_key(&id);
        if free {
            slots.insert(id, slot);
        }
        free
    }

    /// Lets go of the partition, if it is still `slot`'s: its log is closed, or gone.
    pub(crate) fn release(&self, id: PartitionId, slot: Slot) {
        let mut slots = self.slots();
        if slots.get(&id) == Some(&slot) {
            slots.remove(&id);
        }
    }

    /// True if the partition is open or being opened.
    pub(crate) fn is_taken(&self, id: PartitionId) -> bool {
        self.slots().contains_key(&id)
    }

    /// A log could not be opened. The next start must look at it, so the clean mark must not be left.
    pub(crate) fn note_refused(&self) {
        self.refused.store(true, Ordering::Release);
    }

    /// True if every log that was asked for could be opened.
    pub(crate) fn are_sound(&self) -> bool {
        !self.refused.load(Ordering::Acquire)
    }
}
