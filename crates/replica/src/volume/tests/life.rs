//! Partitions that nothing goes wrong with.

use std::task::{Context, Poll, Waker};

use super::*;
use crate::{Waiter, max_timestamp, offset_for_timestamp};

#[test]
fn what_is_answered_is_durable_and_readable() {
    let mut house = House::new();
    let partition = house.open(0);
    for n in 0..20 {
        assert_eq!(appended(&partition, batch(&n.to_string())), n);
        let view = partition.view();
        assert!(
            view.high_watermark > Offset(n) && view.start == Offset(0) && view.leader_epoch == LeaderEpoch(1)
        );
    }
    let expected: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(values(&partition.view(), Offset(0)), expected);
    assert_eq!(partition.view().end_of_epoch(LeaderEpoch(1)), Some((LeaderEpoch(1), Offset(20))));
    assert!(house.stop(true));
    assert_eq!(append(&partition, batch("late")).unwrap_err(), Refused::NotLeader);
    house.start();
    assert_eq!(values(&house.open_with(0, config(), true).view(), Offset(0)), expected);
}

#[test]
fn many_at_once_are_stored_once_each_in_order_of_their_answers() {
    let mut house = House::new();
    let partitions: Vec<_> = (0..4).map(|index| house.open_with(index, small_segments(), false)).collect();
    for partition in &partitions {
        let answers: Vec<_> =
            (0..300).map(|n| partition.append(idempotent(n, &n.to_string()), Acks::All)).collect();
        for (n, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.blocking_recv().unwrap().unwrap().base_offset, Offset(n as i64));
        }
    }
    assert!(house.stop(true));
    house.start();
    let expected: Vec<_> = (0..300).map(|n| n.to_string()).collect();
    for index in 0..4 {
        let partition = house.open_with(index, small_segments(), true);
        assert_eq!(values(&partition.view(), Offset(0)), expected);
        assert_eq!(appended(&partition, idempotent(299, "299")), 299);
        assert_eq!(appended(&partition, idempotent(300, "300")), 300);
    }
}

#[test]
fn a_duplicate_is_known_after_a_stop_that_was_not_clean() {
    let mut house = House::new();
    let partition = house.open_with(0, small_segments(), false);
    for n in 0..40 {
        assert_eq!(appended(&partition, idempotent(n, "x")), i64::from(n));
    }
    assert!(!house.stop(false));
    house.start();
    let partition = house.open_with(0, small_segments(), false);
    for n in 35..40 {
        assert_eq!(appended(&partition, idempotent(n, "x")), i64::from(n), "the original's offset");
    }
    assert!(matches!(append(&partition, idempotent(34, "x")), Err(Refused::DuplicateSequence { .. })));
    assert!(matches!(append(&partition, idempotent(41, "x")), Err(Refused::OutOfOrderSequence { .. })));
    assert_eq!(partition.view().end, Offset(40));
    assert_eq!(appended(&partition, idempotent(40, "x")), 40);
}

#[test]
fn log_append_time_and_timestamps_are_found_to_the_record() {
    let house = House::new();
    let partition = house.open(0);
    let stamped = checked(batch("a").bytes, TimestampType::LogAppendTime);
    assert_eq!(append(&partition, stamped).unwrap().log_append_time, Some(1_000));
    let mut builder = BatchBuilder::new();
    for timestamp in [2_000, 5_000, 3_000] {
        builder = builder.record(timestamp, None, Some(b"b"));
    }
    appended(&partition, checked(builder.build().unwrap(), TimestampType::CreateTime));
    let view = partition.view();
    let find = |target| offset_for_timestamp(&view.segments, target, view.high_watermark).unwrap();
    assert_eq!(find(0), Some((Offset(0), 1_000)));
    assert_eq!(find(1_001), Some((Offset(1), 2_000)));
    assert_eq!(find(2_001), Some((Offset(2), 5_000)));
    assert_eq!(find(5_001), None);
    assert_eq!(max_timestamp(&view.segments, view.high_watermark).unwrap(), Some((Offset(2), 5_000)));
}

#[test]
fn deleted_records_are_gone_and_slices_in_flight_are_not() {
    let mut house = House::new();
    let partition = house.open_with(0, small_segments(), false);
    for n in 0..50 {
        appended(&partition, batch(&n.to_string()));
    }
    let before = partition.view();
    let slices: Vec<_> =
        (0..50).map(|n| before.segments.read(Offset(n), Offset(50), 1).unwrap().unwrap()).collect();
    let delete = |to| partition.delete_records(Offset(to)).blocking_recv().unwrap();
    assert_eq!(delete(33), Ok(Offset(33)));
    assert_eq!(delete(10), Ok(Offset(33)));
    assert!(matches!(delete(51), Err(Refused::OffsetOutOfRange { .. })));
    assert_eq!(partition.view().start, Offset(33));
    for (n, slice) in slices.iter().enumerate() {
        let records = Records::of(&slice.read_checked().unwrap()).unwrap();
        assert_eq!(records.map(|record| record.unwrap().offset).collect::<Vec<_>>(), [Offset(n as i64)]);
    }
    assert!(!house.stop(false));
    house.start();
    let partition = house.open_with(0, small_segments(), false);
    assert_eq!(values(&partition.view(), Offset(33)), (33..50).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(partition.view().start, Offset(33));
    assert_eq!(partition.delete_records(Offset(-1)).blocking_recv().unwrap(), Ok(Offset(50)));
    assert_eq!(appended(&partition, batch("next")), 50);
}

#[test]
fn retention_does_not_disturb_readers() {
    let house = House::new();
    let mut config = small_segments();
    config.log.retention_bytes = Some(2_000);
    config.retention_check = Duration::from_millis(1);
    let partition = house.open_with(0, config, false);
    for n in 0..400 {
        let view = partition.view();
        let slice = view.segments.read(view.start, view.high_watermark, 1 << 20).unwrap();
        appended(&partition, batch(&n.to_string()));
        if let Some(slice) = slice {
            assert_eq!(slice.read_checked().unwrap().len() as u64, slice.len());
        }
    }
    eventually("retention", || partition.view().start > Offset(300));
    let view = partition.view();
    let kept = values(&view, view.start);
    assert_eq!(kept.len() as i64, 400 - view.start.0);
    assert_eq!(kept.last().map(String::as_str), Some("399"));
}

#[test]
fn a_log_whose_records_are_all_too_old_is_emptied() {
    let house = House::new();
    let mut config = config();
    config.log.retention_age = Some(Duration::from_secs(60));
    config.retention_check = Duration::from_millis(1);
    let partition = house.open_with(0, config, false);
    appended(&partition, batch("old"));
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(partition.view().start, Offset(0));
    house.clock.pass(Duration::from_secs(120));
    eventually("retention", || partition.view().start == Offset(1));
    assert_eq!(appended(&partition, batch("new")), 1);
}

#[test]
fn a_waiter_is_woken_by_a_commit_until_its_guard_is_dropped() {
    let house = House::new();
    let partition = house.open(0);
    let waiter = Waiter::new();
    let is_woken = || {
        let mut woken = Box::pin(waiter.woken());
        woken.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    };
    let guard = partition.watch(&waiter);
    assert!(!is_woken());
    appended(&partition, batch("a"));
    assert!(is_woken(), "kept although nobody waited");
    assert!(!is_woken());
    drop(guard);
    appended(&partition, batch("b"));
    assert!(!is_woken());
}

#[test]
fn a_partition_is_closed_and_opened_again() {
    let house = House::new();
    let partition = house.open(0);
    let again = house.volume().open(id(0), config(), LeaderEpoch(1), false).blocking_recv().unwrap();
    assert!(matches!(again, Err(OpenError::AlreadyOpen)));
    appended(&partition, batch("a"));
    let pending = partition.append(batch("b"), Acks::All);
    assert_eq!(partition.close().blocking_recv().unwrap(), Ok(()));
    assert_eq!(
        pending.blocking_recv().unwrap().unwrap().base_offset,
        Offset(1),
        "a close waits for the sync"
    );
    assert_eq!(append(&partition, batch("c")).unwrap_err(), Refused::NotLeader);

    let partition = house.open_with(0, config(), true);
    assert_eq!(values(&partition.view(), Offset(0)), ["a", "b"]);
    partition.lead(LeaderEpoch(4));
    appended(&partition, batch("c"));
    assert_eq!(partition.view().end_of_epoch(LeaderEpoch(3)), Some((LeaderEpoch(1), Offset(2))));
    assert!(partition.view().check_epoch(LeaderEpoch(-1)).is_ok());
    assert!(matches!(partition.view().check_epoch(LeaderEpoch(3)), Err(Refused::FencedEpoch { .. })));
    assert!(matches!(partition.view().check_epoch(LeaderEpoch(5)), Err(Refused::UnknownEpoch { .. })));
}

#[test]
fn a_volume_closes_without_blocking() {
    let mut house = House::new();
    let partition = house.open(0);
    let pending = partition.append(batch("a"), Acks::All);
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut close = Box::pin(house.volume().close());
        eventually("closed", || close.as_mut().poll(&mut context) == Poll::Ready(true));
    }
    assert_eq!(pending.blocking_recv().unwrap().unwrap().base_offset, Offset(0));
    let mut again = Box::pin(house.volume().close());
    assert_eq!(again.as_mut().poll(&mut context), Poll::Ready(true));
    drop(again);
    assert!(house.stop(true));
}

#[test]
fn a_partition_is_deleted_open_or_not() {
    let house = House::new();
    let stray = || house.volume().delete_stray(id(0)).blocking_recv().unwrap();
    let directory = house.dir.path().join("partitions").join(id(0).to_string());
    let partition = house.open(0);
    appended(&partition, batch("a"));
    assert!(stray().is_err(), "it is open");
    assert!(directory.exists());
    assert_eq!(partition.delete().blocking_recv().unwrap(), Ok(()));
    assert!(!directory.exists());

    let partition = house.open(0);
    assert_eq!(appended(&partition, batch("new")), 0);
    partition.close().blocking_recv().unwrap().unwrap();
    assert_eq!(stray(), Ok(()));
    assert_eq!(stray(), Ok(()), "gone already");
    assert!(!directory.exists());
}

#[test]
fn partitions_are_opened_and_read_while_every_writer_waits_for_its_disk() {
    let mut house = House::new();
    for index in 0..6 {
        appended(&house.open(index), batch("old"));
    }
    assert!(house.stop(true));
    house.start();
    let faults = Arc::clone(&house.faults);
    let frozen = faults.gate.lock().unwrap();
    // One for each writer.
    let stuck: Vec<_> =
        (0..2).map(|index| house.open_with(index, config(), true).append(batch("new"), Acks::All)).collect();
    let opened: Vec<_> = (2..6).map(|index| house.open_with(index, config(), true)).collect();
    for partition in &opened {
        assert_eq!(values(&partition.view(), Offset(0)), ["old"]);
    }
    let again = house.volume().open(id(3), config(), LeaderEpoch(1), true).blocking_recv().unwrap();
    assert!(matches!(again, Err(OpenError::AlreadyOpen)), "its writer has not even heard of it");
    let queued: Vec<_> = opened.iter().map(|partition| partition.append(batch("new"), Acks::All)).collect();
    drop(frozen);
    for answer in stuck.into_iter().chain(queued) {
        assert_eq!(answer.blocking_recv().unwrap().unwrap().base_offset, Offset(1));
    }
    assert!(house.stop(true));
}

#[test]
fn partitions_that_are_not_written_rest_where_descriptors_are_short() {
    let house = House::new();
    let partitions: Vec<_> = (0..100).map(|index| house.open(index)).collect();
    for round in 0..2 {
        for partition in &partitions {
            assert_eq!(appended(partition, batch(&round.to_string())), round);
        }
    }
    let open = || {
        let names = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let targets = names.filter_map(|name| std::fs::read_link(name.path()).ok());
        targets.filter(|target| target.starts_with(house.dir.path())).count()
    };
    // Half of the bound, and one for each writer that is about to put another to rest.
    eventually("few are open", || open() <= DESCRIPTORS / 2 + 2);
    for partition in &partitions {
        assert_eq!(values(&partition.view(), Offset(0)), ["0", "1"]);
    }
    assert!(open() <= DESCRIPTORS + 2, "{} are open", open());
}
