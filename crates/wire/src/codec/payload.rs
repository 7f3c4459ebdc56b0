use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use forebay_base::{Piece, total_len};

/// Records of a Fetch response: whole batches, in memory or still in their files.
///
/// On the way out the pieces pass through the encoder as they are. On the way in it is one piece that shares the
/// frame. Two payloads are equal if their bytes are, or if they name the same parts of the same files.
#[derive(Debug, Clone, Default)]
pub struct Payload(Vec<Piece>);

impl Payload {
    /// Length of all pieces together, in bytes.
    pub fn len(&self) -> u64 {
        total_len(&self.0)
    }

    /// True if there is not a byte in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The bytes themselves: shared if they are one piece in memory, else read and joined.
    pub fn read(&self) -> io::Result<Bytes> {
        if let [piece] = self.0.as_slice() {
            return piece.read();
        }
        let mut joined = BytesMut::new();
        for piece in &self.0 {
            joined.extend_from_slice(&piece.read()?);
        }
        Ok(joined.freeze())
    }

    /// The bytes as one iterator, if all of them are in memory.
    fn memory(&self) -> Option<impl Iterator<Item = u8>> {
        let mut parts = Vec::with_capacity(self.0.len());
        for piece in &self.0 {
            match piece {
                Piece::Bytes(bytes) => parts.push(bytes.clone()),
                Piece::File { .. } => return None,
            }
        }
        Some(parts.into_iter().flatten())
    }
}

fn same(left: &Piece, right: &Piece) -> bool {
    match (left, right) {
        (Piece::Bytes(left), Piece::Bytes(right)) => left == right,
        (Piece::File { file, at, len }, Piece::File { file: other, at: other_at, len: other_len }) => {
            Arc::ptr_eq(file, other) && at == other_at && len == other_len
        }
        (Piece::Bytes(_), Piece::File { .. }) | (Piece::File { .. }, Piece::Bytes(_)) => false,
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        match (self.memory(), other.memory()) {
            (Some(left), Some(right)) => left.eq(right),
            _ => {
                self.0.len() == other.0.len()
                    && self.0.iter().zip(&other.0).all(|(left, right)| same(left, right))
            }
        }
    }
}

impl From<Vec<Piece>> for Payload {
    fn from(pieces: Vec<Piece>) -> Self {
        Self(pieces)
    }
}

impl From<Piece> for Payload {
    fn from(piece: Piece) -> Self {
        Self(vec![piece])
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(vec![Piece::Bytes(bytes)])
    }
}
