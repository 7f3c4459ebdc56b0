//! Makes a frozen data directory: `cargo run -p forebay-tests --bin make-fixture -- fixtures/vN`, once for each new
//! format version. The list `formats.txt` in it is written by hand, as `cargo xtask tidy` asks for it.
//!
//! Two archives: `clean.tar.gz`, stopped by SIGTERM, and `killed.tar.gz`, the same server after a restart, more
//! records and a SIGKILL. Beside each, what a client saw.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a tool for developers: it panics and prints"
)]

use std::path::Path;

use forebay_base::ProducerId;
use forebay_client::{BatchBuilder, Client, Compression, NewTopic, RecordHeader};
use forebay_tests::requests::produce;
use forebay_tests::{FIXTURE_SETTINGS, Server, contents, tar};
use forebay_wire::kafka::init_producer_id::InitProducerIdRequest;
use serde_json::{Value, json};

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

const TIME_MS: i64 = 1_700_000_000_000;

fn main() {
    let folder = std::env::args().nth(1).expect("usage: make-fixture FOLDER");
    let folder = std::path::absolute(folder).unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(make(&folder));
}

async fn make(folder: &Path) {
    let mut server = Server::with(&FIXTURE_SETTINGS);
    let client = server.client().await;
    make_topics(&client).await;
    let producer = append(&server, 0, None);
    client.delete_records("many-segments", 0, 20).await.unwrap();
    client.delete_topic("deleted").await.unwrap();
    keep(&client, folder, "clean", &producer).await;
    assert_eq!(server.stop().code(), Some(0));
    tar("--create", &folder.join("clean.tar.gz"), server.data());

    server.spawn();
    server.wait_ready();
    let client = server.client().await;
    let producer = append(&server, 100, Some(&producer));
    keep(&client, folder, "killed", &producer).await;
    server.kill();
    tar("--create", &folder.join("killed.tar.gz"), server.data());
    println!("made {}", folder.display());
}

async fn make_topics(client: &Client) {
    let configs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let topics = [
        NewTopic { partitions: Some(2), ..NewTopic::named("codecs") },
        NewTopic {
            partitions: Some(1),
            configs: configs(&[("segment.bytes", "4096"), ("retention.ms", "-1")]),
            ..NewTopic::named("many-segments")
        },
        NewTopic { partitions: Some(1), ..NewTopic::named("deleted") },
        NewTopic { partitions: Some(3), ..NewTopic::named("empty") },
    ];
    for topic in topics {
        client.create_topic(&topic, false).await.unwrap();
    }
}

/// Appends to both topics; the producer goes on from where it was. Says what it can be recognised by.
fn append(server: &Server, from: u32, before: Option<&Value>) -> Value {
    let mut conn = server.conn();
    let mut send = |topic: &str, partition, batch: BatchBuilder| {
        let mut answer = conn.call(9, &produce(topic, partition, batch.build().unwrap()));
        let part = answer.responses.remove(0).partition_responses.remove(0);
        assert_eq!(part.error_code, 0, "{:?}", part.error_message);
        part.base_offset
    };
    for (number, codec) in (from..).zip(CODECS) {
        let headers = [RecordHeader::new("twice", "1"), RecordHeader::new("twice", format!("{codec:?}"))];
        for partition in 0..2 {
            let mut batch = BatchBuilder::new().compression(codec);
            batch.push(
                TIME_MS + i64::from(number),
                Some(b"key"),
                Some(format!("{codec:?} {number}").as_bytes()),
                &headers,
            );
            batch.push(TIME_MS, None, None, &[]);
            batch.push(
                TIME_MS - 1,
                Some("schlüssel".as_bytes()),
                Some("a value ".repeat(40).as_bytes()),
                &[],
            );
            send("codecs", partition, batch);
        }
    }
    let (id, mut sequence) = match before {
        Some(known) => (known["id"].as_i64().unwrap(), known["sequence"].as_i64().unwrap() as i32 + 1),
        None => (new_producer(server), 0),
    };
    let mut offset = 0;
    for number in from..from + 40 {
        let value = format!("{number} {}", "padding ".repeat(40));
        let batch = BatchBuilder::new().producer(ProducerId(id), 0, sequence);
        offset =
            send("many-segments", 0, batch.record(TIME_MS + i64::from(number), None, Some(value.as_bytes())));
        sequence += 1;
    }
    json!({"id": id, "sequence": sequence - 1, "offset": offset})
}

fn new_producer(server: &Server) -> i64 {
    let request = InitProducerIdRequest { transaction_timeout_ms: 60_000, ..Default::default() };
    server.conn().call(4, &request).producer_id
}

async fn keep(client: &Client, folder: &Path, name: &str, producer: &Value) {
    let seen = json!({"producer": producer, "topics": contents(client).await});
    std::fs::write(folder.join(format!("{name}.json")), serde_json::to_string_pretty(&seen).unwrap() + "\n")
        .unwrap();
}
