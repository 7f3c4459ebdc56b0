//! What a node promises to those who use it, where the disk or a client is at its worst. Most of these tests are
//! witnesses of a planted bug (`cargo xtask mutants`): they assert what a user would see.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod doors;
mod full;
mod status;
mod storage;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_base::QuietLog;
use forebay_broker::{Config, Env, ListenerConfig, Node};
use forebay_client::{Client, ClientConfig, FetchOptions};
use forebay_link::Net;
use forebay_records::BatchBuilder;
use forebay_sim::{SimDisk, World};
use forebay_wire::kafka::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

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

async fn start(world: &World, disk: &SimDisk, net: Arc<dyn Net>) -> Node {
    start_with(world, disk, net, 64).await
}

/// As [`start`], with a bound of its own for the descriptors of logs.
async fn start_with(world: &World, disk: &SimDisk, net: Arc<dyn Net>, descriptors_max: usize) -> Node {
    Node::start(config(), env(world, disk, net, descriptors_max)).await.unwrap()
}

fn env(world: &World, disk: &SimDisk, net: Arc<dyn Net>, descriptors_max: usize) -> Env {
    Env {
        disk: Arc::new(disk.clone()),
        net,
        clock: world.clock.clone(),
        rng: world.rng.clone(),
        workers: world.workers.clone(),
        control: tokio::runtime::Handle::current(),
        descriptors_max,
        quiet: Arc::new(QuietLog::new(world.clock.clone())),
    }
}

async fn stop(node: Node) {
    node.stop(Duration::from_secs(30)).await.unwrap();
}

async fn client(world: &World) -> Client {
    Client::connect(Arc::new(world.net.clone()), &[ADDRESS.to_owned()], ClientConfig::default())
        .await
        .unwrap()
}

/// A batch of one record of `bytes` bytes, each of them `fill`.
fn batch(fill: u8, bytes: usize) -> Bytes {
    BatchBuilder::new().record(1, None, Some(&vec![fill; bytes])).build().unwrap()
}

/// Asks once for a batch to be appended, `acks=all`: the offset if that was acknowledged.
async fn append(client: &Client, batch: Bytes) -> Option<i64> {
    let acknowledged = append_to(client, 0..1, -1, batch).await;
    acknowledged.first().map(|(_, offset)| *offset)
}

/// Asks once for a batch to be appended to each of these partitions: those that acknowledged it, and the offset.
async fn append_to(client: &Client, partitions: Range<i32>, acks: i16, batch: Bytes) -> Vec<(i32, i64)> {
    let data = |index| PartitionProduceData { index, records: Some(batch.clone()) };
    let topic_data =
        vec![TopicProduceData { name: TOPIC.into(), partition_data: partitions.map(data).collect() }];
    let request = ProduceRequest { acks, timeout_ms: 1_000, topic_data, ..ProduceRequest::default() };
    let asked = tokio::time::timeout(Duration::from_secs(2), client.call_any(&request)).await;
    let answers = asked.ok().and_then(Result::ok).into_iter().flat_map(|answer| answer.responses);
    let answers = answers.flat_map(|topic| topic.partition_responses);
    answers.filter(|answer| answer.error_code == 0).map(|answer| (answer.index, answer.base_offset)).collect()
}

/// The first byte and the length of every record, from the beginning to the high watermark.
async fn consume(client: &Client) -> Vec<(u8, usize)> {
    consume_from(client, 0).await
}

/// As [`consume`], of one of several partitions.
async fn consume_from(client: &Client, partition: i32) -> Vec<(u8, usize)> {
    let (mut seen, mut offset) = (Vec::new(), 0);
    loop {
        let fetched = client.fetch(TOPIC, partition, offset, &FetchOptions::default()).await.unwrap();
        seen.extend(fetched.records.iter().map(|record| {
            let value = record.value.as_ref().unwrap();
            (value[0], value.len())
        }));
        if fetched.next_offset >= fetched.high_watermark {
            return seen;
        }
        assert!(fetched.next_offset > offset, "a consumer stands still at offset {offset}");
        offset = fetched.next_offset;
    }
}
