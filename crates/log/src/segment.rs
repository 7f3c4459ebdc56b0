use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use forebay_base::{LeaderEpoch, Offset};
use forebay_records::BatchError;

use crate::checked::Checked;
use crate::disk::{File, Open};
use crate::epochs::EpochCache;
use crate::error::{LogError, failed};
use crate::files::Files;
use crate::handles::{Handles, Known};
use crate::index::{Entry, Hint, Index, IndexWriter, Stamp};
use crate::names::Kind;
use crate::slice::Slice;
use crate::walk::{BatchWalk, LONG_WALK_BYTES, Patience, SHORT_WALK_BYTES, Step};

/// One segment as readers see it. The last one of a log grows; the others never change.
///
/// File and index are opened when first asked for, and closed again when others need the place: see [`Files`]. A
/// partition that nobody uses costs neither a descriptor nor an index.
pub(crate) struct Segment {
    path: Arc<Path>,
    base: Offset,
    interval_bytes: u64,
    /// Published before `next`: who has seen an offset finds the bytes below it.
    len: AtomicU64,
    next: AtomicI64,
    handles: Arc<Handles>,
    checked: Arc<Checked>,
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({}..{}, {} bytes)", self.base, self.next(), self.len())
    }
}

/// What a walk through a whole segment found.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    pub(crate) index: Arc<Index>,
    /// Why the walk stopped before the end of the segment.
    pub(crate) broken: Option<LogError>,
}

impl Segment {
    /// A segment that nothing of is open yet.
    pub(crate) fn new(files: Arc<Files>, dir: &Path, base: Offset, interval_bytes: u64) -> Self {
        let path = Kind::Log.path(dir, base).into();
        let (len, next) = (AtomicU64::new(0), AtomicI64::new(base.0));
        Self { path, base, interval_bytes, len, next, handles: Handles::new(files), checked: Arc::default() }
    }

    /// A log writes it from now on, through this file and into this index, until [`Segment::unpin`].
    pub(crate) fn pin(&self, file: Arc<dyn File>, index: Arc<Index>) {
        self.handles.pin(file, index);
    }

    /// It is not written any more: see [`Handles::unpin`].
    pub(crate) fn unpin(&self) {
        self.handles.unpin();
    }

    /// Closes its file and forgets its index, unless it is written.
    pub(crate) fn close(&self) {
        self.handles.close();
    }

    pub(crate) fn base(&self) -> Offset {
        self.base
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Offset after its last batch.
    pub(crate) fn next(&self) -> Offset {
        Offset(self.next.load(Ordering::Acquire))
    }

    /// Length of its whole batches, in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Which of its bytes are known to be sound.
    pub(crate) fn checked(&self) -> &Checked {
        &self.checked
    }

    /// Shows readers that there are batches up to `next`, in `len` bytes.
    pub(crate) fn publish(&self, len: u64, next: Offset) {
        self.len.store(len, Ordering::Release);
        self.next.store(next.0, Ordering::Release);
    }

    fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    pub(crate) fn hint_path(&self) -> std::path::PathBuf {
        Kind::Index.path(self.dir(), self.base)
    }

    /// The file, opened for reading if it is not open. A segment that was deleted since the caller took its view is
    /// below the log start by now.
    pub(crate) fn file(&self) -> Result<Arc<dyn File>, LogError> {
        if let Some(file) = self.handles.file() {
            return Ok(file);
        }
        match self.files().disk().open(&self.path, Open::Read) {
            Ok(file) => Ok(self.handles.keep_file(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(LogError::OutOfRange { start: self.next(), end: self.next() })
            }
            Err(error) => Err(failed("open", &self.path)(error)),
        }
    }

    fn files(&self) -> &Files {
        self.handles.files()
    }

    /// The index, from memory, from its hint, or rebuilt. Of a damaged segment it covers what lies before the damage.
    pub(crate) fn index(&self) -> Result<Arc<Index>, LogError> {
        Ok(self.known()?.index.clone())
    }

    /// As [`Segment::index`], for who asks about all batches: [`LogError::Corrupt`] if it does not cover them.
    pub(crate) fn whole_index(&self) -> Result<Arc<Index>, LogError> {
        let known = self.known()?;
        known.broken.clone().map_or_else(|| Ok(known.index.clone()), Err)
    }

    /// As [`Segment::index`], with the reason why it does not cover everything.
    pub(crate) fn known(&self) -> Result<Arc<Known>, LogError> {
        loop {
            if let Some(known) = self.handles.known() {
                return Ok(known);
            }
            let next = self.next();
            let known = match self.hint() {
                Some(hint) => Known::whole(Arc::new(hint.to_index())),
                None => {
                    let Rebuilt { index, broken } = self.rebuild(&mut EpochCache::default())?;
                    Known { index, broken }
                }
            };
            // A rested segment that was written to meanwhile has an index that knows more.
            if let Some(known) = self.handles.keep_known(Arc::new(known), || self.next() == next) {
                return Ok(known);
            }
        }
    }

    /// Its index file, if that is sound and speaks of this very segment.
    pub(crate) fn hint(&self) -> Option<Hint> {
        Hint::read(self.files().disk().as_ref(), &self.hint_path(), self.base, Some(self.next()), self.len())
    }

    /// The contents of its index file. `epochs` are those of the log up to its end.
    pub(crate) fn to_hint(&self, index: &Index, opened_at: i64, sealed_at: i64, epochs: &EpochCache) -> Hint {
        let epochs: Vec<(LeaderEpoch, Offset)> = epochs.entries().to_vec();
        let (base, next, len) = (self.base, self.next(), self.len());
        Hint { base, next, len, opened_at, sealed_at, max: Stamp::NONE, entries: Vec::new(), epochs }
            .with_index(index)
    }

    /// Walks all headers: a new index, and the epochs that begin here added to `epochs`.
    pub(crate) fn rebuild(&self, epochs: &mut EpochCache) -> Result<Rebuilt, LogError> {
        let mut walk = BatchWalk::new(self.file()?, 0, self.len(), LONG_WALK_BYTES);
        let mut writer = IndexWriter::new(self.interval_bytes);
        let mut next = self.base;
        let broken = loop {
            match walk.step().map_err(failed("read", &self.path))? {
                Step::Batch(_, header) if header.base_offset < next => {
                    break Some(BatchError::Inconsistent("its offset goes back"));
                }
                Step::Batch(at, header) => {
                    writer.note(at, &header);
                    epochs.assign(header.leader_epoch, header.base_offset);
                    next = header.next_offset();
                }
                Step::End => break None,
                Step::Broken(_, error) => break Some(error),
            }
        };
        let broken = match broken {
            Some(error) => Some(self.corrupt(next, error.to_string())),
            None if next < self.next() => Some(self.corrupt(next, "it ends before its successor begins")),
            None if next > self.next() => Some(self.corrupt(next, "it goes on where its successor begins")),
            None => None,
        };
        Ok(Rebuilt { index: writer.index().clone(), broken })
    }

    pub(crate) fn corrupt(&self, offset: Offset, reason: impl Into<String>) -> LogError {
        LogError::Corrupt { path: self.path.to_path_buf(), offset, reason: reason.into() }
    }

    /// A walk from `entry` on, over what is published.
    pub(crate) fn walk(&self, entry: Option<Entry>) -> Result<Batches<'_>, LogError> {
        self.walk_patiently(entry, Patience::Device)
    }

    fn walk_patiently(&self, entry: Option<Entry>, patience: Patience) -> Result<Batches<'_>, LogError> {
        let entry = entry.unwrap_or(Entry::first(self.base));
        let walk = BatchWalk::patient(self.file()?, entry.position, self.len(), SHORT_WALK_BYTES, patience);
        Ok(Batches { segment: self, walk, next: entry.offset })
    }

    /// Whole batches from the one that holds `from`, below `upto`, of about `bytes_max` bytes: see
    /// [`crate::Segments::read`]. Without patience, an error of kind [`io::ErrorKind::WouldBlock`] says that finding
    /// them takes the device.
    pub(crate) fn read(
        &self,
        from: Offset,
        upto: Offset,
        bytes_max: u64,
        patience: Patience,
    ) -> Result<Option<Slice>, LogError> {
        if !self.handles.is_open() && patience == Patience::None {
            return Err(failed("look into", &self.path)(io::ErrorKind::WouldBlock.into()));
        }
        let index = self.index()?;
        let mut batches = self.walk_patiently(index.at_or_below(from), patience)?;
        let Some((at, first)) = batches.seek(|header| header.last_offset() >= from)? else {
            // An answer of nothing would have its reader ask for ever.
            let short = from < upto && from < self.next();
            return if short {
                Err(self.corrupt(batches.next, "its last batches are missing"))
            } else {
                Ok(None)
            };
        };
        if first.next_offset() > upto {
            // What follows it tells whether it claims more than it holds.
            batches.step()?;
            return Ok(None);
        }
        let mut end = at + first.len as u64;
        let stop = at.saturating_add(bytes_max).min(self.len());
        if let Some(entry) = index.last_within(upto, stop)
            && entry.position > end
        {
            end = entry.position;
            batches.walk.seek(end);
        }
        // A batch that cannot be read ends the slice; who asks for it is told.
        while let Step::Batch(at, header) = batches.walk.step().map_err(failed("read", &self.path))? {
            if header.next_offset() > upto || at + header.len as u64 > stop {
                break;
            }
            end = at + header.len as u64;
        }
        self.slice(first.base_offset, at, end - at).map(Some)
    }

    pub(crate) fn slice(&self, base: Offset, at: u64, len: u64) -> Result<Slice, LogError> {
        let (file, path, checked) = (self.file()?, self.path.clone(), self.checked.clone());
        let beyond = self.len().saturating_sub(at + len);
        Ok(Slice { file, path, base, at, len, beyond, checked })
    }
}

/// Goes through a segment's batches; what cannot be read is an error.
pub(crate) struct Batches<'a> {
    segment: &'a Segment,
    walk: BatchWalk,
    next: Offset,
}

impl Batches<'_> {
    /// The next batch and its position; `None` at the end of the segment.
    pub(crate) fn step(&mut self) -> Result<Option<(u64, forebay_records::BatchHeader)>, LogError> {
        match self.walk.step().map_err(failed("read", &self.segment.path))? {
            Step::Batch(_, header) if header.base_offset < self.next => {
                Err(self.segment.corrupt(header.base_offset, "an offset goes back"))
            }
            Step::Batch(at, header) => {
                self.next = header.next_offset();
                Ok(Some((at, header)))
            }
            Step::End => Ok(None),
            Step::Broken(_, error) => Err(self.segment.corrupt(self.next, error.to_string())),
        }
    }

    /// The next batch for which `wanted`.
    pub(crate) fn seek(
        &mut self,
        wanted: impl Fn(&forebay_records::BatchHeader) -> bool,
    ) -> Result<Option<(u64, forebay_records::BatchHeader)>, LogError> {
        while let Some((at, header)) = self.step()? {
            if wanted(&header) {
                return Ok(Some((at, header)));
            }
        }
        Ok(None)
    }
}
