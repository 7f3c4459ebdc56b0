use std::io;
use std::path::{Path, PathBuf};

use forebay_log::volume::{Call, Meaning, meaning};

/// What can go wrong in the metadata store. After any of the first two the store answers nothing but
/// [`StoreError::Failed`] and must be opened anew: what a failed sync left behind is known only to the disk.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk refused.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The disk's reason.
        source: io::Error,
    },
    /// Bytes that were durable are gone or changed.
    #[error("{path} is damaged: {detail}")]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Written by a newer release.
    #[error("{path} has format version {version}, newer than this release reads")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u16,
    },
    /// No free segment is left. Nothing was written.
    #[error("the metadata log is full: {used} of {total} bytes are in use")]
    Full {
        /// Bytes in use.
        used: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The entry does not fit into a segment. Nothing was written.
    #[error("an entry of {len} bytes does not fit into the metadata log, which takes at most {max}")]
    TooLarge {
        /// Its length.
        len: u64,
        /// The greatest length.
        max: u64,
    },
    /// The entries do not follow the log's last one. Nothing was written.
    #[error("entry {given} does not follow the log, whose next is {expected}")]
    Gap {
        /// The next index of the log.
        expected: u64,
        /// The index given.
        given: u64,
    },
    /// An error before, or a newer incarnation, has ended this store.
    #[error("the metadata store was closed: {0}")]
    Failed(String),
}

impl StoreError {
    /// True if it says that the device or its file system has failed.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Io { doing, source, .. } => {
                let call = match *doing {
                    "syncing" => Call::Sync,
                    "reading" | "measuring" | "looking for" => Call::Read,
                    _ => Call::Write,
                };
                matches!(meaning(call, source), Meaning::Fault | Meaning::ReadOnly)
            }
            Self::Corrupt { .. }
            | Self::Newer { .. }
            | Self::Full { .. }
            | Self::TooLarge { .. }
            | Self::Gap { .. }
            | Self::Failed(_) => false,
        }
    }
}

/// Names the file and the deed of an I/O error.
pub(super) fn io_error<'a>(doing: &'static str, path: &'a Path) -> impl Fn(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io { doing, path: path.to_path_buf(), source }
}

pub(super) fn corrupt(path: &Path, detail: impl Into<String>) -> StoreError {
    StoreError::Corrupt { path: path.to_path_buf(), detail: detail.into() }
}
