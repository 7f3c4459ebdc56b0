//! The frame of every small file of ours: magic, version, body, checksum.
//!
//! ```text
//! 0 magic [4] | 4 version u16 | 6 reserved u16 (0) | 8 body | last 4 bytes: CRC-32C of everything before, u32
//! ```
//! All numbers are big-endian. The place of magic, version and checksum is the same in every version, so that a
//! newer file is told from a damaged one.

use std::io::{self, IoSlice};
use std::path::Path;

use bytes::Bytes;
use forebay_base::{Reader, Writer, crc32c};

use crate::disk::{Disk, File, Open};
use crate::volume::Marks;

const CRC_LEN: usize = 4;

/// A kind of small file: its magic and the newest version this build knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    pub(crate) magic: [u8; 4],
    pub(crate) version: u16,
}

/// Why bytes are not a file of that format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsound {
    /// Another magic, cut short, or the checksum does not match.
    Damaged,
    /// Sound, but of this newer version.
    Newer(u16),
}

impl Format {
    /// A writer with magic and version already in it; [`Format::seal`] ends it.
    pub(crate) fn writer(&self) -> Writer {
        let mut writer = Writer::new();
        writer.raw(&self.magic);
        writer.u16(self.version);
        writer.u16(0);
        writer
    }

    /// Adds the checksum.
    pub(crate) fn seal(mut writer: Writer) -> Bytes {
        writer.u32(crc32c(writer.as_slice()));
        writer.into_bytes()
    }

    /// Checks magic, checksum and version; gives the body.
    pub(crate) fn open(&self, bytes: Bytes) -> Result<Reader, Unsound> {
        let body_end = bytes.len().checked_sub(CRC_LEN).ok_or(Unsound::Damaged)?;
        let mut crc = Reader::new(bytes.slice(body_end..));
        let body = bytes.slice(..body_end);
        let sound = crc.u32() == Ok(crc32c(&body));
        let mut reader = Reader::new(body);
        let magic = reader.bytes(4).map_err(|_| Unsound::Damaged)?;
        let version = reader.u16().map_err(|_| Unsound::Damaged)?;
        reader.u16().map_err(|_| Unsound::Damaged)?;
        if magic.as_ref() != self.magic || !sound {
            return Err(Unsound::Damaged);
        }
        if version > self.version { Err(Unsound::Newer(version)) } else { Ok(reader) }
    }
}

/// Writes all of `bytes` at `at`; a write that takes nothing is an error.
pub(crate) fn write_all(file: &dyn File, at: u64, bytes: &[u8]) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(at + done as u64, &[IoSlice::new(&bytes[done..])])? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => done += written,
        }
    }
    Ok(())
}

/// Replaces the contents of a file in place, made if missing; the caller syncs if it must last.
pub(crate) fn write_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<std::sync::Arc<dyn File>> {
    let file = disk.open(path, Open::CreateOrWrite)?;
    file.truncate(0)?;
    write_all(file.as_ref(), 0, bytes)?;
    Ok(file)
}

/// Writes a hint: unsynced, and not if its volume is full, for it is not worth the last bytes; nothing of one that finds no
/// room is left.
pub(crate) fn write_hint(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let space = disk.space(path.parent().unwrap_or(path))?;
    if Marks::of(space.total_bytes).is_full(space) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    write_file(disk, path, bytes).map(drop).inspect_err(|_| drop(disk.remove_file(path)))
}

/// Reads a whole file of at most `bytes_max`; `None` if there is no such file.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path, bytes_max: u64) -> io::Result<Option<Bytes>> {
    let file = match disk.open(path, Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = usize::try_from(file.len()?.min(bytes_max)).map_err(io::Error::other)?;
    let (mut buffer, mut filled) = (vec![0u8; len], 0);
    while filled < len {
        match file.read_at(filled as u64, &mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    buffer.truncate(filled);
    Ok(Some(buffer.into()))
}

/// Removes a file; one that is not there is no error.
pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Why a directory is not there, durably.
#[derive(Debug)]
pub(crate) enum CreateDirError {
    /// Nothing was made: it may be tried again.
    Create(io::Error),
    /// The sync of its name failed, and nothing is known of it (rule R32).
    Sync(io::Error),
}

impl From<CreateDirError> for io::Error {
    fn from(error: CreateDirError) -> Self {
        match error {
            CreateDirError::Create(error) | CreateDirError::Sync(error) => error,
        }
    }
}

/// Makes a directory and its missing ancestors, each one durable before the next is made in it. One that is there
/// may have been made by a process that was killed before it was durable, so its name is synced in any case.
pub(crate) fn create_dirs(disk: &dyn Disk, path: &Path) -> Result<(), CreateDirError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) if !path.as_os_str().is_empty() => Path::new("."),
        Some(_) | None => return Ok(()),
    };
    if disk.exists(path).map_err(CreateDirError::Create)? {
        // Where we may not read the parent, we did not make the directory either.
        return match disk.sync_dir(parent) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            outcome => outcome.map_err(CreateDirError::Sync),
        };
    }
    create_dirs(disk, parent)?;
    disk.create_dir(path).map_err(CreateDirError::Create)?;
    sync_made(disk, path, parent)
}

/// Syncs the name of a directory that was just made. If that fails the directory goes again, as far as it can: a later
/// sync would succeed and prove nothing, one of a directory made anew does.
fn sync_made(disk: &dyn Disk, path: &Path, parent: &Path) -> Result<(), CreateDirError> {
    disk.sync_dir(parent).map_err(|error| {
        if let Err(error) = disk.remove_dir(path) {
            tracing::warn!(path = %path.display(), %error, "a directory that is not durable cannot be removed");
        }
        CreateDirError::Sync(error)
    })
}

/// As [`create_dirs`], where the parent is known to be durable if it is there.
pub(crate) fn create_dir(disk: &dyn Disk, path: &Path) -> Result<(), CreateDirError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match disk.create_dir(path) {
        Ok(()) => sync_made(disk, path, parent),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_dirs(disk, path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.sync_dir(parent).map_err(CreateDirError::Sync)
        }
        Err(error) => Err(CreateDirError::Create(error)),
    }
}
