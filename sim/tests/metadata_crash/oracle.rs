//! What the metadata store was told and what it answered, and whether a store found later fits.

use bytes::Bytes;
use forebay_controller::store::{Entry, EntryId, LogStore, SnapshotStore, Vote};
use forebay_sim::crash::Verdict;

/// A value that is replaced as a whole: the one answered last, and one that is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Register<T> {
    done: Option<T>,
    tried: Option<T>,
}

impl<T: Clone + PartialEq + std::fmt::Debug> Register<T> {
    fn new() -> Self {
        Self { done: None, tried: None }
    }

    pub(crate) fn trying(&mut self, value: T) {
        self.tried = Some(value);
    }

    pub(crate) fn done(&mut self) {
        if let Some(value) = self.tried.take() {
            self.done = Some(value);
        }
    }

    fn check(&self, what: &str, found: &Option<T>) -> Verdict<()> {
        let fits = *found == self.done || (self.tried.is_some() && *found == self.tried);
        demand!(fits, "{what} {found:?}, answered was {:?}, tried {:?}", self.done, self.tried);
        Ok(())
    }

    fn adopt(&mut self, found: Option<T>) {
        (self.done, self.tried) = (found, None);
    }
}

macro_rules! demand {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}
use demand;

#[derive(Debug, Clone)]
pub(crate) struct Oracle {
    pub(crate) vote: Register<Vote>,
    pub(crate) purged: Register<EntryId>,
    pub(crate) snapshot: Register<(Option<EntryId>, Bytes, Bytes)>,
    /// The log as its owner sees it; all of it answered as durable.
    pub(crate) current: Vec<Entry>,
    /// Entries that an unanswered append brought or an unanswered truncation took: they may be there or not.
    pub(crate) maybe: Vec<Entry>,
    /// Below this index everything is answered as durable.
    pub(crate) durable: u64,
    /// Every commit mark given, which are hints.
    pub(crate) committed: Vec<EntryId>,
    /// Term of new entries.
    pub(crate) term: u64,
}

impl Oracle {
    pub(crate) fn new() -> Self {
        Self {
            vote: Register::new(),
            purged: Register::new(),
            snapshot: Register::new(),
            current: Vec::new(),
            maybe: Vec::new(),
            durable: 0,
            committed: Vec::new(),
            term: 1,
        }
    }

    pub(crate) fn appending(&mut self, entries: &[Entry]) {
        self.maybe = entries.to_vec();
    }

    pub(crate) fn appended(&mut self) {
        self.current.append(&mut self.maybe);
        self.durable = self.current.last().map_or(self.durable, |last| last.id.index + 1);
    }

    pub(crate) fn truncating(&mut self, index: u64) {
        let kept = self.current.partition_point(|entry| entry.id.index < index);
        self.maybe = self.current.split_off(kept);
        self.durable = self.durable.min(index);
    }

    pub(crate) fn purged_to(&mut self, upto: EntryId) {
        self.purged.done();
        self.current.retain(|entry| entry.id.index > upto.index);
        self.durable = self.durable.max(upto.index + 1);
    }

    /// Checks what was opened after a crash, and takes it for the truth.
    pub(crate) fn adopt(&mut self, log: &LogStore, snapshots: &SnapshotStore) -> Verdict<()> {
        self.vote.check("vote", &log.vote())?;
        self.purged.check("purged up to", &log.purged())?;
        let snapshot = snapshots.read().map_err(|error| error.to_string())?;
        let snapshot = snapshot.map(|(meta, data)| (meta.last, meta.membership, data));
        self.snapshot.check("snapshot", &snapshot)?;
        let entries = self.check_entries(log)?;
        if let Some(committed) = log.committed() {
            demand!(self.committed.contains(&committed), "commit mark {committed:?} was never given");
            demand!(
                committed.index < log.next_index(),
                "commit mark {committed:?} beyond {}",
                log.next_index()
            );
        }
        self.vote.adopt(log.vote());
        self.purged.adopt(log.purged());
        self.snapshot.adopt(snapshot);
        (self.current, self.durable) = (entries, log.next_index());
        self.maybe.clear();
        Ok(())
    }

    fn check_entries(&self, log: &LogStore) -> Verdict<Vec<Entry>> {
        let next = log.next_index();
        let after_purge = log.purged().map_or(0, |purged| purged.index + 1);
        demand!(
            next >= self.durable,
            "the next index is {next}, entries below {} were answered",
            self.durable
        );
        let entries = log.read(0, u64::MAX).map_err(|error| error.to_string())?;
        // A log that nothing was purged from begins wherever its first entry said.
        let first = entries.first().map_or(next, |first| first.id.index);
        let mut expected = if log.purged().is_some() && !entries.is_empty() { after_purge } else { first };
        let kept = |entry: &&Entry| entry.id.index >= after_purge;
        let lost = self.current.iter().filter(kept).find(|entry| !entries.contains(entry));
        demand!(lost.is_none(), "entry {:?} was answered and is lost", lost.map(|entry| entry.id));
        for entry in &entries {
            let index = entry.id.index;
            demand!(index == expected, "entry {index} where {expected} is next");
            let answered = self.current.contains(entry);
            demand!(
                answered || self.maybe.contains(entry),
                "entry {:?} was truncated or never written",
                entry.id
            );
            demand!(
                answered || index >= self.durable,
                "entry {:?} is not the one that was answered",
                entry.id
            );
            expected = index + 1;
        }
        demand!(expected == next, "the last entry is before {expected}, the log ends at {next}");
        demand!(log.last().is_none_or(|last| last.index + 1 == next), "the last entry and the end differ");
        Ok(entries)
    }
}
