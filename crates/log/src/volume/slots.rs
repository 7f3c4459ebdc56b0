//! A small file of two slots, written in turn, in place (rule R35).
//!
//! ```text
//! slot: frame (see `sealed.rs`) | 8 sequence u64 | 16 body | zeros | last 4 bytes: CRC-32C, u32
//! file: slot 0 at 0, slot 1 at 4096, zeros between
//! the sound slot with the higher sequence counts; sequence n is written to slot n mod 2
//! ```
//! Its blocks were written when it was made, so a full disk cannot stop it. What it holds is a memory, not a truth: a file
//! that is missing or damaged means that nothing is known.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use forebay_base::Reader;

use crate::disk::{Disk, File, Open};
use crate::sealed::{Format, read_file, write_all};

/// Where each slot begins: no page and no sector, of 4 KiB at most, holds both.
const SLOTS: [usize; 2] = [0, 4_096];
const CRC_LEN: usize = 4;

/// What kind of file it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) name: &'static str,
    pub(super) format: Format,
    /// Bytes of a slot: 4,096 at most.
    pub(super) slot_len: usize,
}

impl Layout {
    const fn file_len(self) -> usize {
        SLOTS[1] + self.slot_len
    }

    /// What the file in `dir` says, and the number of times it was written; nothing is made or written.
    pub(super) fn peek(self, disk: &dyn Disk, dir: &Path) -> io::Result<(u64, Option<Reader>)> {
        let bytes = read_file(disk, &dir.join(self.name), self.file_len() as u64)?.unwrap_or_default();
        Ok(self.newest(&bytes))
    }

    /// The sound slot that counts.
    fn newest(self, bytes: &Bytes) -> (u64, Option<Reader>) {
        if bytes.len() < self.file_len() {
            return (0, None);
        }
        let slots = SLOTS.iter().filter_map(|at| {
            let mut body = self.format.open(bytes.slice(*at..at + self.slot_len)).ok()?;
            Some((body.u64().ok()?, body))
        });
        let newest = slots.max_by_key(|(sequence, _)| *sequence);
        newest.map_or((0, None), |(sequence, body)| (sequence, Some(body)))
    }
}

/// The file, open for as long as its volume is: writing it needs neither space nor a descriptor.
#[derive(Debug)]
pub(super) struct Slots {
    layout: Layout,
    file: Arc<dyn File>,
    sequence: u64,
}

impl Slots {
    /// Opens the file in `dir`, making it if it is missing; its body, if that is sound. A file of a newer version is
    /// written over.
    pub(super) fn open(disk: &dyn Disk, dir: &Path, layout: Layout) -> io::Result<(Self, Option<Reader>)> {
        let path = dir.join(layout.name);
        let bytes = read_file(disk, &path, layout.file_len() as u64)?.unwrap_or_default();
        let whole = bytes.len() == layout.file_len();
        let file = disk.open(&path, Open::CreateOrWrite)?;
        if !whole {
            // Zeros, not a hole: later writes must need no space.
            write_all(file.as_ref(), 0, &vec![0; layout.file_len()])?;
            file.sync()?;
            disk.sync_dir(dir)?;
        }
        let (sequence, body) = layout.newest(&bytes);
        Ok((Self { layout, file, sequence }, body))
    }

    /// How often it has been written.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Makes `body` durable. After an error the one before counts, or this one.
    pub(super) fn write(&mut self, body: &[u8]) -> io::Result<()> {
        let sequence = self.sequence + 1;
        let at = SLOTS[usize::from(sequence % 2 == 1)] as u64;
        let mut writer = self.layout.format.writer();
        writer.u64(sequence);
        writer.raw(body);
        let zeros = (self.layout.slot_len - CRC_LEN).checked_sub(writer.len());
        writer.raw(&vec![0; zeros.ok_or(io::ErrorKind::InvalidInput)?]);
        write_all(self.file.as_ref(), at, &Format::seal(writer))?;
        self.file.sync()?;
        self.sequence = sequence;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RealDisk;

    const LAYOUT: Layout =
        Layout { name: "slots", format: Format { magic: *b"FBXX", version: 1 }, slot_len: 512 };

    fn body(reader: Option<Reader>) -> Option<u8> {
        reader.map(|mut reader| reader.u8().unwrap())
    }

    #[test]
    fn the_newest_sound_slot_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (mut slots, known) = Slots::open(&RealDisk, dir.path(), LAYOUT).unwrap();
        assert_eq!(body(known), None);
        slots.write(&[7]).unwrap();
        slots.write(&[9]).unwrap();
        let (slots, known) = Slots::open(&RealDisk, dir.path(), LAYOUT).unwrap();
        assert_eq!((slots.sequence(), body(known)), (2, Some(9)));
        // Sequence 2 is in slot 0: damaged, the one before counts; and so does the next one that is written.
        let raw = RealDisk.open(&dir.path().join("slots"), Open::Write).unwrap();
        write_all(raw.as_ref(), 20, b"x").unwrap();
        let (mut slots, known) = Slots::open(&RealDisk, dir.path(), LAYOUT).unwrap();
        assert_eq!((slots.sequence(), body(known)), (1, Some(7)));
        slots.write(&[11]).unwrap();
        let (sequence, known) = LAYOUT.peek(&RealDisk, dir.path()).unwrap();
        assert_eq!((sequence, body(known)), (2, Some(11)));
        assert_eq!(raw.len().unwrap(), 4_608);
        assert!(slots.write(&[0; 493]).is_err(), "it would not fit");
    }

    #[test]
    fn what_is_half_made_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (mut slots, _) = Slots::open(&RealDisk, dir.path(), LAYOUT).unwrap();
        slots.write(&[7]).unwrap();
        RealDisk.open(&dir.path().join("slots"), Open::Write).unwrap().truncate(600).unwrap();
        assert_eq!(body(LAYOUT.peek(&RealDisk, dir.path()).unwrap().1), None);
        assert_eq!(body(Slots::open(&RealDisk, dir.path(), LAYOUT).unwrap().1), None);
        let whole = Slots::open(&RealDisk, dir.path(), LAYOUT).unwrap();
        assert_eq!(body(whole.1), None, "and it is whole, and says nothing");
    }
}
