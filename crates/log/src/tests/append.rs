use std::sync::atomic::Ordering;

use super::fault::FaultDisk;
use super::*;
use crate::LogError;

fn open(place: &Place, disk: &FaultDisk) -> Log {
    Log::open(Arc::new(disk.clone()), &place.dir, config(), false).unwrap()
}

#[test]
fn what_is_appended_is_read_byte_for_byte() {
    let place = Place::new();
    let mut log = place.open(true);
    assert_eq!((log.start(), log.end(), log.unsynced().is_none()), (Offset(0), Offset(0), true));
    assert!(!place.dir.exists());
    let batches = [batch_at(0, 3, 10, 0), batch_at(3, 1, 11, 0), batch_at(4, 6, 12, 2)];
    log.append(&batches, NOW).unwrap();
    assert_eq!((log.end(), log.durable_end()), (Offset(10), Offset(0)));
    let slice = log.segments().read(Offset(0), ALL, 1 << 20).unwrap().unwrap();
    let expected: Vec<u8> = batches.iter().flat_map(raw).collect();
    assert_eq!(slice.piece().read().unwrap(), expected);
    assert_eq!(slice.read_checked().unwrap(), expected);
    assert_eq!(log.size_bytes(), expected.len() as u64);
    assert!(slice.is_ready());
    sync(&mut log);
    assert_eq!(log.durable_end(), Offset(10));
    assert_eq!(epochs(&log), [(0, 0), (2, 4)]);
}

#[test]
fn the_write_back_of_what_is_synced_is_not_started() {
    let place = Place::new();
    let config = LogConfig { segment_bytes_max: 1 << 30, ..config() };
    let mut log = Log::open(Arc::new(RealDisk), &place.dir, config, true).unwrap();
    let mut started = |is_synced: bool| {
        log.append(&[batch(&log, 3_000_000, 1, 0)], NOW).unwrap();
        if is_synced {
            sync(&mut log);
        }
        log.write_back_due().map(|back| (back.at / 3_000_000, back.len / 3_000_000))
    };
    assert_eq!([started(false), started(false), started(false)], [None, None, Some((0, 3))]);
    assert_eq!([started(false), started(false), started(true)], [None, None, None]);
    assert_eq!([started(false), started(false), started(false)], [None, None, Some((6, 3))]);
}

#[test]
fn batches_that_do_not_follow_the_end_are_refused() {
    let mut log = Place::new().three_segments();
    for misplaced in [vec![batch_at(31, 1, 1, 1)], vec![batch_at(30, 2, 1, 1), batch_at(31, 1, 1, 1)]] {
        assert!(matches!(log.append(&misplaced, NOW), Err(LogError::Misplaced { .. })));
    }
    assert_eq!(log.end(), Offset(30));
}

#[test]
fn the_first_append_makes_everything_durable_before_it_writes() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    RealDisk.create_dir(place.dir.parent().unwrap()).unwrap();
    let mut log = open(&place, &disk);
    log.append(&[batch(&log, 1, 1, 1)], NOW).unwrap();
    let expected = [
        "create_dir p",
        "sync_dir partitions",
        "create state",
        "write state",
        "sync state",
        "create 00.log",
        "sync_dir p",
        "write 00.log",
    ];
    assert_eq!(disk.take_calls(), expected);
}

#[test]
fn missing_parents_are_made_one_after_the_other() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    let mut log = open(&place, &disk);
    log.append(&[batch(&log, 1, 1, 1)], NOW).unwrap();
    let calls = disk.take_calls();
    let last = |call: &str| calls.iter().rposition(|made| made == call).unwrap();
    assert!(last("create_dir partitions") < last("create_dir p"));
    assert!(last("create_dir p") < last("sync_dir partitions"));
    assert!(last("sync_dir partitions") < last("create state"));
}

#[test]
fn a_roll_syncs_the_old_segment_before_it_makes_the_new_one() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    let mut log = open(&place, &disk);
    log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap();
    disk.take_calls();
    log.roll(b"p", NOW).unwrap();
    assert_eq!(log.durable_end(), Offset(5));
    let calls = disk.take_calls();
    let place_of = |call: &str| calls.iter().position(|made| made == call).unwrap();
    assert!(place_of("sync 00.log") < place_of("create 05.log"));
    assert_eq!(calls.last().unwrap(), "sync_dir p");
    log.roll(b"p", NOW).unwrap();
    assert_eq!(disk.take_calls(), [""; 0], "an empty segment is not rolled");
}

#[test]
fn a_short_write_leaves_no_trace() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    let mut log = open(&place, &disk);
    log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap();
    let (segments, len) = (log.segments(), log.size_bytes());
    disk.0.room.store(150, Ordering::SeqCst);
    let error = log.append(&[batch_at(5, 5, 2, 1), batch_at(10, 5, 3, 1)], NOW).unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!((log.end(), log.size_bytes()), (Offset(5), len));
    assert_eq!(std::fs::metadata(place.path(Kind::Log, 0)).unwrap().len(), len);
    assert_eq!(segments.end(), Offset(5));
    disk.0.room.store(u64::MAX, Ordering::SeqCst);
    log.append(&[batch(&log, 1, 4, 1)], NOW).unwrap();
    assert_eq!(read_all(&segments, 0), [0, 5]);
}

#[test]
fn a_rollback_that_fails_ends_all_writing_and_no_reading() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    let mut log = open(&place, &disk);
    log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap();
    disk.0.room.store(10, Ordering::SeqCst);
    disk.0.fail_truncate.store(true, Ordering::SeqCst);
    assert!(matches!(log.append(&[batch(&log, 5, 1, 1)], NOW), Err(LogError::Poisoned { .. })));
    disk.0.room.store(u64::MAX, Ordering::SeqCst);
    assert!(matches!(log.append(&[batch(&log, 5, 1, 1)], NOW), Err(LogError::Poisoned { .. })));
    assert!(matches!(log.roll(b"", NOW), Err(LogError::Poisoned { .. })));
    assert!(matches!(log.close(b""), Err(LogError::Poisoned { .. })));
    assert_eq!(read_all(&log.segments(), 0), [0]);
}

#[test]
fn a_rollback_without_room_waits_and_is_done_before_the_next_write() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    let mut log = open(&place, &disk);
    log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap();
    let len = log.size_bytes();
    let on_disk = || std::fs::metadata(place.path(Kind::Log, 0)).unwrap().len();
    disk.0.room.store(50, Ordering::SeqCst);
    disk.0.no_room_to_cut.store(true, Ordering::SeqCst);
    let two = [batch_at(5, 5, 2, 1), batch_at(10, 5, 3, 1)];
    assert!(log.append(&two, NOW).unwrap_err().is_full());
    disk.0.room.store(u64::MAX, Ordering::SeqCst);
    // Whatever makes more of the file must wait, too.
    assert!(log.append(&two, NOW).unwrap_err().is_full());
    assert!(log.roll(b"", NOW).unwrap_err().is_full());
    log.rest().unwrap();
    assert!(log.is_awake() && log.poisoned().is_none());
    log.close(b"").unwrap();
    drop(log);
    assert_eq!(on_disk(), len + 50);
    for clean in [true, false] {
        let log = Log::open(Arc::new(disk.clone()), &place.dir, config(), clean).unwrap();
        assert_eq!((log.end(), read_all(&log.segments(), 0)), (Offset(5), vec![0]), "reads need no room");
    }
    let mut log = Log::open(Arc::new(disk.clone()), &place.dir, config(), false).unwrap();
    disk.0.no_room_to_cut.store(false, Ordering::SeqCst);
    log.append(&[batch(&log, 1, 4, 1)], NOW).unwrap();
    assert_eq!((on_disk(), read_all(&log.segments(), 0)), (log.size_bytes(), vec![0, 5]));
}

#[test]
fn a_failed_sync_ends_all_writing() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    let mut log = open(&place, &disk);
    log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap();
    disk.0.fail_sync.store(true, Ordering::SeqCst);
    let error = log.roll(b"", NOW).unwrap_err();
    assert!(error.to_string().contains("the device failed"), "{error}");
    disk.0.fail_sync.store(false, Ordering::SeqCst);
    assert!(matches!(log.append(&[batch(&log, 5, 1, 1)], NOW), Err(LogError::Poisoned { .. })));
    log.synced(Offset(5));
    assert_eq!(log.durable_end(), Offset(0), "a later success proves nothing");
    assert_eq!(read_all(&log.segments(), 0), [0]);
}

#[test]
fn a_roll_without_room_goes_on_in_the_old_segment() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    let mut log = open(&place, &disk);
    log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap();
    disk.0.fail_create.store(true, Ordering::SeqCst);
    assert!(log.roll(b"", NOW).unwrap_err().is_full());
    log.append(&[batch(&log, 5, 2, 1)], NOW).unwrap();
    disk.0.fail_create.store(false, Ordering::SeqCst);
    // Hints that cannot be written are no error.
    disk.0.room.store(0, Ordering::SeqCst);
    log.roll(b"", NOW).unwrap();
    disk.0.room.store(u64::MAX, Ordering::SeqCst);
    log.append(&[batch(&log, 5, 3, 1)], NOW).unwrap();
    assert_eq!(read_all(&log.segments(), 0), [0, 5, 10]);
    drop(log);
    assert_eq!(read_all(&open(&place, &disk).segments(), 0), [0, 5, 10]);
}

#[test]
fn a_first_append_without_room_can_be_tried_again() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    let mut log = open(&place, &disk);
    disk.0.fail_create.store(true, Ordering::SeqCst);
    assert!(log.append(&[batch_at(0, 1, 1, 1)], NOW).unwrap_err().is_full());
    disk.0.fail_create.store(false, Ordering::SeqCst);
    log.append(&[batch_at(0, 1, 1, 1)], NOW).unwrap();
    assert_eq!(read_all(&log.segments(), 0), [0]);
}

#[test]
fn a_directory_whose_sync_failed_is_not_believed() {
    for parents_made in [true, false] {
        let (place, disk) = (Place::new(), FaultDisk::new());
        if parents_made {
            RealDisk.create_dir(place.dir.parent().unwrap()).unwrap();
        }
        let mut log = open(&place, &disk);
        disk.0.fail_sync_dir.store(1, Ordering::SeqCst);
        for _ in 0..2 {
            let refused = log.append(&[batch_at(0, 1, 1, 1)], NOW).unwrap_err();
            assert!(matches!(refused, LogError::Poisoned { .. }), "{refused}");
        }
        assert!(!place.dir.exists());
        let mut log = open(&place, &disk);
        log.append(&[batch_at(0, 1, 1, 1)], NOW).unwrap();
        let calls = disk.take_calls();
        let last = |call: &str| calls.iter().rposition(|made| made == call).unwrap();
        assert!(last("create_dir p") < last("sync_dir partitions"), "made anew, then synced: {calls:?}");
    }
}

#[test]
fn being_out_of_descriptors_is_no_storage_fault() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    let mut log = open(&place, &disk);
    let first = batch(&log, 5, 1, 1);
    disk.0.no_descriptor.store(true, Ordering::SeqCst);
    assert!(log.append(std::slice::from_ref(&first), NOW).unwrap_err().is_out_of_descriptors());
    disk.0.no_descriptor.store(false, Ordering::SeqCst);
    log.append(&[first], NOW).unwrap();
    for _ in 0..2 {
        disk.0.no_descriptor.store(true, Ordering::SeqCst);
        assert!(log.roll(b"", NOW).unwrap_err().is_out_of_descriptors());
        assert_eq!(log.poisoned(), None);
        log.append(&[batch(&log, 5, 2, 1)], NOW).unwrap();
        disk.0.no_descriptor.store(false, Ordering::SeqCst);
    }
    log.roll(b"", NOW).unwrap();
    log.append(&[batch(&log, 5, 3, 1)], NOW).unwrap();
    sync(&mut log);
    drop(log);
    let log = place.open(false);
    assert_eq!((log.start(), log.end(), log.segments().list.len()), (Offset(0), Offset(20), 2));
}

#[test]
fn a_short_write_that_was_undone_is_synced_by_the_close() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    place.three_segments().close(b"").unwrap();
    let mut log = Log::open(Arc::new(disk.clone()), &place.dir, config(), true).unwrap();
    disk.0.room.store(100, Ordering::SeqCst);
    assert!(log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap_err().is_full());
    disk.0.room.store(u64::MAX, Ordering::SeqCst);
    log.close(b"").unwrap();
    let calls = disk.take_calls();
    let place_of = |call: &str| calls.iter().position(|made| made == call);
    assert!(place_of("sync 20.log") > place_of("truncate 20.log"), "{calls:?}");
}

#[test]
fn segments_are_rolled_when_full_old_or_expired() {
    let place = Place::new();
    let mut log = place.open(true);
    assert!(!log.wants_roll(u64::MAX, NOW));
    log.append(&[batch(&log, 5, NOW.0, 1)], NOW).unwrap();
    let len = log.size_bytes();
    let later = |ms: i64| WallTime(NOW.0 + ms);
    assert!(!log.wants_roll(100, NOW));
    assert!(!log.wants_roll(0, later(3_600_000)));
    assert!(log.wants_roll(0, later(3_600_001)));
    log.configure(LogConfig { segment_bytes_max: len + 100, ..config() });
    assert!(!log.wants_roll(100, NOW));
    assert!(log.wants_roll(101, NOW));
    log.configure(LogConfig { retention_age: Some(Duration::from_millis(50)), ..config() });
    assert!(!log.wants_roll(0, later(50)));
    assert!(log.wants_roll(0, later(51)));
    assert!(!log.wants_roll(1, later(51)), "old records alone do not roll on every append");
}

#[test]
fn a_write_of_many_parts_is_one_append() {
    let mut log = Place::new().open(true);
    let batches: Vec<Stamped> = (0..1_500).map(|n| batch_at(n, 1, n, 1)).collect();
    log.append(&batches, NOW).unwrap();
    assert_eq!(read_all(&log.segments(), 0).len(), 1_500);
}
