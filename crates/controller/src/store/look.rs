use std::path::Path;

use bytes::Bytes;
use forebay_log::Disk;

use super::log::LogStore;
use super::{Entry, EntryId, SnapshotMeta, SnapshotStore, StoreError};

/// What a metadata log and its snapshots say, read without changing anything.
#[derive(Debug)]
pub struct Seen {
    /// The newest sound snapshot.
    pub snapshot: Option<(SnapshotMeta, Bytes)>,
    /// The entries that the log has, as recovery would keep them.
    pub entries: Vec<Entry>,
    /// The last commit mark that was kept: possibly an old one.
    pub committed: Option<EntryId>,
}

/// Reads what lies in `dir`, on a disk that takes no writes. What is read may not be durable.
///
/// Errors: as [`LogStore::open`], and [`StoreError::Io`] if nothing was ever made there.
pub fn look(disk: &dyn Disk, dir: &Path) -> Result<Seen, StoreError> {
    let snapshot = SnapshotStore::look(disk, dir)?;
    let log = LogStore::look(disk, dir)?;
    Ok(Seen { snapshot, entries: log.read(0, u64::MAX)?, committed: log.committed() })
}
