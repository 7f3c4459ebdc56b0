//! Somebody else takes every byte, or every inode, that comes free.

use std::time::Duration;

use forebay_tests::{FsKind, eventually, get};

use crate::client::{Client, LARGE, Produced, producer_id};
use crate::site::Site;
use crate::volume::{Grabber, Volume};
use crate::{BACK_MOSTLY, MIB};

const TOPICS: usize = 6;

/// What is deleted gives its space back so soon.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// When that much comes free, the volume takes writes again.
const ENOUGH_BYTES: u64 = 28 * MIB;

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn tmpfs_with_an_adversary_deletes_go_on() {
    deletes_go_on(&Volume::new(FsKind::Tmpfs), Volume::grab);
}

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn ext4_with_an_adversary_deletes_go_on() {
    deletes_go_on(&Volume::new(FsKind::Ext4), Volume::grab);
}

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn xfs_with_an_adversary_deletes_go_on() {
    deletes_go_on(&Volume::new(FsKind::Xfs), Volume::grab);
}

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn tmpfs_without_inodes_deletes_go_on() {
    deletes_go_on(&Volume::bounded(FsKind::Tmpfs, 64, Some(600)), Volume::grab_inodes);
}

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn ext4_without_inodes_deletes_go_on() {
    deletes_go_on(&Volume::bounded(FsKind::Ext4, 128, Some(1_024)), Volume::grab_inodes);
}

/// Records that are too old lie in the one segment that is written to, and there is neither a byte nor an inode for the
/// next one: they go all the same.
#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn xfs_without_room_for_a_file_records_expire() {
    let volume = Volume::new(FsKind::Xfs);
    let site = Site::start(&volume);
    let mut kept = Client::new(&site.server, "kept", 1, &[]);
    kept.fill_to(MIB);
    let mut passing = Client::new(&site.server, "passing", 1, &[("segment.bytes", "1073741824")]);
    while site.segment_bytes() < ENOUGH_BYTES {
        assert_eq!(passing.produce(0, LARGE), Produced::Stored);
    }
    volume.fill_but(MIB);
    let grabbers = (volume.grab_inodes(), volume.grab());
    site.shown_full("passing");
    kept.refused();
    // What the server gives back now is taken, too.
    std::thread::sleep(Duration::from_secs(1));
    drop(grabbers);
    passing.check();
    passing.configure("retention.ms", "1000");
    let took = kept.back();
    println!("writes back after {took:?}, {} bytes of segments are left", site.segment_bytes());
    assert!(took < BACK_MOSTLY && passing.back() < BACK_MOSTLY, "{took:?}");
    kept.check();
    passing.check();
    site.no_panic();
}

/// Deletes of records and of topics, changes of settings, ids of producers and what is known of them: all of it goes on,
/// and what is deleted gives its space back, though somebody else has it at once.
fn deletes_go_on(volume: &Volume, grab: fn(&Volume) -> Grabber) {
    let site = Site::start(volume);
    let mut kept = Client::new(&site.server, "kept", 1, &[]);
    kept.fill_to(MIB);
    let name = |number: usize| format!("doomed-{number}");
    let mut doomed: Vec<Client> =
        (0..TOPICS).map(|it| Client::new(&site.server, &name(it), 2, &[])).collect();
    doomed.iter_mut().for_each(|client| client.fill_to(2 * MIB));
    let before = site.segment_bytes();
    let grabber = grab(volume);
    site.shown_full("kept");
    kept.refused();
    for (number, client) in doomed.iter_mut().enumerate() {
        client.delete_all();
        client.configure("retention.bytes", "1000000");
        producer_id(&mut site.server.conn());
        kept.repeat();
        assert_eq!(site.status(&name(number)), "OutOfSpace");
        if number % 2 == 0 {
            client.delete_topic();
            let (status, _) = get(site.server.http(), &format!("/v1/topics/{}", name(number))).unwrap();
            assert_eq!(status, 404);
        }
    }
    // Partitions are removed by and by.
    eventually("what was deleted is gone", GONE_WITHIN, || site.segment_bytes() <= 2 * MIB);
    println!("{before} bytes of records deleted, {}", site.volume()["state"]);
    drop(grabber);
    volume.free_but(0);
    let took = kept.back();
    assert!(took < BACK_MOSTLY, "{took:?}: {}", site.volume());
    doomed.iter_mut().skip(1).step_by(2).for_each(|client| assert!(client.back() < BACK_MOSTLY));
    kept.check();
    doomed.iter_mut().skip(1).step_by(2).for_each(Client::check);
    site.no_panic();
}
