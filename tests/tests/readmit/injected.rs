use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use forebay_tests::Server;

/// Syncs of a running server that fail with EIO, for as long as this lives: by strace, which ends with this process.
pub(crate) struct Injected(Child);

impl Injected {
    /// All syncs; or only those of one file.
    pub(crate) fn syncs(server: &Server, of: Option<&Path>) -> Self {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]);
        strace.args(["-e", "inject=fsync,fdatasync:error=EIO", "-p", &server.pid().to_string()]);
        if let Some(path) = of {
            strace.arg("-P").arg(path);
        }
        let child = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("strace starts");
        let injected = Self(child);
        let until = Instant::now() + Duration::from_secs(10);
        while !all_traced(server.pid()) {
            assert!(Instant::now() < until, "strace does not attach");
            std::thread::sleep(Duration::from_millis(10));
        }
        injected
    }
}

fn all_traced(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    let statuses = threads.flatten().flat_map(|thread| std::fs::read_to_string(thread.path().join("status")));
    statuses.into_iter().all(|status| !status.contains("TracerPid:\t0\n"))
}

impl Drop for Injected {
    fn drop(&mut self) {
        // Killed, it lets go of the server as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
