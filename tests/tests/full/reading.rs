use std::time::{Duration, Instant};

use forebay_tests::{FsKind, eventually};

use crate::client::{Client, Produced, SMALL};
use crate::readers::Readers;
use crate::site::Site;
use crate::volume::Volume;
use crate::{BACK_MOSTLY, MIB, SHOWN_WITHIN, full_for};

const TOPIC: &str = "read";

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn tmpfs_full_is_read() {
    read_while_full(FsKind::Tmpfs);
}

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn ext4_full_is_read() {
    read_while_full(FsKind::Ext4);
}

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn xfs_full_is_read() {
    read_while_full(FsKind::Xfs);
}

/// Every fetch below the high watermark succeeds: by consumers from before and by new ones, of what lies in the cache
/// and of what must be read and checked first, while producers are refused; and by those of a server that was killed
/// and started on the full volume. Clients have filled it until it took nothing more, and an adversary took the rest.
fn read_while_full(kind: FsKind) {
    let volume = Volume::new(kind);
    // What is freed in the end: clients alone would fill all of it.
    volume.fill_but(volume.free_bytes() / 4 * 3);
    let mut site = Site::start(&volume);
    let mut client = Client::new(&site.server, TOPIC, 4, &[]);
    client.fill_to(8 * MIB);
    let readers = Readers::start(&site.server, &volume, TOPIC, client.stored());
    std::thread::sleep(Duration::from_secs(2));
    let before = readers.take();
    readers.rest();
    client.fill();
    let shown = site.shown_full(TOPIC);
    let grabber = volume.grab();
    eventually("there is no room left", SHOWN_WITHIN, || volume.is_full());
    readers.know(client.stored());

    let (began, mut refused) = (Instant::now(), 0usize);
    while began.elapsed() < full_for() {
        let produced = client.produce(refused % 4, SMALL);
        assert!(matches!(produced, Produced::Refused(_)), "{kind:?}: the volume has room for a batch");
        refused += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    readers.until_enough(kind);
    let full = readers.stop();
    full.judge(kind, "full");
    println!(
        "{kind:?} full for {:?}: shown after {shown:?}; {} fetches below the high watermark ({} by new consumers, {} \
         cold), 0 failed; {refused} appends refused; fetch p50 {:?} p99 {:?}, before it was full p50 {:?} p99 {:?}",
        began.elapsed(),
        full.fetches(),
        full.by_new,
        full.cold,
        full.quantile(0.5),
        full.quantile(0.99),
        before.quantile(0.5),
        before.quantile(0.99)
    );

    site.server.kill();
    site.spawn();
    client.reconnect(&site.server);
    let readers = Readers::start(&site.server, &volume, TOPIC, client.stored());
    std::thread::sleep(Duration::from_secs(2));
    readers.until_enough(kind);
    let after = readers.stop();
    after.judge(kind, "after a start on the full volume");

    drop(grabber);
    volume.free_but(0);
    let back = client.back();
    println!(
        "{kind:?} after kill -9 and a start while full: {} fetches, 0 failed; writes back after {back:?}",
        after.fetches()
    );
    assert!(back <= BACK_MOSTLY, "{kind:?}: {back:?}: {}", site.volume());
    client.check();
    site.no_panic();
}
