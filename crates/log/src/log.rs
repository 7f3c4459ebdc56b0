use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_base::{Offset, WallTime, limits};
use forebay_records::BatchHeader;

use crate::disk::{Disk, File};
use crate::epochs::EpochCache;
use crate::error::{LogError, failed};
use crate::files::Files;
use crate::index::IndexWriter;
use crate::recovery::Mode;
use crate::rest::Resting;
use crate::segment::Segment;
use crate::segments::Segments;
use crate::snapshots;
use crate::state::{State, StateFile, StateWriteError};

/// Write-back is started for so many bytes at a time: early enough for a steady flow, late enough to be long writes.
const WRITE_BACK_BYTES: u64 = 8 * 1024 * 1024;

/// Settings of one partition's log; each may change while it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment is rolled before it grows beyond this (Kafka's `segment.bytes`). One batch may be larger.
    pub segment_bytes_max: u64,
    /// A segment is rolled when its first batch is older than this (`segment.ms`).
    pub segment_age_max: Duration,
    /// An index entry is made after this many bytes (`index.interval.bytes`).
    pub index_interval_bytes: u64,
    /// The oldest segments go while the log would still hold this much without them (`retention.bytes`).
    pub retention_bytes: Option<u64>,
    /// A segment goes when its newest record is older than this (`retention.ms`).
    pub retention_age: Option<Duration>,
}

/// How a log was left by whoever had it before, which says what may be believed of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Closed, after everything was durable: its hints are believed.
    Clean,
    /// By a process that was killed, or with the machine: what is there is checked, and the torn rest is cut off.
    Unclean,
    /// By this process, after a storage fault: as after a kill, but that what lies below this offset was acknowledged.
    /// If less is found, the log is damaged, and nothing is cut off.
    Faulty(Offset),
}

/// The file to sync, and how far the log is durable once that sync has succeeded.
#[derive(Debug, Clone)]
pub struct SyncTarget {
    /// The active segment's file.
    pub file: Arc<dyn File>,
    /// Everything below this offset is durable after the sync.
    pub upto: Offset,
}

/// One partition's log. It has one owner, who writes; readers use [`Log::segments`].
///
/// ```text
/// log start <= durable end <= end       reads: start..end     believed after a power cut: start..durable end
/// ```
pub struct Log {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) files: Arc<Files>,
    pub(crate) dir: PathBuf,
    pub(crate) config: LogConfig,
    pub(crate) start: Offset,
    pub(crate) durable_end: Offset,
    /// All but the active one, oldest first; synced, never changed.
    pub(crate) sealed: Vec<Arc<Segment>>,
    /// `None` until the first append ever, and while the log rests.
    pub(crate) active: Option<Box<Active>>,
    /// The last segment while the log rests.
    pub(crate) resting: Option<Resting>,
    /// `None` until the first append ever.
    pub(crate) state: Option<StateFile>,
    pub(crate) epochs: EpochCache,
    pub(crate) view: Arc<Segments>,
    pub(crate) poison: Option<Arc<str>>,
    /// True if `close` has something to write.
    pub(crate) changed: bool,
    /// Where the log ended when it was opened, and when that was; see [`Log::age_from`].
    pub(crate) opened: Option<(Offset, WallTime)>,
    /// Blocks are reserved ahead of a segment that grows, so many at a time.
    pub(crate) ahead_bytes: u64,
}

/// The segment that is appended to. Boxed, for most logs have none at a time.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: Arc<dyn File>,
    pub(crate) index: IndexWriter,
    /// The tracked end: where the next write goes, whatever the file's length.
    pub(crate) len: u64,
    pub(crate) next: Offset,
    /// When its first batch was appended, as far as this is known.
    pub(crate) opened_at: Option<WallTime>,
    /// Blocks are reserved up to here.
    pub(crate) reserved: u64,
    /// Write-back or a sync was started up to here.
    pub(crate) written_back: u64,
    /// A short write was cut off again, and that cut is not synced.
    pub(crate) undone: bool,
    /// What a write that failed has left is still there, behind `len`.
    pub(crate) leftover: bool,
}

impl Active {
    /// The last segment of a log, which reaches to `next` in `len` bytes.
    pub(crate) fn new(
        segment: Arc<Segment>,
        file: Arc<dyn File>,
        index: IndexWriter,
        (len, next): (u64, Offset),
        opened_at: Option<WallTime>,
    ) -> Box<Self> {
        let (reserved, written_back, undone, leftover) = (0, len, false, false);
        Box::new(Self {
            segment,
            file,
            index,
            len,
            next,
            opened_at,
            reserved,
            written_back,
            undone,
            leftover,
        })
    }
}

/// Bytes whose write-back may be started: see [`Log::write_back_due`].
#[derive(Debug)]
pub struct WriteBack {
    /// The file.
    pub file: Arc<dyn File>,
    /// The first of them.
    pub at: u64,
    /// How many.
    pub len: u64,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, durable, end) = (self.start, self.durable_end, self.end());
        write!(f, "Log({}: {start}..{end}, durable to {durable})", self.dir.display())
    }
}

impl Log {
    /// Opens the log in `dir`, and recovers it unless the last stop was `clean`. A directory that is missing is an
    /// empty log; the first append makes it.
    ///
    /// Recovery believes what was durable and cuts the torn rest: see the crate's documentation.
    /// [`LogError::Corrupt`] if something durable is missing, [`LogError::Newer`] if a newer build wrote it.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, config: LogConfig, clean: bool) -> Result<Self, LogError> {
        let left = if clean { Left::Clean } else { Left::Unclean };
        Self::open_among(&Files::new(disk, limits::LOG_DESCRIPTORS_MAX), dir, config, left)
    }

    /// As [`Log::open`], with a bound of descriptors that it shares with other logs. It rests: after a clean stop
    /// nothing is opened for writing, and nothing is synced.
    pub fn open_among(
        files: &Arc<Files>,
        dir: &Path,
        config: LogConfig,
        left: Left,
    ) -> Result<Self, LogError> {
        let mut log = crate::recovery::open(files, dir, config, Mode::Own(left))?;
        log.rest()?;
        Ok(log)
    }

    /// Opens what can be read and verified of a log whose volume takes no writes, for `reason`: nothing is written, and
    /// every write is refused as after a storage fault. What is read above the durable end, which is what was on record,
    /// may not be on the device; opening the log again tells.
    ///
    /// [`LogError::Corrupt`] and [`LogError::Newer`] as [`Log::open`].
    pub fn open_read_only(
        files: &Arc<Files>,
        dir: &Path,
        config: LogConfig,
        reason: &str,
    ) -> Result<Self, LogError> {
        let mut log = crate::recovery::open(files, dir, config, Mode::Look)?;
        log.poison(reason);
        Ok(log)
    }

    /// First offset that may be read.
    pub fn start(&self) -> Offset {
        self.start
    }

    /// Offset after the last batch (LEO).
    pub fn end(&self) -> Offset {
        self.tail().map_or(self.start, |tail| tail.next)
    }

    /// Everything below is on stable storage.
    pub fn durable_end(&self) -> Offset {
        self.durable_end
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        let last = self.tail().map_or(0, |tail| tail.len);
        self.sealed.iter().map(|segment| segment.len()).sum::<u64>() + last
    }

    /// Takes new settings from now on.
    pub fn configure(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// Reserves blocks ahead of a growing segment so many bytes at a time from now on; with 0, none, and those that were
    /// reserved and are not used are given back, as far as they can be.
    pub fn reserve_ahead(&mut self, bytes: u64) {
        self.ahead_bytes = bytes;
        if let Some(active) = self.active.as_mut().filter(|active| bytes == 0 && active.reserved > active.len)
        {
            active.give_back();
            active.reserved = 0;
        }
    }

    /// Says when the log was opened. Segments of which nothing else tells the age, for what told it went with a crash,
    /// count from then on: otherwise retention would keep records without timestamps for ever.
    pub fn age_from(&mut self, now: WallTime) {
        self.opened = Some((self.end(), now));
        if let Some(active) = self.active.as_mut().filter(|active| active.len > 0) {
            active.opened_at.get_or_insert(now);
        }
        if let Some(resting) = self.resting.as_mut().filter(|resting| resting.segment.len() > 0) {
            resting.opened_at.get_or_insert(now);
        }
    }

    /// The view of readers. A new one is needed after a roll, a truncation or a deletion; appends show in old ones.
    pub fn segments(&self) -> Arc<Segments> {
        self.view.clone()
    }

    /// Where leader epochs begin.
    pub fn epochs(&self) -> &EpochCache {
        &self.epochs
    }

    /// What must be synced for everything appended so far to be durable; `None` if it is. Whoever asks syncs it: its
    /// write-back need not be started any more.
    pub fn unsynced(&mut self) -> Option<SyncTarget> {
        let active = self.active.as_mut().filter(|active| active.next > self.durable_end)?;
        active.written_back = active.len;
        Some(SyncTarget { file: active.file.clone(), upto: active.next })
    }

    /// What was appended since the last call or sync, if it is enough to have its write-back started. What is synced
    /// already must not be among it, for that would leave the page cache (decision 0009).
    pub fn write_back_due(&mut self) -> Option<WriteBack> {
        let active = self.active.as_mut()?;
        let (at, len) = (active.written_back, active.len - active.written_back);
        if len < WRITE_BACK_BYTES {
            return None;
        }
        active.written_back = active.len;
        Some(WriteBack { file: active.file.clone(), at, len })
    }

    /// A sync of [`Log::unsynced`] succeeded. One that was begun before a truncation must not be reported after it; one
    /// that succeeds after another has failed proves nothing and is ignored.
    pub fn synced(&mut self, upto: Offset) {
        if self.poison.is_none() {
            self.durable_end = self.durable_end.max(upto.min(self.end()));
        }
    }

    /// A sync failed: takes no write any more, for what is on the device is not known (rule R32). Opening the log
    /// again, as after an unclean stop, asks the device.
    pub fn poison(&mut self, reason: &str) {
        self.poison.get_or_insert_with(|| reason.into());
    }

    /// Why writes are refused, if they are.
    pub fn poisoned(&self) -> Option<&Arc<str>> {
        self.poison.as_ref()
    }

    pub(crate) fn writable(&self) -> Result<(), LogError> {
        match &self.poison {
            Some(reason) => Err(LogError::Poisoned { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Passes `outcome` on; an error ends all writing, because disk and memory may disagree.
    pub(crate) fn or_poison<T>(&mut self, outcome: Result<T, LogError>) -> Result<T, LogError> {
        outcome.map_err(|error| {
            let reason: Arc<str> = error.to_string().into();
            LogError::Poisoned { reason: self.poison.get_or_insert(reason).clone() }
        })
    }

    /// Makes the names in the partition's directory durable. Where it could not even be opened for want of a descriptor,
    /// nothing was tried, and it may be tried again.
    pub(crate) fn sync_names(&mut self) -> Result<(), LogError> {
        let outcome = self.disk.sync_dir(&self.dir).map_err(failed("sync", &self.dir));
        match outcome {
            Err(error) if error.is_out_of_descriptors() => Err(error),
            outcome => self.or_poison(outcome),
        }
    }

    /// Makes everything appended durable, here and now. Syncs even if no batch waits for it: the cut that undid a
    /// short write is not durable either, and bytes that came back would lie inside the log once it goes on.
    pub(crate) fn sync_active(&mut self) -> Result<(), LogError> {
        let Some(active) = &self.active else { return Ok(()) };
        let (upto, outcome) =
            (active.next, active.file.sync().map_err(failed("sync", active.segment.path())));
        self.or_poison(outcome)?;
        if let Some(active) = &mut self.active {
            (active.undone, active.written_back) = (false, active.len);
        }
        self.synced(upto);
        Ok(())
    }

    /// Makes a log start, and all that is known to be durable, survive a power cut.
    pub(crate) fn write_state(&mut self, state: State) -> Result<(), LogError> {
        let Some(file) = &mut self.state else { return Ok(()) };
        match file.write(self.disk.as_ref(), &self.dir, state) {
            Ok(()) => Ok(()),
            Err(StateWriteError::Write(error)) => Err(error),
            Err(StateWriteError::Sync(error)) => self.or_poison(Err(error)),
        }
    }

    /// The segments changed: makes the view of new readers.
    pub(crate) fn publish(&mut self) {
        let last = self.tail().map(|tail| tail.segment.clone());
        let list = self.sealed.iter().cloned().chain(last).collect();
        self.view = Arc::new(Segments { start: self.start, list });
    }

    /// The newest sound producer snapshot from the log start to the end, with its offset.
    pub fn producer_snapshot(&self) -> Option<(Offset, Bytes)> {
        snapshots::newest(self.disk.as_ref(), &self.dir, self.start, self.end())
    }

    /// Keeps the replica's state at the end of the log, as a hint; false if there is no room for it. A log without records
    /// has nothing else to tell it from.
    pub fn keep_producers(&self, producers: &[u8]) -> bool {
        snapshots::keep(self.disk.as_ref(), &self.dir, self.end(), producers)
    }

    /// The headers of all batches from the one that holds `from`; ends after the first error.
    pub fn headers(&self, from: Offset) -> impl Iterator<Item = Result<BatchHeader, LogError>> + use<> {
        self.view.clone().headers(from)
    }

    /// Persists the log start and the recovery point, so that the next recovery believes what is durable now and
    /// scans less. Syncs no batches.
    pub fn checkpoint(&mut self) -> Result<(), LogError> {
        self.writable()?;
        self.write_state(self.state_now())
    }

    /// What the state file should say.
    pub(crate) fn state_now(&self) -> State {
        State { log_start: self.start, recovery_point: self.durable_end, is_empty: self.tail().is_none() }
    }

    /// Makes everything durable and leaves the hints that a clean start uses. Nothing is written if nothing changed
    /// since the log was opened clean.
    pub fn close(&mut self, producers: &[u8]) -> Result<(), LogError> {
        self.writable()?;
        if !self.changed {
            return Ok(());
        }
        // If it stays, the next start sees that the segment is longer than its hint says.
        self.try_to_cut_leftover()?;
        self.sync_active()?;
        if let Some(active) = &self.active {
            active.give_back();
        }
        if let Some(tail) = self.tail() {
            // A damaged segment leaves no hint: the next start meets the damage.
            if let Ok(index) = tail.segment.whole_index() {
                self.hint_of(tail.segment, &index, tail.opened_at.map_or(-1, |at| at.0));
            }
            snapshots::write(self.disk.as_ref(), &self.dir, tail.next, producers);
        }
        self.checkpoint()?;
        self.changed = false;
        Ok(())
    }

    /// Removes the partition's directory, durably. Slices in flight stay readable.
    pub fn delete(self) -> Result<(), LogError> {
        remove_partition(self.disk.as_ref(), &self.dir)
    }
}

/// Removes the directory of a partition that is not open, durably; one that is missing is no error.
pub fn remove_partition(disk: &dyn Disk, dir: &Path) -> Result<(), LogError> {
    if !disk.exists(dir).map_err(failed("look for", dir))? {
        return Ok(());
    }
    for entry in disk.list(dir).map_err(failed("list", dir))? {
        let path = dir.join(entry.name);
        disk.remove_file(&path).map_err(failed("remove", &path))?;
    }
    disk.remove_dir(dir).map_err(failed("remove", dir))?;
    match dir.parent() {
        Some(parent) => disk.sync_dir(parent).map_err(failed("sync", parent)),
        None => Ok(()),
    }
}
