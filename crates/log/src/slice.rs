use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use forebay_base::{Offset, Piece};
use forebay_records::BatchError;

use crate::checked::Checked;
use crate::disk::File;
use crate::error::{LogError, failed};
use crate::walk::{BatchWalk, LONG_WALK_BYTES, Step};

/// Whole batches of one segment, not read yet. It owns its file: deleting the segment does not disturb it.
#[derive(Debug, Clone)]
pub struct Slice {
    pub(crate) file: Arc<dyn File>,
    pub(crate) path: Arc<Path>,
    pub(crate) base: Offset,
    pub(crate) at: u64,
    pub(crate) len: u64,
    pub(crate) beyond: u64,
    pub(crate) checked: Arc<Checked>,
}

impl Slice {
    /// Length in bytes; never 0.
    #[expect(clippy::len_without_is_empty, reason = "a slice is never empty")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of its segment that lay behind it when it was found.
    pub fn bytes_beyond(&self) -> u64 {
        self.beyond
    }

    /// Base offset of its first batch.
    pub fn base_offset(&self) -> Offset {
        self.base
    }

    /// True if its bytes are known to be sound and can be had without waiting for the device: they may be sent as they
    /// lie. Else [`Slice::check`] comes first, off the reactor.
    pub fn is_ready(&self) -> bool {
        self.checked.covers(self.at, self.len) && self.file.is_cached(self.at, self.len)
    }

    /// The bytes as they lie in the file, to be sent without passing through memory.
    pub fn piece(&self) -> Piece {
        #[cfg(mutants)]
        if forebay_base::Mutant::DescriptorClosedUnderReader.is_planted() {
            let file = Arc::new(Lent(Arc::downgrade(&self.file)));
            return Piece::File { file, at: self.at, len: self.len };
        }
        Piece::File { file: self.file.clone(), at: self.at, len: self.len }
    }

    /// Reads the bytes through a small buffer and checks the checksum of each batch: the cold path, where the device may
    /// have lied. They are in the page cache afterwards. Blocks on the device.
    ///
    /// Gives the sound batches before the first damaged one; [`LogError::Corrupt`] if the very first is damaged.
    pub fn check(mut self) -> Result<Self, LogError> {
        let end = self.at + self.len;
        let mut walk = BatchWalk::new(self.file.clone(), self.at, end, LONG_WALK_BYTES);
        let (mut sound, mut offset) = (self.at, self.base);
        let broken = loop {
            match walk.step().map_err(failed("read", &self.path))? {
                Step::Batch(at, header) => {
                    if !walk.check_crc(at, &header).map_err(failed("read", &self.path))? {
                        break Some(BatchError::Crc);
                    }
                    (sound, offset) = (walk.position(), header.next_offset());
                }
                Step::End => break None,
                Step::Broken(_, error) => break Some(error),
            }
        };
        self.checked.add(self.at..sound);
        if let Some(error) = broken {
            self.checked.damage();
            if sound == self.at {
                let path = self.path.to_path_buf();
                return Err(LogError::Corrupt { path, offset, reason: error.to_string() });
            }
        }
        self.len = sound - self.at;
        Ok(self)
    }

    /// The bytes of the sound batches, in memory: see [`Slice::check`].
    pub fn read_checked(&self) -> Result<Bytes, LogError> {
        self.clone().check()?.piece().read().map_err(failed("read", &self.path))
    }
}

/// A file that may be closed while it is read: what no slice has, but for a bug on purpose.
#[cfg(mutants)]
#[derive(Debug)]
struct Lent(std::sync::Weak<dyn File>);

#[cfg(mutants)]
impl forebay_base::Region for Lent {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        match self.0.upgrade() {
            Some(file) => file.read_at(at, buf),
            None => Err(std::io::Error::other("the descriptor was closed")),
        }
    }

    fn fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
}
