use std::fmt;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use forebay_base::Region;

mod real;

pub use real::RealDisk;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Must exist; read only.
    Read,
    /// Must exist; read and write.
    Write,
    /// Must not exist; made, read and write.
    Create,
    /// Made if missing; read and write.
    CreateOrWrite,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without its directory.
    pub name: String,
    /// True for a directory.
    pub is_dir: bool,
}

/// Free and total space of the file system that holds a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub total_bytes: u64,
    /// Bytes that we may still use (`f_bavail`).
    pub free_bytes: u64,
    /// Files that may still be made (`f_favail`); `u64::MAX` where the file system has no such bound.
    pub free_files: u64,
}

/// The file system as a value: the binary's is the real one, a simulation brings its own.
///
/// Durability is POSIX's weakest reading: file contents and sizes survive a power cut only after [`File::sync`],
/// names (made, renamed, removed) only after [`Disk::sync_dir`] of the directory that holds them.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>>;
    /// Makes one directory; its parent must exist.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes a file's name; open handles stay readable.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Renames a file or directory over whatever file had the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// The names in a directory, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// True if something has that name.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Takes the exclusive lock of a file that exists; held until the returned value is dropped.
    /// `WouldBlock` if another process (or another holder in this one) has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
    /// Space of the file system that holds `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// A held file lock.
pub trait Lock: Send + Sync + fmt::Debug {}

/// An open file. All positions are given; there is no cursor.
#[allow(clippy::len_without_is_empty, reason = "nobody asks whether a file is empty")]
pub trait File: Region {
    /// Writes `parts`, one after the other, at `at`; may write less than all (a short write) and says how much.
    fn write_at(&self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Cuts or extends (with zeros) to `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes contents and length durable (`fdatasync`). After an error nothing written since the last success may be
    /// believed (rule R32).
    fn sync(&self) -> io::Result<()>;
    /// Reserves real blocks for `len` bytes from `at`, extending the length with zeros where needed.
    fn allocate(&self, at: u64, len: u64) -> io::Result<()>;
    /// Reserves blocks for `len` bytes from `at` without changing the length, so that writing them needs no search for
    /// room. A hint: nothing is lost where it fails or is not known.
    fn reserve(&self, _at: u64, _len: u64) {}
    /// Starts to write those bytes to the device without waiting for it, so that a later [`File::sync`] finds less to do.
    /// A hint; makes nothing durable.
    fn write_back(&self, _at: u64, _len: u64) {}
    /// True if those bytes can be read without waiting for the device.
    fn is_cached(&self, at: u64, len: u64) -> bool;
    /// As [`Region::read_at`], but answers [`io::ErrorKind::WouldBlock`] where it would have to wait for the device. A
    /// file that cannot tell waits.
    fn read_now(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.read_at(at, buf)
    }
    /// Drops clean cached pages, so that the next read asks the device.
    fn drop_cache(&self) -> io::Result<()>;
}
