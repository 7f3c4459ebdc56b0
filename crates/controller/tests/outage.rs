//! A controller whose disk must not be written, or cannot be.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod quorum;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use forebay_controller::{Controller, ControllerConfig, ProposeError};
use forebay_meta::Command;

use quorum::{create, format, start, topic};

fn config(dir: &Path, barred: Option<&str>) -> ControllerConfig {
    ControllerConfig { barred: barred.map(Arc::from), ..quorum::config(dir) }
}

/// Changes nothing, and needs a quorum.
fn question() -> Command {
    create(topic([5; 16], "late".to_owned()), true)
}

/// Every file of the metadata log, with when it was written last and its bytes.
fn files(dir: &Path) -> BTreeMap<String, (SystemTime, Vec<u8>)> {
    let entries = std::fs::read_dir(dir.join("metadata")).unwrap().map(Result::unwrap);
    let file = |entry: std::fs::DirEntry| {
        let written = entry.metadata().unwrap().modified().unwrap();
        (entry.file_name().into_string().unwrap(), (written, std::fs::read(entry.path()).unwrap()))
    };
    entries.map(file).collect()
}

async fn formed(dir: &Path) {
    let controller = start(config(dir, None)).await.unwrap();
    format(&controller).await;
    controller.shutdown().await;
}

async fn ended(controller: &Controller) {
    let mut outage = controller.outage();
    let ended = outage.wait_for(Option::is_none);
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_barred_start_reads_the_image_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    formed(dir.path()).await;
    let before = files(dir.path());
    let controller = start(config(dir.path(), Some("the disk has failed"))).await.unwrap();
    let image = controller.image().borrow().clone();
    assert!(image.is_formatted(), "it is there at once");
    assert!(!controller.is_caught_up(), "what it does not know may be there");
    let refused = controller.propose(question()).await.unwrap_err();
    assert!(matches!(&refused, ProposeError::Down { reason } if reason.contains("the disk has failed")));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!controller.status().raft_alive);
    assert_eq!(files(dir.path()), before);
    controller.bar(None);
    ended(&controller).await;
    assert!(controller.is_caught_up());
    assert_eq!(*controller.image().borrow(), image);
    assert!(controller.propose(question()).await.is_ok());
    controller.shutdown().await;
}

#[tokio::test]
async fn a_controller_that_is_barred_lets_its_disk_alone_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    formed(dir.path()).await;
    let controller = start(config(dir.path(), None)).await.unwrap();
    assert!(controller.propose(question()).await.is_ok());
    controller.bar(Some("the disk has failed".into()));
    let mut outage = controller.outage();
    let begun = outage.wait_for(Option::is_some);
    tokio::time::timeout(Duration::from_secs(20), begun).await.unwrap().unwrap();
    let before = files(dir.path());
    assert!(matches!(controller.propose(question()).await, Err(ProposeError::Down { .. })));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(files(dir.path()), before);
    assert!(controller.image().borrow().is_formatted(), "the last Image stands");
    controller.bar(None);
    ended(&controller).await;
    assert!(controller.propose(question()).await.is_ok());
    controller.shutdown().await;
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_again_is_an_outage_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    formed(dir.path()).await;
    let controller = start(config(dir.path(), None)).await.unwrap();
    assert!(controller.propose(question()).await.is_ok());
    let (metadata, away) = (dir.path().join("metadata"), dir.path().join("away"));
    std::fs::rename(&metadata, &away).unwrap();
    std::fs::write(&metadata, b"no directory").unwrap();
    controller.kill_raft();
    let mut outage = controller.outage();
    let begun = outage.wait_for(Option::is_some);
    tokio::time::timeout(Duration::from_secs(20), begun).await.unwrap().unwrap();
    assert!(controller.status().restarts >= 2, "one failed start is no outage");
    std::fs::remove_file(&metadata).unwrap();
    std::fs::rename(&away, &metadata).unwrap();
    ended(&controller).await;
    assert!(controller.propose(question()).await.is_ok());
    controller.shutdown().await;
}

/// A new log in its place would know of no topic, and every node would delete what it has.
#[tokio::test]
async fn a_store_that_is_gone_is_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    formed(dir.path()).await;
    for barred in [None, Some("the disk has failed")] {
        let controller = start(config(dir.path(), barred)).await.unwrap();
        let images = controller.image();
        if barred.is_none() {
            assert!(controller.propose(question()).await.is_ok());
        }
        let image = images.borrow().clone();
        let (metadata, away) = (dir.path().join("metadata"), dir.path().join("away"));
        std::fs::rename(&metadata, &away).unwrap();
        controller.kill_raft();
        controller.bar(None);
        let tried = async {
            while controller.status().restarts < 3 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), tried).await.unwrap();
        assert!(controller.outage().borrow().is_some() && !metadata.exists());
        assert_eq!(*images.borrow(), image);
        std::fs::rename(&away, &metadata).unwrap();
        ended(&controller).await;
        assert_eq!(*images.borrow(), image);
        controller.shutdown().await;
    }
}

#[tokio::test]
async fn without_any_metadata_nothing_starts() {
    let dir = tempfile::tempdir().unwrap();
    let refused = start(config(dir.path(), Some("the disk has failed"))).await.unwrap_err().to_string();
    assert_eq!(refused, "the metadata store cannot be opened: the disk has failed");
    assert!(!dir.path().join("metadata").exists());
}
