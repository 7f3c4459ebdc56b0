use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

/// Randomness that can be had again: the seed is printed, and taken from the named variable if that is set.
#[derive(Debug)]
pub struct Dice(StdRng);

impl Dice {
    /// Seeds from the variable `name`, else from the clock, and says so on standard error.
    pub fn new(name: &str) -> Self {
        let clock = || std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
        let seed = std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or_else(clock);
        eprintln!("{name}={seed}");
        Self(StdRng::seed_from_u64(seed))
    }

    /// Dice of a known seed.
    pub fn seeded(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A number in `from..to`.
    pub fn pick(&mut self, from: usize, to: usize) -> usize {
        self.0.gen_range(from..to)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.pick(0, times) == 0
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }
}
