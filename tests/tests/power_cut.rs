//! Power cuts under load, on real file systems: what was acknowledged to an idempotent acks=all producer is there,
//! once, in order, after the journal was replayed.
//!
//! Needs root, loop mounts and `xfs_io`: `cargo xtask faults power_cut` runs it. `FOREBAY_CUT_ROUNDS` rounds on each
//! file system (default 10), reproducible with `FOREBAY_CUT_SEED` as far as timing is.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

use std::io::Write;
use std::time::Duration;

use forebay_tests::{Dice, FsKind, LoopFs, Ordeal, Server, block_on, number};

const PARTITIONS: usize = 6;

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
    let (name, rounds) = (format!("power cut on {kind:?}"), number("FOREBAY_CUT_ROUNDS", 10) as usize);
    block_on(async {
        let mut dice = Dice::new("FOREBAY_CUT_SEED");
        let mut fs = LoopFs::new(kind);
        let mut server = Server::over(&[&fs.dir().join("data")]);
        let mut clients = Vec::new();
        for _ in 0..PARTITIONS {
            clients.push(server.client().await);
        }
        let ordeal = Ordeal { name, rounds, segment_bytes: 1 << 18 };
        let take_away = async |server: &mut Server, dice: &mut Dice| cut_once(&mut fs, server, dice).await;
        ordeal.run(&mut server, clients, &mut dice, take_away).await;
    });
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
