//! A disk that fails under a server that goes on: every sync fails, its device fails, its file system shuts down or
//! becomes read-only. The volume is shown Failed, another data directory does not notice, and after a restart on the
//! healed disk, and readmitting it where it still counts as failed, everything that was acknowledged is there, once, in
//! order.
//!
//! Needs root, loop mounts, `strace`, `xfs_io`, `nbdkit` and `nbdfuse`: `cargo xtask faults live_faults` runs it.
//! `FOREBAY_FAULT_ROUNDS` (default 4) is how many faults there are, of each sort in turn; `FOREBAY_FAULT_SEED` gives their
//! moments again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

mod device;
mod faults;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use forebay_client::NewTopic;
use forebay_tests::{
    Dice, FsKind, Load, LoopFs, Server, Stopwatch, block_on, check_numbered, eventually, get, number, tool,
    volume_state,
};

use device::Device;
use faults::Sort;

const TOPIC: &str = "load";
const PARTITIONS: i32 = 6;

/// Each producer rests this long after a batch: there shall be work for every part of the path, and not too much of it.
const PAUSE: Duration = Duration::from_millis(10);

/// The volume is shown Failed so soon after the fault.
const SHOWN_WITHIN: Duration = Duration::from_secs(3);

/// The other volume's producers are acknowledged something within this.
const GOES_ON_WITHIN: Duration = Duration::from_secs(30);

/// After a start, all of them are; and what is known of the volumes is.
const BACK_WITHIN: Duration = Duration::from_secs(30);

#[test]
#[ignore = "needs root and loop mounts: cargo xtask faults live_faults"]
fn a_disk_that_fails_loses_nothing_that_was_acknowledged() {
    let rounds = number("FOREBAY_FAULT_ROUNDS", 4) as usize;
    block_on(run(rounds));
}

/// A server with two data directories, of which the second one fails.
struct Site {
    server: Server,
    sound: LoopFs,
    failing: LoopFs,
    device: Device,
}

impl Site {
    fn start() -> Self {
        let (sound, device) = (LoopFs::new(FsKind::Ext4), Device::start());
        let failing = LoopFs::over(device.image());
        let server = Server::over(&[&sound.dir().join("data"), &failing.dir().join("data")]);
        Self { server, sound, failing, device }
    }

    /// States of the two volumes.
    fn states(&self) -> [String; 2] {
        [&self.sound, &self.failing].map(|fs| volume_state(&self.server, &fs.dir().join("data")))
    }

    /// Whether each partition lies on the failing volume.
    fn failing(&self, id: &str) -> Vec<bool> {
        let dir = self.failing.dir().join("data/partitions");
        (0..PARTITIONS).map(|index| dir.join(format!("{id}-{index}")).exists()).collect()
    }
}

async fn run(rounds: usize) {
    let (began, mut dice, mut site) = (Instant::now(), Dice::new("FOREBAY_FAULT_SEED"), Site::start());
    let client = site.server.client().await;
    let configs = BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]);
    let topic = NewTopic { partitions: Some(PARTITIONS), configs, ..NewTopic::named(TOPIC) };
    let id = client.create_topic(&topic, false).await.expect("a topic").id.to_string();
    let mut lanes = Vec::new();
    for partition in 0..PARTITIONS {
        lanes.push((partition, site.server.client().await));
    }
    let load = Load::start(TOPIC, lanes, PAUSE, &mut dice);
    let (mut slowest, mut by_sort) = (Duration::ZERO, BTreeMap::new());
    for round in 0..rounds {
        let sort = Sort::ALL[round % Sort::ALL.len()];
        let when = format!("round {round}, {sort:?}");
        until_all_go_on(&site, &load, &[true; PARTITIONS as usize], BACK_WITHIN, &when).await;
        tokio::time::sleep(Duration::from_millis(dice.pick(0, 500) as u64)).await;
        let failing = site.failing(&id);
        assert!(failing.contains(&true) && failing.contains(&false), "partitions lie on both volumes");

        let fault = sort.inject(&site.server, &site.failing, &site.device);
        let injected = Stopwatch::start();
        while site.states()[1] != "Failed" {
            assert!(injected.elapsed() < SHOWN_WITHIN, "{when}: shown {:?}", site.states());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let shown = injected.elapsed();
        slowest = slowest.max(shown);
        by_sort.entry(format!("{sort:?}")).or_insert_with(Vec::new).push(shown);
        let sound: Vec<bool> = failing.iter().map(|failing| !failing).collect();
        until_all_go_on(&site, &load, &sound, GOES_ON_WITHIN, &when).await;
        assert_eq!(site.states(), ["Normal", "Failed"], "{when}: the other one is well");

        site.server.kill();
        let acknowledged = load.acknowledged();
        drop(fault);
        site.failing.unmount();
        site.failing.mount();
        site.server.spawn();
        site.server.wait_ready();
        let is_known = || site.states().iter().all(|state| ["Normal", "Failed"].contains(&state.as_str()));
        eventually("the states of the volumes are known", BACK_WITHIN, is_known);
        // What it could not write down itself the other one remembers.
        assert_eq!(site.states(), ["Normal", "Failed"], "{when}: a start alone does not let it in again");
        let (code, said) = tool(&site.server, &["cluster", "readmit"]);
        assert_eq!(code, Some(0), "{when}: {said}");
        load.check_ends(&client, &acknowledged, &when).await;
    }
    until_all_go_on(&site, &load, &[true; PARTITIONS as usize], BACK_WITHIN, "in the end").await;
    let (mut acknowledged, mut found) = (0, 0);
    for (partition, sure) in load.stop().await {
        acknowledged += sure;
        found += check_numbered(&client, TOPIC, partition, sure).await;
    }
    assert_eq!(site.server.stop().code(), Some(0), "it still stops cleanly");
    assert!(!site.server.log().contains("panicked"), "{}", site.server.log());
    println!(
        "{rounds} faults on a live server, {acknowledged} records acknowledged, {found} found, 0 lost, 0 doubled; shown \
         Failed within {slowest:?}; {} s",
        began.elapsed().as_secs()
    );
}

/// Waits until each of these producers was acknowledged something more.
async fn until_all_go_on(site: &Site, load: &Load, which: &[bool], within: Duration, when: &str) {
    let (began, before) = (Instant::now(), load.acknowledged());
    let stands = |partition: usize| which[partition] && load.acknowledged()[partition] == before[partition];
    while let Some(partition) = (0..which.len()).find(|partition| stands(*partition)) {
        let waited = began.elapsed();
        assert!(
            waited < within,
            "{when}: partition {partition} stands still: {:?} {:?}",
            load.fault(),
            get(site.server.http(), &format!("/v1/topics/{TOPIC}/partitions"))
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
