use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Ranges remembered per segment. A reader makes one and extends it; beyond this the shortest is forgotten, which costs
/// its next reader one more check.
const RANGES_MAX: usize = 64;

/// Which bytes of a segment are known to be sound: those that this process wrote, and those whose checksums it has
/// checked since it opened the segment. What the page cache holds says nothing about that, because read-ahead and other
/// processes bring bytes in that nobody has checked.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Bytes from here on were written by this process.
    ours_from: AtomicU64,
    /// Checked since: in order, with gaps between them.
    ranges: Mutex<Vec<Range<u64>>>,
    /// A check has found damage: from now on every read is checked.
    damaged: AtomicBool,
}

impl Default for Checked {
    fn default() -> Self {
        Self {
            ours_from: AtomicU64::new(u64::MAX),
            ranges: Mutex::default(),
            damaged: AtomicBool::new(false),
        }
    }
}

impl Checked {
    fn ranges(&self) -> MutexGuard<'_, Vec<Range<u64>>> {
        self.ranges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if `len` bytes from `at` need no check.
    pub(crate) fn covers(&self, at: u64, len: u64) -> bool {
        let end = at.saturating_add(len).min(self.ours_from.load(Ordering::Acquire));
        let known = |ranges: &[Range<u64>]| {
            let place = ranges.partition_point(|range| range.end <= at);
            ranges.get(place).is_some_and(|range| range.start <= at && end <= range.end)
        };
        !self.damaged.load(Ordering::Relaxed) && (at >= end || known(&self.ranges()))
    }

    /// This process has written the bytes from `at` on.
    pub(crate) fn wrote(&self, at: u64) {
        if at < self.ours_from.load(Ordering::Relaxed) {
            self.ours_from.store(at, Ordering::Release);
        }
    }

    /// The bytes in `sound` were checked.
    pub(crate) fn add(&self, mut sound: Range<u64>) {
        if sound.is_empty() {
            return;
        }
        let mut ranges = self.ranges();
        let first = ranges.partition_point(|range| range.end < sound.start);
        let last = ranges.partition_point(|range| range.start <= sound.end);
        if let (Some(before), Some(after)) = (ranges.get(first), ranges[..last].last())
            && first < last
        {
            sound = sound.start.min(before.start)..sound.end.max(after.end);
        }
        ranges.splice(first..last, [sound]);
        if ranges.len() > RANGES_MAX
            && let Some((shortest, _)) =
                ranges.iter().enumerate().min_by_key(|(_, range)| range.end - range.start)
        {
            ranges.remove(shortest);
        }
    }

    /// Damage was found.
    pub(crate) fn damage(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_checked_or_written_is_covered_and_nothing_else() {
        let checked = Checked::default();
        assert!(!checked.covers(0, 1));
        checked.add(10..20);
        checked.add(30..40);
        assert!(checked.covers(10, 10) && checked.covers(35, 5));
        assert!(!checked.covers(9, 2) && !checked.covers(15, 10) && !checked.covers(10, 30));
        checked.add(20..30);
        assert!(checked.covers(10, 30), "neighbours grow together");
        checked.wrote(40);
        checked.wrote(70);
        assert!(
            checked.covers(12, 1_000) && checked.covers(40, 1),
            "what was written follows what was checked"
        );
        assert!(!checked.covers(5, 100));
        checked.add(0..100);
        assert!(checked.covers(0, 100));
        checked.damage();
        assert!(!checked.covers(0, 1) && !checked.covers(50, 1));
    }

    #[test]
    fn it_remembers_a_bounded_number_of_ranges() {
        let checked = Checked::default();
        for n in 0..1_000 {
            checked.add(n * 10..n * 10 + 5);
        }
        checked.add(20_000..30_000);
        assert_eq!(checked.ranges().len(), RANGES_MAX);
        assert!(checked.covers(20_000, 10_000), "the long ones stay");
    }
}
