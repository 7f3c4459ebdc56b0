use std::sync::Arc;

use forebay_base::{LeaderEpoch, Offset};

/// Where each leader epoch begins in the log (KIP-101). A hint, rebuilt from batch headers (rule R10).
///
/// Epochs and start offsets both grow from entry to entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EpochCache {
    entries: Arc<[(LeaderEpoch, Offset)]>,
}

/// What Kafka's protocol answers where an epoch or its end is not known.
const UNDEFINED: (LeaderEpoch, Offset) = (LeaderEpoch(-1), Offset(-1));

impl EpochCache {
    pub(crate) fn new(entries: Vec<(LeaderEpoch, Offset)>) -> Self {
        Self { entries: entries.into() }
    }

    /// Each epoch with the offset of its first batch, oldest first; cheap to clone and keep.
    pub fn entries(&self) -> &Arc<[(LeaderEpoch, Offset)]> {
        &self.entries
    }

    /// The newest epoch that has a batch in the log.
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.0)
    }

    /// The largest epoch that is not above `epoch`, and the offset after its last record; (-1, -1) if unknown.
    ///
    /// Follows KIP-101 and KIP-320: the newest epoch ends at `log_end`; an epoch older than the log ends where the
    /// log's first epoch begins; one newer than the log is unknown.
    pub fn end_offset_for(&self, epoch: LeaderEpoch, log_end: Offset) -> (LeaderEpoch, Offset) {
        let later = self.entries.partition_point(|entry| entry.0 <= epoch);
        match (later.checked_sub(1).and_then(|at| self.entries.get(at)), self.entries.get(later)) {
            (Some(found), Some(next)) => (found.0, next.1),
            (Some(found), None) if found.0 == epoch => (epoch, log_end),
            (None, Some(first)) if epoch.0 >= 0 => (epoch, first.1),
            (Some(_), None) | (None, _) => UNDEFINED,
        }
    }

    /// Notes that a batch of `epoch` lies at `offset`. Epochs that are not newer than the latest change nothing; one
    /// that begins where an older one does replaces it, for that one has no batch left.
    pub fn assign(&mut self, epoch: LeaderEpoch, offset: Offset) {
        if epoch.0 >= 0 && self.latest().is_none_or(|latest| latest < epoch) {
            let before = self.entries.iter().copied().filter(|entry| entry.1 < offset);
            self.entries = before.chain([(epoch, offset)]).collect();
        }
    }

    /// Forgets epochs that begin at or after `end`: the log was cut there.
    pub(crate) fn cut_end(&mut self, end: Offset) {
        if self.entries.last().is_some_and(|entry| entry.1 >= end) {
            self.entries = self.entries.iter().copied().filter(|entry| entry.1 < end).collect();
        }
    }

    /// Forgets epochs that end at or before `start`; the one that holds `start` begins there now.
    pub(crate) fn cut_start(&mut self, start: Offset) {
        let kept = self.entries.partition_point(|entry| entry.1 <= start).saturating_sub(1);
        if self.entries.first().is_some_and(|first| first.1 < start) {
            self.entries =
                self.entries[kept..].iter().map(|(epoch, offset)| (*epoch, (*offset).max(start))).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> EpochCache {
        let mut cache = EpochCache::default();
        for (epoch, offset) in [(2, 10), (2, 15), (4, 20), (3, 25), (-1, 27), (7, 30)] {
            cache.assign(LeaderEpoch(epoch), Offset(offset));
        }
        cache
    }

    fn end(cache: &EpochCache, epoch: i32) -> (i32, i64) {
        let (epoch, end) = cache.end_offset_for(LeaderEpoch(epoch), Offset(40));
        (epoch.0, end.0)
    }

    #[test]
    fn ends_of_epochs_follow_kip_320() {
        let cache = cache();
        assert_eq!(end(&cache, 1), (1, 10));
        assert_eq!(end(&cache, 2), (2, 20));
        assert_eq!(end(&cache, 3), (2, 20));
        assert_eq!(end(&cache, 4), (4, 30));
        assert_eq!(end(&cache, 7), (7, 40));
        assert_eq!(end(&cache, 8), (-1, -1));
        assert_eq!(end(&EpochCache::default(), 0), (-1, -1));
    }

    #[test]
    fn cutting_either_end_keeps_what_is_left() {
        let mut cache = cache();
        cache.cut_end(Offset(30));
        assert_eq!(cache.latest(), Some(LeaderEpoch(4)));
        cache.cut_start(Offset(22));
        assert_eq!(cache.entries()[..], [(LeaderEpoch(4), Offset(22))]);
        cache.cut_end(Offset(22));
        assert_eq!(cache.latest(), None);
    }
}
