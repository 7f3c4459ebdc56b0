use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use forebay_tests::{FsKind, number};

use crate::client::Client;
use crate::site::Site;
use crate::volume::Volume;
use crate::{BACK_MOSTLY, MIB};

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn a_node_starts_on_a_full_tmpfs() {
    start_again_and_again(FsKind::Tmpfs);
}

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn a_node_starts_on_a_full_ext4() {
    start_again_and_again(FsKind::Ext4);
}

/// After kill -9 and after a clean stop in turn, a start on a volume without a free byte serves reads, says that it is
/// full, and writes nothing but into blocks that it has.
fn start_again_and_again(kind: FsKind) {
    let volume = Volume::new(kind);
    let mut site = Site::start(&volume);
    let mut client = Client::new(&site.server, "orders", 2, &[("segment.bytes", "1048576")]);
    volume.fill_but(12 * MIB);
    client.fill();
    volume.fill();
    site.shown_full("orders");
    let (starts, mut slowest) = (number("FOREBAY_FULL_STARTS", 4), Duration::ZERO);
    for start in 0..starts {
        if start % 2 == 0 {
            site.server.kill();
        } else {
            let _ = site.server.stop();
        }
        volume.fill();
        assert!(volume.free_bytes() < 4_096, "less than a page");
        let (before, began) = (Files::of(&volume.data()), Instant::now());
        site.spawn();
        client.reconnect(&site.server);
        client.check();
        slowest = slowest.max(began.elapsed());
        client.refused();
        client.repeat();
        site.shown_full("orders");
        before.check(&Files::of(&volume.data()));
    }
    volume.free_but(0);
    let took = client.back();
    println!(
        "{kind:?}: {starts} starts while full, all records read within {slowest:?}; writes back after {took:?}"
    );
    assert!(took < BACK_MOSTLY, "{took:?}");
    client.check();
    site.no_panic();
}

/// What a file looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    len: u64,
    blocks: u64,
    written: SystemTime,
}

/// Every file in a data directory.
#[derive(Debug, Default)]
struct Files(BTreeMap<PathBuf, Look>);

impl Files {
    fn of(dir: &Path) -> Self {
        let mut files = Self::default();
        files.look(dir);
        files
    }

    fn look(&mut self, dir: &Path) {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            // One may go while we look.
            let Ok(seen) = entry.metadata() else { continue };
            if seen.is_dir() {
                self.look(&entry.path());
            } else {
                let look = Look { len: seen.len(), blocks: seen.blocks(), written: seen.modified().unwrap() };
                self.0.insert(entry.path(), look);
            }
        }
    }

    /// Since this look nothing was made, nothing grew, and only what has its blocks was written. Hints may go.
    fn check(&self, after: &Self) {
        for (path, now) in &after.0 {
            let name = path.file_name().unwrap().to_str().unwrap();
            // The mark of a clean stop is renamed.
            let renamed = path.with_file_name("clean");
            let known = self.0.get(path).or_else(|| self.0.get(&renamed).filter(|_| name == "clean.spare"));
            let known = known.unwrap_or_else(|| panic!("{} was made on a full volume", path.display()));
            assert_eq!((now.len, now.blocks), (known.len, known.blocks), "{}", path.display());
            let preallocated = matches!(name, "forebay.lock" | "volume.state" | "state" | "clean.spare")
                || path.parent().is_some_and(|dir| dir.ends_with("metadata"));
            assert!(preallocated || now.written == known.written, "{} was written", path.display());
        }
    }
}
