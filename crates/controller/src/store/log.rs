use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use forebay_log::{Disk, File, Open};

use super::error::{StoreError, corrupt, io_error};
use super::frame::{self, ALIGN, Entry, EntryId, Found, Stamp, frame_len};
use super::recover;
use super::state::{State, StateFile, Vote, read_full, write_full};

/// Size of a metadata log when it is made; a log that exists keeps the size it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// Bytes reserved in all; at least 8 segments of 4 KiB.
    pub log_bytes: u64,
}

/// How full the log is. A segment counts whole until all its entries are purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogSpace {
    /// Bytes in use.
    pub used: u64,
    /// Bytes in all.
    pub total: u64,
}

const SEGMENTS: u32 = 8;
const SEGMENT_BYTES_MIN: u64 = 4096;

/// The Raft log with its vote and purge mark. Every change is durable when its call returns; one owner.
///
/// Positions, oldest to newest:
/// ```text
///   purged          first           committed       last
///   ...............|---------------|---------------|
///   gone, in a snapshot   entries kept, all durable
/// ```
#[derive(Debug)]
pub struct LogStore {
    file: Arc<dyn File>,
    path: PathBuf,
    state_file: StateFile,
    state: State,
    /// Every entry kept, indexes without gaps.
    entries: VecDeque<Located>,
    /// Segments that hold them, in the order they were begun; the last one is written to.
    segments: VecDeque<Segment>,
    next_slot: u32,
    next_sequence: u64,
    failed: Option<String>,
}

/// Where an entry lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Located {
    pub(super) id: EntryId,
    /// Position in the file.
    pub(super) at: u64,
    pub(super) len: u64,
}

/// One use of one segment of the ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    /// Place in the ring.
    pub(super) slot: u32,
    pub(super) sequence: u64,
    /// Bytes used in it.
    pub(super) end: u64,
}

impl LogStore {
    /// Opens the log in `dir`, making what is missing, and recovers it.
    ///
    /// Errors: [`StoreError::Io`] also when the space cannot be reserved, [`StoreError::Corrupt`] when durable entries
    /// are lost, [`StoreError::Newer`].
    pub fn open(disk: &dyn Disk, dir: &Path, config: LogConfig) -> Result<Self, StoreError> {
        if !disk.exists(dir).map_err(io_error("looking for", dir))? {
            disk.create_dir(dir).map_err(io_error("making", dir))?;
        }
        // Also if it was there: a process that was killed may have made it and not come this far.
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            disk.sync_dir(parent).map_err(io_error("syncing", parent))?;
        }
        let path = dir.join(super::LOG_FILE);
        let file = disk.open(&path, Open::CreateOrWrite).map_err(io_error("opening", &path))?;
        let state_file = StateFile::open(disk, dir)?;
        let state = match state_file.read()? {
            Some(state) => state,
            None => make(disk, dir, file.as_ref(), &path, &state_file, config)?,
        };
        let recovered = recover::recover(file.as_ref(), &path, &state)?;
        let stale_slots = recovered.stale_slots.clone();
        let mut store = Self::found(file, path, state_file, state, recovered);
        store.settle(&stale_slots)?;
        Ok(store)
    }

    /// The log in `dir`, to be read: nothing is written, and it must be dropped before another one is opened.
    pub(super) fn look(disk: &dyn Disk, dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(super::LOG_FILE);
        let file = disk.open(&path, Open::Read).map_err(io_error("opening", &path))?;
        let state_file = StateFile::look(disk, dir)?;
        let missing = || corrupt(state_file.path(), "neither of its slots is sound");
        let state = state_file.read()?.ok_or_else(missing)?;
        let recovered = recover::recover(file.as_ref(), &path, &state)?;
        Ok(Self::found(file, path, state_file, state, recovered))
    }

    fn found(
        file: Arc<dyn File>,
        path: PathBuf,
        state_file: StateFile,
        state: State,
        recovered: recover::Recovered,
    ) -> Self {
        let next_slot = recovered.segments.back().map_or(0, |segment| (segment.slot + 1) % state.segments);
        Self {
            file,
            path,
            state_file,
            state,
            next_slot,
            next_sequence: recovered.next_sequence,
            entries: recovered.entries,
            segments: recovered.segments,
            failed: None,
        }
    }

    /// Makes what recovery found the truth: durable, and never again to be mixed up with what it cut off. Wiping comes
    /// last: what was read of the state may not be durable before it is written again.
    fn settle(&mut self, stale_slots: &[u32]) -> Result<(), StoreError> {
        self.file.sync().map_err(io_error("syncing", &self.path))?;
        self.cut_from(self.next_index())?;
        if stale_slots.is_empty() {
            return Ok(());
        }
        self.wipe(stale_slots)?;
        self.file.sync().map_err(io_error("syncing", &self.path))
    }

    /// The last vote saved.
    pub fn vote(&self) -> Option<Vote> {
        self.state.vote
    }

    /// Saves a vote.
    pub fn save_vote(&mut self, vote: Vote) -> Result<(), StoreError> {
        self.change_state(|state| state.vote = Some(vote))
    }

    /// The last commit mark set; after a restart possibly an older one.
    pub fn committed(&self) -> Option<EntryId> {
        self.state.committed
    }

    /// Remembers a commit mark. A hint: it becomes durable with the next change of the state.
    pub fn set_committed(&mut self, committed: Option<EntryId>) {
        self.state.committed = committed;
    }

    /// The last entry purged.
    pub fn purged(&self) -> Option<EntryId> {
        self.state.purged
    }

    /// The last entry, which may be one that is purged already.
    pub fn last(&self) -> Option<EntryId> {
        self.entries.back().map(|entry| entry.id).or(self.state.purged)
    }

    /// The index that the next entry must have; a log that never had one takes any.
    pub fn next_index(&self) -> u64 {
        self.last().map_or(self.state.first, |id| id.index + 1)
    }

    /// How full the log is.
    pub fn space(&self) -> LogSpace {
        let full = self.segments.len().saturating_sub(1) as u64 * self.state.segment_bytes;
        let used = full + self.segments.back().map_or(0, |segment| segment.end);
        LogSpace { used, total: self.state.segment_bytes * u64::from(self.state.segments) }
    }

    /// Largest payload that one entry may carry, in bytes.
    pub fn payload_bytes_max(&self) -> u64 {
        self.state.segment_bytes - frame::HEADER_LEN - ALIGN
    }

    /// Bytes of the entries from `index` on.
    pub fn bytes_from(&self, index: u64) -> u64 {
        self.entries.iter().rev().take_while(|entry| entry.id.index >= index).map(|entry| entry.len).sum()
    }

    /// The last index to purge so that about `keep_bytes` of entries up to `upto` stay; `None`: nothing to purge.
    pub fn purge_point(&self, upto: u64, keep_bytes: u64) -> Option<u64> {
        let mut kept = 0;
        for entry in self.entries.iter().rev().skip_while(|entry| entry.id.index > upto) {
            kept += entry.len;
            if kept > keep_bytes {
                return Some(entry.id.index);
            }
        }
        None
    }

    /// Appends `entries`, which must follow the log. All of them are durable when this returns `Ok`. Those that the
    /// purge mark covers already are left out.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        self.must_be_sound()?;
        let covered = |entry: &Entry| self.state.purged.is_some_and(|purged| entry.id.index <= purged.index);
        let entries = entries.get(entries.partition_point(covered)..).unwrap_or_default();
        self.begin_at(entries)?;
        self.check_fit(entries)?;
        let appended = self.write_frames(entries);
        self.keep_failure(appended)
    }

    /// The entries with `from <= index < to` that the log has.
    pub fn read(&self, from: u64, to: u64) -> Result<Vec<Entry>, StoreError> {
        self.must_be_sound()?;
        let first = self.entries.front().map_or(0, |entry| entry.id.index);
        let skip = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        self.entries
            .iter()
            .skip(skip)
            .take_while(|entry| entry.id.index < to)
            .map(|entry| self.read_one(entry))
            .collect()
    }

    /// Removes the entries from `index` on.
    pub fn truncate(&mut self, index: u64) -> Result<(), StoreError> {
        self.must_be_sound()?;
        if index >= self.next_index() || self.entries.is_empty() {
            return Ok(());
        }
        // First the mark, which is what makes them gone; then the segments, so that nothing in them can be taken for
        // newer than what will be written.
        while self.entries.back().is_some_and(|entry| entry.id.index >= index) {
            self.entries.pop_back();
        }
        let cut = self.cut_from(index).and_then(|()| self.drop_emptied_tail());
        self.keep_failure(cut)
    }

    /// Forgets the entries up to and including `upto`, which may lie past the end of the log.
    pub fn purge(&mut self, upto: EntryId) -> Result<(), StoreError> {
        if self.state.purged.is_some_and(|purged| purged.index >= upto.index) {
            return Ok(());
        }
        self.change_state(|state| state.purged = Some(upto))?;
        while self.entries.front().is_some_and(|entry| entry.id.index <= upto.index) {
            self.entries.pop_front();
        }
        let first_used = self.entries.front().map(|entry| self.slot_of(entry.at));
        while self.segments.front().is_some_and(|segment| Some(segment.slot) != first_used) {
            self.segments.pop_front();
        }
        Ok(())
    }

    /// Ends this store: every later call fails with `reason`. For when another one takes over the files.
    pub fn fence(&mut self, reason: &str) {
        self.failed.get_or_insert_with(|| reason.to_owned());
    }

    fn must_be_sound(&self) -> Result<(), StoreError> {
        match &self.failed {
            None => Ok(()),
            Some(reason) => Err(StoreError::Failed(reason.clone())),
        }
    }

    fn keep_failure<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result {
            self.fence(&error.to_string());
        }
        result
    }

    fn change_state(&mut self, change: impl FnOnce(&mut State)) -> Result<(), StoreError> {
        self.must_be_sound()?;
        change(&mut self.state);
        self.state.sequence += 1;
        let written = self.state_file.write(&self.state);
        self.keep_failure(written)
    }

    /// Frames written before this call are dead from `index` on.
    fn cut_from(&mut self, index: u64) -> Result<(), StoreError> {
        self.change_state(|state| {
            state.generation += 1;
            state.dead_from = index;
        })
    }

    fn drop_emptied_tail(&mut self) -> Result<(), StoreError> {
        let last = self.entries.back().copied();
        let last_slot = last.map(|entry| self.slot_of(entry.at));
        let mut emptied = Vec::new();
        while let Some(segment) = self.segments.pop_back_if(|segment| Some(segment.slot) != last_slot) {
            emptied.push(segment.slot);
            self.next_slot = segment.slot;
        }
        if let (Some(segment), Some(entry)) = (self.segments.back_mut(), last) {
            segment.end = entry.at + entry.len - u64::from(segment.slot) * self.state.segment_bytes;
        }
        self.wipe(&emptied)
    }

    /// Makes the first frame of each slot unreadable; without it recovery reads nothing of a segment. The next append
    /// makes that durable, and until then these frames are still dead: only what is appended lets the mark rise.
    fn wipe(&self, slots: &[u32]) -> Result<(), StoreError> {
        slots.iter().try_for_each(|slot| {
            let at = u64::from(*slot) * self.state.segment_bytes;
            write_full(self.file.as_ref(), at, &[0; 512]).map_err(io_error("writing", &self.path))
        })
    }

    fn slot_of(&self, at: u64) -> u32 {
        (at / self.state.segment_bytes) as u32
    }

    /// An empty log begins where its first entry says.
    fn begin_at(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        match entries.first() {
            Some(first) if self.last().is_none() && first.id.index != self.state.first => {
                self.change_state(|state| state.first = first.id.index)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// All or nothing: refuses before the first byte is written.
    fn check_fit(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut end = self.segments.back().map_or(self.state.segment_bytes, |segment| segment.end);
        let mut free = self.state.segments as usize - self.segments.len();
        for (expected, entry) in (self.next_index()..).zip(entries) {
            if entry.id.index != expected {
                return Err(StoreError::Gap { expected, given: entry.id.index });
            }
            let len = frame_len(entry);
            if len > self.state.segment_bytes {
                return Err(StoreError::TooLarge { len, max: self.state.segment_bytes });
            }
            if end + len > self.state.segment_bytes {
                free = free.checked_sub(1).ok_or_else(|| {
                    let LogSpace { used, total } = self.space();
                    StoreError::Full { used, total }
                })?;
                end = 0;
            }
            end += len;
        }
        Ok(())
    }

    fn write_frames(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let durable = self.next_index();
        let mut buffer = Vec::new();
        for entry in entries {
            let len = frame_len(entry);
            let room = self.segments.back().map_or(0, |segment| self.state.segment_bytes - segment.end);
            if room < len {
                self.write_out(&mut buffer)?;
                self.begin_segment();
            }
            let Some(segment) = self.segments.back_mut() else { continue };
            let stamp = Stamp { sequence: segment.sequence, generation: self.state.generation, durable };
            frame::encode(entry, stamp, &mut buffer);
            let at = u64::from(segment.slot) * self.state.segment_bytes + segment.end;
            segment.end += len;
            self.entries.push_back(Located { id: entry.id, at, len });
        }
        self.write_out(&mut buffer)
    }

    /// Writes the frames gathered for the last segment and syncs. A segment is thus durable before the next one is
    /// begun, which is how recovery knows that a gap between segments is damage.
    fn write_out(&mut self, buffer: &mut Vec<u8>) -> Result<(), StoreError> {
        let Some(segment) = self.segments.back().filter(|_| !buffer.is_empty()) else { return Ok(()) };
        let at = u64::from(segment.slot) * self.state.segment_bytes + segment.end - buffer.len() as u64;
        write_full(self.file.as_ref(), at, buffer).map_err(io_error("writing", &self.path))?;
        self.file.sync().map_err(io_error("syncing", &self.path))?;
        buffer.clear();
        Ok(())
    }

    fn begin_segment(&mut self) {
        self.segments.push_back(Segment { slot: self.next_slot, sequence: self.next_sequence, end: 0 });
        self.next_slot = (self.next_slot + 1) % self.state.segments;
        self.next_sequence += 1;
    }

    fn read_one(&self, located: &Located) -> Result<Entry, StoreError> {
        let mut bytes = vec![0; located.len as usize];
        read_full(self.file.as_ref(), located.at, &mut bytes).map_err(io_error("reading", &self.path))?;
        match frame::parse(&Bytes::from(bytes)) {
            Found::Frame(frame) if frame.entry.id == located.id => Ok(frame.entry),
            Found::Frame(_) | Found::Newer(_) | Found::Nothing => Err(corrupt(
                &self.path,
                format!("entry {} at byte {} cannot be read", located.id.index, located.at),
            )),
        }
    }
}

/// Reserves the space of a log that does not exist yet. The state is written last: where it is sound, all else is.
fn make(
    disk: &dyn Disk,
    dir: &Path,
    file: &dyn File,
    path: &Path,
    state_file: &StateFile,
    config: LogConfig,
) -> Result<State, StoreError> {
    let segment_bytes = (config.log_bytes / u64::from(SEGMENTS)).max(SEGMENT_BYTES_MIN) & !511;
    let state = State {
        sequence: 1,
        segment_bytes,
        segments: SEGMENTS,
        vote: None,
        purged: None,
        committed: None,
        generation: 0,
        dead_from: 0,
        first: 0,
    };
    if recover::holds_frames(file, path, &state)? {
        return Err(corrupt(
            state_file.path(),
            "neither of its slots is sound, but the log beside it has entries",
        ));
    }
    let total = segment_bytes * u64::from(SEGMENTS);
    file.allocate(0, total).map_err(io_error("reserving space for", path))?;
    file.sync().map_err(io_error("syncing", path))?;
    state_file.reserve()?;
    disk.sync_dir(dir).map_err(io_error("syncing", dir))?;
    state_file.write(&state)?;
    Ok(state)
}
