use crc_fast::{CrcAlgorithm, Digest, checksum};

/// CRC-32C (Castagnoli) of `bytes`: the checksum of record batches and of every format of ours.
pub fn crc32c(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// A CRC-32C computed over bytes that arrive in parts.
#[derive(Debug)]
pub struct Crc32c(Digest);

impl Default for Crc32c {
    fn default() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }
}

impl Crc32c {
    /// Adds the next part.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all parts so far.
    pub fn finish(self) -> u32 {
        self.0.finalize() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        let mut parts = Crc32c::default();
        parts.update(b"1234");
        parts.update(b"56789");
        assert_eq!(parts.finish(), 0xE306_9283);
    }
}
