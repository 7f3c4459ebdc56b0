use std::io;
use std::sync::Arc;

use forebay_base::Offset;
use forebay_records::BatchHeader;

use crate::error::LogError;
use crate::index::Stamp;
use crate::segment::Segment;
use crate::slice::Slice;
use crate::walk::Patience;

/// What a look that does not wait for the device found: see [`Segments::glance`].
#[derive(Debug, Clone)]
pub enum Glance {
    /// Nothing below the bound.
    Nothing,
    /// Batches; whether they can be sent as they lie is for [`Slice::is_ready`] to say.
    Found(Slice),
    /// Finding them takes the device: [`Segments::read`] does it, where waiting is allowed.
    Cold,
}

/// A reader's view of a log: a list that never changes of segments of which the last one grows.
///
/// Taken once and used as long as wanted; the writer never waits for it. A view older than a deletion still reads the
/// segments it has open and answers [`LogError::OutOfRange`] for the others.
#[derive(Debug, Clone, Default)]
pub struct Segments {
    pub(crate) start: Offset,
    pub(crate) list: Vec<Arc<Segment>>,
}

impl Segments {
    /// Offset after the last batch that was appended.
    pub fn end(&self) -> Offset {
        self.list.last().map_or(self.start, |segment| segment.next())
    }

    /// Place in the list of the segment that holds `offset`.
    fn place(&self, offset: Offset) -> usize {
        self.list.partition_point(|segment| segment.base() <= offset).saturating_sub(1)
    }

    /// True if the last batch below `upto` lies in a later segment than the one that holds `from`, so that a slice from
    /// `from` on cannot reach to `upto`.
    pub fn is_seam_between(&self, from: Offset, upto: Offset) -> bool {
        self.place(from) < self.place(upto.plus(-1))
    }

    /// Bytes of the segments behind the one that holds `offset`.
    pub fn bytes_behind(&self, offset: Offset) -> u64 {
        self.list.iter().skip(self.place(offset) + 1).map(|segment| segment.len()).sum()
    }

    fn check(&self, from: Offset) -> Result<(), LogError> {
        let (start, end) = (self.start, self.end());
        if from < start || from > end { Err(LogError::OutOfRange { start, end }) } else { Ok(()) }
    }

    /// The whole batches from the one that holds `from`, of at most `bytes_max` bytes in all, except that the first is
    /// always given (KIP-74). Batches that reach to `upto` or beyond are not. `None`: there is nothing below `upto`.
    /// A slice lies in one segment, so it may be shorter than it could be.
    ///
    /// [`LogError::OutOfRange`] if `from` is below the log start or above the end; [`LogError::Corrupt`] if the batch
    /// cannot be found because of damage.
    pub fn read(&self, from: Offset, upto: Offset, bytes_max: u64) -> Result<Option<Slice>, LogError> {
        self.read_patiently(from, upto, bytes_max, Patience::Device)
    }

    /// As [`Segments::read`], but never waits for the device.
    pub fn glance(&self, from: Offset, upto: Offset, bytes_max: u64) -> Result<Glance, LogError> {
        match self.read_patiently(from, upto, bytes_max, Patience::None) {
            Ok(slice) => Ok(slice.map_or(Glance::Nothing, Glance::Found)),
            Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => {
                Ok(Glance::Cold)
            }
            Err(error) => Err(error),
        }
    }

    fn read_patiently(
        &self,
        from: Offset,
        upto: Offset,
        bytes_max: u64,
        patience: Patience,
    ) -> Result<Option<Slice>, LogError> {
        self.check(from)?;
        let upto = upto.min(self.end());
        let Some(segment) = self.list.get(self.place(from)).filter(|_| from < upto) else { return Ok(None) };
        let slice = segment.read(from, upto, bytes_max, patience)?;
        // All of a segment that ends below the bound can be given; nothing would have its reader ask for ever.
        let end = segment.next();
        if slice.is_none() && from < end && end <= upto {
            return Err(segment.corrupt(from, "a batch claims more than there is"));
        }
        Ok(slice)
    }

    /// The first batch below `upto` with a timestamp at or after `target` (in ms), alone.
    pub fn find_timestamp(&self, target: i64, upto: Offset) -> Result<Option<Slice>, LogError> {
        for segment in self.list.iter().take_while(|segment| segment.base() < upto) {
            let index = segment.index()?;
            if index.max().timestamp < target {
                continue;
            }
            let by_time = index.before_timestamp(target);
            let by_offset = index.at_or_below(self.start);
            let from = if by_offset.map(|entry| entry.position) > by_time.map(|entry| entry.position) {
                by_offset
            } else {
                by_time
            };
            let found = segment
                .walk(from)?
                .seek(|header| header.last_offset() >= self.start && header.max_timestamp >= target)?;
            match found {
                Some((_, header)) if header.next_offset() > upto => return Ok(None),
                Some((at, header)) => {
                    return segment.slice(header.base_offset, at, header.len as u64).map(Some);
                }
                None => {}
            }
        }
        Ok(None)
    }

    /// The largest timestamp below `upto`, in ms, with the base offset of the first batch that has it.
    pub fn max_timestamp(&self, upto: Offset) -> Result<Option<(Offset, i64)>, LogError> {
        let mut best = Stamp::NONE;
        for (place, segment) in self.list.iter().enumerate().take_while(|(_, segment)| segment.base() < upto)
        {
            let index = segment.index()?;
            if index.max().timestamp <= best.timestamp {
                continue;
            }
            let sealed = place + 1 < self.list.len();
            let whole = segment.base() >= self.start;
            let stamp = if sealed && whole && segment.next() <= upto {
                index.max()
            } else {
                self.max_by_walk(segment, whole, upto)?
            };
            if stamp.timestamp > best.timestamp {
                best = stamp;
            }
        }
        Ok((best != Stamp::NONE).then_some((best.offset, best.timestamp)))
    }

    /// The largest timestamp of the batches of `segment` from the log start on that end at or below `upto`.
    fn max_by_walk(&self, segment: &Segment, whole: bool, upto: Offset) -> Result<Stamp, LogError> {
        let index = segment.index()?;
        let from = index.at_or_below(if whole { upto } else { self.start });
        let mut stamp = from.map_or(Stamp::NONE, |entry| if whole { entry.before } else { Stamp::NONE });
        let mut batches = segment.walk(from)?;
        while let Some((_, header)) = batches.step()? {
            if header.next_offset() > upto {
                break;
            }
            if header.last_offset() >= self.start {
                stamp.raise(&header);
            }
        }
        Ok(stamp)
    }

    /// The headers of all batches from the one that holds `from`.
    pub(crate) fn headers(self: Arc<Self>, from: Offset) -> Headers {
        Headers { segments: self, next: from, done: false, buffered: Vec::new() }
    }
}

/// Headers taken from a segment at a time.
const HEADERS_STEP: usize = 1_024;

/// Iterator over batch headers; ends after the first error.
#[derive(Debug)]
pub(crate) struct Headers {
    segments: Arc<Segments>,
    next: Offset,
    done: bool,
    /// In reverse order.
    buffered: Vec<BatchHeader>,
}

impl Headers {
    fn fill(&mut self) -> Result<(), LogError> {
        while self.buffered.is_empty() && self.next < self.segments.end() {
            let Some(segment) = self.segments.list.get(self.segments.place(self.next)) else { return Ok(()) };
            let mut batches = segment.walk(segment.index()?.at_or_below(self.next))?;
            while let Some((_, header)) = batches.step()? {
                if header.last_offset() >= self.next {
                    self.buffered.push(header);
                }
                if self.buffered.len() == HEADERS_STEP {
                    break;
                }
            }
            match self.buffered.last() {
                Some(last) => self.next = last.next_offset(),
                None => {
                    return Err(segment.corrupt(self.next, "the segment ends before its successor begins"));
                }
            }
        }
        self.buffered.reverse();
        Ok(())
    }
}

impl Iterator for Headers {
    type Item = Result<BatchHeader, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.buffered.is_empty()
            && !self.done
            && let Err(error) = self.fill()
        {
            self.done = true;
            self.buffered.clear();
            return Some(Err(error));
        }
        self.buffered.pop().map(Ok)
    }
}
