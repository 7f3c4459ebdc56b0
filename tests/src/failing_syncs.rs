use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{Server, eventually};

const ATTACHED_WITHIN: Duration = Duration::from_secs(10);

/// Syncs of a running server that fail with EIO and are not done, for as long as this lives: by strace, which ends with
/// the server.
#[derive(Debug)]
pub struct FailingSyncs(Child);

impl FailingSyncs {
    /// Those of `files`, whether they are open or not. They fail when this returns.
    ///
    /// # Panics
    /// If strace cannot be had, or does not come to trace every thread of the server.
    pub fn begin(server: &Server, files: &[PathBuf]) -> Self {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]);
        strace.args(["-e", "inject=fsync,fdatasync:error=EIO", "-p", &server.pid().to_string()]);
        for path in files {
            strace.arg("-P").arg(path);
        }
        let tracer = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("strace starts");
        let failing = Self(tracer);
        eventually("strace traces every thread", ATTACHED_WITHIN, || all_traced(server.pid()));
        failing
    }

    /// Those of all files that lie below `dir` now.
    ///
    /// # Panics
    /// As [`FailingSyncs::begin`].
    pub fn below(server: &Server, dir: &Path) -> Self {
        Self::begin(server, &files(dir))
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(_) | Err(_) => found.push(entry.path()),
        }
    }
    found
}

fn all_traced(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    let statuses = threads.flatten().flat_map(|thread| fs::read_to_string(thread.path().join("status")));
    statuses.into_iter().all(|status| !status.contains("TracerPid:\t0\n"))
}

impl Drop for FailingSyncs {
    fn drop(&mut self) {
        // Killed, it lets go of the server as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
