use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use forebay_tests::{FsKind, LoopFs};
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::MIB;

/// How often the adversary looks for bytes that came free.
const GRAB_EVERY: Duration = Duration::from_micros(200);

/// The adversary's files lie in so many directories: one that has no room for more names leaves inodes over.
const DIRS: u32 = 8;

const OTHER: &str = "somebody-elses";
const STEP_BYTES: u64 = 64 * MIB;
const PAGE_BYTES: u64 = 4_096;

/// A small file system for one server, shared with somebody else's file. Declare it before the server.
pub(crate) struct Volume {
    fs: LoopFs,
    kind: FsKind,
    /// The part of it that has a quota, if one has.
    within: Option<&'static str>,
}

impl Volume {
    /// Makes and mounts one, as small as its kind allows.
    pub(crate) fn new(kind: FsKind) -> Self {
        let mib = match kind {
            FsKind::Tmpfs => 64,
            FsKind::Ext4 => 128,
            FsKind::Xfs => 320,
            FsKind::Btrfs => 256,
        };
        Self::sized(kind, mib)
    }

    /// The same, of so many MiB.
    pub(crate) fn sized(kind: FsKind, mib: u64) -> Self {
        Self::bounded(kind, mib, None)
    }

    /// The same, with room for so many files.
    pub(crate) fn bounded(kind: FsKind, mib: u64, files: Option<u64>) -> Self {
        let made = Self { fs: LoopFs::bounded(kind, mib * MIB, files), kind, within: None };
        made.other();
        made
    }

    /// A btrfs of which the part in use may have so many MiB, which its free space does not show.
    pub(crate) fn with_quota(mib: u64) -> Self {
        let made = Self { within: Some("part"), ..Self::new(FsKind::Btrfs) };
        let (all, part, limit) = (made.fs.dir(), made.dir(), format!("{mib}M"));
        let (all, part) = (all.to_str().expect("text"), part.to_str().expect("text"));
        btrfs(&["quota", "enable", all]);
        btrfs(&["subvolume", "create", part]);
        btrfs(&["qgroup", "limit", &limit, part]);
        made
    }

    /// Where it is mounted.
    pub(crate) fn dir(&self) -> PathBuf {
        self.within.map_or(self.fs.dir(), |part| self.fs.dir().join(part))
    }

    /// Where a server puts its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir().join("data")
    }

    /// False for what has no device behind it.
    pub(crate) fn has_device(&self) -> bool {
        self.kind != FsKind::Tmpfs
    }

    /// Bytes that are free.
    pub(crate) fn free_bytes(&self) -> u64 {
        let stat = statvfs(self.dir()).expect("a file system tells its space");
        stat.f_bavail * stat.f_frsize
    }

    /// True if the file system gives no page for one more file.
    pub(crate) fn is_full(&self) -> bool {
        let path = self.dir().join("probe");
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&[1; 64 * 1024])?;
            file.sync_all()
        });
        let _ = std::fs::remove_file(&path);
        written.is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull)
    }

    /// Somebody else takes all that is free.
    pub(crate) fn fill(&self) {
        self.fill_but(0);
    }

    /// Somebody else leaves so many bytes free, about.
    pub(crate) fn fill_but(&self, left: u64) {
        take(&self.other(), self.free_bytes().saturating_sub(left));
    }

    /// Somebody else keeps so many bytes and gives the others back, and all inodes.
    pub(crate) fn free_but(&self, kept: u64) {
        let file = self.other();
        if file.set_len(kept.min(length(&file))).is_err() {
            // Over a quota of btrfs nothing is cut, but it can be removed.
            std::fs::remove_file(self.dir().join(OTHER)).expect("a file can be removed from a full disk");
        }
        let _ = std::fs::remove_dir_all(self.inodes());
    }

    /// Bytes that somebody else has.
    pub(crate) fn others_bytes(&self) -> u64 {
        length(&self.other())
    }

    /// An adversary takes all that is free, and whatever comes free.
    pub(crate) fn grab(&self) -> Grabber {
        let file = self.other();
        Grabber::start(move || take(&file, u64::MAX))
    }

    /// An adversary takes all inodes that are free, and whatever comes free.
    pub(crate) fn grab_inodes(&self) -> Grabber {
        let (inodes, mut number) = (self.inodes(), 0);
        let dirs: Vec<PathBuf> = (0..DIRS).map(|dir| inodes.join(dir.to_string())).collect();
        dirs.iter().for_each(|dir| std::fs::create_dir_all(dir).expect("a directory"));
        Grabber::start(move || {
            for dir in &dirs {
                while File::create_new(dir.join(number.to_string())).is_ok() {
                    number += 1;
                }
            }
        })
    }

    fn inodes(&self) -> PathBuf {
        self.dir().join("inodes")
    }

    fn other(&self) -> File {
        let path = self.dir().join(OTHER);
        File::options().write(true).create(true).truncate(false).open(path).expect("a file")
    }
}

/// Ends when it is dropped; what it took stays taken.
pub(crate) struct Grabber {
    stop: Arc<AtomicBool>,
    adversary: Option<JoinHandle<()>>,
}

impl Grabber {
    /// Grabs once, and then again and again.
    fn start(mut grab: impl FnMut() + Send + 'static) -> Self {
        grab();
        let stop = Arc::<AtomicBool>::default();
        let told = stop.clone();
        let adversary = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                grab();
                std::thread::sleep(GRAB_EVERY);
            }
        });
        Self { stop, adversary: Some(adversary) }
    }
}

impl Drop for Grabber {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.adversary.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || std::thread::panicking());
    }
}

fn btrfs(words: &[&str]) {
    let done = Command::new("btrfs").args(words).output().expect("btrfs-progs are installed");
    assert!(done.status.success(), "btrfs {words:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Adds to the file what can be had, at most so many bytes, in large steps first.
fn take(file: &File, bytes_max: u64) {
    let (end, mut step) = (length(file).saturating_add(bytes_max), STEP_BYTES);
    while step >= PAGE_BYTES {
        let at = length(file);
        let next = step.min(end - at) / PAGE_BYTES * PAGE_BYTES;
        if next == 0 {
            return;
        }
        if fallocate(file, FallocateFlags::empty(), at, next).is_err() {
            step = next / 2;
        }
    }
}

fn length(file: &File) -> u64 {
    file.metadata().expect("an open file").len()
}
