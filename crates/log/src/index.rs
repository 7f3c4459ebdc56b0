//! The sparse index of a segment, by offset and by time: a hint (rule R10).
//!
//! `%020d.index`, written when a segment is rolled or closed, or rests, framed as every small file (magic "FBIX",
//! version 1):
//! ```text
//!  8 base offset i64 | 16 next offset i64 | 24 segment length in bytes u64
//! 32 opened at, ms i64 | 40 sealed at, ms i64 (-1: not sealed)
//! 48 largest timestamp i64 | 56 base offset of its batch i64
//! 64 entry count u32 | 68 epoch count u32
//! 72 entries: base offset i64, position u64, largest timestamp before i64, base offset of its batch i64
//!    epochs:  leader epoch i32, start offset i64: all of the log up to the end of this segment
//!    CRC-32C u32
//! ```
//! A timestamp of -2^63 means "no batch". The file counts only if its offsets and length are those of the segment.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use forebay_base::{LeaderEpoch, Offset, Short};
use forebay_records::BatchHeader;

use crate::disk::Disk;
use crate::growing::Growing;
use crate::sealed::{Format, read_file, write_hint};
use crate::volume::{Call, Meaning, meaning};

const FORMAT: Format = Format { magic: *b"FBIX", version: 1 };
const ENTRY_LEN: usize = 32;
const EPOCH_LEN: usize = 12;

/// A larger index file is not believed.
const HINT_BYTES_MAX: u64 = 1 << 30;

/// The largest timestamp of some batches, and the base offset of the first batch that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) timestamp: i64,
    pub(crate) offset: Offset,
}

impl Stamp {
    /// Of no batch at all.
    pub(crate) const NONE: Stamp = Stamp { timestamp: i64::MIN, offset: Offset(-1) };

    /// Takes one more batch in.
    pub(crate) fn raise(&mut self, header: &BatchHeader) {
        if header.max_timestamp > self.timestamp {
            *self = Stamp { timestamp: header.max_timestamp, offset: header.base_offset };
        }
    }
}

/// A batch whose place is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) offset: Offset,
    pub(crate) position: u64,
    /// Of all batches of the segment before this one; grows from entry to entry.
    pub(crate) before: Stamp,
}

impl Entry {
    /// The start of the segment that begins at `base`.
    pub(crate) fn first(base: Offset) -> Self {
        Self { offset: base, position: 0, before: Stamp::NONE }
    }
}

/// The index of one segment. One owner adds to it; readers search it at the same time.
#[derive(Debug)]
pub(crate) struct Index {
    entries: Growing<Entry>,
    max_timestamp: AtomicI64,
    max_offset: AtomicI64,
    /// When the segment was sealed, in ms; -1 while it is not, or if that is not known.
    pub(crate) sealed_at: i64,
}

impl Index {
    fn new(sealed_at: i64) -> Self {
        let (timestamp, offset) = (Stamp::NONE.timestamp, Stamp::NONE.offset.0);
        let (max_timestamp, max_offset) = (AtomicI64::new(timestamp), AtomicI64::new(offset));
        Self { entries: Growing::default(), max_timestamp, max_offset, sealed_at }
    }

    /// The largest timestamp. Of a segment that still grows, only the timestamp means anything to a reader.
    pub(crate) fn max(&self) -> Stamp {
        let offset = Offset(self.max_offset.load(Ordering::Acquire));
        Stamp { timestamp: self.max_timestamp.load(Ordering::Acquire), offset }
    }

    fn publish_max(&self, max: Stamp) {
        self.max_timestamp.store(max.timestamp, Ordering::Release);
        self.max_offset.store(max.offset.0, Ordering::Release);
    }

    /// Memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.entries.len() * size_of::<Entry>()
    }

    /// The last entry at or before `offset`.
    pub(crate) fn at_or_below(&self, offset: Offset) -> Option<Entry> {
        self.entries.last_where(|entry| entry.offset <= offset).copied()
    }

    /// The last entry before which every batch is older than `timestamp`.
    pub(crate) fn before_timestamp(&self, timestamp: i64) -> Option<Entry> {
        self.entries.last_where(|entry| entry.before.timestamp < timestamp).copied()
    }

    /// The last entry that is neither above `offset` nor beyond `position`.
    pub(crate) fn last_within(&self, offset: Offset, position: u64) -> Option<Entry> {
        self.entries.last_where(|entry| entry.offset <= offset && entry.position <= position).copied()
    }
}

/// Adds to an [`Index`], in the order of the batches.
#[derive(Debug)]
pub(crate) struct IndexWriter {
    index: Arc<Index>,
    interval_bytes: u64,
    last_entry_at: Option<u64>,
    max: Stamp,
}

impl IndexWriter {
    /// An index of nothing, with an entry for the first batch and then one per `interval_bytes`.
    pub(crate) fn new(interval_bytes: u64) -> Self {
        Self { index: Arc::new(Index::new(-1)), interval_bytes, last_entry_at: None, max: Stamp::NONE }
    }

    /// Goes on with an index that nobody else adds to.
    pub(crate) fn resume(index: Arc<Index>, interval_bytes: u64) -> Self {
        let last = index.entries.len().checked_sub(1).and_then(|last| index.entries.get(last));
        let (last_entry_at, max) = (last.map(|last| last.position), index.max());
        Self { index, interval_bytes, last_entry_at, max }
    }

    /// Has the next batch make an entry, wherever it lies.
    pub(crate) fn mark_next(&mut self) {
        self.last_entry_at = None;
    }

    /// An index of what `index` says about the batches before `position`, except its last entry there: that one is
    /// returned, and the batches from it on must be noted again.
    pub(crate) fn resume_below(index: &Index, position: u64, interval_bytes: u64) -> (Self, Option<Entry>) {
        let mut writer = Self::new(interval_bytes);
        let mut kept: Vec<Entry> =
            index.entries.iter().copied().take_while(|entry| entry.position < position).collect();
        let last = kept.pop();
        for entry in kept {
            writer.index.entries.push(entry);
        }
        if let Some(last) = last {
            writer.max = last.before;
            writer.index.publish_max(last.before);
        }
        (writer, last)
    }

    /// Takes in the batch at `position`.
    pub(crate) fn note(&mut self, position: u64, header: &BatchHeader) {
        let due = self.last_entry_at.is_none_or(|last| position.saturating_sub(last) >= self.interval_bytes);
        if due {
            self.index.entries.push(Entry { offset: header.base_offset, position, before: self.max });
            self.last_entry_at = Some(position);
        }
        self.max.raise(header);
        self.index.publish_max(self.max);
    }

    /// The index that readers share.
    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }
}

/// The contents of an index file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) base: Offset,
    pub(crate) next: Offset,
    pub(crate) len: u64,
    pub(crate) opened_at: i64,
    pub(crate) sealed_at: i64,
    pub(crate) max: Stamp,
    pub(crate) entries: Vec<Entry>,
    pub(crate) epochs: Vec<(LeaderEpoch, Offset)>,
}

impl Hint {
    /// The index it describes.
    pub(crate) fn to_index(&self) -> Index {
        let index = Index::new(self.sealed_at);
        for entry in &self.entries {
            index.entries.push(*entry);
        }
        index.publish_max(self.max);
        index
    }

    /// Takes the entries and the largest timestamp from `index`.
    pub(crate) fn with_index(mut self, index: &Index) -> Self {
        self.entries = index.entries.iter().copied().collect();
        self.max = index.max();
        self
    }

    /// Reads the file; `None` if it is missing, damaged or newer, or not of the segment `base..next` of `len` bytes.
    pub(crate) fn read(
        disk: &dyn Disk,
        path: &Path,
        base: Offset,
        next: Option<Offset>,
        len: u64,
    ) -> Option<Self> {
        let bytes = read_file(disk, path, HINT_BYTES_MAX).ok()??;
        let hint = Self::decode(bytes)?;
        let fits = hint.base == base && hint.len == len && next.is_none_or(|next| next == hint.next);
        fits.then_some(hint)
    }

    /// Writes the file, unsynced: a torn one fails its checksum and is rebuilt. A failure costs a rebuild,
    /// and no caller need look at it.
    pub(crate) fn write(&self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        write_hint(disk, path, &self.encode()).inspect_err(|error| {
            let dir = path.parent().unwrap_or(path).display();
            // A full disk is told of once, by its monitor.
            if meaning(Call::Write, error) == Meaning::Full {
                tracing::debug!(%dir, %error, "index hint not written");
            } else {
                tracing::warn!(%dir, %error, "index hint not written; it will be rebuilt");
            }
        })
    }

    fn encode(&self) -> Bytes {
        let mut writer = FORMAT.writer();
        for number in [self.base.0, self.next.0, self.len.cast_signed(), self.opened_at, self.sealed_at] {
            writer.i64(number);
        }
        writer.i64(self.max.timestamp);
        writer.i64(self.max.offset.0);
        writer.u32(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        writer.u32(u32::try_from(self.epochs.len()).unwrap_or(u32::MAX));
        for entry in &self.entries {
            writer.i64(entry.offset.0);
            writer.u64(entry.position);
            writer.i64(entry.before.timestamp);
            writer.i64(entry.before.offset.0);
        }
        for (epoch, offset) in &self.epochs {
            writer.i32(epoch.0);
            writer.i64(offset.0);
        }
        Format::seal(writer)
    }

    fn decode(bytes: Bytes) -> Option<Self> {
        let mut reader = FORMAT.open(bytes).ok()?;
        let mut fields = || {
            let (base, next, len) = (Offset(reader.i64()?), Offset(reader.i64()?), reader.u64()?);
            let (opened_at, sealed_at) = (reader.i64()?, reader.i64()?);
            let max = Stamp { timestamp: reader.i64()?, offset: Offset(reader.i64()?) };
            let (entry_count, epoch_count) = (reader.u32()? as usize, reader.u32()? as usize);
            let wanted =
                entry_count.saturating_mul(ENTRY_LEN).saturating_add(epoch_count.saturating_mul(EPOCH_LEN));
            if wanted != reader.remaining() {
                return Err(Short);
            }
            let mut entries = Vec::with_capacity(entry_count);
            for _ in 0..entry_count {
                let (offset, position) = (Offset(reader.i64()?), reader.u64()?);
                let before = Stamp { timestamp: reader.i64()?, offset: Offset(reader.i64()?) };
                entries.push(Entry { offset, position, before });
            }
            let mut epochs = Vec::with_capacity(epoch_count);
            for _ in 0..epoch_count {
                epochs.push((LeaderEpoch(reader.i32()?), Offset(reader.i64()?)));
            }
            Ok(Self { base, next, len, opened_at, sealed_at, max, entries, epochs })
        };
        fields().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_round_trip_and_bad_ones_are_ignored() {
        let first = Entry::first(Offset(7));
        let hint = Hint {
            base: Offset(7),
            next: Offset(90),
            len: 4_000,
            opened_at: 5,
            sealed_at: 6,
            max: Stamp { timestamp: 99, offset: Offset(50) },
            entries: vec![first, Entry { offset: Offset(40), position: 2_000, before: first.before }],
            epochs: vec![(LeaderEpoch(3), Offset(0)), (LeaderEpoch(4), Offset(41))],
        };
        let bytes = hint.encode();
        assert_eq!(Hint::decode(bytes.clone()), Some(hint));
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x10;
            assert_eq!(Hint::decode(damaged.into()), None, "byte {at}");
            assert_eq!(Hint::decode(bytes.slice(..at)), None, "length {at}");
        }
    }
}
