//! The real file system with faults on demand.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use forebay_base::Region;

use crate::{DirEntry, Disk, File, Lock, Open, RealDisk, Space};

/// What goes wrong from now on, and what was done so far.
#[derive(Debug)]
pub(super) struct Faults {
    /// Bytes that may still be written; then writes are short, then the disk is full.
    pub(super) room: AtomicU64,
    pub(super) fail_sync: AtomicBool,
    pub(super) fail_truncate: AtomicBool,
    /// There is no room even to cut a file, as over a quota of btrfs.
    pub(super) no_room_to_cut: AtomicBool,
    pub(super) fail_create: AtomicBool,
    /// The next syncs of a directory fail; so many.
    pub(super) fail_sync_dir: AtomicU64,
    /// No directory can be opened to be synced.
    pub(super) no_descriptor: AtomicBool,
    /// Files that are open.
    pub(super) open: AtomicU64,
    /// Files that were closed with bytes that were not synced.
    pub(super) closed_unsynced: AtomicU64,
    /// The calls that matter for durability, in order.
    pub(super) calls: Mutex<Vec<String>>,
}

#[derive(Debug, Clone)]
pub(super) struct FaultDisk(pub(super) Arc<Faults>);

impl FaultDisk {
    pub(super) fn new() -> Self {
        Self(Arc::new(Faults {
            room: AtomicU64::new(u64::MAX),
            fail_sync: AtomicBool::new(false),
            fail_truncate: AtomicBool::new(false),
            no_room_to_cut: AtomicBool::new(false),
            fail_create: AtomicBool::new(false),
            fail_sync_dir: AtomicU64::new(0),
            no_descriptor: AtomicBool::new(false),
            open: AtomicU64::new(0),
            closed_unsynced: AtomicU64::new(0),
            calls: Mutex::new(Vec::new()),
        }))
    }

    /// The calls since the last time this was asked.
    pub(super) fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.calls.lock().unwrap())
    }

    fn note(&self, call: &str, path: &Path) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        self.0
            .calls
            .lock()
            .unwrap()
            .push(format!("{call} {}", name.trim_start_matches("000000000000000000")));
    }
}

#[derive(Debug)]
struct FaultFile {
    file: Arc<dyn File>,
    disk: FaultDisk,
    path: std::path::PathBuf,
    unsynced: AtomicBool,
}

impl Drop for FaultFile {
    fn drop(&mut self) {
        self.disk.0.open.fetch_sub(1, Ordering::SeqCst);
        let hint = self.path.extension().is_some_and(|kind| kind != "log");
        if *self.unsynced.get_mut() && !hint {
            self.disk.0.closed_unsynced.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let creates = matches!(how, Open::Create | Open::CreateOrWrite);
        if creates && self.0.fail_create.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if creates && !path.exists() {
            self.note("create", path);
        }
        let file = RealDisk.open(path, how)?;
        self.0.open.fetch_add(1, Ordering::SeqCst);
        let unsynced = AtomicBool::new(false);
        Ok(Arc::new(FaultFile { file, disk: self.clone(), path: path.to_path_buf(), unsynced }))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.note("create_dir", path);
        RealDisk.create_dir(path)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)?;
        self.note("remove", path);
        Ok(())
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        RealDisk.list(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.0.no_descriptor.load(Ordering::SeqCst) {
            return Err(rustix::io::Errno::MFILE.into());
        }
        let left = self.0.fail_sync_dir.load(Ordering::SeqCst);
        if left > 0 {
            self.0.fail_sync_dir.store(left - 1, Ordering::SeqCst);
            return Err(io::Error::other("the device failed"));
        }
        self.note("sync_dir", path);
        RealDisk.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        RealDisk.lock(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        RealDisk.space(path)
    }
}

impl Region for FaultFile {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(at, buf)
    }
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl File for FaultFile {
    fn write_at(&self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let room = self.disk.0.room.load(Ordering::SeqCst);
        let written = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        if written == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if room != u64::MAX {
            self.disk.0.room.store(room - written as u64, Ordering::SeqCst);
        }
        self.disk.note("write", &self.path);
        self.unsynced.store(true, Ordering::SeqCst);
        self.file.write_at(at, &[IoSlice::new(&bytes[..written])])
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        if self.disk.0.fail_truncate.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        if self.disk.0.no_room_to_cut.load(Ordering::SeqCst) {
            return Err(rustix::io::Errno::DQUOT.into());
        }
        self.disk.note("truncate", &self.path);
        self.file.truncate(len)
    }
    fn sync(&self) -> io::Result<()> {
        if self.disk.0.fail_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("the device failed"));
        }
        self.disk.note("sync", &self.path);
        self.unsynced.store(false, Ordering::SeqCst);
        self.file.sync()
    }
    fn allocate(&self, at: u64, len: u64) -> io::Result<()> {
        self.file.allocate(at, len)
    }
    fn is_cached(&self, _: u64, _: u64) -> bool {
        true
    }
    fn drop_cache(&self) -> io::Result<()> {
        self.file.drop_cache()
    }
}
