use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forebay_base::{ClusterId, DirectoryId, NodeId, PartitionId, WallTime, fresh_id};
use forebay_controller::store;
use forebay_log::volume::{Call, Cause, Ledger, Meaning, Neighbour, VolumeState, meaning};
use forebay_log::{DataDir, DirError, Identity};
use forebay_replica::Found;

use crate::Env;

/// One data directory, locked and identified.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) data: DataDir,
    pub(crate) id: DirectoryId,
    /// Formatted by this start: nothing is in it, so nothing needs to be checked.
    fresh: bool,
    /// Since when it has failed, if it or another one remembers that.
    failed_since: Option<WallTime>,
}

impl Directory {
    /// True if what lies in it needs no check: the last stop was clean. The mark is taken away; from now on, a stop
    /// counts as clean only if it says so.
    pub(crate) fn take_clean(&self) -> Result<bool, DirError> {
        Ok(self.fresh || self.data.take_clean_mark()?)
    }

    /// The partitions that lie in it; none that can be told if its device has failed.
    pub(crate) fn partitions(&self) -> Result<Vec<PartitionId>, DirError> {
        match self.data.partitions() {
            Err(error) if error.is_fault() => {
                self.data.note_failed();
                Ok(Vec::new())
            }
            listed => listed,
        }
    }

    /// What the start knows of its volume so far.
    pub(crate) fn found(&self) -> Found {
        match self.failed_since {
            Some(since) => Found::Failed { since },
            None if self.data.has_failed() => Found::Refused,
            None => Found::Nothing,
        }
    }

    /// Why nothing may be written to it before it is readmitted, as far as the start knows.
    pub(crate) fn why_failed(&self) -> Option<Arc<str>> {
        let cause = match self.found() {
            Found::Failed { .. } => Cause::HadFailed,
            Found::Refused => Cause::Refused,
            Found::Nothing => return None,
        };
        Some(format!("the disk of {} has failed ({cause})", self.data.path().display()).into())
    }
}

/// The data directories of a node, as a start finds them.
#[derive(Debug)]
pub(crate) struct Directories {
    /// Whose they are.
    pub(crate) cluster: ClusterId,
    pub(crate) all: Vec<Arc<Directory>>,
    /// The one that holds the metadata log.
    pub(crate) metadata: Arc<Directory>,
    /// Directories that had failed, as others remember: also such as are not here.
    pub(crate) remembered: Vec<Neighbour>,
}

/// Why the data directories cannot be used together.
#[derive(Debug, thiserror::Error)]
pub enum DirectoriesError {
    /// No data directory was named.
    #[error("no data directory is named; give one with --data-dir")]
    NoneNamed,
    /// One of them cannot be used.
    #[error(transparent)]
    Directory(#[from] DirError),
    /// It belongs to somebody else.
    #[error(
        "{path} belongs to {found}, not to {expected}; start with the right directory, or with an empty one"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// The same directory twice.
    #[error("{0} and another data directory are the same one; name each directory once")]
    Twice(PathBuf),
    /// There are partitions and no metadata: every one of them would count as deleted.
    #[error(
        "no data directory holds the metadata log, but {0} holds partitions; start with all of the node's data \
         directories, also the one that was named first when they were made"
    )]
    NoMetadata(PathBuf),
    /// Two metadata logs: which one is right is not for us to guess.
    #[error("both {0} and {1} hold a metadata log; start with the directories of one node only")]
    TwoMetadata(PathBuf, PathBuf),
}

/// The directory that holds the metadata log, whichever place it has among `directories`; of fresh ones, the first.
/// Where one that is `lost` may hold it, nothing is begun.
fn with_metadata(
    env: &Env,
    directories: &[Arc<Directory>],
    mut lost: Option<DirError>,
) -> Result<Arc<Directory>, DirectoriesError> {
    let mut holder: Option<&Arc<Directory>> = None;
    for directory in directories {
        let path = directory.data.metadata_path();
        let held = match store::is_in(&*env.disk, &path) {
            Ok(held) => held,
            Err(source) => {
                let error = DirError::Io { op: "look into", path, source };
                if !error.is_fault() {
                    return Err(error.into());
                }
                lost = lost.or(Some(error));
                false
            }
        };
        match holder {
            Some(other) if held => {
                let (one, two) = (other.data.path().to_owned(), directory.data.path().to_owned());
                return Err(DirectoriesError::TwoMetadata(one, two));
            }
            Some(_) => {}
            None => holder = held.then_some(directory),
        }
    }
    match (holder, lost) {
        (Some(holder), _) => Ok(Arc::clone(holder)),
        (None, Some(error)) => Err(error.into()),
        (None, None) => {
            for directory in directories {
                if !directory.data.partitions()?.is_empty() {
                    return Err(DirectoriesError::NoMetadata(directory.data.path().to_owned()));
                }
            }
            directories.first().cloned().ok_or(DirectoriesError::NoneNamed)
        }
    }
}

/// Locks every data directory and formats those that are fresh. All of them carry the same cluster and node. One whose
/// device cannot be read is left out, if another one holds the metadata log.
pub(crate) fn open(env: &Env, paths: &[PathBuf], node: NodeId) -> Result<Directories, DirectoriesError> {
    let (locked, mut lost) = lock(env, paths)?;
    let known = locked.iter().find_map(|(_, identity)| identity.as_ref().map(|identity| identity.cluster));
    let cluster = match known {
        Some(cluster) => cluster,
        None => match lost.take() {
            Some(error) => return Err(error.into()),
            None => ClusterId(fresh_id(&*env.rng)),
        },
    };
    let mut all: Vec<Directory> = Vec::with_capacity(locked.len());
    for (data, identity) in locked {
        let directory = identify(env, data, identity, cluster, node)?;
        if all.iter().any(|other| other.id == directory.id) {
            return Err(DirectoriesError::Twice(directory.data.path().to_owned()));
        }
        all.push(directory);
    }
    let remembered = remembered(all.iter());
    for directory in &mut all {
        directory.failed_since = failed_since(env, directory, &remembered);
    }
    let all: Vec<_> = all.into_iter().map(Arc::new).collect();
    let metadata = with_metadata(env, &all, lost)?;
    Ok(Directories { cluster, all, metadata, remembered })
}

/// A directory that was taken, with whose it is, if that is known.
type Taken = (DataDir, Option<Identity>);

/// Takes every directory that can be read; of the others, why the first one could not be.
fn lock(env: &Env, paths: &[PathBuf]) -> Result<(Vec<Taken>, Option<DirError>), DirectoriesError> {
    let pid = std::process::id();
    let (mut locked, mut lost) = (Vec::with_capacity(paths.len()), None);
    for path in paths {
        let taken = DataDir::lock(env.disk.clone(), path, pid).and_then(|data| {
            let identity = data.identity()?;
            Ok((data, identity))
        });
        match taken {
            Ok(taken) => locked.push(taken),
            Err(error) if error.is_fault() => {
                let dir = path.display();
                tracing::error!(
                    %dir, %error,
                    "this data directory is left out, for its disk cannot be read: its partitions are offline until it \
                     is repaired and the server started again"
                );
                lost = lost.or(Some(error));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((locked, lost))
}

/// What the directories remember of each other.
pub(crate) fn remembered<'a>(directories: impl Iterator<Item = &'a Directory>) -> Vec<Neighbour> {
    let notes = directories.map(|directory| {
        directory.data.neighbours().unwrap_or_else(|error| {
            note_unreadable(directory, "volume.neighbours", &error);
            Vec::new()
        })
    });
    notes.flatten().collect()
}

/// A device that does not give back what a directory remembers has failed.
fn note_unreadable(directory: &Directory, file: &str, error: &io::Error) {
    tracing::warn!(dir = %directory.data.path().display(), %error, "{file} cannot be read");
    if meaning(Call::Read, error) == Meaning::Fault {
        directory.data.note_failed();
    }
}

/// Since when a directory has failed, if it or another one remembers that. Where it was written after the other one took
/// note, it was let in again meanwhile, and its own word counts.
fn failed_since(env: &Env, directory: &Directory, remembered: &[Neighbour]) -> Option<WallTime> {
    let known = Ledger::peek(&*env.disk, directory.data.path());
    let (writes, own) = known.unwrap_or_else(|error| {
        note_unreadable(directory, "volume.state", &error);
        (0, None)
    });
    let own = own.filter(|entry| entry.state == VolumeState::Failed).map(|entry| entry.since);
    let of_it = remembered.iter().filter(|note| note.directory == directory.id && note.writes >= writes);
    own.or_else(|| of_it.map(|note| note.since).max())
}

fn identify(
    env: &Env,
    data: DataDir,
    identity: Option<Identity>,
    cluster: ClusterId,
    node: NodeId,
) -> Result<Directory, DirectoriesError> {
    let Some(identity) = identity else {
        let id = DirectoryId(fresh_id(&*env.rng));
        data.format(&Identity { cluster, node, directory: id })?;
        return Ok(Directory { data, id, fresh: true, failed_since: None });
    };
    let foreign = |found: String, expected: String| DirectoriesError::Foreign {
        path: Path::to_owned(data.path()),
        found,
        expected,
    };
    if identity.cluster != cluster {
        return Err(foreign(format!("cluster {}", identity.cluster), format!("cluster {cluster}")));
    }
    if identity.node != node {
        return Err(foreign(format!("node {}", identity.node), format!("node {node} (node.id)")));
    }
    Ok(Directory { id: identity.directory, fresh: false, failed_since: None, data })
}

/// Writes the mark of a clean stop, where nothing has `failed`; called last, when everything else is on the disk.
pub(crate) fn leave_clean(
    directories: &[Arc<Directory>],
    failed: &BTreeSet<DirectoryId>,
) -> Result<(), DirError> {
    // A start that could not take the old mark away leaves no new one either: the next one looks at everything.
    let is_sound =
        |directory: &&Arc<Directory>| !directory.data.has_failed() && !failed.contains(&directory.id);
    directories.iter().filter(is_sound).try_for_each(|directory| directory.data.leave_clean_mark())
}
