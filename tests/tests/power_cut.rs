//! Power cuts under load, on real file systems: what was acknowledged to an idempotent acks=all producer is there,
//! once, in order, after the journal was replayed.
//!
//! Needs root, loop mounts and `xfs_io`: `cargo xtask faults power_cut` runs it. `FOREBAY_CUT_ROUNDS` rounds on each
//! file system (default 10), reproducible with `FOREBAY_CUT_SEED` as far as timing is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::{Duration, Instant};

use forebay_client::NewTopic;
use forebay_tests::{Churn, Dice, FsKind, Load, LoopFs, Server, check_numbered};

const TOPIC: &str = "load";
const PARTITIONS: i32 = 6;

#[test]
#[ignore = "needs root and loop mounts: cargo xtask faults power_cut"]
fn a_cut_loses_exactly_what_was_not_synced() {
    for kind in [FsKind::Ext4, FsKind::Xfs] {
        let mut fs = LoopFs::new(kind);
        let water = vec![7; 100_000];
        let mut synced = std::fs::File::create(fs.dir().join("synced")).unwrap();
        synced.write_all(&water).unwrap();
        synced.sync_all().unwrap();
        std::fs::File::open(fs.dir()).unwrap().sync_all().unwrap();
        synced.write_all(&water).unwrap();
        fs.cut_power();
        assert!(synced.sync_all().is_err(), "{kind:?}: nothing reaches a disk without power");
        drop(synced);
        fs.unmount();
        fs.mount();
        let left = std::fs::read(fs.dir().join("synced")).unwrap();
        assert!(left.starts_with(&water), "{kind:?}: what was synced stays");
        assert!(!left[water.len()..].contains(&7), "{kind:?}: what was not synced is gone");
    }
}

#[test]
#[ignore = "needs root and loop mounts: cargo xtask faults power_cut"]
fn ext4_keeps_what_was_acknowledged() {
    cut_again_and_again(FsKind::Ext4);
}

#[test]
#[ignore = "needs root and loop mounts: cargo xtask faults power_cut"]
fn xfs_keeps_what_was_acknowledged() {
    cut_again_and_again(FsKind::Xfs);
}

fn cut_again_and_again(kind: FsKind) {
    let rounds = std::env::var("FOREBAY_CUT_ROUNDS").map_or(10, |text| text.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(kind, rounds));
}

/// Cuts the power of the disk and of the server that has it, and turns the disk on again.
///
/// The server is paused first: a sync that is under way while the power goes may be told that all is well, and no
/// server without power passes such words on.
fn cut(fs: &mut LoopFs, server: &mut Server) {
    server.pause();
    fs.cut_power();
    server.kill();
    fs.unmount();
    fs.mount();
}

/// One power cut at a random moment of load, and sometimes another while the server recovers from it.
async fn cut_once(fs: &mut LoopFs, server: &mut Server, dice: &mut Dice) {
    tokio::time::sleep(Duration::from_millis(dice.pick(20, 800) as u64)).await;
    cut(fs, server);
    while dice.once_in(4) {
        server.spawn();
        tokio::time::sleep(Duration::from_millis(dice.pick(0, 300) as u64)).await;
        cut(fs, server);
    }
    server.spawn();
    server.wait_ready();
}

async fn run(kind: FsKind, rounds: usize) {
    let began = Instant::now();
    let mut dice = Dice::new("FOREBAY_CUT_SEED");
    let mut fs = LoopFs::new(kind);
    let mut server = Server::prepare(&[
        ("metadata.log.preallocated.bytes", "4194304"),
        ("metadata.snapshot.preallocated.bytes", "4194304"),
    ]);
    server.keep_data_in(fs.dir().join("data"));
    server.spawn();
    server.wait_ready();
    let client = server.client().await;
    // Small segments, so that rolls, indexes and snapshots of producers are met by cuts too.
    let topic = NewTopic {
        partitions: Some(PARTITIONS),
        configs: BTreeMap::from([("segment.bytes".to_owned(), "262144".to_owned())]),
        ..NewTopic::named(TOPIC)
    };
    client.create_topic(&topic, false).await.expect("a topic");
    let mut lanes = Vec::new();
    for partition in 0..PARTITIONS {
        lanes.push((partition, server.client().await));
    }
    let load = Load::start(TOPIC, lanes, Duration::ZERO, &mut dice);
    let churn = Churn::start(client.clone());
    let mut ids = BTreeSet::new();
    for round in 0..rounds {
        let when = format!("{kind:?}, round {round}");
        let (id, _) = client.new_producer().await.expect("a producer id");
        assert!(ids.insert(id), "{when}: producer id {id} was given out before");
        cut_once(&mut fs, &mut server, &mut dice).await;
        let (told, before) = (churn.made(), load.acknowledged());
        load.check_ends(&client, &before, &when).await;
        Churn::check(&client, &told, &when).await;
    }
    drop(churn);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (mut acknowledged, mut found) = (0, 0);
    for (partition, sure) in load.stop().await {
        acknowledged += sure;
        found += check_numbered(&client, TOPIC, partition, sure).await;
    }
    assert_eq!(server.stop().code(), Some(0), "it still stops cleanly");
    println!(
        "power cut on {kind:?}: {rounds} rounds, {acknowledged} records acknowledged, {found} found, \
         0 lost, 0 reordered, 0 duplicated, {} s",
        began.elapsed().as_secs()
    );
}
