use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use forebay_tests::{FsKind, LoopFs};

/// What somebody else keeps on the volume, and removes to free space: clients alone would fill it to the last byte.
const KEPT: &str = "kept";
const KEPT_BYTES: usize = 16 << 20;

/// How often the adversary looks for bytes that came free.
const GRAB_EVERY: Duration = Duration::from_millis(20);

/// A small file system for one server. Declare it before the server.
pub(crate) struct Volume {
    fs: LoopFs,
    kind: FsKind,
}

impl Volume {
    /// Makes and mounts one, as small as its kind allows.
    pub(crate) fn new(kind: FsKind) -> Self {
        let bytes = match kind {
            FsKind::Tmpfs => 64 << 20,
            FsKind::Ext4 => 128 << 20,
            FsKind::Xfs => 320 << 20,
        };
        Self::sized(kind, bytes)
    }

    /// The same, of so many bytes.
    pub(crate) fn sized(kind: FsKind, bytes: u64) -> Self {
        let fs = LoopFs::sized(kind, bytes);
        let mut kept = File::create(fs.dir().join(KEPT)).expect("a file");
        kept.write_all(&vec![0xEE; KEPT_BYTES]).expect("an empty volume takes it");
        kept.sync_all().expect("a sync");
        Self { fs, kind }
    }

    /// Where a server puts its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.fs.dir().join("data")
    }

    /// False for what has no device behind it.
    pub(crate) fn has_device(&self) -> bool {
        self.kind != FsKind::Tmpfs
    }

    /// True if the file system gives no page for one more file.
    pub(crate) fn is_full(&self) -> bool {
        let path = self.fs.dir().join("probe");
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(&[1; 64 * 1024])?;
            file.sync_all()
        });
        let _ = std::fs::remove_file(&path);
        written.is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull)
    }

    /// Takes all that is free, and whatever comes free, until it is dropped.
    pub(crate) fn grab(&self) -> Grabber {
        let (path, stop) = (self.fs.dir().join(KEPT), Arc::<AtomicBool>::default());
        let mut file = OpenOptions::new().create(true).append(true).open(&path).expect("a file");
        take_all(&mut file);
        let told = stop.clone();
        let adversary = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                take_all(&mut file);
                std::thread::sleep(GRAB_EVERY);
            }
        });
        Grabber { path, stop, adversary: Some(adversary) }
    }
}

/// An adversary that leaves no byte free. Dropping it frees what it took, and what was kept.
pub(crate) struct Grabber {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    adversary: Option<JoinHandle<()>>,
}

impl Drop for Grabber {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.adversary.take().map(JoinHandle::join);
        let removed = std::fs::remove_file(&self.path);
        let well = ended.is_none_or(|ended| ended.is_ok()) && removed.is_ok();
        assert!(well || std::thread::panicking(), "what was grabbed is not freed");
    }
}

/// Writes until nothing more is taken, in large steps first.
fn take_all(file: &mut File) {
    let bytes = vec![0xEE; 1 << 20];
    for step in [1 << 20, 64 << 10, 4 << 10, 512] {
        while file.write(&bytes[..step]).is_ok_and(|written| written > 0) {}
    }
    let _ = file.sync_data();
}
