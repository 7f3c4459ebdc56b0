//! Partitions whose disk fails, and a writer that is held up.

use forebay_base::limits;

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
fn a_full_disk_refuses_and_leaves_nothing_behind() {
    let mut house = House::new();
    let partition = house.open(0);
    appended(&partition, idempotent(0, "a"));
    Faults::set(&house.faults.full, true);
    for _ in 0..3 {
        assert!(matches!(append(&partition, idempotent(1, "b")), Err(Refused::Storage(_))));
    }
    assert_eq!(partition.view().end, Offset(1));
    Faults::set(&house.faults.full, false);
    assert_eq!(appended(&partition, idempotent(1, "b")), 1);
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
