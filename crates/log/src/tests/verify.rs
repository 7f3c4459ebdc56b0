use std::ops::ControlFlow;

use forebay_base::PartitionId;

use super::*;
use crate::verify::{Report, data_dir};

/// A data directory with one partition of three segments.
fn setup() -> (Place, Log) {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("partitions").join(PartitionId::default().to_string());
    let place = Place { _tmp: tmp, dir };
    let log = place.three_segments();
    (place, log)
}

fn run(place: &Place) -> Report {
    data_dir(&RealDisk, place._tmp.path(), &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn a_sound_directory_is_found_sound_while_it_is_written() {
    let (place, mut log) = setup();
    let report = run(&place);
    assert_eq!((report.partitions, report.batches, report.bad_count), (1, 6, 0));
    assert_eq!(report.bytes, log.size_bytes());
    let half = raw(&batch(&log, 5, 1, 1));
    log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap();
    let file = RealDisk.open(&place.path(Kind::Log, 20), Open::Write).unwrap();
    let len = file.len().unwrap();
    write_all(file.as_ref(), len, &half[..70]).unwrap();
    assert_eq!((run(&place).batches, run(&place).bad_count), (7, 0));
}

#[test]
fn every_damage_below_the_recovery_point_is_named() {
    let (place, mut log) = setup();
    log.checkpoint().unwrap();
    let len = batch_at(0, 5, 0, 1).info.len as u64;
    damage(&place.path(Kind::Log, 0), 100);
    damage(&place.path(Kind::Log, 10), len + 10);
    damage(&place.path(Kind::Log, 20), 2 * len - 1);
    let report = run(&place);
    let found: Vec<(i64, u64)> = report.bad.iter().map(|bad| (bad.offset.0, bad.at)).collect();
    assert_eq!(found, [(0, 0), (15, len), (25, len)]);
    assert_eq!((report.batches, report.bad_count), (3, 3));
    assert_eq!(report.bad[2].file, place.path(Kind::Log, 20));
    assert!(report.bad[0].reason.contains("CRC-32C"));
}

#[test]
fn damage_above_the_recovery_point_is_a_torn_tail() {
    let (place, _log) = setup();
    damage(&place.path(Kind::Log, 20), 100);
    assert_eq!((run(&place).batches, run(&place).bad_count), (4, 0));
}

#[test]
fn a_missing_segment_is_named_and_the_pace_can_end_it() {
    let (place, _log) = setup();
    RealDisk.remove_file(&place.path(Kind::Log, 10)).unwrap();
    let report = run(&place);
    assert_eq!(report.bad[0].offset, Offset(10));
    let report = data_dir(&RealDisk, place._tmp.path(), &mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!(report.batches, 2);
}
