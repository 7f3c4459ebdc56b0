//! Logs that nobody writes to.

use std::sync::atomic::Ordering;

use super::fault::FaultDisk;
use super::*;
use crate::Glance;

#[test]
fn a_rested_log_is_read_written_and_rolled_as_any_other() {
    let place = Place::new();
    let mut log = place.three_segments();
    let old_view = log.segments();
    for round in 0..3 {
        log.rest().unwrap();
        assert!(!log.is_awake());
        assert!(matches!(log.segments().glance(Offset(20), ALL, 1), Ok(Glance::Cold)));
        assert_eq!((log.start(), log.durable_end()), (Offset(0), log.end()));
        log.append(&[batch(&log, 5, 2_000 + round, 1)], NOW).unwrap();
        let end = 35 + 5 * round;
        assert_eq!(log.end(), Offset(end));
        assert_eq!(headers(&log, 0).last(), Some(&(end - 5)));
        assert_eq!(headers(&log, 20), (4..end / 5).map(|n| n * 5).collect::<Vec<_>>());
        assert_eq!(read_all(&old_view, 25).last(), Some(&(end - 5)), "appends show in old views");
        let newest = log.segments().find_timestamp(2_000 + round, ALL).unwrap().unwrap();
        assert_eq!(newest.base_offset(), Offset(end - 5));
    }
    log.rest().unwrap();
    log.roll(b"", NOW).unwrap();
    log.append(&[batch(&log, 5, 9_000, 1)], NOW).unwrap();
    assert_eq!(place.open(false).end(), Offset(50));
    log.rest().unwrap();
    log.truncate(Offset(32)).unwrap();
    assert_eq!(read_all(&log.segments(), 0), [0, 5, 10, 15, 20, 25]);
    log.append(&[batch(&log, 1, 9_000, 1)], NOW).unwrap();
    log.rest().unwrap();
    log.close(b"p").unwrap();
    assert_eq!(read_all(&place.open(true).segments(), 0), [0, 5, 10, 15, 20, 25, 30]);
}

#[test]
fn a_long_segment_leaves_its_index_behind() {
    let place = Place::new();
    let mut log = place.open(true);
    let hint = place.path(Kind::Index, 0);
    while log.size_bytes() < 300_000 {
        let batches: Vec<_> = (0..50).map(|n| batch_at(log.end().0 + n * 100, 100, 1_000 + n, 1)).collect();
        log.append(&batches, NOW).unwrap();
        if log.size_bytes() < 30_000 {
            log.rest().unwrap();
            assert!(!hint.exists(), "walking is as quick");
        }
    }
    log.rest().unwrap();
    assert!(hint.exists());
    log.append(&[batch(&log, 5, 7_777, 1)], NOW).unwrap();
    let found = log.segments().find_timestamp(7_000, ALL).unwrap().unwrap();
    assert_eq!(found.base_offset(), Offset(log.end().0 - 5));
    log.rest().unwrap();
    assert_eq!(headers(&log, 0).len() as i64, log.end().0 / 100 + 1);
}

#[test]
fn a_cut_that_undid_a_short_write_is_synced_too() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    let mut log = Log::open(Arc::new(disk.clone()), &place.dir, config(), true).unwrap();
    log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap();
    sync(&mut log);
    disk.0.room.store(10, Ordering::SeqCst);
    log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap_err();
    disk.take_calls();
    log.rest().unwrap();
    assert_eq!(disk.take_calls(), ["sync 00.log"]);
    assert_eq!(disk.0.closed_unsynced.load(Ordering::SeqCst), 0);
}

#[test]
fn opening_after_a_clean_stop_writes_nothing() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    place.three_segments().close(b"p").unwrap();
    let mut log = Log::open(Arc::new(disk.clone()), &place.dir, config(), true).unwrap();
    assert!(!log.is_awake());
    assert_eq!((log.end(), log.durable_end(), epochs(&log)), (Offset(30), Offset(30), vec![(1, 0)]));
    assert!(!log.wants_roll(0, NOW));
    log.close(b"p").unwrap();
    assert_eq!(disk.take_calls(), Vec::<String>::new());
    assert_eq!(disk.0.open.load(Ordering::SeqCst), 0, "nothing is held open");
}
