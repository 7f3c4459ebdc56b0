//! Snappy as Kafka's clients send it: xerial framing (snappy-java: a 16-byte head, then blocks of
//! `length i32 | raw snappy`), or one raw block without a frame (librdkafka).

use std::io::{self, Read};

use crate::BatchError;
use crate::compress::TOO_LARGE;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];

/// Magic, version i32 and lowest compatible version i32.
const HEAD_LEN: usize = 16;

/// Input bytes per block; snappy-java's own default.
const BLOCK_BYTES: usize = 32 * 1024;

/// A raw block can not inflate further than this: its densest element makes 64 bytes of 3.
const RATIO_MAX: usize = 22;

/// Compresses into xerial framing.
pub(crate) fn compress(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = Vec::with_capacity(HEAD_LEN + plain.len() / 2);
    packed.extend_from_slice(&MAGIC);
    packed.extend_from_slice(&1i32.to_be_bytes());
    packed.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in plain.chunks(BLOCK_BYTES) {
        let raw = encoder.compress_vec(block)?;
        packed.extend_from_slice(&(raw.len() as u32).to_be_bytes());
        packed.extend_from_slice(&raw);
    }
    Ok(packed)
}

/// Decompresses either form, to at most `bytes_max` bytes.
pub(crate) fn decompress(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, BatchError> {
    let mut plain = Vec::new();
    let mut blocks = Blocks::new(packed, bytes_max);
    while let Some(block) = blocks.next_block()? {
        inflate_block(block, &mut plain, bytes_max)?;
    }
    Ok(plain)
}

/// Either form, decompressed block by block as it is read. A block of more than `block_bytes_max` is refused.
pub(crate) struct Blocks<'a> {
    rest: &'a [u8],
    framed: bool,
    block_bytes_max: usize,
    plain: Vec<u8>,
    taken: usize,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(packed: &'a [u8], block_bytes_max: usize) -> Self {
        let framed = packed.starts_with(&MAGIC);
        // A frame that ends inside its head is broken, not empty.
        let rest = if framed { packed.get(HEAD_LEN..).unwrap_or(&packed[..1]) } else { packed };
        Self { rest, framed, block_bytes_max, plain: Vec::new(), taken: 0 }
    }

    /// The next raw block, as it is packed.
    fn next_block(&mut self) -> Result<Option<&'a [u8]>, BatchError> {
        if !self.framed {
            let block = std::mem::take(&mut self.rest);
            return Ok((!block.is_empty()).then_some(block));
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (length, body) = self.rest.split_first_chunk::<4>().ok_or(BROKEN)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (block, after) = body.split_at_checked(length).ok_or(BROKEN)?;
        self.rest = after;
        Ok(Some(block))
    }
}

impl Read for Blocks<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.plain.len() {
            let Some(block) = self.next_block().map_err(io::Error::other)? else { return Ok(0) };
            self.plain.clear();
            self.taken = 0;
            inflate_block(block, &mut self.plain, self.block_bytes_max).map_err(io::Error::other)?;
        }
        let step = buf.len().min(self.plain.len() - self.taken);
        buf[..step].copy_from_slice(&self.plain[self.taken..self.taken + step]);
        self.taken += step;
        Ok(step)
    }
}

const BROKEN: BatchError = BatchError::Inflate("not a sound snappy block");

fn inflate_block(block: &[u8], plain: &mut Vec<u8>, bytes_max: usize) -> Result<(), BatchError> {
    let claimed = snap::raw::decompress_len(block).map_err(|_| BROKEN)?;
    // The claim is checked before it is believed: it sizes the allocation.
    if claimed > block.len().saturating_mul(RATIO_MAX) {
        return Err(BROKEN);
    }
    if claimed > bytes_max.saturating_sub(plain.len()) {
        return Err(TOO_LARGE);
    }
    let from = plain.len();
    plain.resize(from + claimed, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut plain[from..]).map_err(|_| BROKEN)?;
    plain.truncate(from + written);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let plain: Vec<u8> = (0..100_000u32).map(|n| (n / 7) as u8).collect();
        let framed = compress(&plain).unwrap();
        assert_eq!(framed[..8], MAGIC);
        assert_eq!(decompress(&framed, plain.len()).unwrap(), plain);
        let raw = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
        assert_eq!(decompress(&raw, plain.len()).unwrap(), plain);
    }

    #[test]
    fn a_claimed_length_is_not_believed() {
        let claim_of_100_mib = [0x80, 0x80, 0x80, 0x32, 0x00];
        assert_eq!(decompress(&claim_of_100_mib, usize::MAX), Err(BROKEN));
        let mut framed = compress(b"").unwrap();
        framed.extend_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(decompress(&framed, 10), Err(BROKEN));
    }
}
