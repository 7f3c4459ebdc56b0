use std::sync::Arc;

use forebay_base::{Offset, WallTime};

use crate::append::is_older;
use crate::disk::Open;
use crate::error::{LogError, failed};
use crate::index::IndexWriter;
use crate::log::{Active, Log};
use crate::sealed::remove_if_there;
use crate::segment::Segment;
use crate::snapshots;
use crate::state::State;

/// Both ends of the log can be cut. In either case the state file comes first: it is synced before any byte or name
/// goes, so that recovery never misses what it was told is there.
impl Log {
    /// Moves the log start up to `to` (DeleteRecords). Durable when it returns; then whole segments below are
    /// unlinked, which no reader notices that has them open. Below the log start already: nothing happens.
    ///
    /// [`LogError::OutOfRange`] if `to` is above the end.
    pub fn advance_start(&mut self, to: Offset) -> Result<(), LogError> {
        self.writable()?;
        if to > self.end() {
            return Err(LogError::OutOfRange { start: self.start, end: self.end() });
        }
        if to <= self.start {
            return Ok(());
        }
        if to > self.durable_end {
            // The log start must never lie above what a power cut leaves.
            self.sync_active()?;
        }
        self.write_state(State { log_start: to, ..self.state_now() })?;
        self.changed = true;
        self.start = to;
        self.epochs.cut_start(to);
        let gone = self.sealed.partition_point(|segment| segment.next() <= to);
        let below: Vec<Arc<Segment>> = self.sealed.drain(..gone).collect();
        self.publish();
        self.unlink_below(&below);
        Ok(())
    }

    /// Not synced: recovery removes what comes back. A failure costs the space until then.
    fn unlink_below(&self, below: &[Arc<Segment>]) {
        let disk = self.disk.as_ref();
        let unlink = || {
            for segment in below {
                remove_if_there(disk, &segment.hint_path())?;
                remove_if_there(disk, segment.path())?;
            }
            snapshots::remove_below(disk, &self.dir, self.start)
        };
        if let Err(error) = unlink() {
            tracing::warn!(dir = %self.dir.display(), %error, "deleted segments not unlinked; the next start will");
        }
    }

    /// Applies retention by size and by time: moves the log start past the oldest segments that must go, never past
    /// `upto` (the high watermark) and never into the active segment (but see [`Log::expire_active`]). The new start, if it
    /// moved.
    pub fn retain(&mut self, now: WallTime, upto: Offset) -> Result<Option<Offset>, LogError> {
        let mut left = self.size_bytes();
        let mut start = self.start;
        for segment in self.sealed.iter().take_while(|segment| segment.next() <= upto) {
            let too_much = self.config.retention_bytes.is_some_and(|kept| left - segment.len() >= kept);
            match if too_much { Ok(true) } else { self.is_expired(segment, now) } {
                Ok(true) => {}
                // What was found to go, goes; the next call meets the error first.
                Err(error) if start == self.start => return Err(error),
                Ok(false) | Err(_) => break,
            }
            left -= segment.len();
            start = segment.next();
        }
        if start <= self.start {
            return Ok(None);
        }
        self.advance_start(start)?;
        Ok(Some(start))
    }

    /// Retention by time where no new segment can be made, for want of room, and so the one that is written to is never
    /// sealed: if no other is left and all its records must go and lie below `upto` (the high watermark), the log start
    /// moves to the end, and [`Log::drop_deleted`] gives the space back. The new start, if it moved. No sync of it may be
    /// under way.
    pub fn expire_active(&mut self, now: WallTime, upto: Offset) -> Result<Option<Offset>, LogError> {
        let end = self.end();
        let Some(last) = self.tail().filter(|last| last.len > 0 && self.sealed.is_empty()) else {
            return Ok(None);
        };
        if self.start >= end || upto < end || !self.is_expired(last.segment, now)? {
            return Ok(None);
        }
        self.advance_start(end)?;
        Ok(Some(end))
    }

    /// Deletes the oldest segment that is not written to any more and lies below `upto`, whatever retention says. The new
    /// start, if there was one.
    pub fn drop_oldest(&mut self, upto: Offset) -> Result<Option<Offset>, LogError> {
        let Some(to) = self.sealed.first().map(|oldest| oldest.next()).filter(|next| *next <= upto) else {
            return Ok(None);
        };
        self.advance_start(to)?;
        Ok(Some(to))
    }

    /// True if every record is deleted and the last segment still takes up space.
    pub fn holds_only_deleted(&self) -> bool {
        self.start >= self.end() && self.tail().is_some_and(|last| last.len > 0)
    }

    /// Removes all segments of a log that holds only deleted records. The next append makes the first one anew: nothing
    /// that this does needs a byte or an inode of a volume that has none left. No sync of it may be under way.
    pub fn drop_deleted(&mut self) -> Result<(), LogError> {
        self.writable()?;
        if !self.holds_only_deleted() {
            return Ok(());
        }
        self.write_state(State { is_empty: true, ..self.state_now() })?;
        self.changed = true;
        let last = self.tail().map(|last| last.segment.clone());
        let all: Vec<Arc<Segment>> = self.sealed.drain(..).chain(last).collect();
        (self.active, self.resting) = (None, None);
        self.durable_end = self.start;
        self.publish();
        self.unlink_below(&all);
        Ok(())
    }

    /// Judged by the largest timestamp, or, where records carry none, by when the segment was sealed, or, where a crash
    /// took that, by when the log was opened. Of a damaged segment nothing is known, so it is not deleted by age
    /// ([`LogError::Corrupt`]).
    fn is_expired(&self, segment: &Segment, now: WallTime) -> Result<bool, LogError> {
        let Some(age) = self.config.retention_age else { return Ok(false) };
        let index = segment.whole_index()?;
        let newest = index.max().timestamp;
        let sealed = (index.sealed_at >= 0).then_some(index.sealed_at);
        let opened = self.opened.filter(|(end, _)| segment.next() <= *end).map(|(_, at)| at.0);
        let newest = (newest >= 0).then_some(newest).or(sealed).or(opened);
        Ok(newest.is_some_and(|newest| is_older(newest, age, now)))
    }

    /// Cuts the tail: `to`, or the start of the batch that holds it, becomes the end. Durable when it returns. At or
    /// above the end: nothing happens. [`LogError::OutOfRange`] if that would pass the log start.
    ///
    /// Order, for a power cut anywhere in between: the recovery point is lowered; hints go; segments go, newest first,
    /// each one durably before the next, so that what is left has no hole; the last one is cut and synced.
    pub fn truncate(&mut self, to: Offset) -> Result<(), LogError> {
        self.writable()?;
        let out_of_range = LogError::OutOfRange { start: self.start, end: self.end() };
        if to >= self.end() {
            return Ok(());
        }
        if to < self.start {
            return Err(out_of_range);
        }
        let segments = self.segments();
        let place = segments.list.partition_point(|segment| segment.base() <= to).saturating_sub(1);
        let Some(target) = segments.list.get(place) else { return Err(out_of_range) };
        let cut = Cut::find(target, to, self.config.index_interval_bytes)?;
        if cut.end < self.start {
            return Err(out_of_range);
        }
        let recovery_point = self.durable_end.min(cut.end);
        self.write_state(State { recovery_point, ..self.state_now() })?;
        self.changed = true;
        let outcome =
            self.remove_above(&segments.list[place..], cut.end).and_then(|()| self.cut_last(target, cut));
        self.or_poison(outcome)
    }

    /// Removes the hints of `segments` and all but the first of them.
    fn remove_above(&self, segments: &[Arc<Segment>], end: Offset) -> Result<(), LogError> {
        let disk = self.disk.as_ref();
        snapshots::remove_above(disk, &self.dir, end).map_err(failed("clean", &self.dir))?;
        for segment in segments {
            let path = segment.hint_path();
            remove_if_there(disk, &path).map_err(failed("remove", &path))?;
        }
        self.disk.sync_dir(&self.dir).map_err(failed("sync", &self.dir))?;
        for segment in segments.iter().skip(1).rev() {
            disk.remove_file(segment.path()).map_err(failed("remove", segment.path()))?;
            disk.sync_dir(&self.dir).map_err(failed("sync", &self.dir))?;
        }
        Ok(())
    }

    /// Cuts the segment that is the last one now, and appends to it from here on.
    fn cut_last(&mut self, target: &Segment, cut: Cut) -> Result<(), LogError> {
        let path = target.path();
        let file = self.disk.open(path, Open::Write).map_err(failed("open", path))?;
        file.truncate(cut.len).map_err(failed("truncate", path))?;
        file.sync().map_err(failed("sync", path))?;
        let segment =
            Segment::new(self.files.clone(), &self.dir, target.base(), self.config.index_interval_bytes);
        segment.pin(file.clone(), cut.index.index().clone());
        segment.publish(cut.len, cut.end);
        let segment = Arc::new(segment);
        self.sealed.retain(|sealed| sealed.base() < segment.base());
        self.resting = None;
        self.active = Some(Active::new(segment, file, cut.index, (cut.len, cut.end), None));
        self.durable_end = cut.end;
        self.epochs.cut_end(cut.end);
        self.publish();
        Ok(())
    }
}

/// Where a segment is cut, and its index below.
struct Cut {
    end: Offset,
    len: u64,
    index: IndexWriter,
}

impl Cut {
    fn find(target: &Segment, to: Offset, interval_bytes: u64) -> Result<Self, LogError> {
        let index = target.index()?;
        let (at, end) = match target.walk(index.at_or_below(to))?.seek(|header| header.last_offset() >= to)? {
            Some((at, header)) => (at, header.base_offset),
            None => (target.len(), target.next()),
        };
        let (mut index, last) = IndexWriter::resume_below(&index, at, interval_bytes);
        let mut batches = target.walk(last)?;
        while let Some((position, header)) = batches.step()? {
            if position >= at {
                break;
            }
            index.note(position, &header);
        }
        Ok(Self { end, len: at, index })
    }
}
