use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::statvfs;
use tempfile::TempDir;

/// A small file system in memory that can be filled to its last byte. Needs root.
///
/// Dropping it unmounts it, with whatever still stands in the way. Declare it before the server that uses it, so that the
/// server ends first.
#[derive(Debug)]
pub struct TmpFs {
    home: TempDir,
}

impl TmpFs {
    /// Mounts one with so many MiB.
    ///
    /// # Panics
    /// If it cannot be mounted.
    pub fn new(mib: u64) -> Self {
        let home = tempfile::Builder::new().prefix("forebay-full-").tempdir().expect("a temporary directory");
        let options = format!("size={mib}m");
        let made =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(home.path()).status();
        assert!(made.is_ok_and(|status| status.success()), "a tmpfs cannot be mounted");
        Self { home }
    }

    /// Where it is mounted.
    pub fn dir(&self) -> &Path {
        self.home.path()
    }

    /// Bytes that are free.
    pub fn free_bytes(&self) -> u64 {
        let stat = statvfs(self.dir()).expect("a file system tells its space");
        stat.f_bavail * stat.f_frsize
    }

    /// Takes every byte that is left, as somebody else's file; what it takes is given back by [`TmpFs::free`].
    pub fn fill(&self) {
        self.fill_but(0);
    }

    /// As [`TmpFs::fill`], and leaves so many bytes.
    pub fn fill_but(&self, left: u64) {
        let mut filler = File::options().append(true).create(true).open(self.filler()).expect("a file");
        let page = [0x77; 4096];
        while self.free_bytes() > left && filler.write_all(&page).is_ok() {}
    }

    /// Gives back what [`TmpFs::fill`] took, but for `kept` bytes.
    pub fn free(&self, kept: u64) {
        let filler =
            File::options().write(true).create(true).truncate(false).open(self.filler()).expect("a file");
        filler.set_len(kept).expect("a file shrinks on a full disk");
    }

    fn filler(&self) -> PathBuf {
        self.dir().join("somebody-elses")
    }
}

impl Drop for TmpFs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.dir()).status();
    }
}
