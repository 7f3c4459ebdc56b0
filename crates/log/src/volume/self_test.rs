//! Does a device keep what it is given? Asked before a volume that had failed takes writes again.

use std::fmt;
use std::io;

use super::{ByteCount, Call};
use crate::disk::File;
use crate::sealed::write_all;

/// Bytes tested at most: enough to reach the device behind its cache, and done within seconds.
pub const SELF_TEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Written and read at a time; what is tested is a whole number of words.
const STEP_BYTES: usize = 256 * 1024;
const WORD_BYTES: usize = 8;

/// Why a device is not trusted.
#[derive(Debug)]
pub enum SelfTestError {
    /// A call failed.
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// What kind of call it was.
        call: Call,
        /// What the file system said.
        source: io::Error,
    },
    /// What was read back is not what was written, though its sync had succeeded.
    Changed {
        /// Where, in bytes from the start of the test.
        at: u64,
    },
}

impl fmt::Display for SelfTestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, source, .. } => write!(f, "cannot {doing}: {source}"),
            Self::Changed { at } => write!(
                f,
                "what was written and synced was read back changed, {} into the test: the device does not keep its data",
                ByteCount(*at)
            ),
        }
    }
}

impl std::error::Error for SelfTestError {}

/// Writes over the first `bytes` of `file`, syncs, drops the cache so that the device is asked, reads back and compares.
/// `nonce` must differ from test to test: what an earlier one left must not pass for this one's.
///
/// # Errors
/// What failed.
pub fn self_test(file: &dyn File, bytes: u64, nonce: u64) -> Result<(), SelfTestError> {
    let failed = |doing, call| move |source| SelfTestError::Io { doing, call, source };
    let mut pattern = vec![0; STEP_BYTES];
    for (at, len) in steps(bytes) {
        fill(&mut pattern[..len], at, nonce);
        write_all(file, at, &pattern[..len]).map_err(failed("write the test bytes", Call::Write))?;
    }
    file.sync().map_err(failed("sync the test bytes", Call::Sync))?;
    file.drop_cache().map_err(failed("drop the test bytes from the cache", Call::Read))?;
    let mut found = vec![0; STEP_BYTES];
    for (at, len) in steps(bytes) {
        fill(&mut pattern[..len], at, nonce);
        read_all(file, at, &mut found[..len]).map_err(failed("read the test bytes back", Call::Read))?;
        if found[..len] != pattern[..len] {
            let odd = found.iter().zip(&pattern).take_while(|(found, written)| found == written).count();
            return Err(SelfTestError::Changed { at: at + odd as u64 });
        }
    }
    Ok(())
}

fn steps(bytes: u64) -> impl Iterator<Item = (u64, usize)> {
    let step = STEP_BYTES as u64;
    (0..bytes.div_ceil(step)).map(move |n| (n * step, (bytes - n * step).min(step) as usize))
}

/// A pattern without repetition, so that blocks that changed places are seen.
fn fill(buffer: &mut [u8], at: u64, nonce: u64) {
    for (word, bytes) in (at / WORD_BYTES as u64..).zip(buffer.chunks_mut(WORD_BYTES)) {
        let mixed = (word ^ nonce.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 29)).to_le_bytes();
        bytes.copy_from_slice(&mixed[..bytes.len()]);
    }
}

fn read_all(file: &dyn File, at: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(at + done as u64, &mut buffer[done..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => done += read,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::os::fd::BorrowedFd;
    use std::sync::Arc;

    use forebay_base::Region;

    use super::*;
    use crate::{Disk, Open, RealDisk};

    /// A device that says that it has synced, and has not kept one of the bytes.
    #[derive(Debug)]
    struct Forgetful(Arc<dyn File>, u64);

    impl Region for Forgetful {
        fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read_at(at, buf)
        }
        fn fd(&self) -> Option<BorrowedFd<'_>> {
            None
        }
    }

    impl File for Forgetful {
        fn write_at(&self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            self.0.write_at(at, parts)
        }
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }
        fn truncate(&self, len: u64) -> io::Result<()> {
            self.0.truncate(len)
        }
        fn sync(&self) -> io::Result<()> {
            self.0.sync()
        }
        fn allocate(&self, at: u64, len: u64) -> io::Result<()> {
            self.0.allocate(at, len)
        }
        fn is_cached(&self, _at: u64, _len: u64) -> bool {
            false
        }
        fn drop_cache(&self) -> io::Result<()> {
            let mut byte = [0];
            self.0.read_at(self.1, &mut byte)?;
            self.0.write_at(self.1, &[IoSlice::new(&[!byte[0]])]).map(drop)
        }
    }

    #[test]
    fn a_device_that_keeps_its_data_passes_and_one_that_does_not_is_found_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk.open(&dir.path().join("a"), Open::Create).unwrap();
        for bytes in [0, 5, STEP_BYTES as u64, 3 * STEP_BYTES as u64 + 4_096] {
            self_test(file.as_ref(), bytes, 1).unwrap();
        }
        let lost = 2 * STEP_BYTES as u64 + 77;
        let error = self_test(&Forgetful(file, lost), 3 * STEP_BYTES as u64, 2).unwrap_err();
        assert!(matches!(error, SelfTestError::Changed { at } if at == lost), "{error}");
        assert!(error.to_string().contains("512.1 KiB into the test"), "{error}");
    }

    #[test]
    fn two_tests_share_no_word() {
        let mut one = [0; 4_096];
        let mut other = [0; 4_096];
        fill(&mut one, 0, 1);
        fill(&mut other, 0, 2);
        assert!(one.chunks(WORD_BYTES).zip(other.chunks(WORD_BYTES)).all(|(one, other)| one != other));
        fill(&mut other, 4_096, 1);
        assert_ne!(one, other, "blocks of one test differ");
    }
}
