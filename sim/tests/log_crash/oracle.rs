//! What the log was told and what it answered, and whether a log found later fits.

use bytes::Bytes;
use forebay_base::{Id128, Offset};
use forebay_log::{Identity, Log};
use forebay_records::{BatchHeader, verify_crc};
use forebay_sim::crash::Verdict;

/// Something that is done in one call and may be half done when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    No,
    Trying,
    Done,
}

/// One batch as it was handed to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) base: i64,
    pub(crate) next: i64,
    pub(crate) bytes: Bytes,
    /// Checksum of this batch and all before it: the state that its log leads to.
    pub(crate) chain: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Oracle {
    pub(crate) identity: Identity,
    pub(crate) formatted: Progress,
    /// The mark of a clean stop.
    pub(crate) clean: Progress,
    /// The log as its owner sees it, oldest first.
    pub(crate) current: Vec<Written>,
    /// Batches that a truncation or a rolled back write took away and that may come back, because nothing that
    /// makes it durable was answered yet.
    pub(crate) ghosts: Vec<Written>,
    /// Below this everything is deleted for good.
    pub(crate) start: i64,
    /// The furthest start that the call under way may have chosen.
    pub(crate) start_tried: i64,
    /// Below this everything was answered as durable.
    pub(crate) durable: i64,
    /// The recovery point that was answered as durable: nothing below is ever cut off.
    pub(crate) believed: i64,
    /// The leader epoch that batches are stamped with; every process has a new one.
    pub(crate) epoch: i32,
}

/// What a log shows: enough to see that two are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) durable: i64,
    pub(crate) batches: Vec<Bytes>,
}

macro_rules! demand {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}
pub(crate) use demand;

impl Oracle {
    pub(crate) fn new() -> Self {
        let id = Id128([7; 16]);
        let identity = Identity {
            cluster: forebay_base::ClusterId(id),
            node: forebay_base::NodeId(1),
            directory: forebay_base::DirectoryId(id),
        };
        Self {
            identity,
            formatted: Progress::No,
            clean: Progress::No,
            current: Vec::new(),
            ghosts: Vec::new(),
            start: 0,
            start_tried: 0,
            durable: 0,
            believed: 0,
            epoch: 0,
        }
    }

    /// What the replica hands over when the log rolls or closes.
    pub(crate) fn producers(&self) -> Bytes {
        producers_after(self.end(), self.chain())
    }

    pub(crate) fn chain(&self) -> u32 {
        self.current.last().map_or(0, |last| last.chain)
    }

    pub(crate) fn end(&self) -> i64 {
        self.current.last().map_or(self.start, |last| last.next)
    }

    /// Everything below `upto` is durable now, and with it every earlier change of the same files.
    pub(crate) fn synced(&mut self, upto: i64) {
        self.durable = self.durable.max(upto);
        self.ghosts.retain(|ghost| ghost.base >= upto);
    }

    /// Batches at or above `to` are being cut off.
    pub(crate) fn truncating(&mut self, to: i64) {
        let cut = self.current.iter().position(|batch| batch.base >= to).unwrap_or(self.current.len());
        self.ghosts.extend(self.current.split_off(cut));
        self.durable = self.durable.min(to);
        self.believed = self.believed.min(to);
    }

    pub(crate) fn started_at(&mut self, start: i64) {
        (self.start, self.start_tried) = (start, start);
        self.current.retain(|batch| batch.next > start);
    }

    /// A process takes over the log as `seen` on a disk that kept it: its owner's view is the truth from here.
    pub(crate) fn adopt(&mut self, seen: &Seen) {
        let known: Vec<Written> = self.current.iter().chain(&self.ghosts).cloned().collect();
        let find = |bytes: &Bytes| known.iter().find(|batch| batch.bytes == *bytes).cloned();
        self.current = seen.batches.iter().filter_map(find).collect();
        self.ghosts.clear();
        (self.start, self.start_tried, self.durable) = (seen.start, seen.start, seen.durable);
    }

    /// Checks a log that was opened after a power cut, and reads all of it.
    pub(crate) fn check(&self, log: &Log) -> Verdict<Seen> {
        let (start, end, durable) = (log.start().0, log.end().0, log.durable_end().0);
        demand!(start >= self.start, "start {start} fell below the acknowledged {}", self.start);
        demand!(
            start <= self.start_tried,
            "start {start} lies above anything asked for ({})",
            self.start_tried
        );
        demand!(
            durable <= end && start <= end,
            "start {start}, durable end {durable} and end {end} are out of order"
        );
        demand!(end >= self.durable, "end {end}: records below {} were acknowledged", self.durable);
        let mut batches = Vec::new();
        let mut next = start;
        while next < end {
            let bytes = self.read(log, next, end)?;
            let header = BatchHeader::parse(&bytes).map_err(|error| format!("at {next}: {error}"))?;
            let first = batches.is_empty() && header.base_offset.0 <= next;
            demand!(
                header.base_offset.0 == next || first,
                "offset {} where {next} is next",
                header.base_offset
            );
            self.check_batch(&header, &bytes)?;
            next = header.next_offset().0;
            batches.push(bytes);
        }
        demand!(next == end, "the last batch ends at {next}, the log at {end}");
        self.check_epochs(log, &batches)?;
        self.check_timestamps(log, &batches)?;
        self.check_producers(log, &batches)?;
        Ok(Seen { start, end, durable, batches })
    }

    /// The batch that holds `offset`.
    pub(crate) fn read(&self, log: &Log, offset: i64, end: i64) -> Verdict<Bytes> {
        let slice = log.segments().read(Offset(offset), Offset(end), 1).map_err(|error| error.to_string())?;
        let slice = slice.ok_or_else(|| format!("nothing at {offset} below {end}"))?;
        slice.read_checked().map_err(|error| format!("at {offset}: {error}"))
    }

    fn check_batch(&self, header: &BatchHeader, bytes: &Bytes) -> Verdict<()> {
        let base = header.base_offset.0;
        demand!(bytes.len() == header.len, "batch {base} is not whole");
        verify_crc(bytes).map_err(|error| format!("batch {base}: {error}"))?;
        if self.current.iter().any(|written| written.bytes == *bytes) {
            return Ok(());
        }
        demand!(base >= self.durable, "batch {base} is not the one that was acknowledged");
        demand!(
            self.ghosts.iter().any(|ghost| ghost.bytes == *bytes),
            "batch {base} was cut off or never written"
        );
        Ok(())
    }

    fn check_epochs(&self, log: &Log, batches: &[Bytes]) -> Verdict<()> {
        let mut expected: Vec<(i32, i64)> = Vec::new();
        for header in batches.iter().filter_map(|bytes| BatchHeader::parse(bytes).ok()) {
            if expected.last().is_none_or(|last| last.0 < header.leader_epoch.0) {
                expected.push((header.leader_epoch.0, header.base_offset.0.max(log.start().0)));
            }
        }
        let found: Vec<(i32, i64)> =
            log.epochs().entries().iter().map(|(epoch, start)| (epoch.0, start.0)).collect();
        // The epoch before an empty log may be remembered or not.
        let empty = batches.is_empty() && found.iter().all(|(_, start)| *start == log.start().0);
        demand!(found == expected || empty, "epochs {found:?}, the batches say {expected:?}");
        Ok(())
    }

    /// The index may be any old hint: what it leads to must be right.
    fn check_timestamps(&self, log: &Log, batches: &[Bytes]) -> Verdict<()> {
        let headers: Vec<BatchHeader> =
            batches.iter().filter_map(|bytes| BatchHeader::parse(bytes).ok()).collect();
        let Some(largest) = headers.iter().map(|header| header.max_timestamp).max() else { return Ok(()) };
        let middle = headers[headers.len() / 2].max_timestamp;
        for target in [0, middle, largest, largest + 1] {
            let expected =
                headers.iter().position(|header| header.max_timestamp >= target).map(|at| &batches[at]);
            let found =
                log.segments().find_timestamp(target, log.end()).map_err(|error| error.to_string())?;
            let found =
                found.map(|slice| slice.read_checked()).transpose().map_err(|error| error.to_string())?;
            let base = |bytes: &Bytes| BatchHeader::parse(bytes).ok().map(|header| header.base_offset.0);
            let (found, expected) = (found.as_ref().and_then(base), expected.and_then(base));
            demand!(found == expected, "timestamp {target} is found in {found:?} and lies in {expected:?}");
        }
        Ok(())
    }

    /// Producer state is what the very batches before its offset led to, not others that once were there.
    fn check_producers(&self, log: &Log, batches: &[Bytes]) -> Verdict<()> {
        let Some((offset, bytes)) = log.producer_snapshot() else { return Ok(()) };
        demand!(offset <= log.end() && offset >= log.start(), "producer state at {offset} outside the log");
        let written = self
            .current
            .iter()
            .chain(&self.ghosts)
            .find(|batch| batch.next == offset.0 && batches.contains(&batch.bytes));
        if let Some(written) = written {
            demand!(
                bytes == producers_after(written.next, written.chain),
                "the producer state at {offset} is of other batches"
            );
        }
        Ok(())
    }
}

/// Stands for the state of the idempotent producers after the batch that ends at `next`.
pub(crate) fn producers_after(next: i64, chain: u32) -> Bytes {
    Bytes::from(format!("producers before {next}, {chain:08x} ").repeat(20))
}
