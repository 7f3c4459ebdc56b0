use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use forebay_base::{Offset, Piece};
use forebay_records::{BatchHeader, verify_crc};

use crate::disk::File;
use crate::error::{LogError, failed};

/// Whole batches of one segment, not read yet. It owns its file: deleting the segment does not disturb it.
#[derive(Debug, Clone)]
pub struct Slice {
    pub(crate) file: Arc<dyn File>,
    pub(crate) path: Arc<Path>,
    pub(crate) base: Offset,
    pub(crate) at: u64,
    pub(crate) len: u64,
    pub(crate) cached: bool,
    pub(crate) damaged: Arc<AtomicBool>,
}

impl Slice {
    /// Length in bytes; never 0.
    #[expect(clippy::len_without_is_empty, reason = "a slice is never empty")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Base offset of its first batch.
    pub fn base_offset(&self) -> Offset {
        self.base
    }

    /// True if its bytes could be had without waiting for the device before they were looked for. Looking reads
    /// headers, and what that brought into memory was not checked: whoever looks again must remember the first answer.
    pub fn is_cached(&self) -> bool {
        self.cached
    }

    /// The bytes as they lie in the file, to be sent without passing through memory. Not checked.
    pub fn piece(&self) -> Piece {
        Piece::File { file: self.file.clone(), at: self.at, len: self.len }
    }

    /// Reads the bytes and checks the checksum of each batch: the cold path, where the device may have lied.
    ///
    /// Gives the sound batches before the first damaged one; [`LogError::Corrupt`] if the very first is damaged.
    /// Blocks on the device.
    pub fn read_checked(&self) -> Result<Bytes, LogError> {
        let bytes = self.piece().read().map_err(failed("read", &self.path))?;
        let mut sound = 0;
        let mut offset = self.base;
        while sound < bytes.len() {
            let checked = BatchHeader::parse(&bytes[sound..]).and_then(|header| {
                let batch = bytes.get(sound..sound + header.len).ok_or(forebay_records::BatchError::Short)?;
                verify_crc(batch).map(|()| header)
            });
            match checked {
                Ok(header) => {
                    sound += header.len;
                    offset = header.next_offset();
                }
                Err(_) if sound > 0 => {
                    self.damaged.store(true, Ordering::Relaxed);
                    break;
                }
                Err(error) => {
                    self.damaged.store(true, Ordering::Relaxed);
                    return Err(LogError::Corrupt {
                        path: self.path.to_path_buf(),
                        offset,
                        reason: error.to_string(),
                    });
                }
            }
        }
        Ok(bytes.slice(..sound))
    }
}
