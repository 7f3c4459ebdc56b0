use super::fault::FaultDisk;
use super::*;
use crate::LogError;

fn append_raw(path: &Path, bytes: &[u8]) {
    let file = RealDisk.open(path, Open::Write).unwrap();
    let len = file.len().unwrap();
    write_all(file.as_ref(), len, bytes).unwrap();
}

fn open(place: &Place, clean: bool) -> Result<Log, LogError> {
    Log::open(Arc::new(RealDisk), &place.dir, config(), clean)
}

#[test]
fn a_clean_log_opens_from_its_hints_and_an_unclean_one_from_its_batches() {
    let place = Place::new();
    let mut log = place.three_segments();
    let (view, sizes) = (read_all(&log.segments(), 0), log.size_bytes());
    log.close(b"state at 30").unwrap();
    for clean in [true, false] {
        let mut log = place.open(clean);
        assert_eq!((log.end(), log.durable_end(), log.size_bytes()), (Offset(30), Offset(30), sizes));
        assert_eq!(read_all(&log.segments(), 0), view);
        assert_eq!(headers(&log, 0), view);
        assert_eq!(epochs(&log), [(1, 0)]);
        assert!(log.unsynced().is_none());
        assert_eq!(log.producer_snapshot().unwrap(), (Offset(30), Bytes::from("state at 30")));
    }
}

#[test]
fn a_clean_log_that_nobody_wrote_to_is_closed_without_a_write() {
    let (place, disk) = (Place::new(), FaultDisk::new());
    place.three_segments().close(b"").unwrap();
    let mut log = Log::open(Arc::new(disk.clone()), &place.dir, config(), true).unwrap();
    log.close(b"").unwrap();
    assert_eq!(disk.take_calls(), [""; 0]);
}

#[test]
fn appends_go_on_after_a_restart() {
    for clean in [true, false] {
        let place = Place::new();
        place.three_segments().close(b"").unwrap();
        let mut log = place.open(clean);
        log.append(&[batch(&log, 5, 77, 2)], NOW).unwrap();
        log.roll(b"", NOW).unwrap();
        log.append(&[batch(&log, 5, 78, 3)], NOW).unwrap();
        drop(log);
        let log = place.open(false);
        assert_eq!(read_all(&log.segments(), 18), [15, 20, 25, 30, 35]);
        assert_eq!(epochs(&log), [(1, 0), (2, 30), (3, 35)]);
    }
}

#[test]
fn a_torn_tail_above_the_recovery_point_is_cut() {
    let whole = raw(&batch_at(30, 5, 1, 1));
    let mut bad_crc = whole.clone();
    *bad_crc.last_mut().unwrap() ^= 1;
    let elsewhere = raw(&batch_at(31, 5, 1, 1));
    let tails =
        [vec![0; 4_096], whole[..20].to_vec(), whole[..90].to_vec(), bad_crc, elsewhere, vec![0xFF; 100]];
    for tail in tails {
        let place = Place::new();
        let log = place.three_segments();
        let size = log.size_bytes();
        drop(log);
        append_raw(&place.path(Kind::Log, 20), &tail);
        let mut log = place.open(false);
        assert_eq!((log.end(), log.size_bytes()), (Offset(30), size));
        assert_eq!(log.durable_end(), Offset(30));
        log.append(&[batch(&log, 1, 1, 1)], NOW).unwrap();
        assert_eq!(read_all(&log.segments(), 20), [20, 25, 30]);
    }
}

#[test]
fn a_bad_checksum_above_the_recovery_point_is_cut_after_a_clean_stop_too() {
    let place = Place::new();
    place.three_segments().close(b"at 30").unwrap();
    let mut bad = raw(&batch_at(30, 5, 1, 1));
    *bad.last_mut().unwrap() ^= 1;
    append_raw(&place.path(Kind::Log, 20), &bad);
    let log = place.open(true);
    assert_eq!((log.end(), log.durable_end()), (Offset(30), Offset(30)));
    assert_eq!(read_all(&log.segments(), 20), [20, 25]);
}

#[test]
fn whole_batches_above_the_recovery_point_are_kept() {
    let place = Place::new();
    place.three_segments();
    append_raw(&place.path(Kind::Log, 20), &raw(&batch_at(30, 5, 1, 8)));
    let log = place.open(false);
    assert_eq!((log.end(), epochs(&log)), (Offset(35), vec![(1, 0), (8, 30)]));
}

#[test]
fn a_bad_checksum_below_the_recovery_point_is_kept_for_readers_to_find() {
    let place = Place::new();
    let mut log = place.three_segments();
    log.checkpoint().unwrap();
    damage(&place.path(Kind::Log, 20), 100);
    let log = place.open(false);
    assert_eq!(log.end(), Offset(30));
    let slice = log.segments().read(Offset(20), ALL, 1).unwrap().unwrap();
    assert!(matches!(slice.read_checked(), Err(LogError::Corrupt { offset: Offset(20), .. })));
}

#[test]
fn what_was_durable_and_is_missing_is_an_error() {
    let refused = |damage: &dyn Fn(&Place)| {
        let place = Place::new();
        place.three_segments().close(b"").unwrap();
        damage(&place);
        let error = open(&place, false).unwrap_err();
        assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
    };
    refused(&|place| cut(&place.path(Kind::Log, 20)));
    refused(&|place| damage(&place.path(Kind::Log, 20), 8));
    refused(&|place| RealDisk.remove_file(&place.path(Kind::Log, 0)).unwrap());
    refused(&|place| RealDisk.remove_file(&place.dir.join("state")).unwrap());
    refused(&|place| {
        for base in [0, 10, 20] {
            RealDisk.remove_file(&place.path(Kind::Log, base)).unwrap();
        }
    });
}

#[test]
fn damage_in_a_sealed_segment_is_found_by_readers_whatever_hints_there_are() {
    let damages: [fn(&Place); 3] = [
        |place| cut(&place.path(Kind::Log, 10)),
        |place| damage(&place.path(Kind::Log, 10), 8),
        |place| RealDisk.remove_file(&place.path(Kind::Log, 10)).unwrap(),
    ];
    for damage in damages {
        for hints in [true, false] {
            let place = Place::new();
            place.three_segments().close(b"").unwrap();
            damage(&place);
            if !hints {
                for base in [0, 10, 20] {
                    let _ = RealDisk.remove_file(&place.path(Kind::Index, base));
                }
            }
            // What was appended behind the damage is there the next time, too.
            for end in [30, 35] {
                let mut log = place.open(false);
                assert_eq!(log.end(), Offset(end));
                assert_eq!(read_all(&log.segments(), 20).len() as i64, (end - 20) / 5);
                let found = log.segments().read(Offset(15), ALL, 1);
                let found = found.and_then(|slice| slice.map(|slice| slice.read_checked()).transpose());
                assert!(matches!(found, Err(LogError::Corrupt { .. })), "hints {hints}: {found:?}");
                log.append(&[batch(&log, 5, 9, 9)], NOW).unwrap();
                log.checkpoint().unwrap();
            }
        }
    }
}

#[test]
fn an_empty_segment_without_a_state_is_nobodys_successor() {
    let place = Place::new();
    place.three_segments().close(b"").unwrap();
    for base in [0, 10, 20] {
        RealDisk.remove_file(&place.path(Kind::Log, base)).unwrap();
        let _ = RealDisk.remove_file(&place.path(Kind::Index, base));
    }
    RealDisk.remove_file(&place.dir.join("state")).unwrap();
    RealDisk.open(&place.path(Kind::Log, 20), Open::Create).unwrap();
    for end in [0, 5] {
        let mut log = place.open(false);
        assert_eq!(log.end(), Offset(end));
        log.append(&[batch(&log, 5, 9, 9)], NOW).unwrap();
        log.checkpoint().unwrap();
    }
}

fn cut(path: &Path) {
    let file = RealDisk.open(path, Open::Write).unwrap();
    file.truncate(file.len().unwrap() - 1).unwrap();
}

#[test]
fn hints_are_rebuilt_when_missing_or_bad() {
    let place = Place::new();
    let mut log = place.open(true);
    for n in 0..40 {
        log.append(&[batch(&log, 5, n, n as i32 / 10)], NOW).unwrap();
        if n % 10 == 9 && n < 30 {
            log.roll(b"", NOW).unwrap();
        }
    }
    let (all, known) = (read_all(&log.segments(), 0), epochs(&log));
    let found = log.segments().find_timestamp(17, ALL).unwrap().unwrap().base_offset();
    log.close(b"").unwrap();
    damage(&place.path(Kind::Index, 0), 80);
    RealDisk.remove_file(&place.path(Kind::Index, 50)).unwrap();
    damage(&place.path(Kind::Index, 100), 30);
    damage(&place.path(Kind::Index, 150), 0);
    for clean in [true, false, true] {
        let log = place.open(clean);
        assert_eq!(read_all(&log.segments(), 0), all);
        assert_eq!(epochs(&log), known);
        let again = log.segments().find_timestamp(17, ALL).unwrap().unwrap();
        assert_eq!(again.base_offset(), found);
    }
}

#[test]
fn an_interrupted_creation_or_deletion_is_finished() {
    let place = Place::new();
    RealDisk.create_dir(place.dir.parent().unwrap()).unwrap();
    RealDisk.create_dir(&place.dir).unwrap();
    RealDisk.open(&place.path(Kind::Log, 0), Open::Create).unwrap();
    RealDisk.open(&place.dir.join("state"), Open::Create).unwrap();
    let mut log = place.open(false);
    log.append(&[batch_at(0, 5, 1, 1)], NOW).unwrap();
    assert_eq!(read_all(&log.segments(), 0), [0]);

    let place = Place::new();
    let mut log = place.three_segments();
    let kept = std::fs::read(place.path(Kind::Log, 0)).unwrap();
    log.advance_start(Offset(25)).unwrap();
    // The unlink of the first segment did not survive the power cut, that of the second did.
    std::fs::write(place.path(Kind::Log, 0), kept).unwrap();
    let log = place.open(false);
    assert_eq!((log.start(), log.end()), (Offset(25), Offset(30)));
    assert_eq!(place.names(), ["00000000000000000020.log", "state"]);
}

#[test]
fn the_newest_two_producer_snapshots_are_kept_and_bad_ones_passed_over() {
    let place = Place::new();
    let mut log = place.open(true);
    assert_eq!(log.producer_snapshot(), None);
    for n in 0..4u8 {
        log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap();
        log.roll(&[n; 3], NOW).unwrap();
    }
    assert_eq!(place.names().iter().filter(|name| name.ends_with("producers")).count(), 2);
    assert_eq!(log.producer_snapshot().unwrap(), (Offset(20), Bytes::from(vec![3; 3])));
    damage(&place.path(Kind::Producers, 20), 22);
    assert_eq!(log.producer_snapshot().unwrap(), (Offset(15), Bytes::from(vec![2; 3])));
    log.truncate(Offset(10)).unwrap();
    assert_eq!(log.producer_snapshot(), None);
    assert!(!place.names().iter().any(|name| name.ends_with("producers")));
}

#[test]
fn stale_hints_are_removed_after_an_unclean_stop() {
    let place = Place::new();
    place.three_segments().close(b"at 30").unwrap();
    std::fs::write(place.path(Kind::Index, 99), b"of no segment").unwrap();
    std::fs::write(place.path(Kind::Producers, 99), b"above the end").unwrap();
    let log = place.open(false);
    assert_eq!(log.producer_snapshot().unwrap().0, Offset(30));
    let names = place.names().join(" ");
    assert!(!names.contains("99.") && !names.contains("20.index"), "{names}");
    assert!(names.contains("10.index"), "{names}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 32, ..Default::default() })]

    /// Whatever a power cut made of the bytes above the recovery point, what was before them is there and the log
    /// can be appended to.
    #[test]
    fn any_tail_is_survived(
        noise in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        whole in 0usize..3,
        flip in proptest::option::of(0usize..400),
    ) {
        let place = Place::new();
        place.three_segments();
        let mut tail: Vec<u8> = (0..whole as i64).flat_map(|n| raw(&batch_at(30 + 5 * n, 5, n, 1))).collect();
        tail.extend(noise);
        if let Some(byte) = flip.and_then(|at| tail.get_mut(at)) {
            *byte ^= 0x41;
        }
        append_raw(&place.path(Kind::Log, 20), &tail);
        let mut log = place.open(false);
        let batches = read_all(&log.segments(), 0);
        assert!(batches.starts_with(&[0, 5, 10, 15, 20, 25]));
        assert!(batches.len() <= 6 + whole);
        log.append(&[batch(&log, 1, 1, 1)], NOW).unwrap();
        assert_eq!(read_all(&place.open(false).segments(), 0).len(), batches.len() + 1);
    }
}
