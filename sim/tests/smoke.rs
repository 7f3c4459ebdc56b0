//! Whole nodes in the simulated world, started by the same function as in the binary, with a client that talks to
//! them through the simulated network.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;
use std::time::Duration;

use forebay_base::QuietLog;
use forebay_broker::{Config, Env, ListenerConfig, Node};
use forebay_client::{Client, ClientConfig, FetchOptions, NewTopic, Producer, ProducerConfig};
use forebay_records::BatchBuilder;
use forebay_sim::{SimDisk, Trace, World, run};

const ADDRESS: &str = "127.0.0.1:9092";
const TOPIC: &str = "flume";

fn config() -> Config {
    Config {
        log_dirs: vec!["/data".into()],
        listeners: vec![ListenerConfig::plaintext("127.0.0.1", 9092)],
        http_listen: None,
        metadata_log_preallocated_bytes: 1 << 20,
        metadata_snapshot_preallocated_bytes: 1 << 20,
        ..Config::default()
    }
}

fn env(world: &World, disk: &SimDisk) -> Env {
    Env {
        descriptors_max: 64,
        quiet: Arc::new(QuietLog::new(world.clock.clone())),
        disk: Arc::new(disk.clone()),
        net: Arc::new(world.net.clone()),
        clock: world.clock.clone(),
        rng: world.rng.clone(),
        workers: world.workers.clone(),
        control: tokio::runtime::Handle::current(),
    }
}

async fn client(world: &World) -> Client {
    Client::connect(Arc::new(world.net.clone()), &[ADDRESS.to_owned()], ClientConfig::default())
        .await
        .unwrap()
}

/// Of small segments, so that a log has several.
fn topic() -> NewTopic {
    NewTopic { configs: [("segment.bytes".to_owned(), "4096".to_owned())].into(), ..NewTopic::named(TOPIC) }
}

/// Sends `count` records, numbered from `from`, one batch each, and waits until all are acknowledged.
async fn produce(client: &Client, from: u32, count: u32) {
    let producer = Producer::open(client, TOPIC, 0, ProducerConfig::default()).await.unwrap();
    let mut acks = Vec::new();
    for number in from..from + count {
        let value = format!("record {number} {}", "x".repeat(100));
        acks.push(producer.send(BatchBuilder::new().record(1, None, Some(value.as_bytes()))).await.unwrap());
    }
    for ack in acks {
        ack.wait().await.unwrap();
    }
}

/// The numbers of all records, read from the beginning.
async fn consume(client: &Client) -> Vec<u32> {
    let (mut numbers, mut offset) = (Vec::new(), 0);
    loop {
        let fetched = client.fetch(TOPIC, 0, offset, &FetchOptions::default()).await.unwrap();
        for record in &fetched.records {
            let value = String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap();
            numbers.push(value.split(' ').nth(1).unwrap().parse().unwrap());
        }
        if fetched.next_offset >= fetched.high_watermark {
            return numbers;
        }
        offset = fetched.next_offset;
    }
}

/// A node's life: it serves, stops cleanly, serves again, loses power, and serves again.
async fn life(world: World, survivors: u64) -> Arc<Trace> {
    let node = Node::start(config(), env(&world, &world.disk)).await.unwrap();
    let reader = client(&world).await;
    reader.create_topic(&topic(), false).await.unwrap();
    produce(&reader, 0, 60).await;
    assert_eq!(consume(&reader).await, (0..60).collect::<Vec<_>>());
    let segments = world.disk.files().into_iter().filter(|(path, _)| path.ends_with(".log")).count();
    assert!(segments > 2, "{segments} segments");
    drop(reader);
    node.stop(Duration::from_secs(30)).await.unwrap();

    let node = Node::start(config(), env(&world, &world.disk)).await.unwrap();
    let reader = client(&world).await;
    produce(&reader, 60, 40).await;
    drop(reader);
    world.disk.cut();
    // The process dies with the power: nothing of it may be left, and it cannot stop cleanly.
    assert!(node.stop(Duration::from_secs(5)).await.is_err());

    let disk = world.disk.restart(survivors);
    let node = Node::start(config(), env(&world, &disk)).await.unwrap();
    let reader = client(&world).await;
    assert_eq!(
        consume(&reader).await,
        (0..100).collect::<Vec<_>>(),
        "all that was acknowledged, once, in order"
    );
    drop(reader);
    node.stop(Duration::from_secs(30)).await.unwrap();
    world.trace.clone()
}

fn trace_of(seed: u64) -> Arc<Trace> {
    run(seed, |_| life(World::with_trace(seed, Arc::new(Trace::with_text())), seed))
}

#[test]
fn the_same_seed_twice_gives_the_same_trace() {
    let (first, second) = (trace_of(7), trace_of(7));
    let (first_text, second_text) = (first.text(), second.text());
    if let Some((number, (one, other))) =
        first_text.lines().zip(second_text.lines()).enumerate().find(|(_, (one, other))| one != other)
    {
        panic!("the traces part at event {number}:\n  {one}\n  {other}");
    }
    assert_eq!((first.events(), first.hash()), (second.events(), second.hash()));
    assert!(first.events() > 500, "a life leaves traces: {}", first.events());
}

#[test]
fn another_seed_gives_another_trace_and_loses_nothing_either() {
    let hashes: std::collections::BTreeSet<u64> = (1..=5).map(|seed| trace_of(seed).hash()).collect();
    assert_eq!(hashes.len(), 5);
}

#[test]
fn a_killed_raft_task_heals_by_itself_while_data_flows() {
    run(3, |world| async move {
        let node = Node::start(config(), env(&world, &world.disk)).await.unwrap();
        let reader = client(&world).await;
        reader.create_topic(&topic(), false).await.unwrap();
        let producer = Producer::open(&reader, TOPIC, 0, ProducerConfig::default()).await.unwrap();
        let mut sent = 0;
        for round in 0..5 {
            node.controller().kill_raft();
            for _ in 0..10 {
                let value = format!("record {sent}");
                let batch = BatchBuilder::new().record(1, None, Some(value.as_bytes()));
                let acked = tokio::time::timeout(Duration::from_millis(500), async {
                    producer.send(batch).await.unwrap().wait().await.unwrap();
                });
                acked.await.expect("the data plane goes on without the metadata quorum");
                sent += 1;
            }
            let made = reader.create_topic(&NewTopic::named(format!("after-{round}")), false).await;
            made.expect("the quorum is back by itself");
        }
        assert!(node.controller().status().restarts >= 5, "{:?}", node.controller().status());
        assert_eq!(consume(&reader).await, (0..sent).collect::<Vec<u32>>());
        drop((producer, reader));
        node.stop(Duration::from_secs(30)).await.unwrap();
    });
}
