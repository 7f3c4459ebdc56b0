use bytes::Bytes;

/// The bytes ended, or a length in them claims more than remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes end before the value does")]
pub struct Short;

/// Reads big-endian values from bytes it shares, never past their end. Slices are taken without copying.
#[derive(Debug, Clone)]
pub struct Reader(Bytes);

macro_rules! numbers {
    ($($name:ident: $type:ty),*) => {
        impl Reader {
            $(
                #[doc = concat!("Reads a big-endian `", stringify!($type), "`.")]
                pub fn $name(&mut self) -> Result<$type, Short> {
                    const LEN: usize = size_of::<$type>();
                    let mut raw = [0u8; LEN];
                    raw.copy_from_slice(self.0.get(..LEN).ok_or(Short)?);
                    bytes::Buf::advance(&mut self.0, LEN);
                    Ok(<$type>::from_be_bytes(raw))
                }
            )*
        }

        impl Writer {
            $(
                #[doc = concat!("Writes a big-endian `", stringify!($type), "`.")]
                pub fn $name(&mut self, value: $type) {
                    self.0.extend_from_slice(&value.to_be_bytes());
                }
            )*
        }
    };
}

numbers!(u8: u8, u16: u16, u32: u32, u64: u64, i8: i8, i16: i16, i32: i32, i64: i64, u128: u128, f64: f64);

impl Reader {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.0.len()
    }

    /// The bytes left, not consumed.
    pub fn rest(&self) -> &Bytes {
        &self.0
    }

    /// The next `len` bytes, shared and not copied.
    pub fn bytes(&mut self, len: usize) -> Result<Bytes, Short> {
        if len > self.0.len() {
            return Err(Short);
        }
        Ok(self.0.split_to(len))
    }

    /// An unsigned LEB128 number of at most 64 bits.
    pub fn uvarint(&mut self) -> Result<u64, Short> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            if shift == 63 && byte > 1 {
                return Err(Short);
            }
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Short)
    }

    /// A zigzag LEB128 number.
    pub fn ivarint(&mut self) -> Result<i64, Short> {
        let raw = self.uvarint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// A count of elements of at least `element_len_min` bytes each, checked against the bytes that remain.
    pub fn count(&mut self, element_len_min: usize) -> Result<usize, Short> {
        let count = usize::try_from(self.uvarint()?).map_err(|_| Short)?;
        if count.saturating_mul(element_len_min.max(1)) > self.remaining() { Err(Short) } else { Ok(count) }
    }

    /// Length-prefixed bytes (uvarint length).
    pub fn blob(&mut self) -> Result<Bytes, Short> {
        let len = self.count(1)?;
        self.bytes(len)
    }

    /// A length-prefixed UTF-8 string (uvarint length).
    pub fn string(&mut self) -> Result<String, Short> {
        String::from_utf8(self.blob()?.to_vec()).map_err(|_| Short)
    }
}

/// Writes big-endian values, the mirror of [`Reader`].
#[derive(Debug, Clone, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Nothing written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing written yet, and memory for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// How many bytes were written.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if nothing was written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Raw bytes.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// An unsigned LEB128 number.
    pub fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value as u8) | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A zigzag LEB128 number.
    pub fn ivarint(&mut self, value: i64) {
        self.uvarint(((value << 1) ^ (value >> 63)) as u64);
    }

    /// Length-prefixed bytes.
    pub fn blob(&mut self, bytes: &[u8]) {
        self.uvarint(bytes.len() as u64);
        self.raw(bytes);
    }

    /// A length-prefixed string.
    pub fn string(&mut self, text: &str) {
        self.blob(text.as_bytes());
    }

    /// Overwrites bytes written before, from `at`. Out of range: nothing happens.
    pub fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(target) = self.0.get_mut(at..at.saturating_add(bytes.len())) {
            target.copy_from_slice(bytes);
        }
    }

    /// What was written.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// What was written, handed over.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_strings_round_trip() {
        let mut writer = Writer::new();
        for value in [0, 1, -1, i64::MAX, i64::MIN, 300] {
            writer.ivarint(value);
            writer.uvarint(value as u64);
        }
        writer.string("flume");
        let mut reader = Reader::new(writer.into_bytes());
        for value in [0, 1, -1, i64::MAX, i64::MIN, 300] {
            assert_eq!(reader.ivarint(), Ok(value));
            assert_eq!(reader.uvarint(), Ok(value as u64));
        }
        assert_eq!(reader.string().as_deref(), Ok("flume"));
        assert_eq!(reader.u8(), Err(Short));
    }

    #[test]
    fn a_huge_count_is_refused_before_anything_is_allocated() {
        let mut writer = Writer::new();
        writer.uvarint(u64::MAX);
        assert_eq!(Reader::new(writer.clone().into_bytes()).blob(), Err(Short));
        assert_eq!(Reader::new(writer.into_bytes()).count(8), Err(Short));
        assert_eq!(Reader::new(Bytes::from_static(&[0xFF; 11])).uvarint(), Err(Short));
    }
}
