//! The real file system, whose syncs wait, and whose writes fail, on demand.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use forebay_base::Region;
use forebay_log::{DirEntry, Disk, File, Lock, Open, RealDisk, Space};

const STEP: Duration = Duration::from_millis(2);
const STALL_STEPS_MAX: u32 = 5_000;

#[derive(Debug, Clone)]
pub(crate) struct StallingDisk {
    stalled: Arc<AtomicBool>,
    /// So many writes and syncs succeed before all fail; [`HEALTHY`] if none do.
    good_calls: Arc<AtomicU32>,
}

const HEALTHY: u32 = u32::MAX;

/// While it lives no sync ends.
pub(crate) struct Stall(Arc<AtomicBool>);

impl Default for StallingDisk {
    fn default() -> Self {
        Self { stalled: Arc::default(), good_calls: Arc::new(AtomicU32::new(HEALTHY)) }
    }
}

impl StallingDisk {
    /// No sync ends before the returned value is dropped, or ten seconds have passed.
    pub(crate) fn stall(&self) -> Stall {
        self.stalled.store(true, Ordering::SeqCst);
        Stall(self.stalled.clone())
    }

    /// After so many more, no write and no sync succeeds before [`StallingDisk::heal`].
    pub(crate) fn fail_after(&self, good_calls: u32) {
        self.good_calls.store(good_calls, Ordering::SeqCst);
    }

    pub(crate) fn heal(&self) {
        self.good_calls.store(HEALTHY, Ordering::SeqCst);
    }

    fn call(&self) -> io::Result<()> {
        let spend = |left: u32| (left != HEALTHY).then(|| left.saturating_sub(1));
        match self.good_calls.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend) {
            Ok(0) => Err(io::Error::from_raw_os_error(5)),
            Ok(_) | Err(_) => Ok(()),
        }
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
    disk: StallingDisk,
}

impl Disk for StallingDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let file = RealDisk.open(path, how)?;
        Ok(Arc::new(StallingFile { file, disk: self.clone() }))
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
        self.disk.call()?;
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
            if !self.disk.stalled.load(Ordering::SeqCst) {
                break;
            }
            std::thread::sleep(STEP);
        }
        self.disk.call()?;
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
