//! A disk that stops answering, or takes nothing, under a controller with real threads.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests panic, read clocks and bring threads"
)]

mod disk;
#[path = "../quorum/mod.rs"]
mod quorum;

use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use forebay_base::{Clock, Doorbell, Instant, NodeId, Turn, WallTime, Worker, WorkerHandle, Workers};
use forebay_controller::{Controller, ControllerEnv, ProposeError};
use forebay_meta::{Command, Reply};

use disk::StallingDisk;
use quorum::{format, register, topic};

#[derive(Debug)]
struct SystemClock(StdInstant);

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant(self.0.elapsed().as_nanos() as u64)
    }

    fn wall(&self) -> WallTime {
        quorum::WALL
    }
}

/// Threads that look every millisecond, whatever the bell says.
#[derive(Debug)]
struct Threads;

#[derive(Debug)]
struct Unheard;

#[derive(Debug)]
struct Handle(std::thread::JoinHandle<()>);

impl Doorbell for Unheard {
    fn ring(&self) {}
}

impl WorkerHandle for Handle {
    fn join(self: Box<Self>) -> bool {
        self.0.join().is_ok()
    }
}

impl Workers for Threads {
    fn doorbell(&self) -> Arc<dyn Doorbell> {
        Arc::new(Unheard)
    }

    fn start(&self, _: &str, _: Arc<dyn Doorbell>, mut worker: Box<dyn Worker>) -> Box<dyn WorkerHandle> {
        Box::new(Handle(std::thread::spawn(move || {
            loop {
                match worker.turn() {
                    Turn::More => {}
                    Turn::Wait(_) => std::thread::sleep(Duration::from_millis(1)),
                    Turn::Done => return,
                }
            }
        })))
    }
}

fn create(number: u8) -> Command {
    quorum::create(topic([number; 16], format!("topic-{number}")), false)
}

async fn open(disk: &StallingDisk, dir: &std::path::Path) -> Controller {
    let (disk, clock) = (Arc::new(disk.clone()), Arc::new(SystemClock(StdInstant::now())));
    let env = ControllerEnv { disk, workers: Arc::new(Threads), ..quorum::env(clock) };
    Controller::start(env, quorum::config(dir)).await.unwrap()
}

async fn start(disk: &StallingDisk, dir: &std::path::Path) -> Controller {
    let controller = open(disk, dir).await;
    format(&controller).await;
    register(&controller).await;
    controller
}

/// Waits until a call to the disk has not come back for so long.
async fn until_silent_for(controller: &Controller, least: Duration) {
    let is_silent = || controller.status().disk_silent_for.is_some_and(|silent| silent >= least);
    let silence = async {
        while !is_silent() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(8), silence).await;
    assert!(asked.is_ok(), "the disk is not asked for anything");
}

/// On one thread: whatever blocks it is noticed.
#[tokio::test]
async fn a_disk_that_stops_answering_stalls_nobody_but_changes() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), StallingDisk::default());
    let controller = start(&disk, dir.path()).await;
    let before = controller.image().borrow().index;
    let stall = disk.stall();
    let slow = Duration::from_millis(300);
    let began = StdInstant::now();
    let first = controller.propose_within(create(1), slow);
    let second = controller.propose_within(create(2), slow);
    let (first, second) = tokio::join!(first, second);
    for outcome in [first, second] {
        assert!(matches!(outcome, Err(ProposeError::Timeout { limit }) if limit == slow), "{outcome:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // The call to the disk may begin a while after the change was asked for.
    until_silent_for(&controller, slow / 3).await;
    let asked = StdInstant::now();
    let status = controller.status();
    assert!(asked.elapsed() < Duration::from_millis(100), "{:?}", asked.elapsed());
    assert!(status.raft_alive && status.leader == Some(NodeId(1)), "{status:?}");
    assert!(status.space_used > 0, "as known last: {status:?}");
    assert_eq!(controller.image().borrow().index, before);

    drop(stall);
    // The first one was on its way; changes go on after it.
    assert!(matches!(controller.propose(create(3)).await, Ok(Reply::CreateTopics(_))));
    let image = controller.image().borrow().clone();
    assert!(image.topic_named("topic-1").is_some() && image.topic_named("topic-3").is_some());
    assert_eq!(controller.status().disk_silent_for, None);
    controller.shutdown().await;
}

#[tokio::test]
async fn a_raft_task_that_dies_over_a_stalled_call_is_followed_when_that_call_is_done() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), StallingDisk::default());
    let controller = start(&disk, dir.path()).await;
    let stall = disk.stall();
    let late = controller.propose_within(create(1), Duration::from_millis(100)).await;
    assert!(matches!(late, Err(ProposeError::Timeout { .. })), "{late:?}");
    until_silent_for(&controller, Duration::ZERO).await;
    controller.kill_raft();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(controller.status().restarts, 0, "two would write to the same files");
    drop(stall);
    assert!(matches!(controller.propose(create(2)).await, Ok(Reply::CreateTopics(_))));
    assert!(controller.status().restarts > 0);
    controller.shutdown().await;
}

/// Nothing on record says that the disk has failed: a start finds it out, with whichever of its calls.
#[tokio::test]
async fn a_disk_that_takes_nothing_from_a_start_on_is_an_outage_with_the_image_that_it_has() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), StallingDisk::default());
    let controller = start(&disk, dir.path()).await;
    assert!(matches!(controller.propose(create(1)).await, Ok(Reply::CreateTopics(_))));
    controller.shutdown().await;
    let mut good_calls = 0;
    loop {
        disk.fail_after(good_calls);
        let began = StdInstant::now();
        let controller = open(&disk, dir.path()).await;
        let outcome = controller.propose(create(2)).await;
        let took = began.elapsed();
        if let Err(error) = &outcome {
            let told = matches!(error, ProposeError::Down { .. } | ProposeError::OutcomeUnknown);
            assert!(told && took < Duration::from_secs(14), "{good_calls}: {error:?} after {took:?}");
            assert!(controller.outage().borrow().is_some(), "{good_calls}");
            assert!(
                controller.image().borrow().topic_named("topic-1").is_some(),
                "{good_calls}: the last Image"
            );
        }
        disk.heal();
        let mut outage = controller.outage();
        let ended = outage.wait_for(Option::is_none);
        tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap().unwrap();
        assert!(controller.propose(create(1)).await.is_ok());
        assert!(controller.image().borrow().topic_named("topic-1").is_some());
        controller.shutdown().await;
        if outcome.is_ok() {
            break;
        }
        good_calls += 1;
    }
    assert!(good_calls > 4, "{good_calls} are too few to have met each way in which a start fails");
}
