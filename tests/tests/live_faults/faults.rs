use forebay_tests::{FailingSyncs, LoopFs, Server};

use crate::device::Device;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Every sync of a file fails (EIO), and is not done.
    SyncFails,
    /// The file system shuts down: every call fails (EIO).
    ShutDown,
    /// The device fails: every write to it is answered with EIO.
    DeviceFails,
    /// The file system meets an error of its own and becomes read-only (EROFS).
    ReadOnly,
}

/// A fault that lasts until it is dropped, after its server was killed.
#[derive(Debug)]
pub(crate) struct Fault<'a> {
    _syncs: Option<FailingSyncs>,
    device: &'a Device,
}

impl Sort {
    pub(crate) const ALL: [Self; 4] = [Self::SyncFails, Self::ShutDown, Self::DeviceFails, Self::ReadOnly];

    /// Makes it go wrong; it has begun when this returns.
    pub(crate) fn inject<'a>(self, server: &Server, fs: &LoopFs, device: &'a Device) -> Fault<'a> {
        let mut syncs = None;
        match self {
            Self::SyncFails => syncs = Some(FailingSyncs::below(server, &fs.dir())),
            Self::ShutDown => fs.cut_power(),
            Self::DeviceFails => device.fail(),
            Self::ReadOnly => fs.abort(),
        }
        Fault { _syncs: syncs, device }
    }
}

impl Drop for Fault<'_> {
    fn drop(&mut self) {
        self.device.heal();
    }
}
