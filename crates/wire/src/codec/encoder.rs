use bytes::Bytes;
use forebay_base::{Piece, Writer};

use crate::EncodeError;

/// Shared bytes shorter than this are copied: joining them to their neighbours is cheaper than one more slice to
/// send.
const SHARED_LEN_MIN: usize = 1024;

/// Most answers and many requests are no longer, so that their buffer is allocated once.
const FIRST_CAPACITY: usize = 128;

/// Collects a message as pieces. What is small is written into one buffer, what is large is passed on uncopied.
///
/// The buffer is cut where a large piece belongs only at the very end, so a length written first can be patched
/// when everything after it is known.
#[derive(Debug, Default)]
pub struct Encoder {
    small: Writer,
    /// Pieces that are not in `small`, each with the position in `small` before which it is sent.
    large: Vec<(usize, Piece)>,
    large_len: u64,
}

impl Encoder {
    /// Nothing written yet, and memory for a small message.
    pub fn new() -> Self {
        Self { small: Writer::with_capacity(FIRST_CAPACITY), large: Vec::new(), large_len: 0 }
    }

    /// Length of everything written, in bytes.
    pub fn len(&self) -> u64 {
        self.small.len() as u64 + self.large_len
    }

    /// True if nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An 8-bit number.
    pub fn i8(&mut self, value: i8) {
        self.small.i8(value);
    }

    /// A 16-bit number.
    pub fn i16(&mut self, value: i16) {
        self.small.i16(value);
    }

    /// A 32-bit number.
    pub fn i32(&mut self, value: i32) {
        self.small.i32(value);
    }

    /// A 64-bit number.
    pub fn i64(&mut self, value: i64) {
        self.small.i64(value);
    }

    /// An IEEE 754 number of 64 bits.
    pub fn f64(&mut self, value: f64) {
        self.small.f64(value);
    }

    /// An unsigned LEB128 number.
    pub fn uvarint(&mut self, value: u32) {
        self.small.uvarint(value.into());
    }

    /// Raw bytes, copied.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.small.raw(bytes);
    }

    /// Shared bytes, passed on uncopied where that is worth it.
    pub fn shared(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED_LEN_MIN {
            self.raw(bytes);
        } else {
            self.large(Piece::Bytes(bytes.clone()));
        }
    }

    /// A piece, passed on as it is.
    pub fn piece(&mut self, piece: &Piece) {
        match piece {
            Piece::Bytes(bytes) => self.shared(bytes),
            Piece::File { len: 0, .. } => {}
            Piece::File { .. } => self.large(piece.clone()),
        }
    }

    /// Overwrites bytes written before, from position `at` of the bytes that are not passed on uncopied.
    pub fn patch(&mut self, at: usize, bytes: &[u8]) {
        self.small.patch(at, bytes);
    }

    /// Everything written, in order, neighbours in memory merged.
    pub fn into_pieces(self) -> Vec<Piece> {
        let small = self.small.into_bytes();
        let mut pieces = Vec::with_capacity(2 * self.large.len() + 1);
        let mut from = 0;
        for (at, piece) in self.large {
            if at > from {
                pieces.push(Piece::Bytes(small.slice(from..at)));
                from = at;
            }
            pieces.push(piece);
        }
        if from < small.len() {
            pieces.push(Piece::Bytes(small.slice(from..)));
        }
        pieces
    }

    fn large(&mut self, piece: Piece) {
        self.large_len += piece.len();
        self.large.push((self.small.len(), piece));
    }

    fn append(&mut self, other: Encoder) {
        for piece in other.into_pieces() {
            self.piece(&piece);
        }
    }
}

/// Collects the tagged fields of one struct, to be written in the order of their tags after a count.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    count: u32,
    fields: Encoder,
}

impl Tags {
    /// Adds the field `tag`, whose value `write` writes. Tags must come in ascending order.
    pub(crate) fn add(
        &mut self,
        tag: u32,
        write: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut value = Encoder::default();
        write(&mut value)?;
        let len = u32::try_from(value.len()).map_err(|_| EncodeError::TooLong(value.len()))?;
        self.count += 1;
        self.fields.uvarint(tag);
        self.fields.uvarint(len);
        self.fields.append(value);
        Ok(())
    }

    /// Writes the section into `encoder`.
    pub(crate) fn finish(self, encoder: &mut Encoder) {
        encoder.uvarint(self.count);
        if self.count > 0 {
            encoder.append(self.fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use forebay_base::total_len;

    use super::*;

    #[test]
    fn large_bytes_pass_uncopied_between_merged_small_ones() {
        let large = Bytes::from(vec![7u8; SHARED_LEN_MIN]);
        let mut encoder = Encoder::new();
        encoder.i32(0);
        encoder.shared(&Bytes::from_static(b"small"));
        encoder.shared(&large);
        encoder.i8(1);
        encoder.patch(0, &9i32.to_be_bytes());
        assert_eq!(encoder.len(), 4 + 5 + SHARED_LEN_MIN as u64 + 1);
        let pieces = encoder.into_pieces();
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[0].read().unwrap(), &b"\0\0\0\x09small"[..]);
        assert_eq!(pieces[1].read().unwrap().as_ptr(), large.as_ptr());
        assert_eq!(total_len(&pieces), 10 + SHARED_LEN_MIN as u64);
    }
}
