//! The real file system, whose syncs wait on demand.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forebay_base::Region;
use forebay_log::{DirEntry, Disk, File, Lock, Open, RealDisk, Space};

const STEP: Duration = Duration::from_millis(2);
const STALL_STEPS_MAX: u32 = 5_000;

#[derive(Debug, Clone, Default)]
pub(crate) struct StallingDisk {
    stalled: Arc<AtomicBool>,
}

/// While it lives no sync ends.
pub(crate) struct Stall(Arc<AtomicBool>);

impl StallingDisk {
    /// No sync ends before the returned value is dropped, or ten seconds have passed.
    pub(crate) fn stall(&self) -> Stall {
        self.stalled.store(true, Ordering::SeqCst);
        Stall(self.stalled.clone())
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct StallingFile {
    file: Arc<dyn File>,
    stalled: Arc<AtomicBool>,
}

impl Disk for StallingDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let file = RealDisk.open(path, how)?;
        Ok(Arc::new(StallingFile { file, stalled: self.stalled.clone() }))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
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
        RealDisk.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        RealDisk.lock(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        RealDisk.space(path)
    }
}

impl Region for StallingFile {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(at, buf)
    }
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.fd()
    }
}

impl File for StallingFile {
    fn write_at(&self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.file.write_at(at, parts)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
    fn sync(&self) -> io::Result<()> {
        // Not for ever: a controller that waits on its own thread shall fail its test and not hang it.
        for _ in 0..STALL_STEPS_MAX {
            if !self.stalled.load(Ordering::SeqCst) {
                break;
            }
            std::thread::sleep(STEP);
        }
        self.file.sync()
    }
    fn allocate(&self, at: u64, len: u64) -> io::Result<()> {
        self.file.allocate(at, len)
    }
    fn is_cached(&self, at: u64, len: u64) -> bool {
        self.file.is_cached(at, len)
    }
    fn drop_cache(&self) -> io::Result<()> {
        self.file.drop_cache()
    }
}
