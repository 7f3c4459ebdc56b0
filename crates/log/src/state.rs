//! What a partition must remember beside its batches: two slots, written in turn, in place (rule R35).
//!
//! ```text
//! slot (512 bytes, one sector): 0 magic "FBST" | 4 version u16 | 6 reserved u16 | 8 sequence u64
//!   16 log start i64 | 24 recovery point i64 | 32 flags u8 (1: there is no segment) | 33 zeros
//!   508 CRC-32C of bytes 0 to 507, u32
//! file (4,608 bytes): slot 0 at 0, slot 1 at 4096, zeros between
//! the sound slot with the higher sequence counts; sequence n is written to slot n mod 2
//! ```
//! A write never touches the slot that counts, nor the page or the 4 KiB sector it lies in, and is synced before the
//! next one: a power cut leaves the old or the new state. It needs no free space, so a full disk cannot stop it.
//! The whole file was synced before anything relied on it, so one that is shorter is not believed.

use std::path::Path;

use bytes::Bytes;
use forebay_base::{Offset, Short};

use crate::disk::{Disk, Open};
use crate::error::{LogError, failed};
use crate::names::state_path;
use crate::sealed::{Format, Unsound, read_file, write_all};

const FORMAT: Format = Format { magic: *b"FBST", version: 1 };
const SLOT_LEN: usize = 512;
/// Where each slot begins: no page and no sector, of 4 KiB at most, holds both.
const SLOTS: [usize; 2] = [0, 4_096];
const FILE_LEN: usize = SLOTS[1] + SLOT_LEN;
const CRC_LEN: usize = 4;

/// The durable facts of a partition that its batches do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// Everything below is deleted.
    pub(crate) log_start: Offset,
    /// Everything below was synced.
    pub(crate) recovery_point: Offset,
    /// All records are deleted, and the segments with them: those that are there are leftovers.
    pub(crate) is_empty: bool,
}

const EMPTY: u8 = 1;

/// The state file as last written.
#[derive(Debug)]
pub(crate) struct StateFile {
    sequence: u64,
    last: State,
}

fn encode(sequence: u64, state: State) -> Bytes {
    let mut writer = FORMAT.writer();
    writer.u64(sequence);
    writer.i64(state.log_start.0);
    writer.i64(state.recovery_point.0);
    writer.u8(if state.is_empty { EMPTY } else { 0 });
    writer.raw(&[0; SLOT_LEN][..SLOT_LEN - CRC_LEN - writer.len()]);
    Format::seal(writer)
}

fn decode(slot: Bytes) -> Result<(u64, State), Unsound> {
    let mut reader = FORMAT.open(slot)?;
    let mut fields = || {
        let (sequence, log_start, recovery_point) = (reader.u64()?, reader.i64()?, reader.i64()?);
        let is_empty = reader.u8()? & EMPTY != 0;
        let (log_start, recovery_point) = (Offset(log_start), Offset(recovery_point));
        Ok((sequence, State { log_start, recovery_point, is_empty }))
    };
    fields().map_err(|_: Short| Unsound::Damaged)
}

impl StateFile {
    /// Reads the newest sound slot; `None` if there is none (or no file).
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, LogError> {
        let path = state_path(dir);
        let bytes =
            read_file(disk, &path, FILE_LEN as u64).map_err(failed("read", &path))?.unwrap_or_default();
        if bytes.len() < FILE_LEN {
            return Ok(None);
        }
        let mut newest: Option<(u64, State)> = None;
        for at in SLOTS {
            match decode(bytes.slice(at..at + SLOT_LEN)) {
                Ok(slot) if newest.is_none_or(|best| best.0 < slot.0) => newest = Some(slot),
                Ok(_) | Err(Unsound::Damaged) => {}
                Err(Unsound::Newer(found)) => {
                    return Err(LogError::Newer { path, found, known: FORMAT.version });
                }
            }
        }
        Ok(newest.map(|(sequence, last)| Self { sequence, last }))
    }

    /// Makes the file of a new partition and syncs it. The caller syncs the directory.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, state: State) -> Result<Self, StateWriteError> {
        let path = state_path(dir);
        let mut both = encode(0, state).to_vec();
        // Zeros, not a hole: later writes must need no space.
        both.resize(FILE_LEN, 0);
        let write = || {
            let file = disk.open(&path, Open::CreateOrWrite)?;
            write_all(file.as_ref(), 0, &both)?;
            Ok(file)
        };
        let file = write().map_err(|error| StateWriteError::Write(failed("write", &path)(error)))?;
        file.sync().map_err(|error| StateWriteError::Sync(failed("sync", &path)(error)))?;
        Ok(Self { sequence: 0, last: state })
    }

    /// What is durable.
    pub(crate) fn last(&self) -> State {
        self.last
    }

    /// Makes `state` of the partition in `dir` durable; nothing is written if it already is.
    pub(crate) fn write(&mut self, disk: &dyn Disk, dir: &Path, state: State) -> Result<(), StateWriteError> {
        if state == self.last {
            return Ok(());
        }
        let (path, sequence) = (state_path(dir), self.sequence + 1);
        let at = SLOTS[usize::from(sequence % 2 == 1)] as u64;
        let write = || {
            let file = disk.open(&path, Open::Write)?;
            write_all(file.as_ref(), at, &encode(sequence, state))?;
            Ok(file)
        };
        let file = write().map_err(|error| StateWriteError::Write(failed("write", &path)(error)))?;
        file.sync().map_err(|error| StateWriteError::Sync(failed("sync", &path)(error)))?;
        self.sequence = sequence;
        self.last = state;
        Ok(())
    }
}

/// A failed write leaves the counting slot alone; after a failed sync nothing is known (rule R32).
#[derive(Debug)]
pub(crate) enum StateWriteError {
    Write(LogError),
    Sync(LogError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RealDisk;

    fn state(start: i64, point: i64) -> State {
        State { log_start: Offset(start), recovery_point: Offset(point), is_empty: point == 9 }
    }

    #[test]
    fn the_newest_sound_slot_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert!(StateFile::read(&RealDisk, dir.path()).unwrap().is_none());
        let mut file = StateFile::create(&RealDisk, dir.path(), state(0, 0)).unwrap();
        file.write(&RealDisk, dir.path(), state(5, 9)).unwrap();
        file.write(&RealDisk, dir.path(), state(6, 10)).unwrap();
        assert_eq!(StateFile::read(&RealDisk, dir.path()).unwrap().unwrap().last(), state(6, 10));
        // Sequence 2 is in slot 0: damaged, the state before it counts.
        let raw = RealDisk.open(&state_path(dir.path()), Open::Write).unwrap();
        write_all(raw.as_ref(), 20, b"x").unwrap();
        assert_eq!(StateFile::read(&RealDisk, dir.path()).unwrap().unwrap().last(), state(5, 9));
    }

    #[test]
    fn a_block_that_is_torn_takes_one_slot_only() {
        for (point, lost) in [(9, 4_096), (10, 0)] {
            let dir = tempfile::tempdir().unwrap();
            let mut file = StateFile::create(&RealDisk, dir.path(), state(0, 8)).unwrap();
            (9..=point).for_each(|point| file.write(&RealDisk, dir.path(), state(0, point)).unwrap());
            let raw = RealDisk.open(&state_path(dir.path()), Open::Write).unwrap();
            assert_eq!(raw.len().unwrap(), 4_608);
            // The device lost the whole block of the newest slot.
            write_all(raw.as_ref(), lost, &[0xA5; 512]).unwrap();
            let before = StateFile::read(&RealDisk, dir.path()).unwrap().unwrap();
            assert_eq!(before.last(), state(0, point - 1));
            raw.truncate(4_607).unwrap();
            assert!(StateFile::read(&RealDisk, dir.path()).unwrap().is_none(), "cut short");
        }
    }

    #[test]
    fn a_newer_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        StateFile::create(&RealDisk, dir.path(), state(0, 0)).unwrap();
        let mut slot = encode(1, state(1, 1))[..SLOT_LEN - CRC_LEN].to_vec();
        slot[4..6].copy_from_slice(&9u16.to_be_bytes());
        let crc = forebay_base::crc32c(&slot).to_be_bytes();
        slot.extend_from_slice(&crc);
        let raw = RealDisk.open(&state_path(dir.path()), Open::Write).unwrap();
        write_all(raw.as_ref(), SLOTS[1] as u64, &slot).unwrap();
        let refused = StateFile::read(&RealDisk, dir.path()).unwrap_err().to_string();
        assert!(refused.contains("format version 9"), "{refused}");
    }
}
