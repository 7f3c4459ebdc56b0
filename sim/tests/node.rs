//! What a node does at its edges: its directories in another order, clients that ask for nothing or wait for ever.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use forebay_base::{Clock, QuietLog};
use forebay_broker::{Config, Env, ListenerConfig, Node, NodeError};
use forebay_client::{
    Client, ClientConfig, ClientError, FetchFrom, FetchOptions, NewTopic, Producer, ProducerConfig,
};
use forebay_log::Disk;
use forebay_records::BatchBuilder;
use forebay_sim::disk::{Call, Fault, Planned, Survivors};
use forebay_sim::{World, run};
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::fetch::FetchRequest;
use forebay_wire::kafka::metadata::{MetadataRequest, MetadataRequestTopic};
use forebay_wire::kafka::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

const ADDRESS: &str = "127.0.0.1:9092";

fn config(dirs: &[&str]) -> Config {
    Config {
        log_dirs: dirs.iter().map(PathBuf::from).collect(),
        listeners: vec![ListenerConfig::plaintext("127.0.0.1", 9092)],
        http_listen: None,
        metadata_log_preallocated_bytes: 1 << 20,
        metadata_snapshot_preallocated_bytes: 1 << 20,
        ..Config::default()
    }
}

async fn start(world: &World, config: Config) -> Result<Node, NodeError> {
    let env = Env {
        descriptors_max: 64,
        quiet: Arc::new(QuietLog::new(world.clock.clone())),
        disk: Arc::new(world.disk.clone()),
        net: Arc::new(world.net.clone()),
        clock: world.clock.clone(),
        rng: world.rng.clone(),
        workers: world.workers.clone(),
        control: tokio::runtime::Handle::current(),
    };
    Node::start(config, env).await
}

async fn client(world: &World) -> Client {
    Client::connect(Arc::new(world.net.clone()), &[ADDRESS.to_owned()], ClientConfig::default())
        .await
        .unwrap()
}

async fn produce(client: &Client, topic: &str, partition: i32) {
    let producer = Producer::open(client, topic, partition, ProducerConfig::default()).await.unwrap();
    let batch = BatchBuilder::new().record(1, None, Some(b"water"));
    producer.send(batch).await.unwrap().wait().await.unwrap();
}

async fn ends(client: &Client, topic: &str, partitions: i32) -> Vec<usize> {
    let mut counts = Vec::new();
    for partition in 0..partitions {
        counts.push(client.fetch(topic, partition, 0, &FetchOptions::default()).await.unwrap().records.len());
    }
    counts
}

async fn stop(node: Node) {
    node.stop(Duration::from_secs(30)).await.unwrap();
}

#[test]
fn directories_in_another_order_lose_nothing() {
    run(11, |world| async move {
        let node = start(&world, config(&["/a", "/b"])).await.unwrap();
        let reader = client(&world).await;
        let topic = NewTopic { partitions: Some(4), ..NewTopic::named("spread") };
        reader.create_topic(&topic, false).await.unwrap();
        for partition in 0..4 {
            produce(&reader, "spread", partition).await;
        }
        drop(reader);
        stop(node).await;

        for order in [&["/b", "/a"][..], &["/new", "/b", "/a"], &["/a", "/b", "/new"]] {
            let node = start(&world, config(order)).await.unwrap();
            assert_eq!(ends(&client(&world).await, "spread", 4).await, [1; 4], "{order:?}");
            stop(node).await;
        }
        // Without the directory that holds the metadata every partition would count as deleted.
        let refused = start(&world, config(&["/b"])).await.expect_err("partitions and no metadata");
        assert!(refused.to_string().contains("no data directory holds the metadata log"), "{refused}");
        let node = start(&world, config(&["/a", "/b"])).await.unwrap();
        assert_eq!(ends(&client(&world).await, "spread", 4).await, [1; 4]);
        stop(node).await;
    });
}

#[test]
fn a_fetch_of_nothing_is_answered_at_once() {
    run(12, |world| async move {
        let node = start(&world, config(&["/data"])).await.unwrap();
        let asker = client(&world).await;
        let request = FetchRequest { max_wait_ms: 600_000, min_bytes: 1, ..FetchRequest::default() };
        let answer = tokio::time::timeout(Duration::from_secs(5), asker.call_any(&request)).await;
        assert!(answer.expect("no waiting for nothing").unwrap().responses.is_empty());
        drop(asker);
        stop(node).await;
    });
}

#[test]
fn a_consumer_that_waits_does_not_spoil_a_clean_stop() {
    run(13, |world| async move {
        let node = start(&world, config(&["/data"])).await.unwrap();
        let waiting = client(&world).await;
        waiting.create_topic(&NewTopic::named("idle"), false).await.unwrap();
        let options = FetchOptions { max_wait: Duration::from_secs(590), ..FetchOptions::default() };
        let poll = tokio::spawn(async move { waiting.fetch("idle", 0, 0, &options).await.map(|_| ()) });
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop(node).await;
        poll.abort();
    });
}

#[test]
fn a_topic_named_often_is_described_once() {
    run(14, |world| async move {
        let node = start(&world, config(&["/data"])).await.unwrap();
        let asker = client(&world).await;
        asker.create_topic(&NewTopic::named("once"), false).await.unwrap();
        let named = MetadataRequestTopic { name: Some("once".into()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest { topics: Some(vec![named; 1000]), ..MetadataRequest::default() };
        assert_eq!(asker.call_any(&request).await.unwrap().topics.len(), 1);
        drop(asker);
        stop(node).await;
    });
}

/// One record of so many bytes.
fn record_for(topic: &str, index: i32, bytes: usize) -> ProduceRequest {
    let records = BatchBuilder::new().record(1, None, Some(&vec![7; bytes])).build().ok();
    let partition_data = vec![PartitionProduceData { index, records }];
    let topic_data = vec![TopicProduceData { name: topic.into(), partition_data }];
    ProduceRequest { acks: 1, topic_data, ..ProduceRequest::default() }
}

#[test]
fn who_sends_records_where_space_is_short_is_not_heard_for_a_while() {
    run(15, |world| async move {
        let capacity = 1 << 30;
        world.disk.set_capacity(capacity);
        let node = start(&world, config(&["/data"])).await.unwrap();
        let (writer, other) = (client(&world).await, client(&world).await);
        writer.create_topic(&NewTopic::named("tight"), false).await.unwrap();
        let ask = MetadataRequest { topics: Some(vec![]), ..MetadataRequest::default() };
        let turn = async |client: &Client| {
            let answer = client.call_any(&record_for("tight", 0, 512 << 10)).await.unwrap();
            let began = world.clock.now();
            client.call_any(&ask).await.unwrap();
            (answer.throttle_time_ms, world.clock.now().since(began).as_millis())
        };
        let (told, waited) = turn(&writer).await;
        assert_eq!(told, 0);
        assert!(waited < 50, "{waited} ms");

        // Half of the way from where it is short to where it is full: a quarter of a second for each MiB.
        let free = world.disk.space(Path::new("/data")).unwrap().free_bytes;
        world.disk.set_capacity(capacity - free + capacity * 575 / 10_000);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (told, waited) = turn(&writer).await;
        assert!((120..=130).contains(&told), "{told} ms");
        assert!(
            (u128::from(told.unsigned_abs())..200).contains(&waited),
            "told {told} ms, waited {waited} ms"
        );
        // It has sent nothing: it is heard at once.
        let began = world.clock.now();
        other.call_any(&ask).await.unwrap();
        assert!(world.clock.now().since(began) < Duration::from_millis(50));
        drop((writer, other));
        stop(node).await;
    });
}

/// Nothing on record says that the device fails: the start finds it out, with whichever of its calls.
#[test]
fn a_start_on_a_disk_that_takes_nothing_serves_reads() {
    for clean in [true, false] {
        run(16, |world| async move {
            let node = start(&world, config(&["/data"])).await.unwrap();
            let writer = client(&world).await;
            writer.create_topic(&NewTopic::named("kept"), false).await.unwrap();
            produce(&writer, "kept", 0).await;
            drop(writer);
            if clean {
                stop(node).await;
            }
            let left = world.disk.restart_with(Survivors::Everything);
            let mut good_calls = 0;
            loop {
                let disk = left.restart_with(Survivors::Everything);
                disk.refuse_from(good_calls);
                let world = World { disk, ..World::new(good_calls) };
                let node = start(&world, config(&["/data"])).await;
                let node = node.unwrap_or_else(|error| panic!("clean {clean}, {good_calls} calls: {error}"));
                let calls = world.disk.calls().len() as u64;
                assert_eq!(ends(&client(&world).await, "kept", 1).await, [1], "clean {clean}, {good_calls}");
                world.disk.heal();
                stop(node).await;
                if calls < good_calls {
                    break;
                }
                good_calls += 1;
            }
        });
    }
}

#[test]
fn a_data_directory_that_is_lost_leaves_the_others_served() {
    run(17, |world| async move {
        let node = start(&world, config(&["/a", "/b"])).await.unwrap();
        let writer = client(&world).await;
        let topic = NewTopic { partitions: Some(4), ..NewTopic::named("spread") };
        writer.create_topic(&topic, false).await.unwrap();
        for partition in 0..4 {
            produce(&writer, "spread", partition).await;
        }
        let (sound, lost): (Vec<i32>, Vec<i32>) = (0..4).partition(|index| lies_in(&world, "/a", *index));
        assert!(!sound.is_empty() && !lost.is_empty());
        drop((writer, node));
        let left = world.disk.restart_with(Survivors::Everything);
        let mut good_calls = 0;
        loop {
            let disk = left.restart_with(Survivors::Everything);
            disk.lose_from(Path::new("/b"), good_calls);
            let world = World { disk, ..World::new(good_calls) };
            let node = start(&world, config(&["/a", "/b"])).await;
            let node = node.unwrap_or_else(|error| panic!("{good_calls} calls: {error}"));
            let calls = world.disk.calls().len() as u64;
            let client = client(&world).await;
            for partition in &sound {
                produce(&client, "spread", *partition).await;
                let found = client.fetch("spread", *partition, 0, &FetchOptions::default()).await.unwrap();
                assert_eq!(found.records.len(), 2, "{good_calls} calls, partition {partition}");
            }
            if good_calls == 0 {
                for partition in &lost {
                    refuses_for_its_disk(&client, "spread", *partition).await;
                }
            }
            drop(client);
            let stopped = node.stop(Duration::from_secs(30)).await;
            assert!(matches!(stopped, Ok(()) | Err(NodeError::Unclean)), "{good_calls} calls: {stopped:?}");
            if calls < good_calls {
                break;
            }
            good_calls += 1;
        }
        // Nothing is begun while it may be the one that is lost that holds the metadata.
        for lost in ["/a", "/"] {
            let disk = left.restart_with(Survivors::Everything);
            disk.lose_from(Path::new(lost), 0);
            let world = World { disk, ..World::new(1) };
            let refused = start(&world, config(&["/a", "/b"])).await.map(drop).unwrap_err();
            assert!(refused.to_string().contains("Input/output error"), "{lost}: {refused}");
        }
    });
}

/// Neither takes records nor gives any, and says whose fault it is.
async fn refuses_for_its_disk(client: &Client, topic: &str, index: i32) {
    let answer = client.call_any(&record_for(topic, index, 1)).await.unwrap();
    let refused = &answer.responses[0].partition_responses[0];
    assert_eq!(refused.error_code, ErrorCode::KafkaStorageError.code());
    let sentence = refused.error_message.as_deref().unwrap();
    assert!(sentence.contains("data directory that this node does not have"), "{sentence}");
    let from = FetchFrom { topic: topic.to_owned(), partition: index, offset: 0 };
    let answer = client.fetch_raw(ADDRESS, &[from], &FetchOptions::default()).await.unwrap();
    let refused = answer[0].refused.as_ref().unwrap();
    assert!(matches!(refused, ClientError::Refused { code: ErrorCode::KafkaStorageError, .. }), "{refused}");
}

/// Whether that partition of the only topic lies in a data directory.
fn lies_in(world: &World, dir: &str, index: i32) -> bool {
    let end = format!("-{index}/state");
    let is_it = |path: &str| path.starts_with(&format!("{dir}/partitions/")) && path.ends_with(&end);
    world.disk.files().iter().any(|(path, _)| is_it(path))
}

/// What a disk does that takes no writes any more, as far as a node meets it.
fn read_only(world: &World, dir: &str) {
    for call in [Call::Write, Call::Sync, Call::SyncDir, Call::Rename, Call::Truncate, Call::Allocate] {
        let fault = Fault::Errno(30);
        world.disk.plan(Planned { call, path: dir.to_owned(), skip: 0, times: u64::MAX, fault });
    }
}

/// How a node meets that a disk of its has failed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Met {
    WhileItRuns,
    WhileItStops,
    WhenItStarts,
}

#[test]
fn a_volume_that_has_failed_is_not_let_in_by_a_start() {
    for met in [Met::WhileItRuns, Met::WhileItStops, Met::WhenItStarts] {
        run(18, |mut world| async move {
            let dirs = ["/a", "/b"];
            let node = start(&world, config(&dirs)).await.unwrap();
            let writer = client(&world).await;
            let topic = NewTopic { partitions: Some(4), ..NewTopic::named("spread") };
            writer.create_topic(&topic, false).await.unwrap();
            for partition in 0..4 {
                produce(&writer, "spread", partition).await;
            }
            let (ill, well): (Vec<i32>, Vec<_>) = (0..4).partition(|index| lies_in(&world, "/b", *index));
            assert!(!ill.is_empty() && !well.is_empty());
            match met {
                Met::WhileItRuns => {
                    read_only(&world, "/b");
                    refused(&writer, ill[0]).await;
                    // Others are told within moments, and a killed node has no more of them.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    drop((writer, node));
                }
                Met::WhileItStops => {
                    drop(writer);
                    read_only(&world, "/b");
                    let stopped = node.stop(Duration::from_secs(30)).await;
                    assert!(matches!(stopped, Err(NodeError::Unclean)), "{stopped:?}");
                }
                Met::WhenItStarts => {
                    drop(writer);
                    stop(node).await;
                }
            }
            for _ in 0..2 {
                world = World { disk: world.disk.restart_with(Survivors::Everything), ..World::new(18) };
                if met == Met::WhenItStarts {
                    let (call, path, fault) = (Call::Read, "/b/volume.state".to_owned(), Fault::DEVICE);
                    world.disk.plan(Planned { call, path, skip: 0, times: u64::MAX, fault });
                }
                let node = start(&world, config(&dirs)).await.unwrap();
                let client = client(&world).await;
                for partition in &well {
                    produce(&client, "spread", *partition).await;
                }
                for partition in &ill {
                    let sentence = refused(&client, *partition).await;
                    assert!(sentence.contains("has failed"), "{met:?}: partition {partition}: {sentence}");
                    let options = FetchOptions::default();
                    let found = client.fetch("spread", *partition, 0, &options).await.unwrap();
                    assert_eq!(found.records.len(), 1, "{met:?}: reads go on");
                }
                drop(client);
                stop(node).await;
            }
        });
    }
}

/// What a producer of that partition is told, who is refused.
async fn refused(client: &Client, partition: i32) -> String {
    let answer = client.call_any(&record_for("spread", partition, 1)).await.unwrap();
    let refused = &answer.responses[0].partition_responses[0];
    assert_eq!(refused.error_code, ErrorCode::KafkaStorageError.code());
    refused.error_message.as_deref().unwrap().to_owned()
}
