//! A disk that stops answering: one of two data directories is frozen for ten seconds while producers wait in writes
//! to it. Everything that needs no write to it goes on, and after the thaw nothing acknowledged is lost.
//!
//! Needs root, loop mounts and `fsfreeze`: `cargo xtask faults freeze` runs it. Every figure is printed with its
//! bound, and all of them are judged at the end. `FOREBAY_FREEZE_SECONDS` (default 10) is how long the disk is frozen.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

mod asking;
mod findings;
mod flood;
mod layout;
mod reading;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use forebay_tests::{Dice, Load, Stopwatch, block_on, check_numbered, metric, number};

use asking::{Asking, Made};
use findings::Findings;
use flood::Source;
use layout::{BLOCKED, Layout, OTHER};
use reading::Reading;

/// How long rates are taken before the freeze, after a while to get going.
const BEFORE: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_secs(2);

/// Everyone who writes waits once nothing was acknowledged for so long; rates are taken from then on.
const SETTLED: Duration = Duration::from_millis(500);

/// Looks at the most for that.
const SETTLED_AFTER: usize = 3;

/// Least share of their rate that the undisturbed keep.
const KEPT: f64 = 0.9;

/// Whoever asks for what needs no disk is answered within this.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// A change of metadata is answered within this, whatever the answer is.
const CHANGED_WITHIN: Duration = Duration::from_secs(15);

/// Producers waiting in writes to the frozen directory.
const BLOCKED_PRODUCERS: usize = 16;

/// Producers of the other one.
const OTHER_PRODUCERS: usize = 4;

/// Each producer rests this long after a batch, so that rates are bound by the disks and not by a busy machine.
const PAUSE: Duration = Duration::from_millis(40);

/// What one connection that sends without end may have in memory (16 MiB), one request more or less.
const HELD_MIB: std::ops::Range<f64> = 14.0..20.0;

/// Which of the two directories is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frozen {
    /// The first one, which also holds the metadata log.
    WithMetadata,
    /// The second one.
    DataOnly,
}

#[test]
#[ignore = "needs root and loop mounts: cargo xtask faults freeze"]
fn a_frozen_directory_stalls_only_its_own_writes() {
    freeze(Frozen::DataOnly);
}

#[test]
#[ignore = "needs root and loop mounts: cargo xtask faults freeze"]
fn a_frozen_directory_with_the_metadata_stalls_only_its_own_writes() {
    freeze(Frozen::WithMetadata);
}

fn freeze(which: Frozen) {
    block_on(run(which));
}

/// Records acknowledged in a while, per second.
async fn rates(while_: Duration, blocked: &Load, other: &Load, reading: &Reading) -> [f64; 3] {
    let now = || {
        let sum = |load: &Load| load.acknowledged().iter().sum::<i64>();
        [sum(blocked), sum(other), reading.fetched()]
    };
    let (began, first) = (Instant::now(), now());
    tokio::time::sleep(while_).await;
    let seconds = began.elapsed().as_secs_f64();
    let last = now();
    std::array::from_fn(|index| (last[index] - first[index]) as f64 / seconds)
}

/// Waits until nothing is acknowledged any more that was under way when the freeze began.
async fn settle(blocked: &Load) {
    for _ in 0..SETTLED_AFTER {
        let before = blocked.acknowledged();
        tokio::time::sleep(SETTLED).await;
        if blocked.acknowledged() == before {
            return;
        }
    }
}

async fn run(which: Frozen) {
    let seconds = number("FOREBAY_FREEZE_SECONDS", 10);
    let mut dice = Dice::new("FOREBAY_FREEZE_SEED");
    let layout = Layout::new(which, seconds).await;
    let blocked = Load::start(BLOCKED, layout.lanes(true, BLOCKED_PRODUCERS).await, PAUSE, &mut dice);
    let other = Load::start(OTHER, layout.lanes(false, OTHER_PRODUCERS).await, PAUSE, &mut dice);
    let over = Arc::new(AtomicBool::new(false));
    let reading = Reading::start(&layout, &over);
    let source = Source::new(&layout.server, layout.flooded[0]);
    tokio::time::sleep(WARM_UP).await;
    let before = rates(BEFORE, &blocked, &other, &reading).await;

    let frozen = layout.frozen.freeze();
    let began = Instant::now();
    let asking = Asking::start(&layout.server, &over);
    settle(&blocked).await;
    let made = Made::start(&layout.server);
    let flood = source.start();
    let during = rates(Duration::from_secs(seconds) - began.elapsed(), &blocked, &other, &reading).await;
    let (silent, unopened) = (blocked.acknowledged(), reading.unopened());
    let held_mib = metric(&layout.server, "forebay_request_memory_bytes") / f64::from(1 << 20);
    drop(frozen);
    let thawed = Stopwatch::start();
    while blocked.acknowledged() == silent && thawed.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let back = thawed.elapsed();
    over.store(true, Ordering::Relaxed);

    let mut found = Findings::new(format!("{which:?}, {seconds} s"));
    found.at_most("records/s acknowledged by the frozen directory", during[0], 0.0);
    found.at_least("rate kept by readers of its cached data", during[2] / before[2], KEPT);
    found.at_least("partitions nobody had opened, at the thaw", unopened as f64, 1.0);
    found.at_least("rate kept by writers of the other directory", during[1] / before[1], KEPT);
    found.note(format!(
        "before {before:.0?}, during {during:.0?} (blocked, other: records/s; reads: fetches/s)"
    ));
    found.at_most("fetches refused", reading.join() as f64, 0.0);
    for (what, slowest) in asking.join() {
        found.at_most(what, slowest.as_secs_f64(), ANSWERED_WITHIN.as_secs_f64());
    }
    found.at_least("MiB of requests in memory, 40 of which one connection sends", held_mib, HELD_MIB.start);
    found.at_most("MiB of requests in memory", held_mib, HELD_MIB.end);
    found.at_most("of these requests refused", flood.join() as f64, 0.0);
    let made = made.join();
    found.at_most("s until a topic was made", made.answered.as_secs_f64(), CHANGED_WITHIN.as_secs_f64());
    if which == Frozen::DataOnly {
        let lying = layout.lying_in_the_other(&made.names).await;
        let taking = made.taking.iter().zip(&lying).filter(|(taking, lies)| **taking && **lies).count();
        let all = lying.iter().filter(|lies| **lies).count();
        found.at_least(
            "topics made meanwhile in the other directory take records",
            taking as f64,
            all as f64,
        );
    }
    found.at_most("s from the thaw to the first acknowledgement", back.as_secs_f64(), 5.0);
    check_nothing_is_lost(layout, blocked, other).await;
    found.judge();
}

/// What was acknowledged before, during and after the freeze is there, and still is after a kill.
async fn check_nothing_is_lost(mut layout: Layout, blocked: Load, other: Load) {
    let sure = [(BLOCKED, blocked.stop().await), (OTHER, other.stop().await)];
    for restarted in [false, true] {
        if restarted {
            let began = Instant::now();
            layout.server.kill();
            layout.server.spawn();
            layout.server.wait_ready_within(Duration::from_secs(120));
            println!("       {:.1} s from a kill to ready", began.elapsed().as_secs_f64());
        }
        let client = layout.server.client().await;
        for (topic, partitions) in &sure {
            for (partition, acknowledged) in partitions {
                check_numbered(&client, topic, *partition, *acknowledged).await;
            }
        }
    }
}
