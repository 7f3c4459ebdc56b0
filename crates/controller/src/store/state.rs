use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use forebay_base::{Reader, Short, Writer, crc32c};
use forebay_log::{Disk, File, Open};

use super::EntryId;
use super::error::{StoreError, io_error};

/// Whom this node has voted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    /// The term.
    pub term: u64,
    /// The candidate.
    pub node: u64,
    /// True once a quorum has granted it.
    pub committed: bool,
}

/// Contents of `raft.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) sequence: u64,
    pub(super) segment_bytes: u64,
    pub(super) segments: u32,
    pub(super) vote: Option<Vote>,
    pub(super) purged: Option<EntryId>,
    /// A hint: kept in memory and written with whatever is written next.
    pub(super) committed: Option<EntryId>,
    /// Stamped on every frame written from now on.
    pub(super) generation: u64,
    /// Frames of a lower generation at or above this index are dead.
    pub(super) dead_from: u64,
    /// The first index of the log while nothing is purged.
    pub(super) first: u64,
}

const NAME: &str = "raft.state";
const MAGIC: &[u8; 4] = b"FBRS";
const VERSION: u16 = 1;
const SLOT_LEN: usize = 512;
/// Far enough apart that no device tears both with one write.
const SLOT_AT: [u64; 2] = [0, 4096];
const FILE_LEN: u64 = 8192;

/// The file that holds [`State`].
#[derive(Debug)]
pub(super) struct StateFile {
    file: Arc<dyn File>,
    path: PathBuf,
}

impl StateFile {
    /// Opens or makes the file, without its contents.
    pub(super) fn open(disk: &dyn Disk, dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(NAME);
        let file = disk.open(&path, Open::CreateOrWrite).map_err(io_error("opening", &path))?;
        Ok(Self { file, path })
    }

    /// Opens the file to be read.
    pub(super) fn look(disk: &dyn Disk, dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(NAME);
        let file = disk.open(&path, Open::Read).map_err(io_error("opening", &path))?;
        Ok(Self { file, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reserves the file's space.
    pub(super) fn reserve(&self) -> Result<(), StoreError> {
        self.file.allocate(0, FILE_LEN).map_err(io_error("reserving space for", &self.path))
    }

    /// The newest sound slot; `None` if there is none.
    pub(super) fn read(&self) -> Result<Option<State>, StoreError> {
        // After a failed sync the cache shows bytes that the disk never got.
        self.file.drop_cache().map_err(io_error("dropping the cache of", &self.path))?;
        let mut newest: Option<State> = None;
        for at in SLOT_AT {
            let mut slot = [0u8; SLOT_LEN];
            if read_full(self.file.as_ref(), at, &mut slot).map_err(io_error("reading", &self.path))?
                < SLOT_LEN
            {
                continue;
            }
            match decode(&slot) {
                Ok(Ok(state)) if newest.is_none_or(|known| known.sequence < state.sequence) => {
                    newest = Some(state)
                }
                Ok(Ok(_)) | Err(Short) => {}
                Ok(Err(version)) => return Err(StoreError::Newer { path: self.path.clone(), version }),
            }
        }
        Ok(newest)
    }

    /// Writes `state` into the slot that does not hold the newest and syncs it. The caller raises the sequence.
    pub(super) fn write(&self, state: &State) -> Result<(), StoreError> {
        let at = SLOT_AT[(state.sequence % 2) as usize];
        write_full(self.file.as_ref(), at, &encode(state)).map_err(io_error("writing", &self.path))?;
        self.file.sync().map_err(io_error("syncing", &self.path))
    }
}

fn encode(state: &State) -> Vec<u8> {
    let mut out = Writer::new();
    let flags = u8::from(state.vote.is_some())
        | u8::from(state.vote.is_some_and(|vote| vote.committed)) << 1
        | u8::from(state.purged.is_some()) << 2
        | u8::from(state.committed.is_some()) << 3;
    out.raw(MAGIC);
    out.u16(VERSION);
    out.u8(flags);
    out.u8(0);
    out.u64(state.sequence);
    out.u64(state.segment_bytes);
    out.u32(state.segments);
    out.u32(0);
    out.u64(state.vote.map_or(0, |vote| vote.term));
    out.u64(state.vote.map_or(0, |vote| vote.node));
    for id in [state.purged, state.committed] {
        let id = id.unwrap_or_default();
        out.u64(id.term);
        out.u64(id.node);
        out.u64(id.index);
    }
    out.u64(state.generation);
    out.u64(state.dead_from);
    out.u64(state.first);
    out.raw(&vec![0; SLOT_LEN - 4 - out.len()]);
    let sum = crc32c(out.as_slice());
    out.u32(sum);
    out.as_slice().to_vec()
}

/// `Err`: not a sound slot. `Ok(Err(version))`: sound, but newer.
fn decode(slot: &[u8; SLOT_LEN]) -> Result<Result<State, u16>, Short> {
    let (body, sum) = slot.split_at(SLOT_LEN - 4);
    if crc32c(body).to_be_bytes() != sum {
        return Err(Short);
    }
    let mut reader = Reader::new(Bytes::copy_from_slice(body));
    if reader.bytes(4)? != MAGIC.as_slice() {
        return Err(Short);
    }
    let version = reader.u16()?;
    if version != VERSION {
        return Ok(Err(version));
    }
    let (flags, _) = (reader.u8()?, reader.u8()?);
    let (sequence, segment_bytes) = (reader.u64()?, reader.u64()?);
    let (segments, _) = (reader.u32()?, reader.u32()?);
    let vote = Vote { term: reader.u64()?, node: reader.u64()?, committed: flags & 2 != 0 };
    let mut id = || Ok(EntryId { term: reader.u64()?, node: reader.u64()?, index: reader.u64()? });
    let (purged, committed) = (id()?, id()?);
    Ok(Ok(State {
        sequence,
        segment_bytes,
        segments,
        vote: (flags & 1 != 0).then_some(vote),
        purged: (flags & 4 != 0).then_some(purged),
        committed: (flags & 8 != 0).then_some(committed),
        generation: reader.u64()?,
        dead_from: reader.u64()?,
        first: reader.u64()?,
    }))
}

/// Reads until `buf` is full or the file ends; says how much.
pub(super) fn read_full(file: &dyn File, at: u64, buf: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(at + filled as u64, rest)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// Writes all of `bytes`.
pub(super) fn write_full(file: &dyn File, at: u64, bytes: &[u8]) -> std::io::Result<()> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write_at(at + written as u64, &[IoSlice::new(rest)])? {
            0 => return Err(std::io::ErrorKind::WriteZero.into()),
            more => written += more,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_round_trips_and_a_newer_one_is_told_apart_from_a_torn_one() {
        let id = |index| EntryId { term: 4, node: 1, index };
        let state = State {
            sequence: 9,
            segment_bytes: 4096,
            segments: 8,
            vote: Some(Vote { term: 5, node: 1, committed: true }),
            purged: Some(id(7)),
            committed: None,
            generation: 3,
            dead_from: 12,
            first: 1,
        };
        let bytes = encode(&state);
        let slot: [u8; SLOT_LEN] = bytes.try_into().unwrap();
        assert_eq!(decode(&slot), Ok(Ok(state)));
        let mut newer = slot;
        newer[5] = 2;
        assert_eq!(decode(&newer), Err(Short));
        let sum = crc32c(&newer[..SLOT_LEN - 4]);
        newer[SLOT_LEN - 4..].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(decode(&newer), Ok(Err(2)));
        assert_eq!(decode(&[0; SLOT_LEN]), Err(Short));
    }
}
