use std::fs::{self, File};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise, fdatasync};
use rustix::io::pwrite;

use super::super::figures::Samples;
use super::super::machine::now;
use crate::failure::Failure;

/// How much is written before its write-back is started.
const BEHIND_BYTES: u64 = 8 << 20;

/// A piece, in bytes, where size does not matter.
const PIECE_BYTES: usize = 1 << 20;

/// Appends that are synced, one by one.
const SYNCS: u64 = 2000;

/// A file that is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    pub(super) file: File,
    /// Its length in bytes.
    pub(super) len: u64,
}

impl Scratch {
    fn create(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(format!("forebay-limits-{}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        Ok(Self { path, file, len: 0 })
    }

    /// One of `len` bytes, which lie in the page cache.
    pub(super) fn filled(dir: &Path, len: u64) -> Result<Self, Failure> {
        let mut scratch = Self::create(dir)?;
        scratch.append(&vec![7; PIECE_BYTES], len, |_, _| Ok(()))?;
        Ok(scratch)
    }

    /// Appends `total` bytes, one call for each piece; `after` is told the file and its length after each.
    fn append(
        &mut self,
        piece: &[u8],
        total: u64,
        mut after: impl FnMut(&File, u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let upto = self.len + total;
        while self.len < upto {
            let len = usize::try_from(upto - self.len).unwrap_or(usize::MAX).min(piece.len());
            self.len += pwrite(&self.file, &piece[..len], self.len).map_err(std::io::Error::from)? as u64;
            after(&self.file, self.len)?;
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It is in a directory that the user named, and its name says whose it is.
        let _ = fs::remove_file(&self.path);
    }
}

fn megabytes_per_second(bytes: u64, since: std::time::Instant) -> f64 {
    bytes as f64 / 1e6 / since.elapsed().as_secs_f64().max(f64::EPSILON)
}

/// Writes to the page cache and no further, in MB/s.
pub(super) fn write(dir: &Path, total: u64, piece: usize) -> Result<f64, Failure> {
    let (mut scratch, piece) = (Scratch::create(dir)?, vec![7; piece]);
    let begun = now();
    scratch.append(&piece, total, |_, _| Ok(()))?;
    Ok(megabytes_per_second(total, begun))
}

/// Writes with write-back started behind, in MB/s: until all was written, and until it was on stable storage.
pub(super) fn write_behind(dir: &Path, total: u64) -> Result<(f64, f64), Failure> {
    let (mut scratch, piece) = (Scratch::create(dir)?, vec![7; PIECE_BYTES]);
    let (begun, mut started) = (now(), 0);
    scratch.append(&piece, total, |file, len| {
        if len - started >= BEHIND_BYTES {
            start_write_back(file, started, len - started)?;
            started = len;
        }
        Ok(())
    })?;
    let written = megabytes_per_second(total, begun);
    fdatasync(&scratch.file).map_err(std::io::Error::from)?;
    Ok((written, megabytes_per_second(total, begun)))
}

/// Starts write-back of a range without waiting for it. This is what `sync_file_range` with its write flag alone does,
/// which nothing that we link offers without unsafe code; the kernel does the same for this advice first, and then drops
/// pages that are clean: those just written are not.
fn start_write_back(file: &File, at: u64, len: u64) -> Result<(), Failure> {
    Ok(fadvise(file, at, NonZeroU64::new(len), Advice::DontNeed).map_err(std::io::Error::from)?)
}

/// Appends 4 KiB and syncs, again and again: how long each sync took.
pub(super) fn append_and_sync(dir: &Path) -> Result<Samples, Failure> {
    let (mut scratch, piece) = (Scratch::create(dir)?, vec![7; 4096]);
    let mut samples = Samples::default();
    scratch.append(&piece, SYNCS * 4096, |file, _| {
        let begun = now();
        fdatasync(file).map_err(std::io::Error::from)?;
        samples.add(begun.elapsed());
        Ok(())
    })?;
    Ok(samples)
}
