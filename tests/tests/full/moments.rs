//! Space runs out in the middle of something.

use std::fs::File;
use std::io::Write;
use std::time::SystemTime;

use forebay_tests::FsKind;

use crate::client::{Client, Produced, SMALL, producer_id};
use crate::site::Site;
use crate::volume::Volume;
use crate::{BACK_MOSTLY, MIB};

/// A segment takes a few small batches, so that every few milliseconds one is rolled: with its index, and the state of
/// its producers.
const OFTEN_ROLLED: [(&str, &str); 2] = [("segment.bytes", "65536"), ("index.interval.bytes", "1024")];

/// What is left on the volume when a client goes on writing.
const LEFT_KIB: [u64; 6] = [0, 12, 40, 72, 120, 200];

/// More changes of metadata than make a snapshot of a log of 1 MiB.
const CHANGES: u64 = 3_000;

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn tmpfs_full_at_any_moment() {
    at_each_moment(FsKind::Tmpfs);
}

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn ext4_full_at_any_moment() {
    at_each_moment(FsKind::Ext4);
}

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn xfs_full_at_any_moment() {
    at_each_moment(FsKind::Xfs);
}

fn at_each_moment(kind: FsKind) {
    let volume = Volume::new(kind);
    let mut site = Site::start(&volume);
    let mut client = Client::new(&site.server, "moments", 2, &OFTEN_ROLLED);
    client.fill_to(MIB);
    while_writing(&volume, &site, &mut client);
    while_making_topics(&volume, &site, &mut client);
    while_recovering(&volume, &mut site, &mut client);
    site.no_panic();
}

/// Space is back: writes are too, and all is there.
fn back(volume: &Volume, site: &Site, client: &mut Client) {
    volume.free_but(0);
    let took = client.back();
    assert!(took < BACK_MOSTLY, "{took:?}: {}", site.volume());
    client.check();
    client.delete_all();
}

/// Segments, indexes and snapshots of producers: some write of them is the first that finds no room.
fn while_writing(volume: &Volume, site: &Site, client: &mut Client) {
    for left in LEFT_KIB {
        volume.fill_but(left << 10);
        let mut turn = 0;
        while client.produce(turn % 2, SMALL) == Produced::Stored {
            turn += 1;
        }
        volume.fill();
        client.repeat();
        client.check();
        back(volume, site, client);
    }
    let met = site.count("forebay_volume_enospc_total");
    println!("{met} calls found no room");
    assert!(met > 0.0, "it was always seen before");
}

/// Topics are made and deleted, and settings changed.
fn while_making_topics(volume: &Volume, site: &Site, client: &mut Client) {
    let mut made = Vec::new();
    for round in 0..4 {
        let mut doomed = Client::new(&site.server, &format!("doomed-{round}"), 1, &OFTEN_ROLLED);
        doomed.fill_to(MIB / 2);
        let grabber = volume.grab();
        // Before or after the server has seen it.
        let name = format!("late-{round}");
        let (code, sentence) = client.create_topic(&name);
        assert!(code == 0 || code == 44, "{code}: {sentence}");
        made.extend((code == 0).then_some(name));
        doomed.delete_topic();
        client.configure("retention.bytes", "1000000000");
        producer_id(&mut site.server.conn());
        site.shown_full("moments");
        client.refused();
        drop(grabber);
        back(volume, site, client);
    }
    println!("{} of 4 topics were made just before it was full", made.len());
}

/// A torn batch lies at the end, and the volume is full when the server comes back.
fn while_recovering(volume: &Volume, site: &mut Site, client: &mut Client) {
    client.fill_to(MIB / 2);
    site.server.kill();
    let partitions = std::fs::read_dir(volume.data().join("partitions")).unwrap().flatten();
    for partition in partitions {
        let files = std::fs::read_dir(partition.path()).unwrap().flatten().map(|file| file.path());
        let Some(last) = files.filter(|path| path.extension().is_some_and(|it| it == "log")).max() else {
            continue;
        };
        File::options().append(true).open(last).unwrap().write_all(&[0x55; 100]).unwrap();
    }
    let grabber = volume.grab();
    site.spawn();
    client.reconnect(&site.server);
    site.shown_full("moments");
    client.refused();
    client.check();
    client.repeat();
    drop(grabber);
    back(volume, site, client);
}

/// The metadata's log is compacted to a snapshot, with no byte free.
#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn the_metadata_goes_on_while_the_volume_is_full() {
    let volume = Volume::new(FsKind::Tmpfs);
    let mut site = Site::with(&volume, &[("metadata.log.preallocated.bytes", "1048576")]);
    let mut client = Client::new(&site.server, "moments", 1, &[]);
    client.fill_to(MIB);
    let grabber = volume.grab();
    site.shown_full("moments");
    let saved = || {
        let time =
            |name| std::fs::metadata(volume.data().join("metadata").join(name)).unwrap().modified().unwrap();
        SystemTime::max(time("snapshot.0"), time("snapshot.1"))
    };
    let (before, mut changes) = (saved(), 0);
    while saved() == before {
        client.configure("retention.bytes", &(1_000_000_000 + changes).to_string());
        changes += 1;
        assert!(changes < CHANGES, "no snapshot of the metadata was made");
    }
    println!("a snapshot of the metadata after {changes} changes on a full volume");
    client.configure("retention.bytes", "2000000000");
    site.server.kill();
    site.spawn();
    client.reconnect(&site.server);
    client.configure("retention.bytes", "1000000000");
    client.check();
    drop(grabber);
    back(&volume, &site, &mut client);
    site.no_panic();
}
