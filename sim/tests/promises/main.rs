//! What a node promises to those who use it, where the disk or a client is at its worst. Most of these tests are
//! witnesses of a planted bug (`cargo xtask mutants`): they assert what a user would see.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod doors;
mod storage;

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

fn config(segment_bytes: u64) -> Config {
    Config {
        log_dirs: vec!["/data".into()],
        listeners: vec![ListenerConfig::plaintext("127.0.0.1", 9092)],
        http_listen: None,
        log_segment_bytes: segment_bytes,
        metadata_log_preallocated_bytes: 1 << 20,
        metadata_snapshot_preallocated_bytes: 1 << 20,
        ..Config::default()
    }
}

async fn start(world: &World, disk: &SimDisk, net: Arc<dyn Net>, segment_bytes: u64) -> Node {
    let env = Env {
        disk: Arc::new(disk.clone()),
        net,
        clock: world.clock.clone(),
        rng: world.rng.clone(),
        workers: world.workers.clone(),
        control: tokio::runtime::Handle::current(),
        descriptors_max: 64,
        quiet: Arc::new(QuietLog::new(world.clock.clone())),
    };
    Node::start(config(segment_bytes), env).await.unwrap()
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
    let partition_data = vec![PartitionProduceData { index: 0, records: Some(batch) }];
    let topic_data = vec![TopicProduceData { name: TOPIC.into(), partition_data }];
    let request = ProduceRequest { acks: -1, timeout_ms: 1_000, topic_data, ..ProduceRequest::default() };
    let asked = tokio::time::timeout(Duration::from_secs(2), client.call_any(&request)).await;
    let answer = asked.ok()?.ok()?;
    let partition = &answer.responses.first()?.partition_responses[0];
    (partition.error_code == 0).then_some(partition.base_offset)
}

/// The first byte and the length of every record, from the beginning to the high watermark.
async fn consume(client: &Client) -> Vec<(u8, usize)> {
    let (mut seen, mut offset) = (Vec::new(), 0);
    loop {
        let fetched = client.fetch(TOPIC, 0, offset, &FetchOptions::default()).await.unwrap();
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
