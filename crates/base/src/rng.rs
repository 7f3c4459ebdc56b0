use std::fmt;
use std::sync::Mutex;

use crate::Id128;

/// Randomness of the outside world.
pub trait Rng: Send + Sync + fmt::Debug {
    /// 64 random bits.
    fn next_u64(&self) -> u64;
}

/// Draws a fresh random id. The all-zero and all-one ids are reserved by Kafka and never drawn.
pub fn fresh_id(rng: &dyn Rng) -> Id128 {
    loop {
        let mut bytes = [0u8; 16];
        bytes[..8].copy_from_slice(&rng.next_u64().to_be_bytes());
        bytes[8..].copy_from_slice(&rng.next_u64().to_be_bytes());
        let id = Id128(bytes);
        // A leading '-' in the text form would read as a flag on a command line.
        if !id.is_zero() && bytes[0] >> 2 != 0b11_1110 && bytes != [0xFF; 16] {
            return id;
        }
    }
}

/// A small seeded generator (SplitMix64): equal seeds give equal draws. Not for secrets.
#[derive(Debug)]
pub struct SeededRng(Mutex<u64>);

impl SeededRng {
    /// A generator that starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Rng for SeededRng {
    fn next_u64(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
