use std::time::{Duration, Instant};

use forebay_tests::FsKind;

use crate::client::{Client, LARGE, Produced};
use crate::site::Site;
use crate::volume::Volume;
use crate::{BACK_MOSTLY, MIB};

/// Three volumes are written in about a minute, for a producer on a volume that is nearly full is slowed down.
const ROLLED_WITHIN: Duration = Duration::from_secs(300);

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn eight_mib_that_are_freed_are_enough_on_the_smallest_volume() {
    let volume = Volume::new(FsKind::Tmpfs);
    let site = Site::start(&volume);
    let mut client = Client::new(&site.server, "orders", 1, &[]);
    client.fill_to(MIB);
    // What is free for records.
    assert!(volume.free_bytes() >= 39 * MIB, "{} are free", volume.free_bytes());
    volume.fill();
    site.shown_full("orders");
    let sentence = client.refused();
    for part in [volume.dir().to_str().unwrap(), "are free", "go on by themselves when", "delete topics"] {
        assert!(sentence.contains(part), "{sentence}");
    }
    volume.free_but(volume.others_bytes() - 8 * MIB);
    let took = client.back();
    assert!(took < BACK_MOSTLY, "{took:?}");
    client.check();
}

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn deleting_records_or_a_topic_brings_writes_back() {
    let volume = Volume::new(FsKind::Tmpfs);
    let site = Site::start(&volume);
    let mut client = Client::new(&site.server, "kept", 1, &[]);
    client.fill_to(MIB);
    // All of it lies in one segment, that is written to.
    let mut other = Client::new(&site.server, "filling", 1, &[("segment.bytes", "1073741824")]);
    volume.fill_but(16 * MIB);
    other.fill();
    volume.fill();
    client.refused();
    other.delete_all();
    let took = client.back();
    assert!(took < BACK_MOSTLY, "{took:?}");
    other.fill();
    volume.fill();
    client.refused();
    other.delete_topic();
    let took = client.back();
    assert!(took < BACK_MOSTLY, "{took:?}");
    client.check();
}

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn the_oldest_records_go_where_the_topic_says_so() {
    let volume = Volume::new(FsKind::Tmpfs);
    let site = Site::start(&volume);
    let mut client = Client::new(&site.server, "rolling", 1, &[("disk.full.policy", "delete-oldest")]);
    let began = Instant::now();
    // Three times what the volume holds.
    while client.stored()[0] < 3 * 64 * 256 {
        if matches!(client.produce(0, LARGE), Produced::Refused(_)) {
            std::thread::sleep(Duration::from_millis(100));
        }
        let stored = client.stored()[0];
        assert!(began.elapsed() < ROLLED_WITHIN, "{stored} stored: {}", site.volume());
    }
    client.check();
}
