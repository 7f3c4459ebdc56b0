//! End to end: real writers and sync helpers, on a real file system that can be told to fail.

use std::time::Duration;

use bytes::Bytes;
use forebay_base::{Offset, ProducerId};
use forebay_log::LogConfig;
use forebay_records::{BatchBuilder, Records, TimestampType, batches};

use super::*;
use crate::intake::{Batch, IntakeRules, check};
use crate::{Acks, Appended, Flush, Found, ThreadWorkers, View};
use faulty::{Faults, FaultyDisk, TestClock};

mod faulty;
mod life;
mod readmit;
mod storage;

/// The bound of descriptors.
const DESCRIPTORS: usize = 64;

/// A volume in a directory of its own.
struct House {
    dir: tempfile::TempDir,
    clock: Arc<TestClock>,
    faults: Arc<Faults>,
    volume: Option<Volume>,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut house = Self { dir, clock: TestClock::new(), faults: Arc::default(), volume: None };
        house.start();
        house
    }

    fn start(&mut self) {
        self.start_as(Found::Nothing);
        eventually("the volume was looked at", || self.volume().condition().report().state.takes_writes());
    }

    fn start_as(&mut self, found: Found) {
        let disk = Arc::new(FaultyDisk::new(Arc::clone(&self.faults)));
        let workers = ThreadWorkers::new(self.clock.clone());
        let path = self.dir.path().join("partitions");
        self.volume = Some(Volume::start_as(
            &Files::new(disk, DESCRIPTORS),
            &workers,
            self.clock.clone(),
            path,
            Threads { writers: 2, sync_helpers: 2, readers: 1 },
            found,
        ));
    }

    fn volume(&self) -> &Volume {
        self.volume.as_ref().unwrap()
    }

    fn stop(&mut self, clean: bool) -> bool {
        self.volume.take().unwrap().stop(clean)
    }

    fn open_with(&self, index: i32, config: PartitionConfig, clean: bool) -> Arc<Partition> {
        self.volume().open(id(index), config, LeaderEpoch(1), clean).blocking_recv().unwrap().unwrap()
    }

    fn open(&self, index: i32) -> Arc<Partition> {
        self.open_with(index, config(), false)
    }
}

fn id(index: i32) -> PartitionId {
    PartitionId { index, ..PartitionId::default() }
}

fn config() -> PartitionConfig {
    PartitionConfig {
        log: LogConfig {
            segment_bytes_max: 1 << 20,
            segment_age_max: Duration::from_secs(86_400),
            index_interval_bytes: 4_096,
            retention_bytes: None,
            retention_age: None,
        },
        producer_expiry: Duration::from_secs(86_400),
        flush: Flush::Sync,
        retention_check: Duration::from_secs(300),
        delete_oldest: false,
    }
}

/// Segments of a few batches each.
fn small_segments() -> PartitionConfig {
    let log = LogConfig { segment_bytes_max: 600, index_interval_bytes: 100, ..config().log };
    PartitionConfig { log, ..config() }
}

fn checked(bytes: Bytes, timestamp_type: TimestampType) -> Batch {
    let rules = IntakeRules {
        max_message_bytes: 1 << 20,
        timestamp_type,
        before_max_ms: i64::MAX,
        after_max_ms: i64::MAX,
        compacted: false,
    };
    check(bytes, &rules, forebay_base::WallTime(0)).unwrap()
}

fn batch(value: &str) -> Batch {
    checked(
        BatchBuilder::new().record(7, None, Some(value.as_bytes())).build().unwrap(),
        TimestampType::CreateTime,
    )
}

fn idempotent(sequence: i32, value: &str) -> Batch {
    let builder = BatchBuilder::new().producer(ProducerId(5), 0, sequence);
    let bytes = builder.record(7, None, Some(value.as_bytes())).build().unwrap();
    checked(bytes, TimestampType::CreateTime)
}

fn append(partition: &Partition, batch: Batch) -> Result<Appended, Refused> {
    partition.append(batch, Acks::All).blocking_recv().unwrap()
}

fn appended(partition: &Partition, batch: Batch) -> i64 {
    append(partition, batch).unwrap().base_offset.0
}

/// Values of all records from `from` to the high watermark, checksums and offsets checked.
fn values(view: &View, from: Offset) -> Vec<String> {
    let (mut next, mut values) = (from, Vec::new());
    while let Some(slice) = view.segments.read(next, view.high_watermark, 1 << 20).unwrap() {
        for batch in batches(slice.read_checked().unwrap()) {
            for record in Records::of(&batch.unwrap().1).unwrap() {
                let record = record.unwrap();
                if record.offset >= next {
                    assert_eq!(record.offset, next, "offsets have no gaps");
                    next = record.offset.plus(1);
                    values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
                }
            }
        }
    }
    values
}

/// Waits until `ready`, but not for ever.
fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if ready() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never: {what}");
}
