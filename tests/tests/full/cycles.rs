use std::time::{Duration, Instant};

use forebay_client::NewTopic;
use forebay_tests::{Dice, FsKind, Load, Server, block_on, check_numbered, number};

use crate::site::Site;
use crate::volume::Volume;
use crate::{BACK_ALWAYS, BACK_MOSTLY};

const TOPIC: &str = "load";
const LANES: i32 = 3;

/// Each producer rests this long after a batch, so that a volume lasts for many cycles.
const PAUSE: Duration = Duration::from_millis(100);

/// A volume with room for what the producers send in all cycles.
const VOLUME_MIB: u64 = 256;

/// Nothing is acknowledged for this long: the volume is full for everybody.
const SILENT_FOR: Duration = Duration::from_secs(1);
const SILENT_WITHIN: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn tmpfs_writes_come_back_by_themselves() {
    run(FsKind::Tmpfs);
}

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn ext4_writes_come_back_by_themselves() {
    run(FsKind::Ext4);
}

fn run(kind: FsKind) {
    let cycles = number("FOREBAY_FULL_CYCLES", 2) as usize;
    block_on(fill_and_free(kind, cycles));
}

/// Records acknowledged, of all producers.
fn total(load: &Load) -> i64 {
    load.acknowledged().iter().sum()
}

/// Waits until nothing has been acknowledged for a while.
async fn until_silent(load: &Load, server: &Server) {
    let began = Instant::now();
    let (mut last, mut since) = (total(load), Instant::now());
    while since.elapsed() < SILENT_FOR {
        assert!(began.elapsed() < SILENT_WITHIN, "a full volume takes writes:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
        if total(load) != last {
            (last, since) = (total(load), Instant::now());
        }
    }
}

/// Waits until every producer has been acknowledged something new; how long that took.
async fn until_back(load: &Load, server: &Server) -> Duration {
    let (began, before) = (Instant::now(), load.acknowledged());
    while load.acknowledged().iter().zip(&before).any(|(now, before)| now == before) {
        assert!(began.elapsed() < BACK_ALWAYS, "writes are not back:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

/// Idempotent producers go on while the volume is filled and freed, again and again: they wait, and nothing that was
/// acknowledged is lost, moved or doubled. Nobody restarts anything, and each time it is full once and free once.
async fn fill_and_free(kind: FsKind, cycles: usize) {
    let volume = Volume::sized(kind, VOLUME_MIB);
    let mut site = Site::start(&volume);
    let (client, pid) = (site.server.client().await, site.server.pid());
    let configs = [("segment.bytes", "1048576"), ("retention.ms", "-1")];
    let configs = configs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let topic = NewTopic { partitions: Some(LANES), configs, ..NewTopic::named(TOPIC) };
    client.create_topic(&topic, false).await.expect("a topic");
    let (mut lanes, mut dice) = (Vec::new(), Dice::new("FOREBAY_FULL_SEED"));
    for partition in 0..LANES {
        lanes.push((partition, site.server.client().await));
    }
    let (load, lines) = (Load::start(TOPIC, lanes, PAUSE, &mut dice), site.server.lines());
    let mut back = Vec::new();
    for cycle in 1..=cycles {
        until_back(&load, &site.server).await;
        let grabber = volume.grab();
        site.shown_full(TOPIC);
        until_silent(&load, &site.server).await;
        assert!(volume.is_full(), "{kind:?}, cycle {cycle}: there is room left");
        assert_eq!(site.status(TOPIC), "OutOfSpace");
        drop(grabber);
        volume.free_but(0);
        back.push(until_back(&load, &site.server).await);
        assert_eq!(load.fault(), None, "{kind:?}, cycle {cycle}");
        assert_eq!((site.moves("Low", "Full"), site.moves("Full", "Low")), (cycle, cycle), "{kind:?}");
    }
    assert!(site.server.is_alive() && site.server.pid() == pid, "{kind:?}: it was restarted");
    let most = site.server.lines().since(&lines).most_in_a_minute();
    assert!(most <= 60, "{kind:?}: {most} lines in a minute");
    let mut found = 0;
    for (partition, sure) in load.stop().await {
        found += check_numbered(&client, TOPIC, partition, sure).await;
    }
    site.no_panic();
    back.sort_unstable();
    let mostly = back[(back.len() * 99 / 100).min(back.len() - 1)];
    println!(
        "{kind:?}: {cycles} times full and free again, writes back after {:?} (p50), {mostly:?} (p99), {:?} (most); \
         {found} records, 0 lost, 0 doubled; at most {most} lines in a minute",
        back[back.len() / 2],
        back[back.len() - 1]
    );
    assert!(mostly <= BACK_MOSTLY, "{kind:?}: writes are back after {mostly:?}");
}
