use std::io;

/// What was asked of the file system when it answered with an error. What the same number means depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Write, allocate, open, make, rename or remove.
    Write,
    /// A sync of contents or names, or a close.
    Sync,
    /// A read.
    Read,
}

/// What an error of the file system says about the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// No room, or over a quota: undone, and the same may succeed once space is freed.
    Full,
    /// Beyond the size that a file may have here: undone; the volume is as it was.
    TooLarge,
    /// The file system takes no writes any more.
    ReadOnly,
    /// The device or file system has failed; after a sync, what was written is lost.
    Fault,
    /// The process has no descriptors left: shed load. Never a fault of the disk.
    Descriptors,
    /// Says nothing about the volume: a missing name, a signal, too little memory.
    Unrelated,
}

/// Linux's numbers, the same on every architecture that we build for.
mod number {
    pub(super) const EIO: i32 = 5;
    pub(super) const ENXIO: i32 = 6;
    pub(super) const ENODEV: i32 = 19;
    pub(super) const ENFILE: i32 = 23;
    pub(super) const EMFILE: i32 = 24;
    pub(super) const EFBIG: i32 = 27;
    pub(super) const ENOSPC: i32 = 28;
    pub(super) const EROFS: i32 = 30;
    pub(super) const EUCLEAN: i32 = 117;
    pub(super) const EDQUOT: i32 = 122;
    pub(super) const ESHUTDOWN: i32 = 108;
}

/// Reads an error. "No space" from a sync is a fault: the file system took the bytes and has lost them.
pub fn meaning(call: Call, error: &io::Error) -> Meaning {
    use number::*;
    // What was made from a kind alone, as a simulation does, has no number.
    let code = error.raw_os_error().or_else(|| code_of(error.kind()));
    match (code, call) {
        (Some(ENOSPC | EDQUOT), Call::Write) => Meaning::Full,
        (Some(ENOSPC | EDQUOT), Call::Sync) => Meaning::Fault,
        (Some(EFBIG), Call::Write | Call::Sync) => Meaning::TooLarge,
        (Some(EROFS), Call::Write | Call::Sync) => Meaning::ReadOnly,
        (Some(EIO | ENXIO | ENODEV | EUCLEAN | ESHUTDOWN), Call::Write | Call::Sync | Call::Read) => {
            Meaning::Fault
        }
        (Some(EMFILE | ENFILE), Call::Write | Call::Sync | Call::Read) => Meaning::Descriptors,
        // A sync that was refused for whatever reason has made nothing durable (rule R32).
        (Some(_) | None, Call::Sync) => Meaning::Fault,
        (Some(_) | None, Call::Write | Call::Read) => Meaning::Unrelated,
    }
}

fn code_of(kind: io::ErrorKind) -> Option<i32> {
    let known = [
        (io::ErrorKind::StorageFull, number::ENOSPC),
        (io::ErrorKind::QuotaExceeded, number::EDQUOT),
        (io::ErrorKind::FileTooLarge, number::EFBIG),
        (io::ErrorKind::ReadOnlyFilesystem, number::EROFS),
    ];
    known.into_iter().find(|(known, _)| *known == kind).map(|(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(call: Call, code: i32) -> Meaning {
        meaning(call, &io::Error::from_raw_os_error(code))
    }

    #[test]
    fn full_is_told_from_failed_by_what_was_asked() {
        for (code, write, sync, read) in [
            (28, Meaning::Full, Meaning::Fault, Meaning::Unrelated),
            (122, Meaning::Full, Meaning::Fault, Meaning::Unrelated),
            (27, Meaning::TooLarge, Meaning::TooLarge, Meaning::Unrelated),
            (30, Meaning::ReadOnly, Meaning::ReadOnly, Meaning::Unrelated),
            (5, Meaning::Fault, Meaning::Fault, Meaning::Fault),
            (24, Meaning::Descriptors, Meaning::Descriptors, Meaning::Descriptors),
            (23, Meaning::Descriptors, Meaning::Descriptors, Meaning::Descriptors),
            (4, Meaning::Unrelated, Meaning::Fault, Meaning::Unrelated),
        ] {
            assert_eq!((of(Call::Write, code), of(Call::Sync, code)), (write, sync), "{code}");
            assert_eq!(of(Call::Read, code), read, "{code}");
        }
        assert_eq!(meaning(Call::Write, &io::ErrorKind::StorageFull.into()), Meaning::Full);
        assert_eq!(meaning(Call::Write, &io::ErrorKind::WriteZero.into()), Meaning::Unrelated);
    }
}
