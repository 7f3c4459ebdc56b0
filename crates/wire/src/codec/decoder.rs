use bytes::Bytes;
use forebay_base::{Id128, Reader};

use crate::DecodeError;

/// Decoded elements may take this many bytes of memory for every byte of the message they came in. Real messages
/// stay below 6; only arrays of thousands of all but empty elements come near it.
const MEMORY_PER_BYTE: usize = 8;

/// And this many bytes beyond, so that a thousand topics with names of two letters are still read.
const MEMORY_FREE: usize = 1024 * 1024;

/// Reads the fields of one message from the bytes it shares, never past their end.
///
/// What a count or a length claims is checked against the bytes that remain before anything is allocated for it,
/// and what the elements of all arrays of a message take in memory is bounded by the length of the message.
#[derive(Debug)]
pub struct Decoder {
    reader: Reader,
    /// Bytes of memory that elements may still take.
    memory_left: usize,
}

impl Decoder {
    /// A decoder at the start of `bytes`: one frame, without its length prefix.
    pub fn new(bytes: Bytes) -> Self {
        let memory_left = bytes.len().saturating_mul(MEMORY_PER_BYTE).saturating_add(MEMORY_FREE);
        Self { reader: Reader::new(bytes), memory_left }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.reader.remaining()
    }

    /// An 8-bit number.
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        Ok(self.reader.i8()?)
    }

    /// A 16-bit number.
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(self.reader.i16()?)
    }

    /// A 32-bit number.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(self.reader.i32()?)
    }

    /// A 64-bit number.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(self.reader.i64()?)
    }

    /// An IEEE 754 number of 64 bits.
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        Ok(self.reader.f64()?)
    }

    /// A UUID.
    pub fn id128(&mut self) -> Result<Id128, DecodeError> {
        Ok(Id128(self.reader.u128()?.to_be_bytes()))
    }

    /// An unsigned LEB128 number of at most 32 bits.
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let value = self.reader.uvarint()?;
        u32::try_from(value).map_err(|_| DecodeError::Count { count: value, remaining: self.remaining() })
    }

    /// The next `len` bytes, shared and not copied.
    pub fn take(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        Ok(self.reader.bytes(len)?)
    }

    /// Room for `count` elements of at least `len_min` bytes each on the wire: refused if they cannot be there,
    /// or if they would take more memory than a message of this length may.
    pub fn elements<T>(&mut self, count: usize, len_min: usize) -> Result<Vec<T>, DecodeError> {
        if count.saturating_mul(len_min.max(1)) > self.remaining() {
            return Err(DecodeError::Count { count: count as u64, remaining: self.remaining() });
        }
        let memory = count.saturating_mul(size_of::<T>());
        match self.memory_left.checked_sub(memory) {
            Some(left) => self.memory_left = left,
            None => return Err(DecodeError::Memory(memory - self.memory_left)),
        }
        Ok(Vec::with_capacity(count))
    }

    /// Reads a section of tagged fields (KIP-482). `known` is given each tag with a decoder of exactly its value
    /// and says whether it knew it; unknown ones are skipped. A value must fill its bytes.
    pub fn tagged(
        &mut self,
        mut known: impl FnMut(u32, &mut Decoder) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.uvarint()?;
        for _ in 0..count {
            let tag = self.uvarint()?;
            let len = self.uvarint()? as usize;
            let mut value = Decoder { reader: Reader::new(self.take(len)?), memory_left: self.memory_left };
            if known(tag, &mut value)? {
                value.finish()?;
            }
            self.memory_left = value.memory_left;
        }
        Ok(())
    }

    /// The message ends here: bytes that remain are an error.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            trailing => Err(DecodeError::Trailing(trailing)),
        }
    }
}
