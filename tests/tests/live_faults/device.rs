use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forebay_tests::eventually;
use tempfile::TempDir;

/// As the argument of `nbdkit`; it takes what is written.
const SIZE: &str = "512M";

/// It is there so soon.
const THERE_WITHIN: Duration = Duration::from_secs(10);

/// A device in memory, shown as a file, which answers EIO to every write while it is told to.
///
/// Dropping it takes it away, and so does the end of this process, however it ends.
#[derive(Debug)]
pub(crate) struct Device {
    home: TempDir,
    sweeper: Child,
}

impl Device {
    pub(crate) fn start() -> Self {
        let home =
            tempfile::Builder::new().prefix("forebay-device-").tempdir().expect("a temporary directory");
        std::fs::create_dir(home.path().join("disk")).expect("a directory to mount on");
        // It waits for the end of its input, which comes when this process dies.
        let script = "trap '' INT TERM HUP
nbdfuse \"$0/disk/image\" --command nbdkit -s --exit-with-parent --filter=error memory \"$1\" \
  error-pwrite=EIO error-pwrite-rate=100% error-pwrite-file=\"$0/fails\" >/dev/null 2>&1 &
read -r _
umount --lazy \"$0/disk\"
wait
rm -rf \"$0\"";
        let mut sweeper = Command::new("sh");
        sweeper.args(["-c", script]).arg(home.path()).arg(SIZE).stdin(Stdio::piped());
        let made = Self { home, sweeper: sweeper.spawn().expect("a shell") };
        eventually("nbdfuse shows the device", THERE_WITHIN, || made.image().exists());
        made
    }

    /// The device.
    pub(crate) fn image(&self) -> PathBuf {
        self.home.path().join("disk/image")
    }

    /// Its writes fail from now on.
    pub(crate) fn fail(&self) {
        std::fs::write(self.home.path().join("fails"), b"").expect("a file");
    }

    /// They do not any more.
    pub(crate) fn heal(&self) {
        let _ = std::fs::remove_file(self.home.path().join("fails"));
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}
