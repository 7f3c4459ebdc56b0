use std::sync::atomic::Ordering;

use super::fault::FaultDisk;
use super::*;
use crate::LogError;

#[test]
fn deleting_records_leaves_slices_in_flight_whole() {
    let place = Place::new();
    let mut log = place.three_segments();
    let view = log.segments();
    let slice = view.read(Offset(0), ALL, 1 << 20).unwrap().unwrap();
    let before = slice.piece().read().unwrap();
    log.advance_start(Offset(22)).unwrap();
    assert_eq!((log.start(), log.end()), (Offset(22), Offset(30)));
    assert_eq!(place.names(), ["00000000000000000020.log", "state"]);
    assert_eq!(slice.read_checked().unwrap(), before);
    assert_eq!(read_all(&log.segments(), 22), [20, 25]);
    let gone = log.segments().read(Offset(21), ALL, 1).unwrap_err();
    assert!(matches!(gone, LogError::OutOfRange { start: Offset(22), end: Offset(30) }));
    // An old view that had not opened the segment.
    assert!(matches!(view.read(Offset(10), ALL, 1), Err(LogError::OutOfRange { .. })));
    assert!(matches!(log.advance_start(Offset(31)), Err(LogError::OutOfRange { .. })));
    log.advance_start(Offset(1)).unwrap();
    assert_eq!(place.open(false).start(), Offset(22));
    log.advance_start(Offset(30)).unwrap();
    let log = place.open(false);
    assert_eq!((log.start(), log.end(), epochs(&log)), (Offset(30), Offset(30), vec![(1, 30)]));
}

#[test]
fn the_log_start_is_durable_before_a_segment_goes() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    place.three_segments();
    let mut log = Log::open(Arc::new(disk.clone()), &place.dir, config(), false).unwrap();
    disk.take_calls();
    log.advance_start(Offset(10)).unwrap();
    assert_eq!(disk.take_calls(), ["write state", "sync state", "remove 00.index", "remove 00.log"]);
    log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap();
    disk.take_calls();
    log.advance_start(Offset(35)).unwrap();
    assert_eq!(
        disk.take_calls()[..3],
        ["sync 20.log", "write state", "sync state"],
        "never above the durable end"
    );
}

#[test]
fn a_log_that_holds_only_deleted_records_has_no_segment() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    place.three_segments();
    let mut log = Log::open(Arc::new(disk.clone()), &place.dir, config(), false).unwrap();
    let slice = log.segments().read(Offset(20), ALL, 1 << 20).unwrap().unwrap();
    let before = slice.piece().read().unwrap();
    log.advance_start(Offset(29)).unwrap();
    log.drop_deleted().unwrap();
    assert_eq!(place.names(), ["00000000000000000020.log", "state"], "one record is left");
    log.advance_start(Offset(30)).unwrap();
    disk.take_calls();
    log.drop_deleted().unwrap();
    assert_eq!(disk.take_calls(), ["write state", "sync state", "remove 20.log"], "nothing that takes space");
    assert_eq!(slice.read_checked().unwrap(), before, "a slice in flight is whole");
    assert_eq!((log.start(), log.end(), log.size_bytes()), (Offset(30), Offset(30), 0));
    assert!(log.keep_producers(b"state at 30"));
    drop(log);
    for clean in [false, true] {
        let log = place.open(clean);
        assert_eq!((log.start(), log.end(), log.durable_end()), (Offset(30), Offset(30), Offset(30)));
        assert_eq!(log.segments().read(Offset(30), ALL, 1).unwrap().map(drop), None);
        assert_eq!(log.producer_snapshot().unwrap().1, "state at 30");
    }
    let mut log = place.open(false);
    log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap();
    assert_eq!(read_all(&log.segments(), 30), [30]);
    drop(log);
    assert_eq!(read_all(&place.open(false).segments(), 30), [30]);
}

#[test]
fn retention_by_size_keeps_at_least_that_much() {
    let place = Place::new();
    let mut log = place.three_segments();
    let segment = log.size_bytes() / 3;
    let retain = |log: &mut Log, bytes, upto| {
        log.configure(LogConfig { retention_bytes: Some(bytes), ..config() });
        log.retain(NOW, Offset(upto)).unwrap().map(|start| start.0)
    };
    assert_eq!(retain(&mut log, 2 * segment + 1, 30), None);
    assert_eq!(retain(&mut log, 2 * segment, 9), None, "never past the high watermark");
    assert_eq!(retain(&mut log, 2 * segment, 30), Some(10));
    assert_eq!(retain(&mut log, 0, 30), Some(20), "never the active segment");
    assert_eq!(read_all(&log.segments(), 20), [20, 25]);
    assert_eq!(place.open(false).start(), Offset(20));
}

#[test]
fn retention_by_time_goes_by_the_newest_record() {
    let place = Place::new();
    place.three_segments().close(b"").unwrap();
    let mut log = place.open(true);
    log.configure(LogConfig { retention_age: Some(Duration::from_millis(1_000)), ..config() });
    assert_eq!(log.retain(WallTime(2_050), ALL).unwrap(), None);
    assert_eq!(log.retain(WallTime(2_051), ALL).unwrap(), Some(Offset(10)));
    assert_eq!(log.retain(WallTime(9_999), ALL).unwrap(), Some(Offset(20)));
    assert_eq!(log.retain(WallTime(9_999), ALL).unwrap(), None);
    assert!(log.wants_roll(0, WallTime(9_999)));
    log.roll(b"", NOW).unwrap();
    assert_eq!(log.retain(WallTime(9_999), ALL).unwrap(), Some(Offset(30)));
    assert_eq!((log.end(), log.size_bytes()), (Offset(30), 0));
    log.append(&[batch(&log, 2, 1, 1)], NOW).unwrap();
    assert_eq!(read_all(&log.segments(), 30), [30]);
}

#[test]
fn the_active_segment_expires_where_no_new_one_can_be_made() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    place.three_segments().close(b"").unwrap();
    let mut log = Log::open(Arc::new(disk.clone()), &place.dir, config(), true).unwrap();
    let aged = LogConfig { retention_age: Some(Duration::from_millis(1_000)), ..config() };
    log.configure(LogConfig { retention_bytes: Some(0), ..config() });
    assert_eq!(log.retain(NOW, Offset(10)).unwrap(), Some(Offset(10)));
    log.configure(aged.clone());
    assert_eq!(log.expire_active(NOW, ALL).unwrap(), None, "another one comes first");
    assert_eq!(log.retain(WallTime(2_250), ALL).unwrap(), Some(Offset(20)));
    disk.0.fail_create.store(true, Ordering::SeqCst);
    disk.0.room.store(0, Ordering::SeqCst);
    assert!(log.wants_roll(0, WallTime(2_251)) && log.roll(b"", NOW).unwrap_err().is_full());
    assert_eq!(log.expire_active(WallTime(2_250), ALL).unwrap(), None, "its newest record is not old enough");
    assert_eq!(log.expire_active(WallTime(2_251), Offset(29)).unwrap(), None, "nor is it committed");
    log.configure(LogConfig { retention_bytes: Some(0), ..config() });
    assert_eq!(log.expire_active(WallTime(2_251), ALL).unwrap(), None, "size alone is no reason");
    log.configure(aged);
    disk.0.room.store(u64::MAX, Ordering::SeqCst);
    disk.take_calls();
    assert_eq!(log.expire_active(WallTime(2_251), ALL).unwrap(), Some(Offset(30)));
    log.drop_deleted().unwrap();
    let takes_space = |call: &String| call.starts_with("create") || call.starts_with("sync_dir");
    let calls = disk.take_calls();
    assert!(!calls.iter().any(takes_space) && calls.last().unwrap() == "remove 20.log", "{calls:?}");
    assert_eq!(log.expire_active(WallTime(9_999), ALL).unwrap(), None);
    assert_eq!((log.start(), log.end(), log.size_bytes()), (Offset(30), Offset(30), 0));
    disk.0.fail_create.store(false, Ordering::SeqCst);
    log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap();
    assert_eq!(read_all(&log.segments(), 30), [30]);
}

#[test]
fn a_damaged_segment_is_not_deleted_by_age() {
    for damaged in [0, 10] {
        let place = Place::new();
        place.three_segments().close(b"").unwrap();
        // Its newest record, of which nothing is known any more.
        lose_second_batch(&place.path(Kind::Log, damaged));
        let mut log = place.open(true);
        log.configure(LogConfig { retention_age: Some(Duration::from_millis(1_000)), ..config() });
        if damaged > 0 {
            assert_eq!(
                log.retain(WallTime(2_149), ALL).unwrap(),
                Some(Offset(10)),
                "what lies before it goes"
            );
        }
        assert!(matches!(log.retain(WallTime(2_149), ALL), Err(LogError::Corrupt { .. })));
        assert_eq!(log.start(), Offset(damaged));
        log.configure(LogConfig { retention_bytes: Some(0), ..config() });
        assert_eq!(log.retain(NOW, ALL).unwrap(), Some(Offset(20)), "size does not depend on it");
    }
}

#[test]
fn records_without_timestamps_age_from_when_their_segment_was_sealed() {
    let place = Place::new();
    let mut log = place.open(true);
    log.append(&[batch(&log, 5, -1, 1)], NOW).unwrap();
    log.roll(b"", NOW).unwrap();
    log.configure(LogConfig { retention_age: Some(Duration::from_millis(10)), ..config() });
    assert_eq!(log.retain(WallTime(NOW.0 + 10), ALL).unwrap(), None);
    assert_eq!(log.retain(WallTime(NOW.0 + 11), ALL).unwrap(), Some(Offset(5)));
}

#[test]
fn records_of_which_nothing_tells_the_age_count_from_when_the_log_was_opened() {
    let place = Place::new();
    let mut log = place.open(true);
    log.append(&[batch(&log, 5, -1, 1)], NOW).unwrap();
    log.roll(b"", NOW).unwrap();
    log.append(&[batch(&log, 5, -1, 1)], NOW).unwrap();
    sync(&mut log);
    drop(log);
    RealDisk.remove_file(&place.path(Kind::Index, 0)).unwrap();
    let mut log = place.open(false);
    let config = LogConfig { retention_age: Some(Duration::from_millis(10)), ..config() };
    log.configure(LogConfig { segment_age_max: Duration::from_millis(20), ..config });
    let reopened = NOW.0 + 1_000;
    log.age_from(WallTime(reopened));
    assert_eq!(log.retain(WallTime(reopened + 10), ALL).unwrap(), None);
    assert_eq!(log.retain(WallTime(reopened + 11), ALL).unwrap(), Some(Offset(5)));
    assert!(!log.wants_roll(0, WallTime(reopened + 20)));
    assert!(log.wants_roll(0, WallTime(reopened + 21)), "the last segment, too");
}

#[test]
fn truncation_cuts_at_the_batch_that_holds_the_offset() {
    for clean in [true, false] {
        let place = Place::new();
        let mut log = place.three_segments();
        log.append(&[batch(&log, 5, 9_000, 4)], NOW).unwrap();
        log.truncate(Offset(99)).unwrap();
        assert_eq!(log.end(), Offset(35));
        log.truncate(Offset(18)).unwrap();
        assert_eq!((log.end(), log.durable_end(), epochs(&log)), (Offset(15), Offset(15), vec![(1, 0)]));
        assert_eq!(log.segments().max_timestamp(ALL).unwrap(), Some((Offset(10), 1_100)));
        log.append(&[batch(&log, 3, 7, 5)], NOW).unwrap();
        assert_eq!(read_all(&log.segments(), 0), [0, 5, 10, 15]);
        assert_eq!(
            log.segments().read(Offset(15), ALL, 1).unwrap().map(|slice| bases(&slice)),
            Some(vec![15])
        );
        log.close(b"").unwrap();
        let log = place.open(clean);
        assert_eq!((log.end(), epochs(&log)), (Offset(18), vec![(1, 0), (5, 15)]));
        assert_eq!(read_all(&log.segments(), 0), [0, 5, 10, 15]);
    }
}

#[test]
fn truncation_to_a_segment_start_and_to_the_log_start() {
    let place = Place::new();
    let mut log = place.three_segments();
    log.truncate(Offset(20)).unwrap();
    assert_eq!((log.end(), place.open(false).end()), (Offset(20), Offset(20)));
    log.advance_start(Offset(12)).unwrap();
    assert!(
        matches!(log.truncate(Offset(13)), Err(LogError::OutOfRange { .. })),
        "it would pass the log start"
    );
    assert!(matches!(log.truncate(Offset(3)), Err(LogError::OutOfRange { .. })));
    log.truncate(Offset(15)).unwrap();
    log.advance_start(Offset(15)).unwrap();
    log.append(&[batch(&log, 1, 1, 9)], NOW).unwrap();
    assert_eq!(read_all(&place.open(false).segments(), 15), [15]);
}

#[test]
fn truncation_leaves_no_hole_whenever_the_power_goes() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    let mut log = place.three_segments();
    log.close(b"").unwrap();
    let mut log = Log::open(Arc::new(disk.clone()), &place.dir, config(), false).unwrap();
    log.checkpoint().unwrap();
    disk.take_calls();
    log.truncate(Offset(5)).unwrap();
    let expected = [
        "write state",
        "sync state",
        "remove 10.producers",
        "remove 20.producers",
        "remove 30.producers",
        "remove 00.index",
        "remove 10.index",
        "sync_dir p",
        "remove 20.log",
        "sync_dir p",
        "remove 10.log",
        "sync_dir p",
        "truncate 00.log",
        "sync 00.log",
    ];
    let calls: Vec<String> =
        disk.take_calls().into_iter().filter(|call| call != "remove 10.producers").collect();
    let expected: Vec<&str> = expected.into_iter().filter(|call| *call != "remove 10.producers").collect();
    assert_eq!(calls, expected);
}

#[test]
fn a_deleted_log_is_gone_but_slices_stay_readable() {
    let place = Place::new();
    let log = place.three_segments();
    let slice = log.segments().read(Offset(25), ALL, 1).unwrap().unwrap();
    log.delete().unwrap();
    assert!(!place.dir.exists());
    assert_eq!(bases(&slice), [25]);
    assert_eq!(place.open(false).end(), Offset(0));
    crate::remove_partition(&RealDisk, &place.dir).unwrap();
}
