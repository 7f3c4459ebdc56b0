//! Two files of blocks that belong to nobody yet, so that what must go on when the volume is full can.
//!
//! ```text
//!   reserve.0   for internal state: spent by shrinking it and at once allocating its blocks for whoever needs them
//!   reserve.1   the last resort: for what frees space, when reserve.0 is gone
//! ```
//! Between the two steps of spending somebody else may take the blocks: then the reserve is gone, and the volume is hard
//! full. Both are made whole again before records are taken.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, File, Open};
use crate::volume::Call;

/// Which reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReserveFile {
    /// For internal state.
    Internal,
    /// For what frees space.
    Last,
}

const NAMES: [&str; 2] = ["reserve.0", "reserve.1"];

/// The reserves of one data directory.
#[derive(Debug)]
pub struct Reserve {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Length of each when whole.
    bytes: u64,
    /// Length of each now.
    left: [u64; 2],
}

impl Reserve {
    /// The reserves in `dir`, of `bytes` each when whole, as they are: nothing is made.
    ///
    /// # Errors
    /// What the file system says of a file that is there.
    pub fn find(disk: Arc<dyn Disk>, dir: &Path, bytes: u64) -> io::Result<Self> {
        let mut left = [0; 2];
        for (left, name) in left.iter_mut().zip(NAMES) {
            *left = match disk.open(&dir.join(name), Open::Read) {
                Ok(file) => file.len()?.min(bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => return Err(error),
            };
        }
        Ok(Self { disk, dir: dir.to_path_buf(), bytes, left })
    }

    /// Bytes left in both.
    pub fn left_bytes(&self) -> u64 {
        self.left.iter().sum()
    }

    /// True if both have their whole length.
    pub fn is_whole(&self) -> bool {
        self.left.iter().all(|left| *left >= self.bytes)
    }

    /// Makes both whole, the last one first. They hold real blocks when this returns.
    ///
    /// # Errors
    /// What the file system says: what could be had is kept.
    pub fn fill(&mut self) -> io::Result<()> {
        for file in [ReserveFile::Last, ReserveFile::Internal] {
            if self.left[file as usize] < self.bytes {
                let reserve = self.open(file)?;
                reserve.allocate(0, self.bytes)?;
                self.left[file as usize] = self.bytes;
            }
        }
        Ok(())
    }

    /// Shows that there is room for `more` bytes beside the reserves, which it takes and gives back, and that a page can
    /// be written and synced.
    ///
    /// # Errors
    /// What the file system says, with what was asked of it.
    pub fn probe(&self, more: u64) -> Result<(), (Call, io::Error)> {
        let file = self.open(ReserveFile::Last).map_err(|error| (Call::Write, error))?;
        let tried = try_out(file.as_ref(), self.bytes, more);
        // Also after a failure, which may have left a part; a file that is too long is cut by the next probe.
        let cut = file.truncate(self.bytes).map_err(|error| (Call::Write, error));
        tried.and(cut)
    }

    /// The last reserve, for a [`self_test`](super::self_test): its blocks belong to nobody, and nothing in them counts.
    ///
    /// # Errors
    /// What the file system says.
    pub fn ground(&self) -> io::Result<(Arc<dyn File>, u64)> {
        Ok((self.open(ReserveFile::Last)?, self.left[ReserveFile::Last as usize]))
    }

    /// Gives `bytes` of a reserve, rounded up to pages, back to the file system, for the caller to take at once; false if
    /// that much is not left in it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn spend(&mut self, file: ReserveFile, bytes: u64) -> io::Result<bool> {
        let bytes = bytes.next_multiple_of(4_096);
        let Some(left) = self.left[file as usize].checked_sub(bytes) else { return Ok(false) };
        self.open(file)?.truncate(left)?;
        self.left[file as usize] = left;
        Ok(true)
    }

    fn open(&self, file: ReserveFile) -> io::Result<Arc<dyn File>> {
        self.disk.open(&self.dir.join(NAMES[file as usize]), Open::CreateOrWrite)
    }
}

/// Allocates beyond the reserve, writes a page of what was allocated, and syncs it.
fn try_out(file: &dyn File, from: u64, more: u64) -> Result<(), (Call, io::Error)> {
    file.allocate(from, more).map_err(|error| (Call::Write, error))?;
    crate::sealed::write_all(file, from, &[0x5A; 4_096]).map_err(|error| (Call::Write, error))?;
    file.sync().map_err(|error| (Call::Sync, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RealDisk;

    #[test]
    fn what_is_spent_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let find = || Reserve::find(Arc::new(RealDisk), dir.path(), 1 << 20).unwrap();
        let mut reserve = find();
        assert!(!reserve.is_whole());
        reserve.fill().unwrap();
        assert!(reserve.is_whole());
        assert!(reserve.spend(ReserveFile::Internal, 5_000).unwrap());
        assert!(!reserve.spend(ReserveFile::Internal, 1 << 20).unwrap(), "no more than there is");
        assert_eq!(find().left_bytes(), (2 << 20) - 8_192);
        reserve.probe(1 << 16).unwrap();
        reserve.fill().unwrap();
        assert!(reserve.is_whole() && find().is_whole());
        let lens = NAMES.map(|name| std::fs::metadata(dir.path().join(name)).unwrap().len());
        assert_eq!(lens, [1 << 20; 2], "a probe leaves nothing");
    }
}
