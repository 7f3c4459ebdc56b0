//! Which lines of the log are written: a client can cause errors as often as it likes, and the log must neither
//! drown nor hide them.
//!
//! ```text
//!   an occurrence ──> unknown, or silent for a period ──> a line at once        (room in the minute?)
//!                 `─> known ──> counted ── once a period ──> "again, n times"   (room in the minute?)
//!                                  no room: counted ── once a period ──> "n lines left out"
//! ```
//! Two lines of one kind and subject are never closer than [`PERIOD`]; no minute has more than
//! [`limits::LOG_LINES_PER_MINUTE`] lines, nor more than [`limits::LOG_KIND_LINES_PER_MINUTE`] of one kind, so that one
//! flood leaves room for the first line of another. Nothing is lost without being counted in some line that follows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{Clock, Instant, Mutant, limits};

/// Lines of one kind and subject are at least this far apart.
pub const PERIOD: Duration = Duration::from_secs(60);

/// Lines that are left out are told of this long after the first of them, and then once a period.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// What a line tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineKey {
    /// The place in the code that tells it: of these there are as many as were written.
    pub kind: u64,
    /// The partition, listener or the like, as a hash; `None` if it is about the process.
    pub subject: Option<u64>,
}

/// How a line reads, kept for the one that says how often it came again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineText {
    /// True for an error, false for a warning.
    pub is_error: bool,
    /// At most [`limits::LOG_LINE_TEXT_MAX`] bytes.
    pub text: Arc<str>,
}

/// A line that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DueLine {
    /// What was told before has come again, so many times since its last line.
    Again {
        /// What it was.
        line: LineText,
        /// Occurrences that had no line of their own.
        times: u64,
        /// How long ago the last line was.
        over: Duration,
    },
    /// So many lines were left out since the last time this was told, whatever their kind.
    LeftOut {
        /// Occurrences that no other line counts.
        lines: u64,
    },
}

/// What has become of the occurrences so far. Each only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineCounts {
    /// Changes of a state, each with a line, whatever the limits.
    pub transitions: u64,
    /// Had no line of their own because the same had one a short time ago.
    pub repeated: u64,
    /// Had no line because the minute had too many.
    pub left_out: u64,
}

/// What is remembered of one kind and subject.
#[derive(Debug)]
struct Known {
    line: LineText,
    since: Instant,
    /// Occurrences since then that no line counts yet.
    more: u64,
}

/// The core: which occurrence has a line, and which lines are due. One owner; see [`QuietLog`].
#[derive(Debug, Default)]
pub struct LogLines {
    known: BTreeMap<LineKey, Known>,
    /// Whom to look at next, oldest first. One that was renewed is there again, and counts where it is newest.
    order: VecDeque<(Instant, LineKey)>,
    /// Time and kind of each line of the last period.
    written: VecDeque<(Instant, u64)>,
    /// Occurrences that no line counts and none will but [`DueLine::LeftOut`].
    untold: u64,
    /// When the next such line may be written.
    tell_at: Option<Instant>,
    /// When the last such line was written.
    told_at: Option<Instant>,
    counts: LineCounts,
}

impl LogLines {
    /// Something happened: may it have a line of its own, now? `read` is called if it is to be remembered.
    pub fn admit(&mut self, now: Instant, key: LineKey, read: impl FnOnce() -> LineText) -> bool {
        let key = self.remembered_as(key);
        if let Some(known) = self.known.get_mut(&key)
            && (known.more > 0 || now < known.since + PERIOD)
        {
            known.more += 1;
            self.counts.repeated += 1;
            return false;
        }
        self.known.insert(key, Known { line: read(), since: now, more: 0 });
        self.order.push_back((now, key));
        let has_room = self.take_room(now, key.kind);
        if !has_room {
            self.counts.left_out += 1;
            self.leave_out(now, 1);
        }
        has_room
    }

    /// A state has changed: that always has a line.
    pub fn transition(&mut self) {
        self.counts.transitions += 1;
    }

    /// The next line that is due, until there is none.
    pub fn due(&mut self, now: Instant) -> Option<DueLine> {
        while let Some((since, key)) = self.order.front().copied()
            && since + PERIOD <= now
        {
            self.order.pop_front();
            // One that was renewed since stands further behind, too.
            let Some(known) = self.known.get_mut(&key).filter(|known| known.since == since) else { continue };
            if known.more == 0 {
                self.known.remove(&key);
                continue;
            }
            let (line, times, over) = (known.line.clone(), std::mem::take(&mut known.more), now.since(since));
            known.since = now;
            self.order.push_back((now, key));
            if self.take_room(now, key.kind) {
                return Some(DueLine::Again { line, times, over });
            }
            self.leave_out(now, times);
        }
        let at = self.tell_at.filter(|at| *at <= now)?;
        debug_assert!(self.untold > 0 && self.told_at.is_none_or(|told| told + PERIOD <= at));
        (self.tell_at, self.told_at) = (None, Some(now));
        Some(DueLine::LeftOut { lines: std::mem::take(&mut self.untold) })
    }

    /// When [`LogLines::due`] should be asked next; `None` while nothing is remembered.
    pub fn next_timeout(&self) -> Option<Instant> {
        let oldest = self.order.front().map(|(since, _)| *since + PERIOD);
        oldest.into_iter().chain(self.tell_at).min()
    }

    /// The counts so far.
    pub fn counts(&self) -> LineCounts {
        self.counts
    }

    /// Where too many subjects are remembered, the kind stands for the others: there are few kinds.
    fn remembered_as(&self, key: LineKey) -> LineKey {
        let is_full = self.known.len() >= limits::LOG_SUBJECTS_MAX && !self.known.contains_key(&key);
        if is_full { LineKey { subject: None, ..key } } else { key }
    }

    /// Takes one of the lines that this minute still has for that kind.
    fn take_room(&mut self, now: Instant, kind: u64) -> bool {
        while self.written.front().is_some_and(|(at, _)| *at + PERIOD <= now) {
            self.written.pop_front();
        }
        let of_kind = self.written.iter().filter(|(_, written)| *written == kind).count();
        // One is kept for what is left out.
        let has_room = self.written.len() < limits::LOG_LINES_PER_MINUTE - 1
            && of_kind < limits::LOG_KIND_LINES_PER_MINUTE;
        if has_room {
            self.written.push_back((now, kind));
        }
        has_room
    }

    fn leave_out(&mut self, now: Instant, lines: u64) {
        self.untold += lines;
        let earliest = self.told_at.map_or(now, |told| told + PERIOD);
        self.tell_at.get_or_insert(earliest.max(now + TOLD_AFTER));
    }
}

/// The one owner of a process's [`LogLines`]: whoever is about to write a line asks it.
#[derive(Debug)]
pub struct QuietLog {
    clock: Arc<dyn Clock>,
    /// Held for one decision at a time.
    lines: Mutex<LogLines>,
}

impl QuietLog {
    /// Nothing was written yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, lines: Mutex::default() }
    }

    fn lines(&self) -> MutexGuard<'_, LogLines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`LogLines::admit`], now.
    pub fn admit(&self, key: LineKey, read: impl FnOnce() -> LineText) -> bool {
        if Mutant::LogLinePerFailure.is_planted() {
            return true;
        }
        let mut lines = self.lines();
        // Read under the lock, so that the core sees no time twice.
        lines.admit(self.clock.now(), key, read)
    }

    /// As [`LogLines::transition`].
    pub fn transition(&self) {
        self.lines().transition();
    }

    /// As [`LogLines::due`], now.
    pub fn due(&self) -> Option<DueLine> {
        let mut lines = self.lines();
        lines.due(self.clock.now())
    }

    /// How long until [`QuietLog::due`] should be asked again; `None` while nothing is remembered.
    pub fn due_in(&self) -> Option<Duration> {
        let lines = self.lines();
        lines.next_timeout().map(|at| at.since(self.clock.now()))
    }

    /// The counts so far.
    pub fn counts(&self) -> LineCounts {
        self.lines().counts()
    }
}

#[cfg(test)]
mod tests;
