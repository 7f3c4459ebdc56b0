use std::path::{Path, PathBuf};
use std::process::Command;

use forebay_client::{Client, FetchOptions, OffsetAt, Record};
use serde_json::{Map, Value, json};

/// Where frozen data directories live: one folder per format version.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the checkout").join("fixtures")
}

/// Settings of every fixture's server: little reserved space, for it is frozen too, and nothing that grows too old to
/// be there.
pub const FIXTURE_SETTINGS: [(&str, &str); 4] = [
    ("metadata.log.preallocated.bytes", "1048576"),
    ("metadata.snapshot.preallocated.bytes", "1048576"),
    ("log.retention.ms", "-1"),
    ("producer.id.expiration.ms", "3153600000000"),
];

/// Packs `dir` into `archive` or unpacks it there again, with the system's tar. Files are mostly reserved zeros, so
/// the archive is small.
pub fn tar(mode: &str, archive: &Path, dir: &Path) {
    std::fs::create_dir_all(dir).expect("a directory to pack from or into");
    let done = Command::new("tar")
        .args([mode, "--file"])
        .arg(archive)
        .args(["--gzip", "--sparse", "--sort=name", "--owner=0", "--group=0", "--directory"])
        .arg(dir)
        .args(if mode == "--create" { &["."][..] } else { &[] })
        .status()
        .expect("tar is there");
    assert!(done.success(), "tar {mode} {}", archive.display());
}

/// Everything a client can see: topics with the settings that differ from the defaults, and all records.
pub async fn contents(client: &Client) -> Value {
    let topics = client.refresh(None, false).await.expect("metadata");
    let mut seen = Map::new();
    for (name, topic) in &topics.topics {
        let configs = client.topic_configs(name).await.expect("the topic's settings");
        let own: Map<String, Value> = configs
            .into_iter()
            .filter(|config| !config.is_default)
            .map(|config| (config.name, json!(config.value)))
            .collect();
        let mut partitions = Map::new();
        for partition in topic.partitions.keys() {
            partitions.insert(partition.to_string(), partition_contents(client, name, *partition).await);
        }
        seen.insert(
            name.clone(),
            json!({"id": topic.id.to_string(), "configs": own, "partitions": partitions}),
        );
    }
    Value::Object(seen)
}

async fn partition_contents(client: &Client, topic: &str, partition: i32) -> Value {
    let place = |at| async move {
        client.list_offsets(topic, &[(partition, at)]).await.expect("an offset")[&partition].offset
    };
    let (start, end) = (place(OffsetAt::Earliest).await, place(OffsetAt::Latest).await);
    let (mut next, mut records) = (start, Vec::new());
    while next < end {
        let part = client.fetch(topic, partition, next, &FetchOptions::default()).await.expect("records");
        records.extend(part.records.iter().map(record_contents));
        next = part.next_offset;
    }
    json!({"start": start, "end": end, "records": records})
}

fn record_contents(record: &Record) -> Value {
    let text = |bytes: &Option<bytes::Bytes>| {
        bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let headers: Vec<Value> = record
        .headers
        .iter()
        .map(|header| json!([String::from_utf8_lossy(&header.name), text(&header.value)]))
        .collect();
    json!({
        "offset": record.offset.0,
        "timestamp": record.timestamp,
        "key": text(&record.key),
        "value": text(&record.value),
        "headers": headers,
    })
}
