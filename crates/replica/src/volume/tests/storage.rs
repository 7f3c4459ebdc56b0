//! Partitions whose disk fails, and a writer that is held up.

use std::task::{Context, Poll, Waker};

use forebay_base::limits;
use forebay_log::{Disk, RealDisk};

use super::*;

#[test]
fn a_failed_sync_fails_the_partition_and_reads_go_on() {
    let mut house = House::new();
    let (partition, other) = (house.open(0), house.open(1));
    appended(&partition, batch("kept"));
    appended(&other, batch("x"));
    Faults::set(&house.faults.sync, true);
    assert!(matches!(append(&partition, batch("lost")), Err(Refused::Storage(_))));
    Faults::set(&house.faults.sync, false);
    let later = append(&partition, batch("later")).unwrap_err();
    assert!(later.to_string().contains("planted"), "{later}");
    let view = partition.view();
    assert!(view.failed.is_some());
    assert_eq!(view.high_watermark, Offset(1));
    assert_eq!(values(&view, Offset(0)), ["kept"]);
    assert_eq!(appended(&other, batch("y")), 1, "only the partition is hit");
    assert!(matches!(partition.close().blocking_recv().unwrap(), Err(Refused::Storage(_))));
    // Opened again as after a crash: what is on the disk counts.
    let partition = house.open(0);
    assert!(partition.view().failed.is_none());
    assert_eq!(values(&partition.view(), Offset(0)).first().map(String::as_str), Some("kept"));
    assert!(append(&partition, batch("new")).is_ok());
    assert!(!house.stop(true), "a log that was not closed soundly forbids the clean mark");
}

#[test]
fn records_that_no_sync_has_stored_are_not_deleted() {
    let house = House::new();
    let partition = house.open_with(0, PartitionConfig { flush: Flush::Async, ..config() }, false);
    appended(&partition, batch("synced"));
    assert_eq!(partition.delete_records(Offset(1)).blocking_recv().unwrap(), Ok(Offset(1)));
    appended(&partition, batch("lost"));
    let gate = house.faults.sync_gate.lock().unwrap();
    let delete = partition.delete_records(Offset(2));
    let again = partition.delete_records(Offset(2));
    Faults::set(&house.faults.sync, true);
    let next = partition.append(batch("next"), Acks::Leader);
    eventually("the writer goes on", || partition.view().end == Offset(3));
    drop(gate);
    assert!(next.blocking_recv().unwrap().is_ok());
    for delete in [delete, again] {
        assert!(matches!(delete.blocking_recv().unwrap(), Err(Refused::Storage(_))));
    }
    assert_eq!(partition.view().start, Offset(1));
}

#[test]
fn a_full_disk_refuses_and_leaves_nothing_behind() {
    let mut house = House::new();
    let partition = house.open(0);
    appended(&partition, idempotent(0, "a"));
    Faults::set(&house.faults.full, true);
    for _ in 0..3 {
        let refused = append(&partition, idempotent(1, "b")).unwrap_err();
        let sentence = refused.to_string();
        assert!(matches!(refused, Refused::OutOfSpace(_)) && sentence.contains("are free"), "{sentence}");
        eventually("it counts as full", || !house.volume().condition().report().state.takes_writes());
    }
    assert_eq!(partition.view().end, Offset(1));
    assert_eq!(appended(&partition, idempotent(0, "a")), 0, "what was stored before is known for what it is");
    Faults::set(&house.faults.full, false);
    eventually("written again", || {
        append(&partition, idempotent(1, "b")).is_ok_and(|at| at.base_offset == Offset(1))
    });
    let counts = house.volume().condition().counts();
    assert_eq!((counts.no_room["write"], counts.faults), (1, 0), "{counts:?}");
    assert!(counts.refused[&forebay_log::volume::VolumeState::Full] >= 2);
    assert!(partition.view().failed.is_none());
    assert!(house.stop(true));
    house.start();
    assert_eq!(values(&house.open_with(0, config(), true).view(), Offset(0)), ["a", "b"]);
}

#[test]
fn a_panic_isolates_one_partition() {
    let mut house = House::new();
    let (partition, other) = (house.open(0), house.open(2));
    appended(&partition, batch("kept"));
    appended(&other, batch("x"));
    *house.faults.panic.lock().unwrap() = Some(id(0).to_string());
    let refused = append(&partition, batch("lost")).unwrap_err();
    assert!(matches!(&refused, Refused::Storage(reason) if reason.contains("a planted panic")), "{refused}");
    assert!(matches!(append(&partition, batch("later")), Err(Refused::Storage(_))));
    assert!(partition.view().failed.is_some());
    assert_eq!(values(&partition.view(), Offset(0)), ["kept"]);
    assert_eq!(appended(&other, batch("y")), 1, "its neighbour on the same writer goes on");
    *house.faults.panic.lock().unwrap() = None;
    let partition = house.open(0);
    assert_eq!(appended(&partition, batch("again")), 1);
    assert!(!house.stop(true));
}

#[test]
fn a_full_queue_is_busy_at_once_and_drains() {
    let house = House::new();
    let partition = house.open(0);
    appended(&partition, batch("first"));
    let gate = house.faults.gate.lock().unwrap();
    let mut answers: Vec<_> =
        (0..=2 * limits::WRITER_QUEUE_MAX).map(|_| partition.append(batch("x"), Acks::Leader)).collect();
    assert_eq!(answers.pop().unwrap().blocking_recv().unwrap(), Err(Refused::Busy));
    drop(gate);
    let (mut stored, mut busy) = (0, 0);
    for answer in answers {
        match answer.blocking_recv().unwrap() {
            Ok(_) => stored += 1,
            Err(refused) => {
                assert_eq!(refused, Refused::Busy);
                busy += 1;
            }
        }
    }
    assert!(busy > 0 && stored >= limits::WRITER_QUEUE_MAX as i64);
    assert_eq!(appended(&partition, batch("after")), stored + 1);
}

#[test]
fn a_log_that_cannot_be_opened_forbids_the_clean_mark() {
    let mut house = House::new();
    appended(&house.open(0), batch("a"));
    assert!(house.stop(true));
    house.start();
    let state = house.dir.path().join("partitions").join(id(0).to_string()).join("state");
    std::fs::remove_file(state).unwrap();
    let refused = house.volume().open(id(0), config(), LeaderEpoch(1), true).blocking_recv().unwrap();
    assert!(refused.is_err());
    assert!(!house.stop(true));
}

#[test]
fn a_panic_while_stopping_does_not_keep_the_writer_alive() {
    let house = House::new();
    let partition = house.open_with(0, small_segments(), false);
    let syncs = house.faults.sync_gate.lock().unwrap();
    let first = partition.append(batch(&"x".repeat(400)), Acks::Leader);
    first.blocking_recv().unwrap().unwrap();
    // Wants a new segment, so it waits for the sync of the first, and is written when the stop is under way.
    *house.faults.panic.lock().unwrap() = Some(id(0).to_string());
    let second = partition.append(batch(&"y".repeat(400)), Acks::All);
    let mut context = Context::from_waker(Waker::noop());
    let mut close = Box::pin(house.volume().close());
    assert_eq!(close.as_mut().poll(&mut context), Poll::Pending);
    drop(syncs);
    eventually("stopped", || close.as_mut().poll(&mut context) == Poll::Ready(false));
    assert!(matches!(second.blocking_recv().unwrap(), Err(Refused::Storage(_))));
}

#[test]
fn retention_goes_on_when_no_new_segment_can_be_made() {
    let house = House::new();
    let mut config = small_segments();
    let partition = house.open_with(0, config.clone(), false);
    for n in 0..20 {
        appended(&partition, batch(&n.to_string()));
    }
    Faults::set(&house.faults.create, true);
    house.clock.pass(Duration::from_secs(120));
    config.log.segment_age_max = Duration::from_secs(60);
    config.log.retention_bytes = Some(0);
    config.retention_check = Duration::from_millis(1);
    partition.configure(config);
    eventually("retention", || partition.view().start > Offset(0));
    assert_eq!(partition.view().end, Offset(20));
}

#[test]
fn records_that_are_all_too_old_go_though_no_new_segment_can_be_made() {
    let house = House::new();
    let mut config = config();
    config.log.retention_age = Some(Duration::from_secs(60));
    config.retention_check = Duration::from_millis(1);
    let partition = house.open_with(0, config, false);
    appended(&partition, idempotent(0, "old"));
    Faults::set(&house.faults.no_files, true);
    house.clock.pass(Duration::from_secs(120));
    eventually("retention", || partition.view().start == Offset(1) && partition.view().size_bytes == 0);
    let segment =
        house.dir.path().join("partitions").join(id(0).to_string()).join("00000000000000000000.log");
    assert!(!segment.exists(), "its space is given back");
    eventually("writes", || append(&partition, idempotent(1, "new")).is_ok());
    assert_eq!(appended(&partition, idempotent(1, "new")), 1);
    assert_eq!(appended(&partition, idempotent(0, "old")), 0, "its producers are still known");
}

#[test]
fn producers_that_there_was_no_room_for_are_kept_later() {
    for is_closed in [true, false] {
        let mut house = House::new();
        let mut config = config();
        if !is_closed {
            config.retention_check = Duration::from_millis(1);
        }
        let partition = house.open_with(0, config.clone(), false);
        appended(&partition, idempotent(0, "a"));
        Faults::set(&house.faults.no_producers, true);
        // The second is answered when all of the first is done.
        for _ in 0..2 {
            assert_eq!(partition.delete_records(Offset(-1)).blocking_recv().unwrap(), Ok(Offset(1)));
        }
        let kept = house
            .dir
            .path()
            .join("partitions")
            .join(id(0).to_string())
            .join("00000000000000000001.producers");
        let is_kept = || std::fs::metadata(&kept).is_ok_and(|file| file.len() > 0);
        assert!(!is_kept());
        Faults::set(&house.faults.no_producers, false);
        if !is_closed {
            eventually("kept", is_kept);
        }
        assert_eq!(house.stop(is_closed), is_closed);
        assert!(is_kept());
        house.start();
        let partition = house.open_with(0, config, is_closed);
        assert_eq!(appended(&partition, idempotent(0, "a")), 0, "it was stored before");
        assert_eq!(appended(&partition, idempotent(1, "b")), 1);
    }
}

#[test]
fn a_segment_that_is_old_and_cannot_be_rolled_is_filled_up() {
    let house = House::new();
    let mut config = small_segments();
    config.log.segment_age_max = Duration::from_secs(60);
    let partition = house.open_with(0, config, false);
    appended(&partition, batch("a"));
    house.clock.pass(Duration::from_secs(120));
    Faults::set(&house.faults.create, true);
    assert_eq!(appended(&partition, batch("b")), 1);
    assert_eq!(appended(&partition, batch("c")), 2);
    let full = append(&partition, batch(&"x".repeat(400)));
    assert!(matches!(full, Err(Refused::Storage(_))), "beyond its size it is not filled");
    Faults::set(&house.faults.create, false);
    assert_eq!(appended(&partition, batch(&"x".repeat(400))), 3);
    assert!(partition.view().failed.is_none());
}

/// A partition whose only segment has room for less than a sixteenth, and how many segments it has.
fn nearly_full(house: &House) -> (Arc<Partition>, impl Fn() -> usize) {
    let partition = house.open(0);
    for _ in 0..10 {
        appended(&partition, batch(&"x".repeat(100_000)));
    }
    let dir = house.dir.path().join("partitions").join(id(0).to_string());
    let segments = move || {
        let found = RealDisk.list(&dir).unwrap();
        found.iter().filter(|entry| entry.name.ends_with(".log")).count()
    };
    (partition, segments)
}

/// Appends two batches, the second while the sync of the first is in flight.
fn append_during_a_sync(house: &House, partition: &Partition) {
    append_during_a_sync_and(house, partition, || {});
}

/// As [`append_during_a_sync`], and has something else happen before the sync ends.
fn append_during_a_sync_and(house: &House, partition: &Partition, happen: impl FnOnce()) {
    let end = partition.view().end;
    let gate = house.faults.sync_gate.lock().unwrap();
    let first = partition.append(batch("a"), Acks::All);
    eventually("written", || partition.view().end == end.plus(1));
    let second = partition.append(batch("b"), Acks::All);
    eventually("written while a sync is in flight", || partition.view().end == end.plus(2));
    happen();
    drop(gate);
    assert_eq!(first.blocking_recv().unwrap().unwrap().base_offset, end);
    assert_eq!(second.blocking_recv().unwrap().unwrap().base_offset, end.plus(1));
}

#[test]
fn a_segment_that_is_nearly_full_rolls_when_a_sync_ends_and_appends_go_on() {
    let house = House::new();
    let (partition, segments) = nearly_full(&house);
    assert_eq!(
        (appended(&partition, batch("y")), segments()),
        (10, 1),
        "nothing was written during that sync"
    );
    append_during_a_sync(&house, &partition);
    eventually("rolled with room left", || segments() == 2);
    assert_eq!(appended(&partition, batch("c")), 13);
    assert_eq!(values(&partition.view(), Offset(10)), ["y", "a", "b", "c"]);
}

#[test]
fn a_segment_that_cannot_roll_early_is_filled_up() {
    let house = House::new();
    let (partition, segments) = nearly_full(&house);
    Faults::set(&house.faults.create, true);
    append_during_a_sync(&house, &partition);
    assert_eq!((appended(&partition, batch("c")), segments()), (12, 1));
    Faults::set(&house.faults.create, false);
    append_during_a_sync(&house, &partition);
    assert_eq!((appended(&partition, batch("d")), segments()), (15, 1), "it is not tried again ...");
    assert_eq!(
        (appended(&partition, batch(&"x".repeat(100_000))), segments()),
        (16, 2),
        "... before it is full"
    );
    assert!(partition.view().failed.is_none());
}

#[test]
fn nothing_rolls_early_on_a_full_volume() {
    let house = House::new();
    let (partition, segments) = nearly_full(&house);
    let other = house.open(1);
    append_during_a_sync_and(&house, &partition, || {
        Faults::set(&house.faults.full, true);
        assert!(matches!(append(&other, batch("refused")), Err(Refused::OutOfSpace(_))));
        eventually("it counts as full", || !house.volume().condition().report().state.takes_writes());
    });
    assert_eq!(segments(), 1);
    Faults::set(&house.faults.full, false);
    eventually("written again", || {
        append(&partition, batch("c")).is_ok_and(|at| at.base_offset == Offset(12))
    });
    append_during_a_sync(&house, &partition);
    eventually("rolled with room left", || segments() == 2);
}
