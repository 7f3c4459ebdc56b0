//! A log that nobody writes to holds no descriptor and no index.
//!
//! ```text
//!            append · roll                             rest
//!   Resting ---------------> Active { file, index } ----------> Resting
//!      ^  opened after a clean stop     |   synced first: a descriptor with unsynced bytes is never closed
//!      `--------------------------------'
//! ```

use std::sync::Arc;

use forebay_base::{Mutant, Offset, WallTime};

use crate::disk::Open;
use crate::error::{LogError, failed};
use crate::index::{Hint, IndexWriter};
use crate::log::{Active, Log};
use crate::segment::Segment;
use crate::walk::LONG_WALK_BYTES;

/// The last segment of a log, while it is not written.
#[derive(Debug)]
pub(crate) struct Resting {
    pub(crate) segment: Arc<Segment>,
    pub(crate) opened_at: Option<WallTime>,
    /// Its largest timestamp, in ms.
    pub(crate) newest: i64,
}

/// The last segment of a log, written or not.
pub(crate) struct Tail<'a> {
    pub(crate) segment: &'a Arc<Segment>,
    /// Length of its whole batches, in bytes.
    pub(crate) len: u64,
    /// Offset after its last batch.
    pub(crate) next: Offset,
    pub(crate) opened_at: Option<WallTime>,
    /// Its largest timestamp, in ms.
    pub(crate) newest: i64,
}

impl Drop for Active {
    /// Readers may go on with what it had open.
    fn drop(&mut self) {
        self.segment.unpin();
    }
}

impl Log {
    /// `None` before the first append ever.
    pub(crate) fn tail(&self) -> Option<Tail<'_>> {
        let active = self.active.as_ref().map(|active| Tail {
            segment: &active.segment,
            len: active.len,
            next: active.next,
            opened_at: active.opened_at,
            newest: active.index.index().max().timestamp,
        });
        active.or_else(|| {
            self.resting.as_ref().map(|resting| Tail {
                segment: &resting.segment,
                len: resting.segment.len(),
                next: resting.segment.next(),
                opened_at: resting.opened_at,
                newest: resting.newest,
            })
        })
    }

    /// True if it holds a descriptor for writing.
    pub fn is_awake(&self) -> bool {
        self.active.is_some()
    }

    /// Gives the descriptor and the index of a log back that is not written for a while. What is not durable yet is
    /// synced first; no other sync of it may be under way. The next append takes both up again.
    pub fn rest(&mut self) -> Result<(), LogError> {
        self.writable()?;
        if !self.try_to_cut_leftover()? {
            return Ok(());
        }
        let Some(active) = &self.active else { return Ok(()) };
        let unsynced = active.next > self.durable_end || active.undone;
        if unsynced && !Mutant::UnsyncedDescriptorClosed.is_planted() {
            self.sync_active()?;
        }
        let Some(active) = self.active.take() else { return Ok(()) };
        // A short segment is walked through as quickly as its hint is read.
        if active.len > LONG_WALK_BYTES as u64 {
            let opened_at = active.opened_at.map_or(-1, |at| at.0);
            self.hint_of(&active.segment, active.index.index(), opened_at);
        }
        let (opened_at, newest) = (active.opened_at, active.index.index().max().timestamp);
        let segment = active.segment.clone();
        drop(active);
        segment.close();
        self.resting = Some(Resting { segment, opened_at, newest });
        Ok(())
    }

    /// Takes up again what [`Log::rest`] gave back. On an error the log rests on.
    pub(crate) fn wake(&mut self) -> Result<(), LogError> {
        let Some(Resting { segment, opened_at, .. }) = &self.resting else { return Ok(()) };
        let (segment, opened_at) = (segment.clone(), *opened_at);
        let path = segment.path();
        let file = self.disk.open(path, Open::Write).map_err(failed("open", path))?;
        let known = segment.known()?;
        let mut index = IndexWriter::resume(known.index.clone(), self.config.index_interval_bytes);
        if known.broken.is_some() {
            index.mark_next();
        }
        segment.pin(file.clone(), known.index.clone());
        let (len, next) = (segment.len(), segment.next());
        self.resting = None;
        self.active = Some(Active::new(segment, file, index, (len, next), opened_at));
        Ok(())
    }

    /// Writes the hint of the last segment, as it is now.
    pub(crate) fn hint_of(&self, segment: &Segment, index: &crate::index::Index, opened_at: i64) {
        let hint: Hint = segment.to_hint(index, opened_at, -1, &self.epochs);
        let _ = hint.write(self.disk.as_ref(), &segment.hint_path());
    }
}
