//! What a data directory must remember of its volume's state: two slots, written in turn, in place (rule R35).
//!
//! ```text
//! slot (512 bytes): 0 magic "FBVS" | 4 version u16 | 6 reserved u16 | 8 sequence u64
//!   16 state u8 (0 Normal, 1 Low, 2 Full, 3 HardFull, 4 Failed, 5 Probing) | 17 zeros | 24 since i64 ms
//!   32 cause length u16 | 34 cause, UTF-8 | zeros | 508 CRC-32C of bytes 0 to 507, u32
//! file (4,608 bytes): slot 0 at 0, slot 1 at 4096, zeros between
//! the sound slot with the higher sequence counts; sequence n is written to slot n mod 2
//! ```
//! Its blocks were written when it was made, so a full disk cannot stop it. It is a memory, not a truth: a file that is
//! missing or damaged means that nothing is known, and the volume is probed as after every start.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use forebay_base::{Short, WallTime};

use super::VolumeState;
use crate::disk::{Disk, File, Open};
use crate::sealed::{Format, Unsound, read_file, write_all};

const FORMAT: Format = Format { magic: *b"FBVS", version: 1 };
const NAME: &str = "volume.state";
const SLOT_LEN: usize = 512;
const SLOTS: [usize; 2] = [0, 4_096];
const FILE_LEN: usize = SLOTS[1] + SLOT_LEN;
const CRC_LEN: usize = 4;
/// A longer cause is cut.
const CAUSE_LEN_MAX: usize = 400;

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The state.
    pub state: VolumeState,
    /// When it began.
    pub since: WallTime,
    /// Why, as a sentence's end.
    pub cause: String,
}

/// The file, open for as long as its volume is: writing it needs neither space nor a descriptor.
#[derive(Debug)]
pub struct Ledger {
    file: Arc<dyn File>,
    sequence: u64,
}

impl Ledger {
    /// Opens the file in `dir`, making it if it is missing; what was remembered, if that is sound. A file of a newer
    /// version is written over: it is only a memory.
    ///
    /// # Errors
    /// What the file system says; with a full one, the file may be missing or half made, which the next call mends.
    pub fn open(disk: &dyn Disk, dir: &Path) -> io::Result<(Self, Option<Entry>)> {
        let path = dir.join(NAME);
        let bytes = read_file(disk, &path, FILE_LEN as u64)?.unwrap_or_default();
        let whole = bytes.len() == FILE_LEN;
        let file = disk.open(&path, Open::CreateOrWrite)?;
        if !whole {
            // Zeros, not a hole: later writes must need no space.
            write_all(file.as_ref(), 0, &[0; FILE_LEN])?;
            file.sync()?;
            disk.sync_dir(dir)?;
            return Ok((Self { file, sequence: 0 }, None));
        }
        let newest = newest(&bytes);
        let sequence = newest.as_ref().map_or(0, |(sequence, _)| *sequence);
        Ok((Self { file, sequence }, newest.map(|(_, entry)| entry)))
    }

    /// What is remembered in `dir`, with nothing made or written: for a volume that takes no writes.
    ///
    /// # Errors
    /// What the file system says.
    pub fn peek(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Entry>> {
        let bytes = read_file(disk, &dir.join(NAME), FILE_LEN as u64)?.unwrap_or_default();
        Ok(newest(&bytes).map(|(_, entry)| entry))
    }

    /// Makes `entry` durable, in place.
    ///
    /// # Errors
    /// What the file system says; the entry before still counts.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let sequence = self.sequence + 1;
        let at = SLOTS[usize::from(sequence % 2 == 1)] as u64;
        write_all(self.file.as_ref(), at, &encode(sequence, entry))?;
        self.file.sync()?;
        self.sequence = sequence;
        Ok(())
    }
}

/// The sound slot that counts.
fn newest(bytes: &Bytes) -> Option<(u64, Entry)> {
    if bytes.len() < FILE_LEN {
        return None;
    }
    let slots = SLOTS.iter().filter_map(|at| decode(bytes.slice(*at..at + SLOT_LEN)).ok());
    slots.max_by_key(|(sequence, _)| *sequence)
}

fn number(state: VolumeState) -> u8 {
    match state {
        VolumeState::Normal => 0,
        VolumeState::Low => 1,
        VolumeState::Full => 2,
        VolumeState::HardFull => 3,
        VolumeState::Failed => 4,
        VolumeState::Probing => 5,
    }
}

fn encode(sequence: u64, entry: &Entry) -> Bytes {
    let mut cause_len = entry.cause.len().min(CAUSE_LEN_MAX);
    while !entry.cause.is_char_boundary(cause_len) {
        cause_len -= 1;
    }
    let mut writer = FORMAT.writer();
    writer.u64(sequence);
    writer.raw(&[number(entry.state), 0, 0, 0, 0, 0, 0, 0]);
    writer.i64(entry.since.0);
    writer.u16(cause_len as u16);
    writer.raw(&entry.cause.as_bytes()[..cause_len]);
    writer.raw(&[0; SLOT_LEN][..SLOT_LEN - CRC_LEN - writer.len()]);
    Format::seal(writer)
}

fn decode(slot: Bytes) -> Result<(u64, Entry), Unsound> {
    let mut reader = FORMAT.open(slot)?;
    let mut fields = || {
        let sequence = reader.u64()?;
        let state = reader.bytes(8)?;
        let (since, cause_len) = (reader.i64()?, reader.u16()?);
        let cause = reader.bytes(usize::from(cause_len))?;
        Ok((sequence, state, since, cause))
    };
    let (sequence, state, since, cause) = fields().map_err(|_: Short| Unsound::Damaged)?;
    let known = VolumeState::ALL.into_iter().find(|known| number(*known) == state[0]);
    let state = known.ok_or(Unsound::Damaged)?;
    let cause = String::from_utf8_lossy(&cause).into_owned();
    Ok((sequence, Entry { state, since: WallTime(since), cause }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RealDisk;

    fn entry(state: VolumeState, since: i64) -> Entry {
        Entry { state, since: WallTime(since), cause: "größer als nötig ".repeat(40) }
    }

    #[test]
    fn the_newest_sound_slot_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (mut ledger, known) = Ledger::open(&RealDisk, dir.path()).unwrap();
        assert_eq!(known, None);
        ledger.write(&entry(VolumeState::Full, 7)).unwrap();
        ledger.write(&entry(VolumeState::Failed, 9)).unwrap();
        let known = Ledger::open(&RealDisk, dir.path()).unwrap().1.unwrap();
        assert_eq!((known.state, known.since), (VolumeState::Failed, WallTime(9)));
        assert!(
            known.cause.len() <= 400 && entry(VolumeState::Low, 1).cause.starts_with(&known.cause),
            "it is cut"
        );
        // Sequence 2 is in slot 0: damaged, the one before counts; and so does the next one that is written.
        let raw = RealDisk.open(&dir.path().join(NAME), Open::Write).unwrap();
        write_all(raw.as_ref(), 20, b"x").unwrap();
        let (mut ledger, known) = Ledger::open(&RealDisk, dir.path()).unwrap();
        assert_eq!(known.unwrap().state, VolumeState::Full);
        ledger.write(&entry(VolumeState::Low, 11)).unwrap();
        assert_eq!(Ledger::open(&RealDisk, dir.path()).unwrap().1.unwrap().state, VolumeState::Low);
        assert_eq!(raw.len().unwrap(), 4_608);
    }

    #[test]
    fn what_is_half_made_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (mut ledger, _) = Ledger::open(&RealDisk, dir.path()).unwrap();
        ledger.write(&entry(VolumeState::Full, 7)).unwrap();
        RealDisk.open(&dir.path().join(NAME), Open::Write).unwrap().truncate(600).unwrap();
        assert_eq!(Ledger::open(&RealDisk, dir.path()).unwrap().1, None);
        assert_eq!(Ledger::open(&RealDisk, dir.path()).unwrap().1, None, "and it is whole, and says nothing");
    }
}
