//! The wall clock jumps, and producers' clocks run ahead: retention by time deletes nothing too early and everything
//! at last.
//!
//! Two things are told apart: how long records have been there (the simulation's own time, which never jumps) and
//! what the node's wall clock says. "In the end" is always a bound in time that really passes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use forebay_base::{Clock, Instant, QuietLog, WallTime};
use forebay_broker::{Config, Env, ListenerConfig, Node};
use forebay_client::{
    Client, ClientConfig, ClientError, ErrorCode, NewTopic, OffsetAt, Producer, ProducerConfig,
};
use forebay_records::BatchBuilder;
use forebay_sim::{SimClock, SimDisk, World, run};

const ADDRESS: &str = "127.0.0.1:9092";
const TOPIC: &str = "tide";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR_MS: i64 = 3_600_000;

/// What retention may be late by: it looks this often, once to roll and once to delete.
const LOOKS: Duration = Duration::from_secs(2 * 60);

/// The world's clock, with a wall clock that can be set.
#[derive(Debug)]
struct JumpingClock {
    inner: Arc<SimClock>,
    ahead_ms: AtomicI64,
}

impl Clock for JumpingClock {
    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn wall(&self) -> WallTime {
        WallTime(self.inner.wall().0 + self.ahead_ms.load(Ordering::Relaxed))
    }
}

/// A node with one topic, and a client.
struct Scene {
    world: World,
    disk: SimDisk,
    clock: Arc<JumpingClock>,
    node: Node,
    client: Client,
}

impl Scene {
    async fn start(world: World, configs: &[(&str, &str)]) -> Self {
        let clock = Arc::new(JumpingClock { inner: world.clock.clone(), ahead_ms: AtomicI64::new(0) });
        let disk = world.disk.clone();
        let (node, client) = start(&world, &disk, &clock).await;
        let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let topic = NewTopic { configs: configs.collect(), ..NewTopic::named(TOPIC) };
        client.create_topic(&topic, false).await.unwrap();
        Self { world, disk, clock, node, client }
    }

    /// Sets the node's wall clock `by` off what it would be.
    fn set_clock_off(&self, by_ms: i64) {
        self.clock.ahead_ms.store(by_ms, Ordering::Relaxed);
    }

    /// The true wall time, which producers have.
    fn true_ms(&self) -> i64 {
        self.world.clock.wall().0
    }

    async fn append(&self, timestamp: i64) -> Result<i64, ClientError> {
        let producer = Producer::open(&self.client, TOPIC, 0, ProducerConfig::default()).await?;
        let batch = BatchBuilder::new().record(timestamp, None, Some(b"water"));
        Ok(producer.send(batch).await?.wait().await?.base_offset)
    }

    /// The first offset that is still there.
    async fn log_start(&self) -> i64 {
        self.client.list_offsets(TOPIC, &[(0, OffsetAt::Earliest)]).await.unwrap()[&0].offset
    }

    /// Lets `time` pass, and proves at every minute of it that nothing was deleted.
    async fn keeps_for(&self, time: Duration, why: &str) {
        let began = tokio::time::Instant::now();
        while began.elapsed() < time {
            tokio::time::sleep(MINUTE.min(time - began.elapsed())).await;
            let start = self.log_start().await;
            assert_eq!(start, 0, "deleted after {} min: {why}", began.elapsed().as_secs() / 60);
        }
    }

    /// Lets `time` pass, and proves that by then records below `end` are gone.
    async fn is_gone_after(&self, time: Duration, end: i64, why: &str) {
        tokio::time::sleep(time).await;
        assert_eq!(self.log_start().await, end, "still there: {why}");
    }

    /// The power goes and comes back.
    async fn lose_power(self) -> Self {
        let Self { world, disk, clock, node, client } = self;
        drop(client);
        disk.cut();
        assert!(node.stop(Duration::from_secs(5)).await.is_err());
        let disk = disk.restart(1);
        let (node, client) = start(&world, &disk, &clock).await;
        Self { world, disk, clock, node, client }
    }

    async fn end(self) {
        drop(self.client);
        self.node.stop(Duration::from_secs(30)).await.unwrap();
    }
}

async fn start(world: &World, disk: &SimDisk, clock: &Arc<JumpingClock>) -> (Node, Client) {
    let config = Config {
        log_dirs: vec!["/data".into()],
        listeners: vec![ListenerConfig::plaintext("127.0.0.1", 9092)],
        http_listen: None,
        log_retention_check_interval_ms: 60_000,
        metadata_log_preallocated_bytes: 1 << 20,
        metadata_snapshot_preallocated_bytes: 1 << 20,
        ..Config::default()
    };
    let env = Env {
        disk: Arc::new(disk.clone()),
        net: Arc::new(world.net.clone()),
        clock: clock.clone(),
        rng: world.rng.clone(),
        workers: world.workers.clone(),
        control: tokio::runtime::Handle::current(),
        descriptors_max: 64,
        quiet: Arc::new(QuietLog::new(clock.clone())),
    };
    let node = Node::start(config, env).await.unwrap();
    let net = Arc::new(world.net.clone());
    let client = Client::connect(net, &[ADDRESS.to_owned()], ClientConfig::default()).await.unwrap();
    (node, client)
}

/// Plays a scene on a topic that keeps records for half an hour.
fn play<F: Future<Output = ()>>(seed: u64, scene: impl FnOnce(Scene) -> F) {
    play_with(seed, &[("retention.ms", "1800000")], scene);
}

fn play_with<F: Future<Output = ()>>(seed: u64, configs: &[(&str, &str)], scene: impl FnOnce(Scene) -> F) {
    run(seed, |world| async move { scene(Scene::start(world, configs).await).await });
}

#[test]
fn without_jumps_retention_is_on_time() {
    play(21, |scene| async move {
        scene.append(scene.true_ms()).await.unwrap();
        scene.keeps_for(30 * MINUTE - MINUTE / 2, "it is not half an hour old").await;
        scene.is_gone_after(LOOKS, 1, "it is half an hour old").await;
        scene.end().await;
    });
}

#[test]
fn a_clock_that_jumps_an_hour_forth_deletes_nothing_too_early() {
    play(22, |scene| async move {
        scene.append(scene.true_ms()).await.unwrap();
        scene.keeps_for(5 * MINUTE, "it is new").await;
        scene.set_clock_off(HOUR_MS);
        scene.keeps_for(10 * MINUTE, "the clock jumped, no time passed").await;
        scene.set_clock_off(0);
        scene.keeps_for(10 * MINUTE, "the clock is right again").await;
        scene.is_gone_after(5 * MINUTE + LOOKS, 1, "it is half an hour old").await;
        scene.end().await;
    });
}

#[test]
fn a_clock_that_stays_an_hour_ahead_does_not_keep_records_for_ever() {
    play(23, |scene| async move {
        scene.append(scene.true_ms()).await.unwrap();
        scene.set_clock_off(HOUR_MS);
        scene.is_gone_after(90 * MINUTE + LOOKS, 1, "half an hour passed, and the size of the jump").await;
        scene.end().await;
    });
}

#[test]
fn a_clock_that_jumps_an_hour_back_delays_retention_by_that_hour_at_most() {
    play(24, |scene| async move {
        scene.append(scene.true_ms()).await.unwrap();
        scene.keeps_for(20 * MINUTE, "it is not half an hour old").await;
        scene.set_clock_off(-HOUR_MS);
        // Producers have the true time, an hour ahead of the node: what after.max.ms just allows.
        scene.append(scene.true_ms()).await.unwrap();
        scene.keeps_for(10 * MINUTE - MINUTE / 2, "it is not half an hour old").await;
        scene
            .is_gone_after(80 * MINUTE + LOOKS, 2, "the clock said an hour less, and that hour has passed")
            .await;
        scene.end().await;
    });
}

#[test]
fn a_clock_that_came_back_does_not_spare_what_came_meanwhile() {
    play_with(
        25,
        &[("retention.ms", "1800000"), ("message.timestamp.type", "LogAppendTime")],
        |scene| async move {
            scene.set_clock_off(HOUR_MS);
            // Stamped by the node, an hour into the future.
            scene.append(scene.true_ms()).await.unwrap();
            scene.set_clock_off(0);
            scene.keeps_for(30 * MINUTE - MINUTE / 2, "it is not half an hour old").await;
            scene.is_gone_after(60 * MINUTE + LOOKS, 1, "its stamp is half an hour old").await;
            scene.end().await;
        },
    );
}

#[test]
fn timestamps_ahead_of_the_clock_are_bounded_and_pass() {
    play(26, |scene| async move {
        // The default of message.timestamp.after.max.ms is an hour.
        let refused = scene.append(scene.true_ms() + HOUR_MS + 60_000).await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::InvalidTimestamp), "{refused}");
        assert_eq!(scene.append(scene.true_ms() + HOUR_MS).await.unwrap(), 0);
        scene.append(scene.true_ms()).await.unwrap();
        scene.keeps_for(90 * MINUTE - MINUTE / 2, "its timestamp is not half an hour old").await;
        scene.is_gone_after(LOOKS, 2, "its timestamp is half an hour old").await;
        scene.end().await;
    });
}

#[test]
fn a_tighter_bound_on_timestamps_is_kept_while_the_clock_jumps() {
    let configs = [("retention.ms", "1800000"), ("message.timestamp.after.max.ms", "1000")];
    play_with(27, &configs, |scene| async move {
        scene.append(scene.true_ms() + 1_000).await.unwrap();
        scene.set_clock_off(-HOUR_MS);
        let refused = scene.append(scene.true_ms()).await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::InvalidTimestamp), "{refused}");
        scene.set_clock_off(0);
        assert_eq!(scene.append(scene.true_ms()).await.unwrap(), 1);
        scene.end().await;
    });
}

#[test]
fn records_without_a_timestamp_go_by_when_their_segment_was_closed() {
    let configs = [("retention.ms", "1800000"), ("segment.ms", "600000")];
    play_with(28, &configs, |scene| async move {
        scene.append(-1).await.unwrap();
        scene.set_clock_off(-HOUR_MS);
        scene.keeps_for(30 * MINUTE, "it is not half an hour old").await;
        scene
            .is_gone_after(70 * MINUTE + LOOKS, 1, "closed after 10 min and an hour, and half an hour old")
            .await;
        scene.end().await;
    });
}

#[test]
fn records_without_a_timestamp_go_after_a_power_cut_too() {
    let configs = [("retention.ms", "1800000"), ("segment.ms", "600000")];
    play_with(29, &configs, |scene| async move {
        scene.append(-1).await.unwrap();
        let scene = scene.lose_power().await;
        scene.keeps_for(30 * MINUTE, "it is not half an hour old").await;
        // It is opened some time after the start, closed at a look, and deleted at a later one.
        scene.is_gone_after(10 * MINUTE + 2 * LOOKS, 1, "closed after 10 min, and half an hour old").await;
        scene.end().await;
    });
}
