//! One data directory.
//!
//! ```text
//! forebay.lock  text: pid of the holder, padded to 11 characters, and a newline; the lock itself is the kernel's (flock)
//! identity      magic "FBID" | 4 version u16 | 6 reserved u16 | 8 cluster id [16] | 24 node id i32
//!               28 directory id [16] | 44 CRC-32C u32
//! clean.spare   the same as clean, while there is none: a rename leaves it without needing space
//! clean         magic "FBCL" | 4 version u16 | 6 reserved u16 | 8 CRC-32C u32: the last stop was clean
//! ```
//! The version of `identity` is the format version of everything in the directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use forebay_base::{ClusterId, DirectoryId, Id128, NodeId, PartitionId};

use crate::disk::{Disk, Lock, Open, Space};
use crate::error::DirError;
use crate::sealed::{
    CreateDirError, Format, Unsound, create_dirs, read_file, remove_if_there, write_all, write_file,
};
use crate::volume::{ByteCount, Call, Meaning, Neighbour, Neighbours, VOLUME_BYTES_MIN, meaning};

/// Newest version of the data directory that this build reads and writes.
pub const FORMAT_VERSION: u16 = 1;

const IDENTITY: Format = Format { magic: *b"FBID", version: FORMAT_VERSION };
const CLEAN: Format = Format { magic: *b"FBCL", version: 1 };

/// Names of the mark of a clean stop: while it counts, and while it does not.
const MARK: &str = "clean";
const SPARE_MARK: &str = "clean.spare";

/// A small file is not read beyond this.
const BYTES_MAX: u64 = 4_096;

/// Whose data a directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node of that cluster.
    pub node: NodeId,
    /// The directory itself, wherever it is mounted.
    pub directory: DirectoryId,
}

/// A data directory, held under an exclusive lock for as long as this value lives.
#[derive(Debug)]
pub struct DataDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// See [`DataDir::has_failed`].
    failed: AtomicBool,
    _lock: Box<dyn Lock>,
}

impl DataDir {
    /// Takes the directory for this process, whose id is `pid`; makes it, and its parents, if missing. One that is there
    /// is taken also if its file system takes no writes.
    /// [`DirError::InUse`] if another process has it.
    pub fn lock(disk: Arc<dyn Disk>, path: &Path, pid: u32) -> Result<Self, DirError> {
        let mut failed = match create_dirs(disk.as_ref(), path) {
            // It is there, and its name was meant to be made sure of once more.
            Err(CreateDirError::Sync(error)) if has_failed(&error) && disk.exists(path).unwrap_or(false) => {
                true
            }
            Err(error) => return Err(DirError::io("create", path)(error.into())),
            Ok(()) => false,
        };
        let lock_path = path.join("forebay.lock");
        match disk.open(&lock_path, Open::CreateOrWrite) {
            Err(error) if !has_failed(&error) => {
                return Err(DirError::io("open", &lock_path)(error));
            }
            Ok(_) | Err(_) => {}
        }
        let lock = match disk.lock(&lock_path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let pid = holder(disk.as_ref(), &lock_path);
                return Err(DirError::InUse { path: path.to_path_buf(), pid });
            }
            Err(error) => return Err(DirError::io("lock", &lock_path)(error)),
        };
        sign(disk.as_ref(), &lock_path, pid).map_err(DirError::io("write", &lock_path))?;
        // A process that was killed may have made names here, the identity's too, that are not durable yet.
        match disk.sync_dir(path) {
            Err(error) if has_failed(&error) => failed = true,
            Err(error) => return Err(DirError::io("sync", path)(error)),
            Ok(()) => {}
        }
        Ok(Self { disk, path: path.to_path_buf(), failed: AtomicBool::new(failed), _lock: lock })
    }

    /// True if it has refused what every start does. Nothing may be written here before
    /// [`take_clean_mark`] has succeeded; what can be read may be served.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// The device has failed: from now on [`DataDir::has_failed`] says so.
    pub fn note_failed(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whose data these are; `None` if the directory is fresh. [`DirError::Newer`] if a newer build wrote it,
    /// [`DirError::Damaged`] if the file is bad, or missing though there are partitions.
    pub fn identity(&self) -> Result<Option<Identity>, DirError> {
        let identity = read_identity(self.disk.as_ref(), &self.path)?;
        if identity.is_none() && !self.partitions()?.is_empty() {
            return Err(DirError::Damaged {
                path: self.path.clone(),
                reason: "it holds partitions but its identity file is missing",
            });
        }
        Ok(identity)
    }

    /// Makes the directory `identity`'s, durably: its subdirectories first, the identity file last.
    /// [`DirError::TooSmall`] if its volume is smaller than [`VOLUME_BYTES_MIN`].
    pub fn format(&self, identity: &Identity) -> Result<(), DirError> {
        let disk = self.disk.as_ref();
        let space = self.space().map_err(DirError::of_space(&self.path))?;
        if space.total_bytes < VOLUME_BYTES_MIN {
            let (bytes, bytes_min) = (ByteCount(space.total_bytes), ByteCount(VOLUME_BYTES_MIN));
            return Err(DirError::TooSmall { path: self.path.clone(), bytes, bytes_min });
        }
        for dir in [self.partitions_path(), self.metadata_path()] {
            match disk.create_dir(&dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(DirError::io("create", &dir)(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        let mut writer = IDENTITY.writer();
        writer.raw(&identity.cluster.0.0);
        writer.i32(identity.node.0);
        writer.raw(&identity.directory.0.0);
        let (fresh, path) = (self.path.join("identity.new"), self.path.join("identity"));
        // Renamed when synced: a power cut leaves no identity or all of it.
        let file = write_file(disk, &fresh, &Format::seal(writer)).map_err(DirError::io("write", &fresh))?;
        file.sync().map_err(DirError::io("sync", &fresh))?;
        disk.rename(&fresh, &path).map_err(DirError::io("rename", &fresh))?;
        self.write_spare_mark()?;
        disk.sync_dir(&self.path).map_err(DirError::io("sync", &self.path))
    }

    /// True if the last stop was clean. Takes the mark away, durably, so that it speaks of one start only: call it
    /// before anything is opened. It is kept under another name: leaving it again needs no space then.
    ///
    /// Where it cannot be taken away it is not believed: see [`DataDir::has_failed`].
    pub fn take_clean_mark(&self) -> Result<bool, DirError> {
        match take_clean_mark(self.disk.as_ref(), &self.path) {
            Err(DirError::Io { source, .. }) if has_failed(&source) => {
                self.note_failed();
                Ok(false)
            }
            taken => taken,
        }
    }

    /// Says that the next start need not recover. To be written last, after every log was closed without an error.
    pub fn leave_clean_mark(&self) -> Result<(), DirError> {
        let (path, spare) = (self.clean_path(), self.spare_path());
        let disk = self.disk.as_ref();
        let kept = read_file(disk, &spare, BYTES_MAX).map_err(DirError::io("read", &spare))?;
        if kept.is_none_or(|mark| CLEAN.open(mark).is_err()) {
            self.write_spare_mark()?;
        }
        let file = disk.open(&spare, Open::Write).map_err(DirError::io("open", &spare))?;
        file.sync().map_err(DirError::io("sync", &spare))?;
        disk.rename(&spare, &path).map_err(DirError::io("rename", &spare))?;
        disk.sync_dir(&self.path).map_err(DirError::io("sync", &self.path))
    }

    /// Writes the mark of a clean stop under its other name, where it says nothing yet. Synced when it is left.
    fn write_spare_mark(&self) -> Result<(), DirError> {
        let spare = self.spare_path();
        let written = write_file(self.disk.as_ref(), &spare, &Format::seal(CLEAN.writer()));
        written.map(drop).map_err(DirError::io("write", &spare))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which other data directories have failed, as this one remembers.
    ///
    /// # Errors
    /// What the file system says.
    pub fn neighbours(&self) -> io::Result<Vec<Neighbour>> {
        Neighbours::peek(self.disk.as_ref(), &self.path)
    }

    /// Has it remember that these have `failed`, durably; nothing is written if it does. For a start and a stop: in
    /// between the file is its monitor's.
    ///
    /// # Errors
    /// What the file system says.
    pub fn leave_neighbours(&self, failed: &[Neighbour]) -> io::Result<()> {
        if self.neighbours()? == failed {
            return Ok(());
        }
        Neighbours::open(self.disk.as_ref(), &self.path)?.0.write(failed)
    }

    /// Where the partitions' directories are.
    pub fn partitions_path(&self) -> PathBuf {
        partitions_path(&self.path)
    }

    /// Where the metadata log is.
    pub fn metadata_path(&self) -> PathBuf {
        self.path.join("metadata")
    }

    /// The partitions that have a directory here.
    pub fn partitions(&self) -> Result<Vec<PartitionId>, DirError> {
        list_partitions(self.disk.as_ref(), &self.path)
    }

    /// Space of the volume.
    pub fn space(&self) -> io::Result<Space> {
        self.disk.space(&self.path)
    }

    fn spare_path(&self) -> PathBuf {
        self.path.join(SPARE_MARK)
    }

    fn clean_path(&self) -> PathBuf {
        self.path.join(MARK)
    }
}

/// Takes the mark of a clean stop away from the data directory `dir`, durably; true if there was a sound one.
///
/// # Errors
/// What the file system says: then the mark may still be there.
pub fn take_clean_mark(disk: &dyn Disk, dir: &Path) -> Result<bool, DirError> {
    let (path, spare) = (dir.join(MARK), dir.join(SPARE_MARK));
    let mark = read_file(disk, &path, BYTES_MAX).map_err(DirError::io("read", &path))?;
    let Some(mark) = mark else { return Ok(false) };
    let clean = CLEAN.open(mark).is_ok();
    if clean {
        disk.rename(&path, &spare).map_err(DirError::io("rename", &path))?;
    } else {
        remove_if_there(disk, &path).map_err(DirError::io("remove", &path))?;
    }
    disk.sync_dir(dir).map_err(DirError::io("sync", dir))?;
    Ok(clean)
}

/// True if the error says that the device or its file system has failed.
fn has_failed(error: &io::Error) -> bool {
    matches!(meaning(Call::Write, error), Meaning::ReadOnly | Meaning::Fault)
}

/// Writes the pid into the lock file, in place and always as long, so that a full disk cannot refuse it twice. Where it
/// does, for the file is new or the volume has failed, nobody is named: the lock is the kernel's.
fn sign(disk: &dyn Disk, lock_path: &Path, pid: u32) -> io::Result<()> {
    let signed = disk
        .open(lock_path, Open::Write)
        .and_then(|file| write_all(file.as_ref(), 0, format!("{pid:<11}\n").as_bytes()));
    match signed {
        Err(error) if meaning(Call::Write, &error) == Meaning::Full || has_failed(&error) => Ok(()),
        outcome => outcome,
    }
}

/// Who wrote its pid into the lock file.
fn holder(disk: &dyn Disk, lock_path: &Path) -> String {
    let text = read_file(disk, lock_path, BYTES_MAX).ok().flatten().unwrap_or_default();
    let digits: String = text.iter().map(|byte| char::from(*byte)).take_while(char::is_ascii_digit).collect();
    if digits.is_empty() { "unknown".to_owned() } else { digits }
}

pub(crate) fn partitions_path(data_dir: &Path) -> PathBuf {
    data_dir.join("partitions")
}

pub(crate) fn list_partitions(disk: &dyn Disk, data_dir: &Path) -> Result<Vec<PartitionId>, DirError> {
    let path = partitions_path(data_dir);
    if !disk.exists(&path).map_err(DirError::io("look for", &path))? {
        return Ok(Vec::new());
    }
    let entries = disk.list(&path).map_err(DirError::io("list", &path))?;
    Ok(entries.iter().filter(|entry| entry.is_dir).filter_map(|entry| entry.name.parse().ok()).collect())
}

/// Reads the identity file; needs no lock.
pub(crate) fn read_identity(disk: &dyn Disk, data_dir: &Path) -> Result<Option<Identity>, DirError> {
    let path = data_dir.join("identity");
    let bytes = read_file(disk, &path, BYTES_MAX).map_err(DirError::io("read", &path))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let damaged = || DirError::Damaged { path: data_dir.to_path_buf(), reason: "its identity file is bad" };
    let mut reader = IDENTITY.open(bytes).map_err(|unsound| match unsound {
        Unsound::Damaged => damaged(),
        Unsound::Newer(found) => {
            DirError::Newer { path: data_dir.to_path_buf(), found, known: FORMAT_VERSION }
        }
    })?;
    let mut fields = || {
        let (cluster, node, directory) = (reader.u128()?, reader.i32()?, reader.u128()?);
        let id = |number: u128| Id128(number.to_be_bytes());
        Ok(Identity {
            cluster: ClusterId(id(cluster)),
            node: NodeId(node),
            directory: DirectoryId(id(directory)),
        })
    };
    fields().map(Some).map_err(|_: forebay_base::Short| damaged())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RealDisk;

    fn identity() -> Identity {
        Identity {
            cluster: ClusterId(Id128([1; 16])),
            node: NodeId(3),
            directory: DirectoryId(Id128([2; 16])),
        }
    }

    fn lock(path: &Path, pid: u32) -> Result<DataDir, DirError> {
        DataDir::lock(Arc::new(RealDisk), path, pid)
    }

    #[test]
    fn a_second_process_is_told_who_holds_it() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("a/b");
        let held = lock(&path, 4711).unwrap();
        let refused = lock(&path, 1).unwrap_err().to_string();
        assert!(refused.contains("in use by pid 4711"), "{refused}");
        drop(held);
        lock(&path, 1).unwrap();
    }

    #[test]
    fn a_formatted_directory_remembers_whose_it_is() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = lock(tmp.path(), 1).unwrap();
        assert_eq!(dir.identity().unwrap(), None);
        dir.format(&identity()).unwrap();
        assert_eq!(dir.identity().unwrap(), Some(identity()));
        let id = PartitionId { index: 5, ..PartitionId::default() };
        RealDisk.create_dir(&dir.partitions_path().join(id.to_string())).unwrap();
        RealDisk.create_dir(&dir.partitions_path().join("lost+found")).unwrap();
        assert_eq!(dir.partitions().unwrap(), [id]);
        assert!(dir.space().unwrap().total_bytes > 0);
        RealDisk.remove_file(&tmp.path().join("identity")).unwrap();
        assert!(matches!(dir.identity(), Err(DirError::Damaged { .. })));
    }

    #[test]
    fn a_newer_or_damaged_identity_is_refused() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = lock(tmp.path(), 1).unwrap();
        let mut newer = Format { version: FORMAT_VERSION + 1, ..IDENTITY }.writer();
        newer.raw(&[0; 99]);
        write_file(&RealDisk, &tmp.path().join("identity"), &Format::seal(newer)).unwrap();
        let refused = dir.identity().unwrap_err().to_string();
        assert!(refused.contains("format version 2; this build reads up to 1"), "{refused}");
        write_file(&RealDisk, &tmp.path().join("identity"), b"FBID").unwrap();
        assert!(matches!(dir.identity(), Err(DirError::Damaged { .. })));
    }

    #[test]
    fn the_clean_mark_counts_once() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = lock(tmp.path(), 1).unwrap();
        assert!(!dir.take_clean_mark().unwrap());
        dir.leave_clean_mark().unwrap();
        assert!(dir.take_clean_mark().unwrap());
        assert!(!dir.take_clean_mark().unwrap());
        dir.leave_clean_mark().unwrap();
        assert!(dir.take_clean_mark().unwrap());
        write_file(&RealDisk, &dir.clean_path(), b"FBCL").unwrap();
        assert!(!dir.take_clean_mark().unwrap());
    }
}
