use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_base::{Mutant, Offset, WallTime};
use forebay_records::{BatchHeader, HEADER_LEN};

use crate::disk::{File, Open};
use crate::error::{LogError, failed, is_out_of_descriptors};
use crate::index::IndexWriter;
use crate::log::{Active, Log};
use crate::names::{Kind, state_path};
use crate::sealed::{CreateDirError, create_dir};
use crate::segment::Segment;
use crate::snapshots;
use crate::state::{State, StateFile, StateWriteError};

/// Parts of one write; the kernel's bound (`IOV_MAX`).
const WRITE_PARTS_MAX: usize = 1_024;

/// From this length on a segment counts as warm, and blocks are reserved ahead of it ...
const WARM_BYTES: u64 = 4 * 1024 * 1024;
/// ... so many at a time, unless [`Log::reserve_ahead`] says otherwise.
pub(crate) const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// A batch with the leader's stamp in its header, ready to be written.
#[derive(Debug, Clone)]
pub struct Stamped {
    /// The fixed part, with base offset and leader epoch.
    pub header: [u8; HEADER_LEN],
    /// Everything after the fixed part, as it was received.
    pub rest: Bytes,
    /// `header`, parsed.
    pub info: BatchHeader,
}

impl Log {
    /// True if the active segment should be rolled before `next_bytes` more are appended: it is full or old. With
    /// `next_bytes` 0, as on a tick, also if all its records are older than the retention age.
    pub fn wants_roll(&self, next_bytes: u64, now: WallTime) -> bool {
        let Some(last) = self.tail().filter(|last| last.len > 0) else { return false };
        let full = !self.fits(next_bytes);
        let old = last.opened_at.is_some_and(|at| is_older(at.0, self.config.segment_age_max, now));
        let newest = last.newest;
        let expired = newest >= 0
            && self.config.retention_age.is_some_and(|age| next_bytes == 0 && is_older(newest, age, now));
        (full && next_bytes > 0) || old || expired
    }

    /// True if the active segment takes `next_bytes` more without growing beyond `segment_bytes_max`.
    pub fn fits(&self, next_bytes: u64) -> bool {
        let len = self.tail().map_or(0, |last| last.len);
        len.saturating_add(next_bytes) <= self.config.segment_bytes_max
    }

    /// True if the active segment has room for less than a sixteenth of `segment_bytes_max`.
    pub fn is_nearly_full(&self) -> bool {
        !self.fits(self.config.segment_bytes_max / 16)
    }

    /// Appends `batches` in one write at the tracked end: all of them or, on an error, none. A short write is cut off
    /// again before the error is returned; if even that fails, for want of space before the next one, else the log is
    /// poisoned.
    ///
    /// They must follow the end and one another ([`LogError::Misplaced`]). They are readable when this returns and
    /// durable after a sync of [`Log::unsynced`].
    pub fn append(&mut self, batches: &[Stamped], now: WallTime) -> Result<(), LogError> {
        self.writable()?;
        self.check_places(batches)?;
        if batches.is_empty() {
            return Ok(());
        }
        // Before anything is tried: a write that was undone must be settled by the close, too.
        self.changed = true;
        self.wake()?;
        if self.active.is_none() {
            self.create()?;
        }
        self.cut_leftover()?;
        let Some(active) = &mut self.active else { return Ok(()) };
        active.reserve(batches, self.config.segment_bytes_max, self.ahead_bytes);
        if let Err(error) = write_batches(active.file.as_ref(), active.len, batches) {
            active.undone = true;
            let path = active.segment.path();
            let error = failed("write", path)(error);
            if Mutant::DescriptorClosedOnFailure.is_planted()
                && let Ok(other) = self.disk.open(&state_path(&self.dir), Open::Read)
            {
                active.segment.pin(other, active.index.index().clone());
            }
            if Mutant::TailNotTruncated.is_planted() {
                return Err(error);
            }
            active.leftover = true;
            self.try_to_cut_leftover()?;
            return Err(error);
        }
        active.segment.checked().wrote(active.len);
        if active.len == 0 {
            active.opened_at = Some(now);
        }
        active.opened_at.get_or_insert(now);
        for batch in batches {
            active.index.note(active.len, &batch.info);
            self.epochs.assign(batch.info.leader_epoch, batch.info.base_offset);
            active.len += batch.info.len as u64;
            active.next = batch.info.next_offset();
        }
        active.segment.publish(active.len, active.next);
        Ok(())
    }

    /// Cuts off what a write that failed has left behind the tracked end. Where there is no room even for that (btrfs over
    /// its quota), it stays, unseen, and is tried again before anything else is written.
    pub(crate) fn cut_leftover(&mut self) -> Result<(), LogError> {
        let Some(active) = self.active.as_ref().filter(|active| active.leftover) else { return Ok(()) };
        let cut = active.file.truncate(active.len);
        let cut = cut.map_err(failed("undo a short write of", active.segment.path()));
        if cut.as_ref().is_err_and(LogError::is_full) {
            return cut;
        }
        self.or_poison(cut)?;
        if let Some(active) = &mut self.active {
            active.leftover = false;
        }
        Ok(())
    }

    /// As [`Log::cut_leftover`]; false if there is no room for it yet.
    pub(crate) fn try_to_cut_leftover(&mut self) -> Result<bool, LogError> {
        match self.cut_leftover() {
            Err(error) if error.is_full() => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    fn check_places(&self, batches: &[Stamped]) -> Result<(), LogError> {
        let mut expected = self.end();
        for batch in batches {
            let found = batch.info.base_offset;
            let whole = batch.info.len == HEADER_LEN + batch.rest.len() && batch.info.last_offset_delta >= 0;
            if found != expected || !whole {
                return Err(LogError::Misplaced { expected, found });
            }
            expected = batch.info.next_offset();
        }
        Ok(())
    }

    /// Makes the first segment, ever or after all before it were deleted.
    fn create(&mut self) -> Result<(), LogError> {
        let is_new = self.state.is_none();
        if is_new {
            self.create_state()?;
        }
        // A creation that was interrupted may have left the name, with nothing in it.
        let active = self.create_segment(self.start, Open::CreateOrWrite)?;
        self.sync_names()?;
        if !is_new {
            self.write_state(State { is_empty: false, ..self.state_now() })?;
        }
        self.active = Some(active);
        self.publish();
        Ok(())
    }

    /// Makes the directory and the state file, in an order in which a power cut leaves either nothing that counts or
    /// everything: the state is synced before its name is, and both before the first write.
    fn create_state(&mut self) -> Result<(), LogError> {
        match create_dir(self.disk.as_ref(), &self.dir) {
            Ok(()) => {}
            Err(CreateDirError::Create(error)) => return Err(failed("create", &self.dir)(error)),
            Err(CreateDirError::Sync(error)) if is_out_of_descriptors(&error) => {
                return Err(failed("make durable", &self.dir)(error));
            }
            Err(CreateDirError::Sync(error)) => {
                return self.or_poison(Err(failed("make durable", &self.dir)(error)));
            }
        }
        let state = State { is_empty: false, ..self.state_now() };
        self.state = match StateFile::create(self.disk.as_ref(), &self.dir, state) {
            Ok(file) => Some(file),
            Err(StateWriteError::Write(error)) => return Err(error),
            Err(StateWriteError::Sync(error)) => return self.or_poison(Err(error)),
        };
        Ok(())
    }

    /// Makes an empty segment file. The caller syncs the directory.
    fn create_segment(&self, base: Offset, how: Open) -> Result<Box<Active>, LogError> {
        let path = Kind::Log.path(&self.dir, base);
        let file = self.disk.open(&path, how).map_err(failed("create", &path))?;
        let index = IndexWriter::new(self.config.index_interval_bytes);
        let segment = Segment::new(self.files.clone(), &self.dir, base, self.config.index_interval_bytes);
        segment.pin(file.clone(), index.index().clone());
        Ok(Active::new(Arc::new(segment), file, index, (0, base), None))
    }

    /// Seals the active segment and begins the next one at the end of the log. Nothing happens if it is empty.
    ///
    /// The old segment is synced **first**, so every segment but the last is durable: recovery builds on that.
    /// `producers` is the replica's state at the end of the log, kept as a hint. An error that is not
    /// [`LogError::Poisoned`] leaves the old segment in use.
    pub fn roll(&mut self, producers: &[u8], now: WallTime) -> Result<(), LogError> {
        self.writable()?;
        if self.tail().is_none_or(|last| last.len == 0) {
            return Ok(());
        }
        self.wake()?;
        // A sealed segment is as long as its file.
        self.cut_leftover()?;
        self.sync_active()?;
        let next = self.create_segment(self.end(), Open::Create)?;
        let Some(old) = &self.active else { return Ok(()) };
        let opened_at = old.opened_at.map_or(-1, |at| at.0);
        let hint = old.segment.to_hint(old.index.index(), opened_at, now.0, &self.epochs);
        if let Err(error) = hint.write(self.disk.as_ref(), &old.segment.hint_path())
            && Mutant::IndexFailureFailsAppend.is_planted()
        {
            return Err(failed("write", &old.segment.hint_path())(error));
        }
        snapshots::write(self.disk.as_ref(), &self.dir, old.next, producers);
        if let Err(error) = self.sync_names() {
            let path = next.segment.path().to_path_buf();
            drop(next);
            // Where it may be tried again, it is made again; one that comes back after a crash is empty.
            let _ = self.disk.remove_file(&path);
            return Err(error);
        }
        self.changed = true;
        if let Some(old) = self.active.replace(next) {
            old.give_back();
            self.seal(old);
        }
        self.publish();
        Ok(())
    }

    /// Keeps the index at hand, for a while, only if its hint was not written.
    fn seal(&mut self, old: Box<Active>) {
        let segment = old.segment.clone();
        drop(old);
        if segment.hint().is_some() {
            segment.close();
        }
        self.sealed.push(segment);
    }
}

impl Active {
    /// Reserves blocks ahead of a segment that grows: a partition that takes little gets none.
    fn reserve(&mut self, batches: &[Stamped], segment_bytes_max: u64, ahead_bytes: u64) {
        let end = self.len + batches.iter().map(|batch| batch.info.len as u64).sum::<u64>();
        if ahead_bytes > 0 && self.len >= WARM_BYTES && end > self.reserved && self.len < segment_bytes_max {
            let upto = (end + ahead_bytes).min(segment_bytes_max.max(end));
            self.file.reserve(self.len, upto - self.len);
            self.reserved = upto;
        }
    }

    /// Gives back what was reserved and not used, by this process or one before; where that fails, the space stays used
    /// until the segment goes.
    pub(crate) fn give_back(&self) {
        if self.len >= WARM_BYTES {
            let _ = self.file.truncate(self.len);
        }
    }
}

/// True if `timestamp`, in ms, lies more than `age` before `now`.
pub(crate) fn is_older(timestamp: i64, age: Duration, now: WallTime) -> bool {
    i128::from(now.0) - i128::from(timestamp) > i128::try_from(age.as_millis()).unwrap_or(i128::MAX)
}

/// Writes all `batches` at `at`, going on after short writes.
fn write_batches(file: &dyn File, mut at: u64, batches: &[Stamped]) -> io::Result<()> {
    let mut parts: Vec<IoSlice<'_>> = batches
        .iter()
        .flat_map(|batch| [IoSlice::new(&batch.header), IoSlice::new(&batch.rest)])
        .filter(|part| !part.is_empty())
        .collect();
    let mut left = parts.as_mut_slice();
    while !left.is_empty() {
        let step = left.len().min(WRITE_PARTS_MAX);
        match file.write_at(at, &left[..step])? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => {
                at += written as u64;
                IoSlice::advance_slices(&mut left, written);
            }
        }
    }
    Ok(())
}
