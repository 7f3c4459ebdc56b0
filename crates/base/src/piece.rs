use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::Bytes;

/// Something that bytes can be read from by position, for as long as it is held: an open data file.
///
/// Holding the `Arc` keeps the file open, so a file that is unlinked while its bytes are being sent is sent
/// to its end (requirement S0).
pub trait Region: Send + Sync + fmt::Debug {
    /// Reads up to `buf.len()` bytes at `at`. 0 means the end.
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// The descriptor, where there is a real one to hand to `sendfile`.
    fn fd(&self) -> Option<BorrowedFd<'_>>;
}

/// A part of an answer: bytes in memory, or bytes of a file that need not pass through memory.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// `len` bytes of `file` from `at`.
    File {
        /// Who owns the descriptor.
        file: Arc<dyn Region>,
        /// First byte.
        at: u64,
        /// How many bytes.
        len: u64,
    },
}

impl Piece {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// True if there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes themselves, read from the file where they lie in one. A file that ends early is an error.
    pub fn read(&self) -> io::Result<Bytes> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::File { file, at, len } => {
                let len = usize::try_from(*len).map_err(io::Error::other)?;
                let (mut buffer, mut filled) = (vec![0u8; len], 0);
                while filled < len {
                    match file.read_at(at + filled as u64, &mut buffer[filled..])? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        read => filled += read,
                    }
                }
                Ok(buffer.into())
            }
        }
    }
}

/// Length of all `pieces` together, in bytes.
pub fn total_len(pieces: &[Piece]) -> u64 {
    pieces.iter().map(Piece::len).sum()
}
