use std::time::Duration;

use super::VolumeState;
use crate::disk::Space;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Smallest volume that a data directory is made on: below it, what must be preallocated leaves too little for records.
pub const VOLUME_BYTES_MIN: u64 = 64 * MIB;

/// Where a volume of some size changes its state, and what is preallocated on it. Shares of the size on small volumes,
/// with caps on large ones.
///
/// ```text
///   0 ---- full (1.5 %) ---- resume (6.5 %) ---- low (10 %) ---- calm (12 %) ------------> free bytes
///   writes are refused, until ...   ... here;    retention is eager and     not any more above
///                                                 producers are slowed below;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Below this many free bytes the volume is full: 1.5 %, at most 512 MiB.
    pub full_bytes: u64,
    /// From here on a full volume may take writes again: 5 % above `full_bytes`, at most 1 GiB.
    pub resume_bytes: u64,
    /// Below this many, space is short: 10 %, at most 4 GiB.
    pub low_bytes: u64,
    /// From here on, for a while, it is not short any more: 2 % above `low_bytes`, at most 1 GiB.
    pub calm_bytes: u64,
    /// Length of each of the two reserves: 1/64, at most 64 MiB.
    pub reserve_bytes: u64,
    /// What the exit test must be given beside the reserves, and gives back: half the way from full to resume, at most
    /// 64 MiB.
    pub probe_bytes: u64,
}

/// What each MiB of records costs in time where the volume is full, or all but full.
const THROTTLE_MAX: Duration = Duration::from_secs(1);

/// Below this many more files the volume is full ...
const FILES_FULL: u64 = 16;
/// ... from here on it may take writes again ...
const FILES_RESUME: u64 = 64;
/// ... and below this many they are short.
const FILES_LOW: u64 = 256;

impl Marks {
    /// The marks of a volume of `total_bytes`.
    pub const fn of(total_bytes: u64) -> Self {
        let full_bytes = least(share(total_bytes, 15), 512 * MIB);
        let above = least(share(total_bytes, 50), GIB);
        let low_bytes = least(share(total_bytes, 100), 4 * GIB);
        Self {
            full_bytes,
            resume_bytes: full_bytes + above,
            low_bytes,
            calm_bytes: low_bytes + least(share(total_bytes, 20), GIB),
            reserve_bytes: pages(least(total_bytes / 64, 64 * MIB)),
            probe_bytes: pages(least(above / 2, 64 * MIB)),
        }
    }

    /// Most bytes that the metadata's log and each of its two snapshots may reserve on a volume of that size: with the
    /// reserves, at most a quarter of it.
    pub const fn metadata_bytes_max(total_bytes: u64) -> (u64, u64) {
        (pages(total_bytes / 8), pages(total_bytes / 32))
    }

    /// Blocks reserved ahead of a segment that grows, at most: so much that some of them cannot fill a small volume.
    pub const fn ahead_bytes_max(total_bytes: u64) -> u64 {
        least(total_bytes / 64, 64 * MIB)
    }

    /// True if there is less than a volume must have to take writes.
    pub fn is_full(&self, space: Space) -> bool {
        space.free_bytes < self.full_bytes || space.free_files < FILES_FULL
    }

    /// True if there is enough to take writes again, with `missing` bytes of reserve to be made again.
    pub fn may_resume(&self, space: Space, missing: u64) -> bool {
        space.free_bytes >= self.resume_bytes + missing && space.free_files >= FILES_RESUME
    }

    /// True if it is files alone that are missing for writes to go on.
    pub fn is_short_of_files(&self, space: Space) -> bool {
        space.free_bytes >= self.resume_bytes && space.free_files < FILES_RESUME
    }

    /// True if space is short.
    pub fn is_low(&self, space: Space) -> bool {
        space.free_bytes < self.low_bytes || space.free_files < FILES_LOW
    }

    /// True if space has not been short for long enough, once this has been so for a while.
    pub fn is_calm(&self, space: Space) -> bool {
        space.free_bytes >= self.calm_bytes && space.free_files >= FILES_LOW
    }

    /// What each MiB of records that a connection sends costs it in time, in a state and with so much free: for so long it
    /// is not heard. So a connection writes at most a MiB in that time, and one that writes little hardly feels it.
    ///
    /// In Low it grows from nothing at the low mark to [`THROTTLE_MAX`] at the full one, by the square of the way. Where
    /// nothing is taken it is the whole: who sends the same again at once would only cost everybody time.
    pub fn throttle_per_mib(&self, state: VolumeState, space: Option<Space>) -> Duration {
        match state {
            VolumeState::Normal | VolumeState::Probing => Duration::ZERO,
            VolumeState::Low => {
                let free = space.map_or(self.low_bytes, |space| space.free_bytes);
                let way = self.low_bytes.saturating_sub(self.full_bytes).max(1) as f64;
                let gone = self.low_bytes.saturating_sub(free) as f64 / way;
                THROTTLE_MAX.mul_f64(gone.min(1.0).powi(2))
            }
            VolumeState::Full | VolumeState::HardFull | VolumeState::Failed => THROTTLE_MAX,
        }
    }

    /// The mark of files below which a volume is full, or short.
    pub(super) const fn files(full: bool) -> u64 {
        if full { FILES_FULL } else { FILES_LOW }
    }
}

/// So many thousandths of `bytes`.
const fn share(bytes: u64, thousandths: u64) -> u64 {
    bytes / 1_000 * thousandths
}

const fn least(one: u64, other: u64) -> u64 {
    if one < other { one } else { other }
}

/// Rounded down to whole pages.
const fn pages(bytes: u64) -> u64 {
    bytes & !4_095
}
