use std::sync::Arc;
use std::time::Duration;

use forebay_base::DirectoryId;
use forebay_log::volume;
use forebay_meta::status::VolumeState;
use forebay_replica::{Report, VolumeCounts};

/// A report that is older than this is not believed any more: its monitor waits for a disk that does not answer.
const STALE: Duration = Duration::from_secs(10);

/// One data directory, as its monitor last reported it.
#[derive(Debug, Clone)]
pub(crate) struct VolumeFacts {
    /// Its identity.
    pub(crate) directory: DirectoryId,
    /// The report, in full.
    pub(crate) report: Arc<Report>,
    /// How long ago its space was looked at.
    pub(crate) age: Duration,
    /// How long it has been in its state.
    pub(crate) in_state: Duration,
    /// What was counted since the start.
    pub(crate) counts: VolumeCounts,
}

impl VolumeFacts {
    /// Its state; one that is well is not known to be so for ever.
    pub(crate) fn state(&self) -> VolumeState {
        match self.report.state {
            volume::VolumeState::Normal | volume::VolumeState::Low if self.is_stale() => VolumeState::Probing,
            volume::VolumeState::Normal => VolumeState::Normal,
            volume::VolumeState::Low => VolumeState::Low,
            volume::VolumeState::Full => VolumeState::Full,
            volume::VolumeState::HardFull => VolumeState::HardFull,
            volume::VolumeState::Failed => VolumeState::Failed,
            volume::VolumeState::Probing => VolumeState::Probing,
        }
    }

    /// What is wrong with it, as a sentence; `None` if nothing is.
    pub(crate) fn complaint(&self) -> Option<String> {
        if self.is_stale() && self.report.state != volume::VolumeState::Failed {
            return Some(format!(
                "the disk of {} does not tell its free space: what is shown was true {} s ago",
                self.report.path.display(),
                self.age.as_secs()
            ));
        }
        self.report.sentence()
    }

    fn is_stale(&self) -> bool {
        self.age >= STALE
    }
}
