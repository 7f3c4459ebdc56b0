use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use forebay_base::limits;

use crate::disk::Disk;
use crate::handles::Handles;

/// Where the logs of a process get their files from: its disk, and how many descriptors they may hold. One for all of
/// them.
///
/// ```text
///   a segment that is written: pinned by its log     a segment that is read: in the ring
///   at most half of the bound, else `is_crowded`     at most half of the bound, the least used ones are closed
///          |                                                ^
///          `---- synced, then rested or rolled -------------'
/// ```
/// The ring is a clock with a second chance: a segment that was used since the hand last passed stays. Nothing is ever
/// closed under a reader, for its slice owns the file; and a file with unsynced bytes is never in the ring, for with the
/// descriptor the error of its sync would vanish.
pub struct Files {
    disk: Arc<dyn Disk>,
    /// Descriptors in the ring.
    readable_max: usize,
    /// Descriptors pinned by logs that write.
    writable_max: usize,
    writable: AtomicUsize,
    /// Memory of the indexes in the ring, in bytes.
    index_bytes: AtomicUsize,
    /// A segment may be in it twice or be gone by now: it never counts fewer than there are.
    ring: Mutex<VecDeque<Weak<Handles>>>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (readable, writable) = (self.ring().len(), self.writable.load(Ordering::Relaxed));
        write!(
            f,
            "Files({readable} of {} read, {writable} of {} written)",
            self.readable_max, self.writable_max
        )
    }
}

impl Files {
    /// Files on `disk`, with about `descriptors_max` open at a time: slices in flight come on top.
    pub fn new(disk: Arc<dyn Disk>, descriptors_max: usize) -> Arc<Self> {
        let writable_max = (descriptors_max / 2).max(1);
        let readable_max = descriptors_max.saturating_sub(writable_max).max(1);
        let (writable, index_bytes, ring) = Default::default();
        Arc::new(Self { disk, readable_max, writable_max, writable, index_bytes, ring })
    }

    /// The disk.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// True if more logs hold a descriptor for writing than should: those that were not written for longest should
    /// [rest](crate::Log::rest).
    pub fn is_crowded(&self) -> bool {
        self.writable.load(Ordering::Relaxed) > self.writable_max
    }

    fn ring(&self) -> MutexGuard<'_, VecDeque<Weak<Handles>>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A log pins one more descriptor.
    pub(crate) fn pinned(&self) {
        self.writable.fetch_add(1, Ordering::Relaxed);
    }

    /// It pins it no more.
    pub(crate) fn unpinned(&self) {
        self.writable.fetch_sub(1, Ordering::Relaxed);
    }

    /// An index of so many bytes is kept for readers.
    pub(crate) fn index_kept(&self, bytes: usize) {
        self.index_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It is not any more.
    pub(crate) fn index_dropped(&self, bytes: usize) {
        self.index_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Puts a segment into the ring, and closes others if there are too many. The caller holds no lock of a segment.
    pub(crate) fn admit(&self, handles: &Arc<Handles>) {
        let mut ring = self.ring();
        ring.push_back(Arc::downgrade(handles));
        // Dropped, and with that closed, when nobody waits for the ring.
        let mut closed = Vec::new();
        let mut passes = 2 * ring.len();
        while self.is_full(&ring) && passes > 0 {
            passes -= 1;
            let Some(hand) = ring.pop_front() else { break };
            let Some(handles) = hand.upgrade() else { continue };
            match handles.evict() {
                Some(held) => closed.push((held, handles)),
                None => ring.push_back(hand),
            }
        }
        drop(ring);
        drop(closed);
    }

    fn is_full(&self, ring: &VecDeque<Weak<Handles>>) -> bool {
        ring.len() > self.readable_max
            || (ring.len() > 1 && self.index_bytes.load(Ordering::Relaxed) > limits::INDEX_CACHE_BYTES_MAX)
    }
}
