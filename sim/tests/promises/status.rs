//! What is shown of a full volume, whatever becomes of the sessions in which it is told.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::Clock;
use forebay_broker::{Config, Node};
use forebay_client::NewTopic;
use forebay_link::{ConnIo, Net};
use forebay_log::{Disk, File, Open};
use forebay_sim::disk::{Call, Fault, Planned};
use forebay_sim::{World, run};
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResult};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{TOPIC, append, batch, client, config, consume, env};

const HTTP: &str = "127.0.0.1:9644";
const CAPACITY: u64 = 128 << 20;
/// A full volume is shown as one so soon.
const SHOWN_WITHIN: Duration = Duration::from_millis(100);
/// After a reset or a start, all is known again so soon.
const KNOWN_WITHIN: Duration = Duration::from_secs(1);

async fn start(world: &World) -> Node {
    let config = Config { http_listen: Some(HTTP.parse().unwrap()), ..config() };
    Node::start(config, env(world, &world.disk, Arc::new(world.net.clone()), 64)).await.unwrap()
}

/// What the HTTP door answers.
async fn ask(world: &World, method: &str, path: &str) -> String {
    let mut stream = ConnIo::new(world.net.connect(HTTP).await.unwrap());
    let request = format!("{method} {path} HTTP/1.1\r\nHost: forebay\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The first value of a field of the answer.
fn field(answer: &str, name: &str) -> String {
    let (_, rest) =
        answer.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name}: {answer}"));
    rest.split([',', '}']).next().unwrap().trim_matches('"').to_owned()
}

/// The status of the one partition.
async fn status(world: &World) -> String {
    field(&ask(world, "GET", &format!("/v1/topics/{TOPIC}/partitions")).await, "status")
}

/// Looks often for a while: the status is that of a full volume, or it says that it does not know, and not for long.
async fn watch(world: &World, lasts: Duration, when: &str) {
    let began = world.clock.now();
    while world.clock.now().since(began) < lasts {
        let (shown, took) = (status(world).await, world.clock.now().since(began));
        assert!(["OutOfSpace", "Unknown"].contains(&shown.as_str()), "{when}: {shown} after {took:?}");
        assert!(shown == "OutOfSpace" || took < KNOWN_WITHIN, "{when}: still {shown} after {took:?}");
        if took > KNOWN_WITHIN {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Somebody else's file takes all that is left, and the producer meets the end.
async fn fill(world: &World) -> Arc<dyn File> {
    let producer = client(world).await;
    // Its records are old, and retention is eager while space is short.
    let configs = [("retention.ms".to_owned(), "-1".to_owned())].into();
    producer.create_topic(&NewTopic { configs, ..NewTopic::named(TOPIC) }, false).await.unwrap();
    assert_eq!(append(&producer, batch(1, 100)).await, Some(0));
    assert_eq!(status(world).await, "Online");
    let filler = world.disk.open(Path::new("/somebody-elses"), Open::Create).unwrap();
    filler.allocate(0, world.disk.space(Path::new("/")).unwrap().free_bytes).unwrap();
    // There are blocks ahead of the log's end, so the first ones may still fit.
    while append(&producer, batch(2, 100_000)).await.is_some() {}
    filler
}

/// The one data directory, as Kafka's tools see it.
async fn log_dir(world: &World) -> DescribeLogDirsResult {
    let asked = client(world).await.call_any(&DescribeLogDirsRequest { topics: None }).await;
    let mut results = asked.unwrap().results;
    assert_eq!((results.len(), results[0].log_dir.as_str()), (1, "/data"));
    results.remove(0)
}

#[test]
fn a_failed_volume_is_told_at_every_door() {
    run(42, |world| async move {
        let node = start(&world).await;
        let user = client(&world).await;
        user.create_topic(&NewTopic::named(TOPIC), false).await.unwrap();
        assert_eq!(append(&user, batch(1, 100)).await, Some(0));
        let well = log_dir(&world).await;
        let partition = &well.topics[0].partitions[0];
        assert!(partition.partition_size > 100 && partition.offset_lag == 0, "{partition:?}");
        assert!(well.error_code == 0 && (1..well.total_bytes).contains(&well.usable_bytes), "{well:?}");
        for call in [Call::Write, Call::Sync] {
            let path = "/".to_owned();
            world.disk.plan(Planned { call, path, skip: 0, times: u64::MAX, fault: Fault::DEVICE });
        }
        assert_eq!(append(&user, batch(2, 100)).await, None);
        let failed = world.clock.now();
        while status(&world).await != "Failed" {
            let took = world.clock.now().since(failed);
            assert!(took < Duration::from_secs(3), "{} after {took:?}", status(&world).await);
            append(&user, batch(2, 100)).await;
        }
        node.controller().reset_sessions().await;
        tokio::time::sleep(KNOWN_WITHIN).await;
        assert_eq!(status(&world).await, "Failed");
        assert_eq!(field(&ask(&world, "GET", "/v1/volumes").await, "state"), "Failed");
        assert!(ask(&world, "GET", "/readyz").await.contains("the disk of /data has failed"));
        assert_eq!(log_dir(&world).await.error_code, ErrorCode::KafkaStorageError.code());
        drop(user);
        let _unclean = node.stop(Duration::from_secs(5)).await;
    });
}

#[test]
fn a_full_volume_is_never_shown_as_online() {
    run(41, |world| async move {
        world.disk.set_capacity(CAPACITY);
        let mut node = start(&world).await;
        let filler = fill(&world).await;
        let refused = world.clock.now();
        while status(&world).await != "OutOfSpace" {
            let took = world.clock.now().since(refused);
            assert!(took < SHOWN_WITHIN, "{} after {took:?}", status(&world).await);
        }
        let full = log_dir(&world).await;
        assert!(full.error_code == 0 && full.usable_bytes < full.total_bytes / 50, "{full:?}");
        for round in 0..20 {
            if round % 2 == 0 {
                assert_eq!(node.controller().reset_sessions().await, 1);
            } else {
                assert_eq!(field(&ask(&world, "POST", "/v1/sessions/reset").await, "reset"), "1");
            }
            watch(&world, Duration::from_secs(3), "after a reset").await;
            let reader = client(&world).await;
            assert!(!consume(&reader).await.is_empty());
            assert_eq!(append(&reader, batch(3, 100_000)).await, None, "there is no room");
        }
        for _ in 0..3 {
            node.stop(Duration::from_secs(30)).await.unwrap();
            node = start(&world).await;
            watch(&world, Duration::from_secs(10), "after a start").await;
            node.controller().kill_raft();
            watch(&world, Duration::from_secs(10), "after the quorum was started again").await;
        }
        filler.truncate(0).unwrap();
        let freed = world.clock.now();
        while status(&world).await != "Online" {
            let took = world.clock.now().since(freed);
            // Not short of space any more, for a while: retention calms down last.
            assert!(took < Duration::from_secs(60), "{} after {took:?}", status(&world).await);
        }
        node.stop(Duration::from_secs(30)).await.unwrap();
    });
}
