use std::io;
use std::sync::Arc;

use forebay_base::Crc32c;
use forebay_records::{BatchError, BatchHeader, HEADER_LEN};

use crate::disk::File;

/// First byte of a batch that its checksum covers.
const CRC_FROM: u64 = 21;

/// Bytes read ahead when a few headers are wanted.
pub(crate) const SHORT_WALK_BYTES: usize = 4 * 1024;
/// Bytes read ahead when a whole segment is gone through.
pub(crate) const LONG_WALK_BYTES: usize = 256 * 1024;

/// Goes through the batches of a segment file, one after the other, up to a limit that does not move.
#[derive(Debug)]
pub(crate) struct BatchWalk {
    window: Window,
    position: u64,
    limit: u64,
}

/// May a read wait for the device?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// No: what is not in memory is answered with [`io::ErrorKind::WouldBlock`].
    None,
    /// As long as it takes.
    Device,
}

/// One step of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A batch at this position, whole as far as its header tells.
    Batch(u64, BatchHeader),
    /// The limit is reached.
    End,
    /// No batch can be read at this position; the walk stays there.
    Broken(u64, BatchError),
}

impl BatchWalk {
    pub(crate) fn new(file: Arc<dyn File>, position: u64, limit: u64, ahead: usize) -> Self {
        Self::patient(file, position, limit, ahead, Patience::Device)
    }

    /// As [`BatchWalk::new`], with as much patience.
    pub(crate) fn patient(
        file: Arc<dyn File>,
        position: u64,
        limit: u64,
        ahead: usize,
        patience: Patience,
    ) -> Self {
        Self { window: Window { file, patience, buffer: vec![0; ahead], at: 0, filled: 0 }, position, limit }
    }

    /// Where the next batch is expected.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Goes on at `position`, which must be the start of a batch.
    pub(crate) fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// The next batch.
    pub(crate) fn step(&mut self) -> io::Result<Step> {
        let at = self.position;
        let left = self.limit.saturating_sub(at);
        if left == 0 {
            return Ok(Step::End);
        }
        let wanted = usize::try_from(left).unwrap_or(HEADER_LEN).min(HEADER_LEN);
        let header = match BatchHeader::parse(self.window.get(at, wanted)?) {
            Ok(header) => header,
            Err(error) => return Ok(Step::Broken(at, error)),
        };
        if header.len as u64 > left {
            return Ok(Step::Broken(at, BatchError::Short));
        }
        if header.last_offset_delta < 0 || header.base_offset.0 < 0 {
            return Ok(Step::Broken(at, BatchError::Inconsistent("its offsets are negative")));
        }
        self.position = at + header.len as u64;
        Ok(Step::Batch(at, header))
    }

    /// True if the checksum of the batch at `at` matches; false too if the file ends inside it.
    pub(crate) fn check_crc(&mut self, at: u64, header: &BatchHeader) -> io::Result<bool> {
        let mut crc = Crc32c::default();
        let (mut position, end) = (at + CRC_FROM, at + header.len as u64);
        while position < end {
            let wanted = usize::try_from(end - position).unwrap_or(usize::MAX).min(self.window.buffer.len());
            let bytes = self.window.get(position, wanted)?;
            if bytes.is_empty() {
                return Ok(false);
            }
            position += bytes.len() as u64;
            crc.update(bytes);
        }
        Ok(crc.finish() == header.crc)
    }
}

/// The part of a file that was read last.
#[derive(Debug)]
struct Window {
    file: Arc<dyn File>,
    patience: Patience,
    buffer: Vec<u8>,
    at: u64,
    filled: usize,
}

impl Window {
    /// The bytes at `at`: `len` of them (at most the buffer's length), fewer only where the file ends.
    fn get(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let inside = at >= self.at && at + len as u64 <= self.at + self.filled as u64;
        if !inside {
            self.at = at;
            self.filled = 0;
            while self.filled < len {
                let (from, rest) = (at + self.filled as u64, &mut self.buffer[self.filled..]);
                let read = match self.patience {
                    Patience::None => self.file.read_now(from, rest)?,
                    Patience::Device => self.file.read_at(from, rest)?,
                };
                match read {
                    0 => break,
                    read => self.filled += read,
                }
            }
        }
        let from = usize::try_from(at - self.at).unwrap_or(self.filled);
        Ok(&self.buffer[from..self.filled.min(from.saturating_add(len))])
    }
}
