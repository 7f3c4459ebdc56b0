//! Opening a log: which of the bytes on disk count.
//!
//! ```text
//!     sealed segments            last segment
//!  |---------------------|----------------|·······~~~~
//!  believed: each was     headers walked,  checksums checked; the first batch that is not whole is the torn tail,
//!  synced before its      damage is        cut there
//!  successor was made     Corrupt     recovery point
//! ```
//! Damage in a sealed segment is found by whoever reads it, and does not keep the log from opening.

use std::io;
use std::path::Path;
use std::sync::Arc;

use forebay_base::{Offset, WallTime};
use forebay_records::BatchError;

use crate::disk::{Disk, File, Open};
use crate::epochs::EpochCache;
use crate::error::{LogError, failed};
use crate::files::Files;
use crate::index::{Hint, IndexWriter};
use crate::log::{Active, Left, Log, LogConfig};
use crate::names::{Kind, state_path};
use crate::rest::Resting;
use crate::sealed::remove_if_there;
use crate::segment::Segment;
use crate::segments::Segments;
use crate::snapshots;
use crate::state::{State, StateFile};
use crate::walk::{BatchWalk, LONG_WALK_BYTES, Step};

/// What opening a log may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Mend it, and own it from now on.
    Own(Left),
    /// Look at what is there, and change nothing: its volume takes no writes.
    Look,
}

impl Mode {
    fn is_clean(self) -> bool {
        self == Self::Own(Left::Clean)
    }

    fn may_write(self) -> bool {
        self != Self::Look
    }

    /// What lies below was acknowledged and must be there.
    fn promised(self) -> Offset {
        match self {
            Self::Own(Left::Faulty(promised)) => promised,
            Self::Own(Left::Clean | Left::Unclean) | Self::Look => Offset(0),
        }
    }
}

/// See [`Log::open`] and [`Log::open_read_only`].
pub(crate) fn open(files: &Arc<Files>, dir: &Path, config: LogConfig, mode: Mode) -> Result<Log, LogError> {
    let disk = files.disk().clone();
    let mut bases = Vec::new();
    if disk.exists(dir).map_err(failed("look for", dir))? {
        if !mode.is_clean() {
            settle_state(disk.as_ref(), dir, mode)?;
        }
        for entry in disk.list(dir).map_err(failed("list", dir))? {
            bases.extend(Kind::parse(&entry.name));
        }
    }
    let state = StateFile::read(disk.as_ref(), dir)?;
    let log = Log {
        disk,
        files: files.clone(),
        dir: dir.to_path_buf(),
        config,
        start: Offset(0),
        durable_end: Offset(0),
        sealed: Vec::new(),
        active: None,
        resting: None,
        state: None,
        epochs: EpochCache::default(),
        view: Arc::new(Segments::default()),
        poison: None,
        changed: mode.may_write() && !mode.is_clean(),
        opened: None,
        ahead_bytes: crate::append::RESERVE_BYTES,
    };
    let found = Found { names: bases, mode };
    let log = match state {
        Some(file) => found.recover(log, file),
        None => found.nothing(log),
    }?;
    keeps_promise(&log, mode.promised())?;
    Ok(log)
}

/// Also a directory that is gone must not pass for an empty log.
fn keeps_promise(log: &Log, promised: Offset) -> Result<(), LogError> {
    if log.end() >= promised {
        return Ok(());
    }
    let reason = format!("records up to offset {promised} were acknowledged and are not there");
    Err(LogError::Corrupt { path: log.dir.clone(), offset: log.end(), reason })
}

/// Makes the state durable before recovery builds on it: what a killed process left may only be in the cache, and what
/// a failed sync left in the cache is not on the device and must not be believed (rule R32).
fn settle_state(disk: &dyn Disk, dir: &Path, mode: Mode) -> Result<(), LogError> {
    let path = state_path(dir);
    let how = if mode.may_write() { Open::Write } else { Open::Read };
    let settled = disk.open(&path, how).and_then(|file| {
        file.drop_cache()?;
        if mode.may_write() { file.sync() } else { Ok(()) }
    });
    match settled {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("sync", &path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What lies in the directory.
struct Found {
    names: Vec<(Kind, Offset)>,
    mode: Mode,
}

impl Found {
    fn bases(&self, wanted: Kind) -> impl Iterator<Item = Offset> {
        self.names.iter().filter(move |(kind, _)| *kind == wanted).map(|(_, base)| *base)
    }

    /// No state: a partition whose first append was never answered. It holds no batches, else the state was there.
    fn nothing(&self, log: Log) -> Result<Log, LogError> {
        for base in self.bases(Kind::Log) {
            let path = Kind::Log.path(&log.dir, base);
            let file = log.disk.open(&path, Open::Read).map_err(failed("open", &path))?;
            if file.len().map_err(failed("read", &path))? > 0 {
                let reason = "it is missing or bad, so the log start is not known".to_owned();
                return Err(LogError::Corrupt { path: state_path(&log.dir), offset: base, reason });
            }
            if base != log.start && self.mode.may_write() {
                // Left there it would count as a successor of the first segment that is made.
                remove_if_there(log.disk.as_ref(), &path).map_err(failed("remove", &path))?;
            }
        }
        Ok(log)
    }

    fn recover(&self, mut log: Log, state: StateFile) -> Result<Log, LogError> {
        let State { log_start, recovery_point, is_empty } = state.last();
        log.start = log_start;
        log.state = Some(state);
        let bases: Vec<Offset> = self.bases(Kind::Log).collect();
        let kept = match is_empty {
            // One that begins at the log start was made by an append that did not come to write to it.
            true => bases.partition_point(|base| *base < log_start),
            false => bases.partition_point(|base| *base <= log_start).saturating_sub(1),
        };
        let (below, kept) = bases.split_at(kept);
        let missing = |reason: &str| LogError::Corrupt {
            path: log.dir.clone(),
            offset: log_start,
            reason: reason.to_owned(),
        };
        let Some((last, sealed)) = kept.split_last() else {
            let unused = log_start == Offset(0) && recovery_point == Offset(0);
            if !is_empty && !unused {
                return Err(missing("no segment is left"));
            }
            if self.mode.may_write() {
                remove_below(&log, below)?;
            }
            log.durable_end = log_start;
            log.publish();
            return Ok(log);
        };
        if kept[0] > log_start {
            return Err(missing("the segment of the log start is missing"));
        }
        if self.mode.may_write() {
            remove_below(&log, below)?;
            if !self.mode.is_clean() {
                self.remove_stale_hints(&log, *last)?;
            }
        }
        for (base, next) in sealed.iter().zip(&kept[1..]) {
            let segment = open_sealed(&log, *base, *next)?;
            log.sealed.push(segment);
        }
        self.open_last(&mut log, *last, recovery_point)?;
        if log.changed {
            let cleaned = snapshots::remove_above(log.disk.as_ref(), &log.dir, log.end());
            cleaned.map_err(failed("clean", &log.dir))?;
            // Names that a killed process made must last, and hints taken away must not come back.
            log.disk.sync_dir(&log.dir).map_err(failed("sync", &log.dir))?;
        }
        log.epochs.cut_start(log.start);
        log.publish();
        Ok(log)
    }

    /// Removes index hints that speak of the last segment, which may have been cut or have grown since, or of none.
    fn remove_stale_hints(&self, log: &Log, last: Offset) -> Result<(), LogError> {
        for base in self.bases(Kind::Index) {
            if base >= last || !self.bases(Kind::Log).any(|log| log == base) {
                let path = Kind::Index.path(&log.dir, base);
                remove_if_there(log.disk.as_ref(), &path).map_err(failed("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Opens the segment that is appended to, and finds its end.
    fn open_last(&self, log: &mut Log, base: Offset, recovery_point: Offset) -> Result<(), LogError> {
        let path = Kind::Log.path(&log.dir, base);
        let interval = log.config.index_interval_bytes;
        let segment = Segment::new(log.files.clone(), &log.dir, base, interval);
        if self.mode.is_clean()
            && let Some((hint, len)) = clean_hint(log, &segment, recovery_point)?
        {
            segment.publish(len, hint.next);
            log.durable_end = hint.next;
            log.epochs = EpochCache::new(hint.epochs);
            let opened_at = (hint.opened_at >= 0).then_some(WallTime(hint.opened_at));
            let newest = hint.max.timestamp;
            log.resting = Some(Resting { segment: Arc::new(segment), opened_at, newest });
            return Ok(());
        }
        let how = if self.mode.may_write() { Open::Write } else { Open::Read };
        let file = log.disk.open(&path, how).map_err(failed("open", &path))?;
        let len = file.len().map_err(failed("read", &path))?;
        if !self.mode.is_clean() {
            // What a failed sync left behind looks sound in the cache and is not on the device (measured).
            file.drop_cache().map_err(failed("drop the cache of", &path))?;
        }
        log.epochs = epochs_of_sealed(log, self.mode)?;
        let scan = scan_last(log, &segment, &file, len, recovery_point)?;
        if !self.mode.may_write() {
            // Each segment but the last was synced before its successor was made.
            log.durable_end = recovery_point.max(log.start).max(base);
            attach_resting(log, segment, &scan);
            return Ok(());
        }
        let promised = self.mode.promised();
        if scan.next < promised {
            let reason = format!("batches up to offset {promised} were acknowledged and cannot be read");
            return Err(segment.corrupt(scan.next, reason));
        }
        if scan.len < len {
            tracing::warn!(path = %path.display(), from = scan.len, to = len, end = %scan.next, "torn tail cut off");
        }
        // Nothing counts before it is durable, and what is read here may only be in the cache.
        let whole = scan.len;
        attach(log, segment, file.clone(), scan);
        if whole < len {
            match file.truncate(whole).map_err(failed("truncate", &path)) {
                // Nothing can be cut where a quota is used up: it is tried again before the next write.
                Err(error) if error.is_full() => {
                    log.active.iter_mut().for_each(|active| active.leftover = true)
                }
                cut => cut?,
            }
        }
        file.sync().map_err(failed("sync", &path))?;
        log.changed = true;
        Ok(())
    }
}

/// What a clean stop left about the last segment, and the segment's length: enough to open it without a descriptor for
/// writing.
fn clean_hint(log: &Log, segment: &Segment, recovery_point: Offset) -> Result<Option<(Hint, u64)>, LogError> {
    let (disk, path) = (log.disk.as_ref(), segment.path());
    let len = disk.open(path, Open::Read).and_then(|file| file.len()).map_err(failed("open", path))?;
    let hint = Hint::read(disk, &segment.hint_path(), segment.base(), Some(recovery_point), len);
    Ok(hint.map(|hint| (hint, len)))
}

/// Segments wholly below the log start, which an interrupted deletion left. Not synced: what comes back is removed
/// again.
fn remove_below(log: &Log, below: &[Offset]) -> Result<(), LogError> {
    for base in below {
        for kind in [Kind::Index, Kind::Log] {
            let path = kind.path(&log.dir, *base);
            remove_if_there(log.disk.as_ref(), &path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

/// A segment that has a successor, at `next`. Only its length is looked at.
fn open_sealed(log: &Log, base: Offset, next: Offset) -> Result<Arc<Segment>, LogError> {
    let path = Kind::Log.path(&log.dir, base);
    let len = log.disk.open(&path, Open::Read).and_then(|file| file.len()).map_err(failed("open", &path))?;
    let segment = Segment::new(log.files.clone(), &log.dir, base, log.config.index_interval_bytes);
    segment.publish(len, next);
    Ok(Arc::new(segment))
}

/// The epochs up to the last segment: from the newest hint, and from the headers of the segments after it, whose
/// hints are written anew where they are whole.
fn epochs_of_sealed(log: &Log, mode: Mode) -> Result<EpochCache, LogError> {
    let mut unknown = Vec::new();
    let mut epochs = EpochCache::default();
    for segment in log.sealed.iter().rev() {
        if let Some(hint) = segment.hint() {
            epochs = EpochCache::new(hint.epochs);
            break;
        }
        unknown.push(segment);
    }
    for segment in unknown.into_iter().rev() {
        let rebuilt = segment.rebuild(&mut epochs)?;
        match rebuilt.broken {
            // A hint of a later segment would have spared the look, and a hint may be missing any time: whether a log
            // opens must not depend on it. What is damaged fails when it is read.
            Some(error) => tracing::warn!(%error, "a segment is damaged; what is sound of the log is served"),
            None if mode.may_write() => {
                let hint = segment.to_hint(&rebuilt.index, -1, -1, &epochs);
                let _ = hint.write(log.disk.as_ref(), &segment.hint_path());
            }
            None => {}
        }
    }
    Ok(epochs)
}

/// What counts of the last segment.
struct Scan {
    index: IndexWriter,
    next: Offset,
    len: u64,
}

/// Finds the end of the last segment, and adds its epochs to the log's. Batches that reach above the recovery point
/// are believed by their checksum alone, after a clean stop too: it leaves none there unless something went wrong.
fn scan_last(
    log: &mut Log,
    segment: &Segment,
    file: &Arc<dyn File>,
    len: u64,
    recovery_point: Offset,
) -> Result<Scan, LogError> {
    let mut walk = BatchWalk::new(file.clone(), 0, len, LONG_WALK_BYTES);
    let mut scan =
        Scan { index: IndexWriter::new(log.config.index_interval_bytes), next: segment.base(), len: 0 };
    let torn = loop {
        let (at, header) = match walk.step().map_err(failed("read", segment.path()))? {
            Step::Batch(at, header) => (at, header),
            Step::End => break BatchError::Short,
            Step::Broken(_, error) => break error,
        };
        if header.base_offset != scan.next {
            break BatchError::Inconsistent("its offset does not follow the one before");
        }
        let check = header.last_offset() >= recovery_point;
        if check && !walk.check_crc(at, &header).map_err(failed("read", segment.path()))? {
            break BatchError::Crc;
        }
        if check {
            segment.checked().add(at..walk.position());
        }
        scan.index.note(at, &header);
        log.epochs.assign(header.leader_epoch, header.base_offset);
        scan.next = header.next_offset();
        scan.len = walk.position();
    };
    if scan.next < recovery_point.max(log.start) {
        return Err(segment.corrupt(scan.next, format!("batches that were durable cannot be read: {torn}")));
    }
    Ok(scan)
}

fn attach(log: &mut Log, segment: Segment, file: Arc<dyn File>, scan: Scan) {
    segment.pin(file.clone(), scan.index.index().clone());
    segment.publish(scan.len, scan.next);
    log.durable_end = scan.next;
    log.active = Some(Active::new(Arc::new(segment), file, scan.index, (scan.len, scan.next), None));
}

/// The last segment of a log that is only looked at.
fn attach_resting(log: &mut Log, segment: Segment, scan: &Scan) {
    segment.publish(scan.len, scan.next);
    let newest = scan.index.index().max().timestamp;
    log.resting = Some(Resting { segment: Arc::new(segment), opened_at: None, newest });
}
