use std::path::{Path, PathBuf};
use std::sync::Arc;

use forebay_base::{ClusterId, DirectoryId, NodeId, fresh_id};
use forebay_controller::store;
use forebay_log::volume::{Cause, Ledger, VolumeState};
use forebay_log::{DataDir, DirError, Identity};

use crate::Env;

/// One data directory, locked and identified.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) data: DataDir,
    pub(crate) id: DirectoryId,
    /// Formatted by this start: nothing is in it, so nothing needs to be checked.
    fresh: bool,
}

impl Directory {
    /// True if what lies in it needs no check: the last stop was clean. The mark is taken away; from now on, a stop
    /// counts as clean only if it says so.
    pub(crate) fn take_clean(&self) -> Result<bool, DirError> {
        Ok(self.fresh || self.data.take_clean_mark()?)
    }
}

impl Directory {
    /// Why nothing may be written to it before it is readmitted, as far as the start knows.
    pub(crate) fn why_failed(&self, env: &Env) -> Option<Arc<str>> {
        let path = self.data.path();
        let known = Ledger::peek(&*env.disk, path).ok().flatten();
        let had_failed = known.is_some_and(|entry| entry.state == VolumeState::Failed);
        let because = |cause: Cause| format!("the disk of {} has failed ({cause})", path.display()).into();
        match (had_failed, self.data.has_failed()) {
            (true, _) => Some(because(Cause::HadFailed)),
            (false, true) => Some(because(Cause::ReadOnly)),
            (false, false) => None,
        }
    }
}

/// Why the data directories cannot be used together.
#[derive(Debug, thiserror::Error)]
pub enum DirectoriesError {
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
pub(crate) fn with_metadata<'a>(
    env: &Env,
    directories: &'a [Arc<Directory>],
) -> Result<Option<&'a Arc<Directory>>, DirectoriesError> {
    let mut holder: Option<&Arc<Directory>> = None;
    for directory in directories {
        let path = directory.data.metadata_path();
        let held = store::is_in(&*env.disk, &path).map_err(|source| DirError::Io {
            op: "look into",
            path,
            source,
        })?;
        match holder {
            Some(other) if held => {
                let (one, two) = (other.data.path().to_owned(), directory.data.path().to_owned());
                return Err(DirectoriesError::TwoMetadata(one, two));
            }
            Some(_) => {}
            None => holder = held.then_some(directory),
        }
    }
    if holder.is_some() {
        return Ok(holder);
    }
    for directory in directories {
        if !directory.data.partitions()?.is_empty() {
            return Err(DirectoriesError::NoMetadata(directory.data.path().to_owned()));
        }
    }
    Ok(directories.first())
}

/// Locks every data directory and formats those that are fresh. All of them carry the same cluster and node.
pub(crate) fn open(
    env: &Env,
    paths: &[PathBuf],
    node: NodeId,
) -> Result<(ClusterId, Vec<Directory>), DirectoriesError> {
    let pid = std::process::id();
    let mut locked = Vec::with_capacity(paths.len());
    for path in paths {
        let data = DataDir::lock(env.disk.clone(), path, pid)?;
        let identity = data.identity()?;
        locked.push((data, identity));
    }
    let known = locked.iter().find_map(|(_, identity)| identity.as_ref().map(|identity| identity.cluster));
    let cluster = known.unwrap_or_else(|| ClusterId(fresh_id(&*env.rng)));
    let mut directories: Vec<Directory> = Vec::with_capacity(locked.len());
    for (data, identity) in locked {
        let directory = identify(env, data, identity, cluster, node)?;
        if directories.iter().any(|other| other.id == directory.id) {
            return Err(DirectoriesError::Twice(directory.data.path().to_owned()));
        }
        directories.push(directory);
    }
    Ok((cluster, directories))
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
        return Ok(Directory { data, id, fresh: true });
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
    Ok(Directory { id: identity.directory, fresh: false, data })
}

/// Writes the mark of a clean stop; called last, when everything else is on the disk.
pub(crate) fn leave_clean(directories: &[Arc<Directory>]) -> Result<(), DirError> {
    // A start that could not take the old mark away leaves no new one either: the next one looks at everything.
    let mut sound = directories.iter().filter(|directory| !directory.data.has_failed());
    sound.try_for_each(|directory| directory.data.leave_clean_mark())
}
