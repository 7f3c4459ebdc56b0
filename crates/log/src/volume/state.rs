use std::fmt;

/// What a volume can take; see the module's drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VolumeState {
    /// Plenty of space.
    Normal,
    /// Space is short: retention is eager.
    Low,
    /// No writes of records; internal state goes on, from the reserve where it must.
    Full,
    /// The reserve is spent too: only what frees space goes on.
    HardFull,
    /// The device or its file system has failed. Left by an operator only.
    Failed,
    /// Not known yet after a start.
    Probing,
}

impl VolumeState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Normal, Self::Low, Self::Full, Self::HardFull, Self::Failed, Self::Probing];

    /// True if records may be written.
    pub fn takes_writes(self) -> bool {
        match self {
            Self::Normal | Self::Low => true,
            Self::Full | Self::HardFull | Self::Failed | Self::Probing => false,
        }
    }

    /// True if what may be deleted is to be deleted soon.
    pub fn is_pressed(self) -> bool {
        match self {
            Self::Low | Self::Full | Self::HardFull => true,
            Self::Normal | Self::Failed | Self::Probing => false,
        }
    }

    /// True if the volume may move from here to `to`: the arrows of the module's drawing.
    pub fn leads_to(self, to: Self) -> bool {
        match (self, to) {
            (Self::Failed, to) => to == Self::Normal,
            (_, Self::Failed)
            | (Self::Normal, Self::Low)
            | (Self::Low, Self::Normal | Self::Full)
            | (Self::Full, Self::Low | Self::HardFull)
            | (Self::HardFull, Self::Full)
            | (Self::Probing, Self::Normal | Self::Low | Self::Full) => true,
            (Self::Normal | Self::Low | Self::Full | Self::HardFull | Self::Probing, _) => false,
        }
    }
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

/// Why a volume is in its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Nothing has been asked yet.
    Started,
    /// So many bytes were free, fewer than the mark.
    FreeBelow {
        /// Bytes free.
        free: u64,
        /// The mark.
        mark: u64,
    },
    /// So few files can still be made.
    FilesBelow {
        /// Files that can be made.
        free: u64,
        /// The mark.
        mark: u64,
    },
    /// A write, or the exit test, found no room.
    NoRoom,
    /// It was full before the restart.
    WasFull,
    /// The last reserve was used up.
    ReserveSpent,
    /// The reserve is whole again.
    ReserveWhole,
    /// Space is free, and the exit test has shown it.
    TestPassed,
    /// Enough space has been free for a while.
    Calm,
    /// The file system takes no writes any more.
    ReadOnly,
    /// It refused what every start does.
    Refused,
    /// Two faults within ten minutes.
    Faults,
    /// It had failed before the restart.
    HadFailed,
    /// An operator let it in again.
    Readmitted,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "its space has not been looked at yet",
            Self::FreeBelow { free, mark } => {
                return write!(f, "{} are free, less than {}", ByteCount(*free), ByteCount(*mark));
            }
            Self::FilesBelow { free, mark } => {
                return write!(f, "{free} more files can be made, fewer than {mark}");
            }
            Self::NoRoom => "a write found no room",
            Self::WasFull => "it was full when the node stopped",
            Self::ReserveSpent => "the reserve is used up",
            Self::ReserveWhole => "the reserve is whole again",
            Self::TestPassed => "space is free again, and a real write has shown it",
            Self::Calm => "enough space has been free for a while",
            Self::ReadOnly => "its file system takes no writes",
            Self::Refused => "it refused what every start reads and writes",
            Self::Faults => "writes or syncs failed twice within ten minutes",
            Self::HadFailed => "it had failed when the node stopped",
            Self::Readmitted => "it was readmitted",
        })
    }
}

/// A number of bytes as people read it: `4.2 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteCount(pub u64);

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.0 < 1024 {
            return write!(f, "{} bytes", self.0);
        }
        let (mut count, mut unit) = (self.0 as f64 / 1024.0, UNITS[0]);
        for larger in &UNITS[1..] {
            if count < 1024.0 {
                break;
            }
            (count, unit) = (count / 1024.0, larger);
        }
        write!(f, "{count:.1} {unit}")
    }
}
