use std::io;
use std::path::Path;

use super::errno;

/// The calls that a disk can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// Opening, and making, a file.
    Open,
    /// Making a directory.
    CreateDir,
    /// Removing a file's name.
    RemoveFile,
    /// Removing a directory.
    RemoveDir,
    /// Renaming.
    Rename,
    /// Listing a directory.
    List,
    /// Asking for a name.
    Exists,
    /// Making names durable.
    SyncDir,
    /// Locking a file.
    Lock,
    /// Asking for free space.
    Space,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Asking for a file's length.
    Len,
    /// Cutting or extending a file.
    Truncate,
    /// Making a file's contents durable.
    Sync,
    /// Reserving blocks.
    Allocate,
    /// Dropping cached pages.
    DropCache,
}

impl Call {
    /// True if the call can change what a power cut leaves behind. A cut at any other call leaves what a cut at
    /// the change before it leaves.
    pub fn changes(self) -> bool {
        match self {
            Call::Open
            | Call::CreateDir
            | Call::RemoveFile
            | Call::RemoveDir
            | Call::Rename
            | Call::SyncDir
            | Call::Write
            | Call::Truncate
            | Call::Sync
            | Call::Allocate => true,
            Call::List
            | Call::Exists
            | Call::Lock
            | Call::Space
            | Call::Read
            | Call::Len
            | Call::DropCache => false,
        }
    }

    /// True if the device must take something for it. Opening may make a file, or not.
    pub(super) fn is_write(self) -> bool {
        self.changes() && self != Call::Open
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A write stops after so many bytes and says so.
    ShortWrite(usize),
    /// The call fails with this errno and changes nothing. A failed sync has Linux's meaning: pages are marked
    /// clean and show the new bytes, the device keeps the old ones, the next sync of this handle succeeds. Each other
    /// handle that is open is told once, too.
    Errno(i32),
}

impl Fault {
    /// No space left (`ENOSPC`).
    pub const NO_SPACE: Fault = Fault::Errno(errno::NO_SPACE.0);
    /// The device failed (`EIO`).
    pub const DEVICE: Fault = Fault::Errno(errno::DEVICE.0);
}

/// A fault that waits for its call.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Which call it hits.
    pub call: Call,
    /// It hits only paths whose text contains this.
    pub path: String,
    /// So many fitting calls go well first.
    pub skip: u64,
    /// Then so many fail.
    pub times: u64,
    /// How.
    pub fault: Fault,
}

/// The faults still to come.
#[derive(Debug, Default)]
pub(super) struct Plan(Vec<Planned>);

impl Plan {
    pub(super) fn add(&mut self, planned: Planned) {
        self.0.push(planned);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault of this call, if it has one; counts the call.
    pub(super) fn strike(&mut self, call: Call, path: &Path) -> Option<Fault> {
        if self.0.is_empty() {
            return None;
        }
        let text = path.to_string_lossy();
        let mut found = None;
        for planned in
            self.0.iter_mut().filter(|planned| planned.call == call && text.contains(&planned.path))
        {
            if planned.skip > 0 {
                planned.skip -= 1;
            } else if planned.times > 0 && found.is_none() {
                planned.times -= 1;
                found = Some(planned.fault);
            }
        }
        self.0.retain(|planned| planned.times > 0);
        found
    }
}

/// What [`Fault`] means for a call that is not a write.
pub(super) fn refuse(fault: Option<Fault>) -> io::Result<()> {
    match fault {
        Some(Fault::Errno(number)) => Err(io::Error::from_raw_os_error(number)),
        Some(Fault::ShortWrite(_)) | None => Ok(()),
    }
}
