//! Volumes that are really full: a client has filled them until the file system gave no more, and an adversary grabs
//! every byte that comes free.
//!
//! Needs root and mounts: `cargo xtask faults full` runs it. `FOREBAY_FULL_SECONDS` (default 5) is how long each volume
//! stays full; `FOREBAY_FULL_CYCLES` (default 0: left out) how often each is filled and freed again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

mod cycles;
mod filling;
mod reading;
mod refusing;
mod volume;

use std::time::{Duration, Instant};

use forebay_tests::{FsKind, get};

use filling::{PARTITIONS, Site, append, check_all};
use reading::Readers;
use volume::Volume;

/// Writes are taken again so soon after the space is free.
const BACK_WITHIN: Duration = Duration::from_secs(30);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// How long a volume stays full.
fn full_for() -> Duration {
    Duration::from_secs(number("FOREBAY_FULL_SECONDS", 5))
}

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

/// Kills it and starts it on the full volume, where it may say that it is not ready for writes.
fn start_again(site: &mut Site) {
    site.server.kill();
    site.server.spawn();
    let began = Instant::now();
    while get(site.server.http(), "/readyz").is_err() {
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "it does not start on a full volume:\n{}",
            site.server.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every fetch below the high watermark succeeds: by consumers from before and by new ones, of what lies in the cache
/// and of what must be read and checked first, while producers are refused; and by those of a server that was killed
/// and started on the full volume.
fn read_while_full(kind: FsKind) {
    let volume = Volume::new(kind);
    let mut site = Site::start(&volume);
    let mut acknowledged = site.fill_to(8 << 20);
    let readers = Readers::start(&site, &volume, &acknowledged);
    std::thread::sleep(Duration::from_secs(2));
    let before = readers.take();
    readers.rest();
    acknowledged = site.fill();
    let grabber = volume.grab();
    assert!(volume.is_full(), "{kind:?}: there is room left");
    readers.know(&acknowledged);

    let began = Instant::now();
    let mut refused = 0u64;
    let mut producer = site.server.conn();
    while began.elapsed() < full_for() {
        let partition = (refused % PARTITIONS as u64) as usize;
        let answer = append(&mut producer, partition, acknowledged[partition]);
        assert_ne!(answer.error_code, 0, "{kind:?}: the volume has room for a batch");
        refused += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    let full = readers.stop();
    full.judge(kind, "full");
    let (p50, p99) = (full.quantile(0.5), full.quantile(0.99));
    println!(
        "{kind:?} full for {:?}: {} fetches below the high watermark ({} by new consumers, {} cold), 0 failed; \
         {refused} appends refused; fetch p50 {p50:?} p99 {p99:?}, before it was full p50 {:?} p99 {:?}",
        began.elapsed(),
        full.fetches(),
        full.by_new,
        full.cold,
        before.quantile(0.5),
        before.quantile(0.99)
    );

    start_again(&mut site);
    let readers = Readers::start(&site, &volume, &acknowledged);
    std::thread::sleep(Duration::from_secs(2));
    let after = readers.stop();
    after.judge(kind, "after a start on the full volume");
    println!("{kind:?} after kill -9 and a start while full: {} fetches, 0 failed", after.fetches());

    drop(grabber);
    let back = Instant::now();
    let mut producer = site.server.conn();
    for (partition, next) in acknowledged.iter_mut().enumerate() {
        loop {
            let answer = append(&mut producer, partition, *next);
            if answer.error_code == 0 {
                assert_eq!(answer.base_offset, *next, "{kind:?}: nothing refused was stored");
                *next += filling::BATCH_RECORDS;
                break;
            }
            let waited = back.elapsed();
            assert!(waited < BACK_WITHIN, "{kind:?}: still refused after {waited:?}: {answer:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    println!("{kind:?}: writes are back {:?} after the space was freed", back.elapsed());
    check_all(&site.server, &acknowledged);
}
