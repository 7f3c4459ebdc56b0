use std::fmt;
use std::path::Path;

/// What a path is for, read off the layout of a data directory (`docs/formats.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathKind {
    /// The directory above the data directory, or any other that is not named here.
    OuterDir,
    /// The data directory itself: it holds the lock file.
    DataDir,
    /// `partitions/`.
    PartitionsDir,
    /// One partition's directory.
    PartitionDir,
    /// `metadata/`, or a directory in it.
    MetadataDir,
    /// `forebay.lock`.
    LockFile,
    /// `identity`.
    Identity,
    /// `clean`, and `clean.spare`.
    CleanMark,
    /// A partition's segment.
    LogFile,
    /// A partition's offset and time index of one segment.
    Index,
    /// A snapshot of producer state.
    Producers,
    /// A partition's `state`: log start and recovery point.
    State,
    /// A snapshot of the metadata.
    Snapshot,
    /// `raft.state`: vote, purge and truncation marks.
    MetadataState,
    /// `raft.log`, the ring of metadata entries, and anything else of the metadata store.
    MetadataLog,
    /// None of these.
    Other,
}

impl PathKind {
    /// What a file is for.
    pub fn of_file(path: &Path) -> PathKind {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let stem = name.strip_suffix(".tmp").or(name.strip_suffix(".new")).unwrap_or(name);
        let in_metadata = path.components().any(|component| component.as_os_str() == "metadata");
        match (stem, stem.rsplit_once('.').map(|(_, extension)| extension)) {
            _ if in_metadata && stem.contains("snapshot") => PathKind::Snapshot,
            ("raft.state", _) => PathKind::MetadataState,
            _ if in_metadata => PathKind::MetadataLog,
            ("forebay.lock", _) => PathKind::LockFile,
            ("identity", _) => PathKind::Identity,
            ("clean" | "clean.spare", _) => PathKind::CleanMark,
            ("state", _) => PathKind::State,
            (_, Some("log")) => PathKind::LogFile,
            (_, Some("index")) => PathKind::Index,
            (_, Some("producers")) => PathKind::Producers,
            (_, _) => PathKind::Other,
        }
    }

    /// What a directory is for; `names` are the names in it.
    pub fn of_dir(path: &Path, names: &[String]) -> PathKind {
        let is =
            |path: Option<&Path>, name: &str| path.and_then(Path::file_name).is_some_and(|last| last == name);
        if path.components().any(|component| component.as_os_str() == "metadata") {
            PathKind::MetadataDir
        } else if is(Some(path), "partitions") {
            PathKind::PartitionsDir
        } else if is(path.parent(), "partitions") {
            PathKind::PartitionDir
        } else if names.iter().any(|name| name == "forebay.lock") {
            PathKind::DataDir
        } else {
            PathKind::OuterDir
        }
    }
}

/// One place in the code under test that makes something durable, told apart by what the test was doing
/// ([`SimDisk::phase`](super::SimDisk::phase)), what was synced, and the how-manieth sync of that kind it was since
/// the phase began.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncSite {
    /// What the code under test was asked to do.
    pub phase: String,
    /// What it synced.
    pub kind: PathKind,
    /// Counted from 1.
    pub nth: u32,
}

impl SyncSite {
    /// The first sync of `kind` in `phase`.
    pub fn new(phase: &str, kind: PathKind) -> Self {
        Self::nth(phase, kind, 1)
    }

    /// A later sync of `kind` in `phase`.
    pub fn nth(phase: &str, kind: PathKind, nth: u32) -> Self {
        Self { phase: phase.to_owned(), kind, nth }
    }
}

impl fmt::Display for SyncSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?} {}", self.phase, self.kind, self.nth)
    }
}
