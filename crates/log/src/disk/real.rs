use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use forebay_base::Region;
use rustix::fs::{Advice, FallocateFlags, FlockOperation, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::{Errno, ReadWriteFlags};

use super::{DirEntry, Disk, File, Lock, Open, Space};

const PAGE_BYTES: u64 = 4096;

/// How `statfs` tells ext4 (and 2 and 3) from others.
const EXT4: rustix::fs::FsWord = 0xEF53;

/// Pages probed by `is_cached` between the first and the last one.
const PROBES_BETWEEN: u64 = 6;

/// Zeros written at a time where the file system cannot reserve blocks.
const ZEROS_BYTES: usize = 64 * 1024;

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        match how {
            Open::Read => options.read(true),
            Open::Write => options.read(true).write(true),
            Open::Create => options.read(true).write(true).create_new(true),
            Open::CreateOrWrite => options.read(true).write(true).create(true).truncate(false),
        };
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let is_dir = entry.file_type()?.is_dir();
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(DirEntry { name, is_dir });
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        fs::exists(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        // Reading is enough for a lock, and all that a file system gives that takes no writes; but NFS locks only what can
        // be written.
        let writable = fs::File::options().read(true).write(true).open(path);
        let file = writable.or_else(|_| fs::File::open(path))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(RealLock { _file: file }))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Space {
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            // Some file systems (btrfs) count no files and say 0 of 0.
            free_files: if stat.f_files == 0 { u64::MAX } else { stat.f_favail },
        })
    }
}

/// Holds the lock for as long as its descriptor is open.
#[derive(Debug)]
struct RealLock {
    _file: fs::File,
}

impl Lock for RealLock {}

#[derive(Debug)]
struct RealFile(fs::File);

impl RealFile {
    /// True if the byte at `at` is in the page cache, or if this cannot be known.
    fn probe(&self, at: u64) -> bool {
        let mut byte = [0u8; 1];
        let outcome =
            rustix::io::preadv2(&self.0, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT);
        !matches!(outcome, Err(Errno::AGAIN))
    }

    /// A sync that is under way while ext4 gives up its journal is told that all is well, and what it was for is lost
    /// (decision 0011). This is an error from the moment on in which it has.
    fn ask_whether_it_writes(&self) -> io::Result<()> {
        if rustix::fs::fstatfs(&self.0)?.f_type != EXT4 {
            return Ok(());
        }
        // A change of its inode takes the journal, which is where ext4 notices, and remembers it for all that follows ...
        let (now, omitted) = (UTIME_NOW, UTIME_OMIT);
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: now },
            last_modification: Timespec { tv_sec: 0, tv_nsec: omitted },
        };
        rustix::fs::futimens(&self.0, &times)?;
        // ... as even a write of nothing.
        match self.0.write_at(&[], 0) {
            Err(error) if error.raw_os_error() != Some(Errno::BADF.raw_os_error()) => Err(error),
            // A descriptor for reading cannot ask.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn write_zeros(&self, from: u64, to: u64) -> io::Result<()> {
        let zeros = vec![0u8; ZEROS_BYTES];
        let mut at = from;
        while at < to {
            let step = usize::try_from(to - at).unwrap_or(ZEROS_BYTES).min(ZEROS_BYTES);
            self.0.write_all_at(&zeros[..step], at)?;
            at += step as u64;
        }
        Ok(())
    }
}

impl Region for RealFile {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        retry(|| self.0.read_at(buf, at))
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

impl File for RealFile {
    fn write_at(&self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        retry(|| Ok(rustix::io::pwritev(&self.0, parts, at)?))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        rustix::fs::fdatasync(&self.0)?;
        self.ask_whether_it_writes()
    }

    fn allocate(&self, at: u64, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), at, len) {
            Err(Errno::OPNOTSUPP) => self.write_zeros(self.len()?.max(at), at.saturating_add(len)),
            other => Ok(other?),
        }
    }

    fn reserve(&self, at: u64, len: u64) {
        let _ = rustix::fs::fallocate(&self.0, FallocateFlags::KEEP_SIZE, at, len);
    }

    fn write_back(&self, at: u64, len: u64) {
        // The first thing this advice does is what `sync_file_range` with its write flag does, which nothing offers
        // without unsafe code. Then it drops pages that are clean: those just written are not (decision 0009).
        let _ = rustix::fs::fadvise(&self.0, at, NonZeroU64::new(len), Advice::DontNeed);
    }

    fn is_cached(&self, at: u64, len: u64) -> bool {
        let last = at.saturating_add(len.saturating_sub(1));
        let step = (len / (PROBES_BETWEEN + 1)).max(PAGE_BYTES);
        self.probe(last)
            && (0..=PROBES_BETWEEN)
                .map(|n| at + n * step)
                .take_while(|at| *at < last)
                .all(|at| self.probe(at))
    }

    fn read_now(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        match rustix::io::preadv2(&self.0, &mut [IoSliceMut::new(buf)], at, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read),
            Err(Errno::AGAIN) => Err(io::ErrorKind::WouldBlock.into()),
            // The file system does not know the flag, or a signal came: read as usual.
            Err(_) => self.read_at(at, buf),
        }
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&self.0, 0, None, Advice::DontNeed)?)
    }
}

/// Repeats a call that a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_in_parts_and_reads_by_position() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk.open(&dir.path().join("a"), Open::Create).unwrap();
        assert_eq!(file.write_at(0, &[IoSlice::new(b"fore"), IoSlice::new(b"bay")]).unwrap(), 7);
        let mut buf = [0; 8];
        assert_eq!(file.read_at(4, &mut buf).unwrap(), 3);
        assert_eq!(&buf[..3], b"bay");
        file.sync().unwrap();
        file.allocate(0, 100_000).unwrap();
        assert_eq!(file.len().unwrap(), 100_000);
        assert!(file.is_cached(0, 7));
        file.drop_cache().unwrap();
        file.truncate(4).unwrap();
        assert_eq!(file.len().unwrap(), 4);
        assert!(file.fd().is_some());
    }

    #[test]
    fn a_lock_has_one_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        RealDisk.open(&path, Open::CreateOrWrite).unwrap();
        let held = RealDisk.lock(&path).unwrap();
        assert_eq!(RealDisk.lock(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        RealDisk.lock(&path).unwrap();
        assert!(RealDisk.space(dir.path()).unwrap().free_bytes > 0);
    }

    #[test]
    fn names_are_listed_in_order() {
        let dir = tempfile::tempdir().unwrap();
        RealDisk.create_dir(&dir.path().join("b")).unwrap();
        RealDisk.open(&dir.path().join("a"), Open::Create).unwrap();
        assert!(RealDisk.open(&dir.path().join("a"), Open::Create).is_err());
        RealDisk.sync_dir(dir.path()).unwrap();
        let names: Vec<_> =
            RealDisk.list(dir.path()).unwrap().into_iter().map(|e| (e.name, e.is_dir)).collect();
        assert_eq!(names, [("a".to_owned(), false), ("b".to_owned(), true)]);
    }
}
