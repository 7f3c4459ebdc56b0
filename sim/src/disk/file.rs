use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use forebay_base::{Region, crc32c};
use forebay_log::{File, Lock};

use super::cell::FileCell;
use super::errno;
use super::faults::{Call, Fault};
use super::site::PathKind;
use super::{Shared, State};

/// A handle of one file; the file lives as long as its handles.
pub(super) struct SimFile {
    cell: Arc<FileCell>,
    disk: Arc<Shared>,
    /// The path it was opened by: for the trace and for faults, a rename does not change it.
    path: PathBuf,
    writable: bool,
    /// The failed write-backs of the file that this handle was told of, or that were before it: Linux forgets them with
    /// the last handle, so a new one hears of none.
    heard: AtomicU64,
}

impl SimFile {
    pub(super) fn new(cell: Arc<FileCell>, disk: Arc<Shared>, path: PathBuf, writable: bool) -> Self {
        cell.hold();
        let heard = AtomicU64::new(cell.write_errors());
        Self { cell, disk, path, writable, heard }
    }

    /// What a sync has to tell of the write-backs since the last one.
    fn hear(&self) -> io::Result<()> {
        let errors = self.cell.write_errors();
        if self.heard.swap(errors, Ordering::Relaxed) == errors { Ok(()) } else { Err(errno::DEVICE.into()) }
    }

    fn may_write(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(errno::BAD_HANDLE.into()) }
    }

    /// Bytes, of `len` from `at`, for which there is space.
    fn room(&self, state: &State, at: u64, len: u64) -> u64 {
        let used = self.disk.used.load(Ordering::Relaxed);
        let (now, then) = self.cell.with(|content| (content.charge(), content.charge_to(at + len)));
        let over = (used + then - now).saturating_sub(state.capacity);
        if over == 0 {
            len
        } else {
            then.saturating_sub(over.next_multiple_of(4096)).saturating_sub(at).min(len)
        }
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.cell.release();
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Region for SimFile {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let detail = format_args!("{at}+{}", buf.len());
        self.disk
            .call(Call::Read, &self.path, detail, |_, _| Ok(self.cell.with(|content| content.read(at, buf))))
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl File for SimFile {
    fn write_at(&self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        let detail = format_args!("{at}+{} crc {:08x}", bytes.len(), crc32c(&bytes));
        self.disk.call(Call::Write, &self.path, detail, |state, begun| {
            self.may_write()?;
            let bound = match begun.fault {
                Some(Fault::ShortWrite(bytes)) => bytes,
                Some(Fault::Errno(_)) | None => usize::MAX,
            };
            let room = self.room(state, at, bytes.len() as u64);
            if room == 0 && !bytes.is_empty() {
                return Err(errno::NO_SPACE.into());
            }
            let written = bytes.len().min(bound).min(room as usize);
            self.cell.with(|content| content.write(at, &bytes[..written]));
            Ok(written)
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.disk
            .call(Call::Len, &self.path, format_args!(""), |_, _| Ok(self.cell.with(|content| content.len())))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.call(Call::Truncate, &self.path, format_args!("{len}"), |_, _| {
            self.may_write()?;
            self.cell.with(|content| content.truncate(len));
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, begun) = self.disk.begin(Call::Sync, &self.path, format_args!(""))?;
        let wanted = state.at_site(PathKind::of_file(&self.path));
        let result = match begun.fault {
            Some(Fault::Errno(number)) => {
                self.cell.fail_write_back();
                let _told_at_once = self.hear();
                Err(io::Error::from_raw_os_error(number))
            }
            Some(Fault::ShortWrite(_)) | None if wanted && !begun.cut => {
                self.cell.with(|content| content.sync());
                self.hear()
            }
            Some(Fault::ShortWrite(_)) | None => Ok(()),
        };
        state.end(&begun, result)
    }

    fn allocate(&self, at: u64, len: u64) -> io::Result<()> {
        self.disk.call(Call::Allocate, &self.path, format_args!("{at}+{len}"), |state, _| {
            self.may_write()?;
            if self.room(state, at, len) < len {
                return Err(errno::NO_SPACE.into());
            }
            self.cell.with(|content| content.allocate(at, len));
            Ok(())
        })
    }

    fn is_cached(&self, at: u64, len: u64) -> bool {
        self.cell.with(|content| content.is_cached(at, len))
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.disk.call(Call::DropCache, &self.path, format_args!(""), |_, _| {
            self.cell.with(|content| content.drop_cache());
            Ok(())
        })
    }
}

/// A held lock.
#[derive(Debug)]
pub(super) struct SimLock(pub(super) Arc<FileCell>);

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.locked.store(false, Ordering::Relaxed);
    }
}
