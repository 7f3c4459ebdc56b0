use std::sync::Arc;

use forebay_base::{Clock, Instant, WallTime};
use forebay_log::RealDisk;
use openraft::StorageError;
use openraft::testing::{StoreBuilder, Suite};

use super::*;
use crate::storage::StorageThread;
use crate::store::{LogConfig, LogStore, SnapshotStore};

#[path = "../../tests/tasks/mod.rs"]
mod tasks;

#[derive(Debug)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Instant {
        Instant(0)
    }

    fn wall(&self) -> WallTime {
        WallTime(0)
    }
}

struct Builder;

impl StoreBuilder<Group, RaftLog, Machine, tempfile::TempDir> for Builder {
    async fn build(&self) -> Result<(tempfile::TempDir, RaftLog, Machine), StorageError<u64>> {
        let dir = tempfile::tempdir().unwrap();
        let log = LogStore::open(&RealDisk, dir.path(), LogConfig { log_bytes: 0 }).unwrap();
        let snapshots = SnapshotStore::open(&RealDisk, dir.path(), 1024).unwrap();
        let thread = StorageThread::start(
            &tasks::Tasks,
            Arc::new(StoppedClock),
            "test",
            tokio::sync::watch::channel(0).0,
        );
        let snapshots = SharedSnapshots::new(snapshots, thread.clone());
        let machine = Machine::open(snapshots, Arc::new(Publisher::new())).await.unwrap();
        Ok((dir, RaftLog(SharedLog::new(log, thread)), machine))
    }
}

#[test]
fn openrafts_own_storage_suite_passes() {
    Suite::test_all(Builder).unwrap();
}

#[test]
fn a_batch_of_a_newer_release_is_refused() {
    let batch = Batch { proposal: 7, decided_on: 3, records: vec![1, 2, 3] };
    let bytes = batch.encode();
    assert_eq!(bytes.len() as u64, Batch::HEADER_LEN + 3);
    assert_eq!(Batch::decode(bytes.clone()).unwrap(), batch);
    let mut newer = bytes.to_vec();
    newer[0] = 2;
    assert!(matches!(Batch::decode(newer.into()), Err(EntryError::Newer(2))));
    assert!(matches!(Batch::decode(bytes.slice(..9)), Err(EntryError::Short(_))));
}
