use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::eventually;

/// xfs refuses to be smaller than 300 MB. The image is sparse: it costs what is written.
const IMAGE_BYTES: u64 = 512 << 20;

/// A file system that was used a moment ago may be busy this long.
const FREE_WITHIN: Duration = Duration::from_secs(10);

/// A kind of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsKind {
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
    /// btrfs: it counts no inodes, and has quotas that its free space does not show.
    Btrfs,
    /// In memory: it can be full, but it cannot lose power and it cannot freeze.
    Tmpfs,
}

impl FsKind {
    /// True if the kernel has it.
    pub fn is_known(self) -> bool {
        let name = match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Tmpfs => "tmpfs",
        };
        let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
        known.split_whitespace().any(|word| word == name)
    }
}

/// A file system of the test's own, in a file behind a loop device: it can lose power, freeze and be full. Needs root.
///
/// Dropping it unmounts and removes it, with whatever still stands in the way, and so does the end of this process,
/// however it ends. Declare it before the server that uses it, so that the server ends first.
#[derive(Debug)]
pub struct LoopFs {
    home: TempDir,
    image: PathBuf,
    kind: FsKind,
    bytes: u64,
    files: Option<u64>,
    mounted: bool,
    sweeper: Child,
}

/// A file system that takes no writes: whoever writes waits, and cannot even be killed. Dropping it thaws the file
/// system, and so does the end of this process, however it ends.
///
/// Declare it after the server that uses the file system: a server that waits for it ends only when it is thawed.
#[derive(Debug)]
pub struct Frozen {
    thawer: Child,
}

impl LoopFs {
    /// Makes and mounts one.
    ///
    /// # Panics
    /// If a command fails; it says which.
    pub fn new(kind: FsKind) -> Self {
        Self::sized(kind, IMAGE_BYTES)
    }

    /// The same, of so many bytes; XFS wants 300 MB.
    ///
    /// # Panics
    /// If a command fails; it says which.
    pub fn sized(kind: FsKind, bytes: u64) -> Self {
        Self::bounded(kind, bytes, None)
    }

    /// The same, with room for so many files, which ext4 and tmpfs can be told.
    ///
    /// # Panics
    /// If a command fails; it says which.
    pub fn bounded(kind: FsKind, bytes: u64, files: Option<u64>) -> Self {
        Self::made(kind, bytes, files, None)
    }

    /// An ext4 in an image that is there.
    ///
    /// # Panics
    /// If a command fails; it says which.
    pub fn over(image: PathBuf) -> Self {
        Self::made(FsKind::Ext4, IMAGE_BYTES, None, Some(image))
    }

    fn made(kind: FsKind, bytes: u64, files: Option<u64>, image: Option<PathBuf>) -> Self {
        let home = tempfile::Builder::new().prefix("forebay-loop-").tempdir().expect("a temporary directory");
        // It waits for the end of its input, which comes when this process dies.
        let script = "trap '' INT TERM HUP; read -r _; umount --lazy \"$0/mnt\"; rm -rf \"$0\"";
        let mut sweeper = Command::new("sh");
        sweeper.args(["-c", script]).arg(home.path()).stdin(Stdio::piped());
        let sweeper = sweeper.stderr(Stdio::null()).spawn().expect("a shell");
        let image = image.unwrap_or_else(|| {
            let path = home.path().join("image");
            let image = std::fs::File::create(&path).expect("an image file");
            image.set_len(bytes).expect("a sparse file");
            path
        });
        let mut made = Self { home, image, kind, bytes, files, mounted: false, sweeper };
        std::fs::create_dir(made.dir()).expect("a directory to mount on");
        match kind {
            FsKind::Ext4 => {
                let files = files.map(|files| files.to_string());
                let bound = files.as_ref().map_or(vec![], |files| vec!["-N", files]);
                run("mkfs.ext4", &[&["-q", "-F", "-m", "0"], bound.as_slice()].concat(), &made.image);
            }
            FsKind::Btrfs => run("mkfs.btrfs", &["-q", "-f"], &made.image),
            FsKind::Xfs => run("mkfs.xfs", &["-q", "-f"], &made.image),
            FsKind::Tmpfs => {}
        }
        made.mount();
        made
    }

    /// Where it is mounted.
    pub fn dir(&self) -> PathBuf {
        self.home.path().join("mnt")
    }

    /// Mounts it, which replays its journal; what was in memory is empty. The loop device goes away with the mount.
    ///
    /// # Panics
    /// If that fails.
    pub fn mount(&mut self) {
        match self.kind {
            FsKind::Ext4 | FsKind::Xfs | FsKind::Btrfs => {
                let options = if self.kind == FsKind::Ext4 { "loop,errors=remount-ro" } else { "loop" };
                run("mount", &["-o", options, path(&self.image)], &self.dir());
            }
            FsKind::Tmpfs => {
                let files = self.files.map_or(String::new(), |files| format!(",nr_inodes={files}"));
                let size = format!("size={}{files}", self.bytes);
                run("mount", &["-t", "tmpfs", "-o", &size, "forebay-test"], &self.dir());
            }
        }
        self.mounted = true;
    }

    /// Mounts it so that it takes no writes.
    ///
    /// # Panics
    /// If that fails.
    pub fn mount_read_only(&mut self) {
        // The device stays writable, else it could not be mounted otherwise later.
        self.mount();
        run("mount", &["-o", "remount,ro"], &self.dir());
    }

    /// Has one that was mounted read-only take writes again, under whoever uses it.
    ///
    /// # Panics
    /// If that fails.
    pub fn remount_writable(&self) {
        run("mount", &["-o", "remount,rw"], &self.dir());
    }

    /// What ext4 does when it finds itself damaged: it takes no writes any more, also of those who have files open, until
    /// it is mounted anew. Reads go on.
    ///
    /// # Panics
    /// If that fails.
    pub fn abort(&self) {
        let found = Command::new("findmnt").args(["-n", "-o", "SOURCE"]).arg(self.dir()).output();
        let device = String::from_utf8(found.expect("findmnt starts").stdout).expect("names are text");
        let name = device.trim().trim_start_matches("/dev/");
        std::fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "1")
            .expect("ext4 can be told to fail");
    }

    /// Unmounts it. Nobody may use it any more.
    ///
    /// # Panics
    /// If it stays busy.
    pub fn unmount(&mut self) {
        let unmounted = || succeeds(Command::new("umount").arg(self.dir()));
        eventually("the file system is free", FREE_WITHIN, unmounted);
        self.mounted = false;
    }

    /// What a power cut does to it: nothing more reaches the disk, and what was not synced is gone at the next mount.
    /// Until it is unmounted every access fails.
    ///
    /// # Panics
    /// If that fails.
    pub fn cut_power(&self) {
        run("xfs_io", &["-x", "-c", "shutdown"], &self.dir());
    }

    /// Freezes it, as a disk that does not answer would.
    ///
    /// # Panics
    /// If that fails.
    pub fn freeze(&self) -> Frozen {
        // It waits for the end of its input: the pipe closes when it is told to thaw, and when this process dies.
        let script = "trap '' INT TERM HUP; read -r _; exec fsfreeze --unfreeze \"$0\"";
        let thawer = Command::new("sh").args(["-c", script]).arg(self.dir()).stdin(Stdio::piped()).spawn();
        let frozen = Frozen { thawer: thawer.expect("a shell") };
        run("fsfreeze", &["--freeze"], &self.dir());
        frozen
    }
}

impl Drop for LoopFs {
    fn drop(&mut self) {
        let unmounted = !self.mounted || succeeds(Command::new("umount").arg(self.dir()));
        if !unmounted {
            // Somebody still has a file open; it goes when they close it, and its loop device with it.
            succeeds(Command::new("umount").arg("--lazy").arg(self.dir()));
        }
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.thawer.stdin.take());
        let thawed = self.thawer.wait().is_ok_and(|status| status.success());
        assert!(thawed || std::thread::panicking(), "the file system was not thawed");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

/// Runs a command of the system on `target`.
fn run(program: &str, arguments: &[&str], target: &Path) {
    let done = Command::new(program).args(arguments).arg(target).output();
    let done = done.unwrap_or_else(|error| panic!("{program} does not start: {error}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {arguments:?} {}: {said}", target.display());
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|done| done.status.success())
}
