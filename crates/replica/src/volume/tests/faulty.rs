//! The real file system and clock, with faults on demand.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_base::{Clock, Instant, Region, WallTime};
use forebay_log::{DirEntry, Disk, File, Lock, Open, RealDisk, Space};

/// What goes wrong with segment files from now on.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Syncs fail.
    pub(super) sync: AtomicBool,
    /// Writes put half of the bytes down, then the disk is full.
    pub(super) full: AtomicBool,
    /// Writes of this partition's files panic.
    pub(super) panic: Mutex<Option<String>>,
    /// No new file is made.
    pub(super) create: AtomicBool,
    /// There is no inode for a new file.
    pub(super) no_files: AtomicBool,
    /// There is no room for what is known of producers.
    pub(super) no_producers: AtomicBool,
    /// The whole file system takes no writes.
    pub(super) read_only: AtomicBool,
    /// Every sync of every file fails, also of those that are no segments.
    pub(super) device: AtomicBool,
    /// Held: writes wait.
    pub(super) gate: Mutex<()>,
    /// Held: syncs wait.
    pub(super) sync_gate: Mutex<()>,
}

impl Faults {
    /// The error of a file system that takes no writes, while this one is such.
    fn writable(&self) -> io::Result<()> {
        if self.read_only.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }

    pub(super) fn set(fault: &AtomicBool, on: bool) {
        fault.store(on, Ordering::SeqCst);
    }
}

#[derive(Debug)]
pub(super) struct FaultyDisk {
    faults: Arc<Faults>,
}

impl FaultyDisk {
    pub(super) fn new(faults: Arc<Faults>) -> Self {
        Self { faults }
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        if how == Open::Create && self.faults.create.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if how == Open::Create && self.faults.no_files.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if how != Open::Read {
            self.faults.writable()?;
        }
        let file = RealDisk.open(path, how)?;
        let is_segment = path.extension().is_some_and(|extension| extension == "log");
        let path = path.display().to_string();
        Ok(Arc::new(FaultyFile { file, path, is_segment, faults: Arc::clone(&self.faults) }))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.faults.writable()?;
        RealDisk.create_dir(path)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.faults.writable()?;
        RealDisk.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.faults.writable()?;
        RealDisk.remove_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.writable()?;
        RealDisk.rename(from, to)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        RealDisk.list(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.faults.writable()?;
        RealDisk.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        RealDisk.lock(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        RealDisk.space(path)
    }
}

#[derive(Debug)]
struct FaultyFile {
    file: Arc<dyn File>,
    path: String,
    is_segment: bool,
    faults: Arc<Faults>,
}

impl Region for FaultyFile {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(at, buf)
    }
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.fd()
    }
}

impl File for FaultyFile {
    fn write_at(&self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.faults.writable()?;
        if self.path.ends_with(".producers") && self.faults.no_producers.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if !self.is_segment {
            return self.file.write_at(at, parts);
        }
        drop(self.faults.gate.lock());
        let cursed = self.faults.panic.lock().unwrap().clone();
        assert!(cursed.is_none_or(|cursed| !self.path.contains(&cursed)), "a planted panic");
        if self.faults.full.load(Ordering::SeqCst) {
            let half = &parts[0][..parts[0].len() / 2];
            self.file.write_at(at, &[IoSlice::new(half)])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_at(at, parts)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.faults.writable()?;
        self.file.truncate(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.faults.writable()?;
        if self.faults.device.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        if !self.is_segment {
            return self.file.sync();
        }
        drop(self.faults.sync_gate.lock());
        if self.faults.sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("planted"));
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

/// Monotonic time is the machine's, wall time stands; both pass by hand.
#[derive(Debug)]
pub(super) struct TestClock {
    started: std::time::Instant,
    passed_ms: AtomicI64,
}

impl TestClock {
    #[allow(clippy::disallowed_methods, reason = "threads park by the machine's clock")]
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { started: std::time::Instant::now(), passed_ms: AtomicI64::new(0) })
    }

    pub(super) fn pass(&self, time: Duration) {
        self.passed_ms.fetch_add(time.as_millis() as i64, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        let passed = Duration::from_millis(self.passed_ms.load(Ordering::SeqCst) as u64);
        Instant((self.started.elapsed() + passed).as_nanos() as u64)
    }
    fn wall(&self) -> WallTime {
        WallTime(1_000 + self.passed_ms.load(Ordering::SeqCst))
    }
}
