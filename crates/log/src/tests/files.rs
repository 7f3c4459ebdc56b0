//! The bound of descriptors, with logs that share it.

use std::sync::atomic::Ordering;

use super::fault::FaultDisk;
use super::*;

const LOGS: usize = 20;
const DESCRIPTORS: usize = 8;

/// Some logs of three batches each, on a disk that counts.
struct Street {
    disk: FaultDisk,
    files: Arc<Files>,
    logs: Vec<Log>,
    _tmp: TempDir,
}

impl Street {
    fn new() -> Self {
        let (tmp, disk) = (tempfile::tempdir().unwrap(), FaultDisk::new());
        let files = Files::new(Arc::new(disk.clone()), DESCRIPTORS);
        let open = |n: usize| {
            let dir = tmp.path().join(format!("partitions/{n}"));
            Log::open_among(&files, &dir, config(), crate::Left::Clean).unwrap()
        };
        let logs = (0..LOGS).map(open).collect();
        Self { disk, files, logs, _tmp: tmp }
    }

    /// Appends three batches to each, and has logs rest as their owner does.
    fn write(&mut self) {
        for n in 0..LOGS {
            for round in 0..3 {
                let batch = batch(&self.logs[n], 5, 1_000 + round, 1);
                self.logs[n].append(&[batch], NOW).unwrap();
            }
            let mut oldest = 0;
            while self.files.is_crowded() {
                self.logs[oldest].rest().unwrap();
                oldest += 1;
            }
        }
    }

    fn open(&self) -> usize {
        self.disk.0.open.load(Ordering::SeqCst) as usize
    }

    fn closed_unsynced(&self) -> u64 {
        self.disk.0.closed_unsynced.load(Ordering::SeqCst)
    }
}

#[test]
fn descriptors_are_bounded_and_everything_is_read() {
    let mut street = Street::new();
    street.write();
    assert!(street.open() <= DESCRIPTORS / 2, "{} are open", street.open());
    for round in 0..3 {
        for (n, log) in street.logs.iter().enumerate() {
            assert_eq!(read_all(&log.segments(), 0), [0, 5, 10], "log {n}, round {round}");
            assert!(street.open() <= DESCRIPTORS, "{} are open", street.open());
        }
    }
    assert!(street.open() >= DESCRIPTORS / 2, "the bound is used");
}

#[test]
fn nothing_is_closed_under_a_reader() {
    let mut street = Street::new();
    street.write();
    let slices: Vec<_> = street
        .logs
        .iter()
        .map(|log| log.segments().read(Offset(0), ALL, 1 << 20).unwrap().unwrap())
        .collect();
    assert!(street.open() >= LOGS, "each slice owns its file");
    for slice in &slices {
        assert_eq!(bases(slice), [0, 5, 10]);
    }
    drop(slices);
    street.logs.iter().for_each(|log| drop(read_all(&log.segments(), 0)));
    assert!(street.open() <= DESCRIPTORS, "{} are open", street.open());
}

#[test]
fn what_was_used_lately_stays_open() {
    let mut street = Street::new();
    street.write();
    street.logs.iter_mut().for_each(|log| log.rest().unwrap());
    let warm = street.logs[0].segments();
    for log in &street.logs {
        log.segments().read(Offset(0), ALL, 1).unwrap();
        let glance = warm.glance(Offset(0), ALL, 1 << 20).unwrap();
        assert!(matches!(glance, crate::Glance::Found(_)));
    }
}

#[test]
fn unsynced_bytes_are_synced_before_their_descriptor_goes() {
    let mut street = Street::new();
    street.write();
    assert_eq!(street.closed_unsynced(), 0);
    let rested = street.logs.iter().find(|log| !log.is_awake()).unwrap();
    assert_eq!(rested.durable_end(), rested.end());
    street.disk.0.fail_sync.store(true, Ordering::SeqCst);
    let awake = street.logs.iter_mut().find(|log| log.is_awake()).unwrap();
    assert!(awake.durable_end() < awake.end());
    awake.rest().unwrap_err();
    assert!(awake.is_awake() && awake.poisoned().is_some(), "the error is told and not lost");
    awake.rest().unwrap_err();
    assert_eq!(read_all(&awake.segments(), 0), [0, 5, 10]);
    assert_eq!(street.closed_unsynced(), 0);
}

#[test]
fn reading_never_closes_what_is_written() {
    let mut street = Street::new();
    street.write();
    street.logs.iter_mut().for_each(|log| log.rest().unwrap());
    // In the ring already when it is written again.
    drop(read_all(&street.logs[0].segments(), 0));
    let append = |log: &mut Log, timestamp| log.append(&[batch(log, 5, timestamp, 1)], NOW).unwrap();
    append(&mut street.logs[0], 5_000);
    for log in street.logs.iter().skip(1).chain(&street.logs[1..]) {
        drop(read_all(&log.segments(), 0));
    }
    let segments = street.logs[0].segments();
    assert!(matches!(segments.glance(Offset(15), ALL, 1), Ok(crate::Glance::Found(_))));
    append(&mut street.logs[0], 6_000);
    let newest = segments.find_timestamp(5_500, ALL).unwrap().unwrap();
    assert_eq!(newest.base_offset(), Offset(20), "readers share the index that is written");
    assert_eq!(street.closed_unsynced(), 0);
    sync(&mut street.logs[0]);
}
