//! Data directories of every format version that was ever released open, and everything is in them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests stand outside the product: they panic")]

use std::path::Path;

use forebay_base::ProducerId;
use forebay_client::BatchBuilder;
use forebay_tests::requests::produce;
use forebay_tests::{FIXTURE_SETTINGS, Server, contents, fixtures, tar};
use serde_json::Value;

#[test]
fn frozen_directories_open() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut opened = 0;
    for version in std::fs::read_dir(fixtures()).unwrap() {
        let folder = version.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        for name in ["clean", "killed"] {
            runtime.block_on(open(&folder, name));
            opened += 1;
        }
    }
    assert!(opened >= 2, "there are fixtures");
}

async fn open(folder: &Path, name: &str) {
    let known = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
    let known: Value = serde_json::from_str(&known).unwrap();
    let mut server = Server::prepare(&FIXTURE_SETTINGS);
    tar("--extract", &folder.join(format!("{name}.tar.gz")), server.data());
    server.spawn();
    server.wait_ready();
    let seen = contents(&server.client().await).await;
    assert_eq!(seen, known["topics"], "{} {name}", folder.display());
    is_remembered(&server, &known["producer"]);
    // It goes on from here, and can be opened again.
    server.restart();
    assert_eq!(contents(&server.client().await).await, known["topics"]);
}

/// The last batch of the producer, sent again, is known for what it is.
fn is_remembered(server: &Server, producer: &Value) {
    let id = ProducerId(producer["id"].as_i64().unwrap());
    let sequence = producer["sequence"].as_i64().unwrap() as i32;
    let batch =
        BatchBuilder::new().producer(id, 0, sequence).record(1, None, Some(b"again")).build().unwrap();
    let answer = server.conn().call(9, &produce("many-segments", 0, batch));
    let part = &answer.responses[0].partition_responses[0];
    assert_eq!((part.error_code, part.base_offset), (0, producer["offset"].as_i64().unwrap()));
}
