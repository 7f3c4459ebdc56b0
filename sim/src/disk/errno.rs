//! The errors of a Linux file system, by number: the code under test may look at either the number or the kind.

use std::io;

/// One errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Errno(pub(super) i32);

pub(super) const NOT_FOUND: Errno = Errno(2);
pub(super) const DEVICE: Errno = Errno(5);
pub(super) const BAD_HANDLE: Errno = Errno(9);
pub(super) const WOULD_BLOCK: Errno = Errno(11);
pub(super) const EXISTS: Errno = Errno(17);
pub(super) const NOT_A_DIRECTORY: Errno = Errno(20);
pub(super) const IS_A_DIRECTORY: Errno = Errno(21);
pub(super) const INVALID: Errno = Errno(22);
pub(super) const NO_SPACE: Errno = Errno(28);
pub(super) const NOT_EMPTY: Errno = Errno(39);

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        io::Error::from_raw_os_error(errno.0)
    }
}
