use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forebay_tests::{LoopFs, Server};

use crate::device::Device;

/// Long enough for strace to have every thread.
const SETTLES: Duration = Duration::from_millis(300);

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
    tracer: Option<Child>,
    device: &'a Device,
}

impl Sort {
    pub(crate) const ALL: [Self; 4] = [Self::SyncFails, Self::ShutDown, Self::DeviceFails, Self::ReadOnly];

    /// Makes it go wrong; it has begun when this returns.
    pub(crate) fn inject<'a>(self, server: &Server, fs: &LoopFs, device: &'a Device) -> Fault<'a> {
        let mut tracer = None;
        match self {
            Self::SyncFails => tracer = Some(fail_syncs(server, &fs.dir())),
            Self::ShutDown => fs.cut_power(),
            Self::DeviceFails => device.fail(),
            Self::ReadOnly => fs.abort(),
        }
        Fault { tracer, device }
    }
}

impl Drop for Fault<'_> {
    fn drop(&mut self) {
        self.device.heal();
        if let Some(tracer) = &mut self.tracer {
            // It ends with the process that it traces.
            let _ = tracer.kill();
            let _ = tracer.wait();
        }
    }
}

/// Has every sync of a file below `dir` that the server has, or will have, open fail.
fn fail_syncs(server: &Server, dir: &Path) -> Child {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-q", "-p", &server.pid().to_string(), "-e", "trace=fdatasync,fsync"]);
    strace.args(["-e", "inject=fdatasync,fsync:error=EIO"]);
    for path in files(dir) {
        strace.arg("-P").arg(path);
    }
    let tracer = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("strace is installed");
    std::thread::sleep(SETTLES);
    tracer
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(_) | Err(_) => found.push(entry.path()),
        }
    }
    found
}
