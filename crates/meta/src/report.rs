use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::{DirectoryId, PartitionId, WallTime};

/// Figures of a volume that are older than this are not believed any more: its disk does not answer.
const STALE: Duration = Duration::from_secs(10);

/// State of a volume as its node reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VolumeState {
    /// Plenty of space.
    Normal,
    /// Space is short.
    Low,
    /// No space for writes.
    Full,
    /// No space for anything.
    HardFull,
    /// The device or its file system has failed.
    Failed,
    /// Not known yet after a start.
    Probing,
}

impl VolumeState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Normal, Self::Low, Self::Full, Self::HardFull, Self::Failed, Self::Probing];
}

impl fmt::Display for VolumeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "Normal",
            Self::Low => "Low",
            Self::Full => "Full",
            Self::HardFull => "HardFull",
            Self::Failed => "Failed",
            Self::Probing => "Probing",
        })
    }
}

/// All that a node has to say of itself. A heartbeat carries the whole of it, so that what is told once and lost is told
/// again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeReport {
    /// Its data directories.
    pub volumes: BTreeMap<DirectoryId, VolumeReport>,
    /// Of the partitions that it hosts, those that have failed.
    pub failed: Arc<BTreeMap<PartitionId, Failure>>,
    /// Why it takes no records for any partition, if so: it has no working metadata log.
    pub outage: Option<Failure>,
}

/// One data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeReport {
    /// Where it is.
    pub path: String,
    /// What it can take.
    pub state: VolumeState,
    /// Why.
    pub cause: String,
    /// Since when.
    pub since: WallTime,
    /// What is wrong and what to do; `None` if nothing is.
    pub sentence: Option<String>,
    /// How old the figures were when the report was made.
    pub age: Duration,
    /// The last sample of its space; `None` if there has been none.
    pub space: Option<VolumeSpace>,
    /// Below so many free bytes, records are refused.
    pub full_bytes: u64,
    /// From so many free bytes on, they are taken again.
    pub resume_bytes: u64,
    /// Bytes kept for what must go on when it is full.
    pub reserve_left_bytes: u64,
    /// When it will be full if it goes on filling as it does.
    pub full_in: Option<Duration>,
}

/// The room on a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeSpace {
    /// Bytes of the file system.
    pub total_bytes: u64,
    /// Bytes that may be written.
    pub free_bytes: u64,
    /// Files that may be made; `None` where the file system has no such bound.
    pub free_files: Option<u64>,
}

/// Why a partition, or any on the node, cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A sentence.
    pub reason: Arc<str>,
    /// When it was first seen.
    pub since: WallTime,
}

impl VolumeReport {
    /// Its state when the report is `older` than when it was made: one that was well is not known to be so for ever.
    pub fn state_after(&self, older: Duration) -> VolumeState {
        match self.state {
            VolumeState::Normal | VolumeState::Low if self.is_stale(older) => VolumeState::Probing,
            VolumeState::Normal
            | VolumeState::Low
            | VolumeState::Full
            | VolumeState::HardFull
            | VolumeState::Failed
            | VolumeState::Probing => self.state,
        }
    }

    /// What is wrong with it, as a sentence; `None` if nothing is.
    pub fn complaint_after(&self, older: Duration) -> Option<String> {
        if self.is_stale(older) && self.state != VolumeState::Failed {
            return Some(format!(
                "the disk of {} does not tell its free space: what is shown was true {} s ago",
                self.path,
                (self.age + older).as_secs()
            ));
        }
        self.sentence.clone()
    }

    fn is_stale(&self, older: Duration) -> bool {
        self.age + older >= STALE
    }
}
