use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forebay_base::Offset;
use rustix::io::Errno;

use crate::volume::{ByteCount, Call, Meaning, meaning};

/// Why the log of a partition could not do what was asked. Each is a sentence for the operator.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The file system refused. The log is unchanged and may be used on; see [`LogError::is_full`].
    #[error("cannot {op} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        op: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the file system said.
        source: Arc<io::Error>,
    },
    /// Bytes that were durable are damaged or missing (rule R33). They are kept as they are.
    #[error("{} is damaged at offset {offset}: {reason}", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// First offset that cannot be believed.
        offset: Offset,
        /// What is wrong.
        reason: String,
    },
    /// The offset is not in the log.
    #[error("the offset is out of range: the log holds {start} to {end}")]
    OutOfRange {
        /// First offset of the log.
        start: Offset,
        /// Offset after the last.
        end: Offset,
    },
    /// A sync or a rollback failed before: what is on disk is not known any more (rule R32). Reads go on; writes need
    /// the log to be opened again.
    #[error("the log takes no writes since a storage fault: {reason}")]
    Poisoned {
        /// The first fault.
        reason: Arc<str>,
    },
    /// Batches that do not follow the end of the log, one after the other.
    #[error("a batch at offset {found} cannot be appended where offset {expected} is next")]
    Misplaced {
        /// The next offset of the log.
        expected: Offset,
        /// The offset that was offered.
        found: Offset,
    },
    /// Written by a newer version of Forebay.
    #[error("{} has format version {found}; this build reads up to {known}: use a newer build", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u16,
        /// The newest known here.
        known: u16,
    },
}

impl LogError {
    /// True if there was no room for the bytes: the same call may succeed once space is freed. A sync that reports a
    /// full disk is a storage fault and answers [`LogError::Poisoned`].
    pub fn is_full(&self) -> bool {
        self.meaning() == Some(Meaning::Full)
    }

    /// What it says about the volume; `None` if the file system was not asked, or the log answers for it.
    pub fn meaning(&self) -> Option<Meaning> {
        match self {
            Self::Io { op, source, .. } => {
                let call = match *op {
                    "sync" | "make durable" => Call::Sync,
                    "read" | "look into" | "list" => Call::Read,
                    _ => Call::Write,
                };
                Some(meaning(call, source))
            }
            Self::Corrupt { .. }
            | Self::OutOfRange { .. }
            | Self::Poisoned { .. }
            | Self::Misplaced { .. }
            | Self::Newer { .. } => None,
        }
    }

    /// As [`is_out_of_descriptors`].
    pub fn is_out_of_descriptors(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_out_of_descriptors(source),
            Self::Corrupt { .. }
            | Self::OutOfRange { .. }
            | Self::Poisoned { .. }
            | Self::Misplaced { .. }
            | Self::Newer { .. } => false,
        }
    }
}

/// True if the process or the system has no descriptor left. That says nothing about any disk: the call has not reached
/// one, and may succeed once others close what they hold.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Wraps an error of the file system with what was tried on which path.
pub(crate) fn failed(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
    let path = path.to_path_buf();
    move |source| LogError::Io { op, path, source: Arc::new(source) }
}

/// Why a data directory cannot be used. Each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The file system refused.
    #[error("cannot {op} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        op: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// Another process holds the directory.
    #[error("data directory {} is in use by pid {pid}", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who holds it, as written in the lock file; "unknown" if nothing is.
        pid: String,
    },
    /// Written by a newer version of Forebay.
    #[error(
        "data directory {} has format version {found}; this build reads up to {known}: use a newer build",
        path.display()
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its version.
        found: u16,
        /// The newest known here.
        known: u16,
    },
    /// Its file system is too small to begin with.
    #[error(
        "data directory {} is on a disk of {bytes}; it takes {bytes_min} at least, or too little is left for records",
        path.display()
    )]
    TooSmall {
        /// The directory.
        path: PathBuf,
        /// The size of its file system.
        bytes: ByteCount,
        /// The least that is taken.
        bytes_min: ByteCount,
    },
    /// A file of the directory fails its checks, or is missing where data exist.
    #[error("data directory {} is damaged: {reason}", path.display())]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
}

impl DirError {
    /// The file system does not tell the space of `path`.
    pub fn of_space(path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io("ask for the space of", path)
    }

    pub(crate) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { op, path, source }
    }

    /// True if the device has failed, so that nothing is known of what the directory holds.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Io { source, .. } if meaning(Call::Read, source) == Meaning::Fault)
    }
}
