//! Names of the files of one partition: the offset in 20 digits, so that names sort as offsets do.

use std::path::{Path, PathBuf};

use forebay_base::Offset;

/// What a file in a partition's directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Batches, from the offset in the name on.
    Log,
    /// Index hint of the segment of that name.
    Index,
    /// Producer state before the offset in the name.
    Producers,
}

impl Kind {
    fn extension(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Index => "index",
            Self::Producers => "producers",
        }
    }

    /// Path of the file of this kind at `offset`.
    pub(crate) fn path(self, dir: &Path, offset: Offset) -> PathBuf {
        dir.join(format!("{:020}.{}", offset.0, self.extension()))
    }

    /// Reads a name back; `None` for anything that is not ours.
    pub(crate) fn parse(name: &str) -> Option<(Self, Offset)> {
        let (digits, extension) = name.split_once('.')?;
        let kind = [Self::Log, Self::Index, Self::Producers]
            .into_iter()
            .find(|kind| kind.extension() == extension)?;
        if digits.len() != 20 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        Some((kind, Offset(digits.parse().ok()?)))
    }
}

/// The two-slot state file of a partition.
pub(crate) fn state_path(dir: &Path) -> PathBuf {
    dir.join("state")
}
