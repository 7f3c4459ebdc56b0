use super::*;
use crate::{Glance, LogError};

#[test]
fn whole_batches_only_and_the_first_one_always() {
    let mut log = Place::new().open(true);
    for n in 0..20 {
        log.append(&[batch(&log, 5, n, 1)], NOW).unwrap();
    }
    let segments = log.segments();
    let len = batch_at(0, 5, 0, 1).info.len as u64;
    let read = |from, upto, bytes_max| {
        let slice = segments.read(Offset(from), Offset(upto), bytes_max).unwrap();
        slice.as_ref().map(bases).unwrap_or_default()
    };
    assert_eq!(read(0, 100, 0), [0], "larger than asked for, but the first");
    assert_eq!(read(0, 100, 2 * len), [0, 5]);
    assert_eq!(read(0, 100, 3 * len - 1), [0, 5]);
    assert_eq!(read(42, 100, 2 * len), [40, 45], "an offset inside a batch gives that batch");
    assert_eq!(read(90, 100, 9 * len), [90, 95]);
    assert_eq!(read(0, 9, 99 * len), [0], "a batch that reaches to the bound is not given");
    assert_eq!(read(0, 10, 99 * len), [0, 5]);
    assert_eq!(read(0, 4, 99 * len), [0; 0]);
    assert_eq!(read(0, 1_000, 99 * len).len(), 20);
    assert_eq!(read(100, 1_000, 99), [0; 0], "nothing at the end");
    let beyond = segments.read(Offset(101), ALL, 1).unwrap_err();
    assert!(matches!(beyond, LogError::OutOfRange { start: Offset(0), end: Offset(100) }));
    for from in 0..100 {
        for steps in 1..5 {
            let first = from / 5 * 5;
            let expected: Vec<i64> = (0..steps).map(|n| first + 5 * n).filter(|base| *base < 100).collect();
            assert_eq!(read(from, 100, steps as u64 * len), expected);
        }
    }
}

#[test]
fn a_view_sees_appends_but_not_rolls() {
    let mut log = Place::new().open(true);
    assert!(log.segments().read(Offset(0), ALL, 1).unwrap().is_none());
    log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap();
    let view = log.segments();
    log.append(&[batch(&log, 5, 2, 1)], NOW).unwrap();
    assert_eq!(view.end(), Offset(10));
    log.roll(b"", NOW).unwrap();
    log.append(&[batch(&log, 5, 3, 1)], NOW).unwrap();
    assert_eq!(view.end(), Offset(10));
    assert_eq!(read_all(&log.segments(), 3), [0, 5, 10]);
    assert_eq!(headers(&log, 7), [5, 10]);
}

#[test]
fn readers_follow_a_writer_that_appends_and_rolls() {
    let place = Place::new();
    let mut log = place.open(true);
    log.append(&[batch(&log, 1, 1, 1)], NOW).unwrap();
    let shared = std::sync::Mutex::new(log.segments());
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut next = Offset(0);
            while next < Offset(2_000) {
                let view = shared.lock().unwrap().clone();
                while let Some(slice) = view.read(next, ALL, 4_000).unwrap() {
                    let found = bases(&slice);
                    assert!(found.iter().copied().eq(next.0..next.0 + found.len() as i64));
                    next = next.plus(found.len() as i64);
                }
            }
        });
        for n in 1..2_000 {
            log.append(&[batch(&log, 1, n, 1)], NOW).unwrap();
            if n % 500 == 0 {
                log.roll(b"", NOW).unwrap();
                *shared.lock().unwrap() = log.segments();
            }
        }
        *shared.lock().unwrap() = log.segments();
        reader.join().unwrap();
    });
}

#[test]
fn timestamps_are_found_in_any_segment() {
    let place = Place::new();
    let mut log = place.open(true);
    // Not in order: the index must not jump over an early peak.
    for (n, timestamp) in [10, 50, 20, 20, 60, 30, 60, 5].into_iter().enumerate() {
        log.append(&[batch(&log, 5, timestamp, 1)], NOW).unwrap();
        if n == 2 || n == 5 {
            log.roll(b"", NOW).unwrap();
        }
    }
    let check = |segments: &Segments| {
        let find = |target, upto| {
            let slice = segments.find_timestamp(target, Offset(upto)).unwrap();
            slice.map(|slice| bases(&slice)).unwrap_or_default()
        };
        assert_eq!(find(0, 40), [0]);
        assert_eq!(find(11, 40), [5]);
        assert_eq!(find(51, 40), [20]);
        assert_eq!(find(60, 40), [20]);
        assert_eq!(find(61, 40), [0; 0]);
        assert_eq!(find(60, 24), [0; 0], "its batch reaches beyond the bound");
        let max = |upto| segments.max_timestamp(Offset(upto)).unwrap();
        assert_eq!(max(40), Some((Offset(20), 60)));
        assert_eq!(max(24), Some((Offset(5), 50)));
        assert_eq!(max(9), Some((Offset(0), 10)));
        assert_eq!(max(4), None);
    };
    check(&log.segments());
    log.close(b"").unwrap();
    check(&place.open(true).segments());
    check(&place.open(false).segments());
    log.advance_start(Offset(10)).unwrap();
    let start = log.segments().find_timestamp(0, ALL).unwrap().unwrap();
    assert_eq!(bases(&start), [10]);
    assert_eq!(log.segments().max_timestamp(Offset(20)).unwrap(), Some((Offset(10), 20)));
}

#[test]
fn a_checked_read_ends_before_the_damage() {
    let place = Place::new();
    let log = place.three_segments();
    let len = batch_at(0, 5, 0, 1).info.len as u64;
    let slice = log.segments().read(Offset(0), ALL, 9 * len).unwrap().unwrap();
    damage(&place.path(Kind::Log, 0), 2 * len - 1);
    assert_eq!(slice.len(), 2 * len);
    assert_eq!(slice.read_checked().unwrap().len() as u64, len);
    let bad = log.segments().read(Offset(7), ALL, 9 * len).unwrap().unwrap();
    let error = bad.read_checked().unwrap_err();
    assert!(matches!(error, LogError::Corrupt { offset: Offset(5), .. }), "{error}");
    assert!(error.to_string().contains("CRC-32C"), "{error}");
    assert_eq!(read_all(&log.segments(), 10), [10, 15, 20, 25], "what lies behind can be read");
}

/// Whatever the page cache holds.
#[test]
fn bytes_are_sent_unchecked_only_if_this_process_wrote_or_checked_them() {
    let place = Place::new();
    let mut log = place.three_segments();
    let slice = |log: &Log, from| log.segments().read(Offset(from), ALL, 10_000).unwrap().unwrap();
    assert!(slice(&log, 0).is_ready() && slice(&log, 20).is_ready(), "it wrote them");
    log.close(b"").unwrap();

    let mut log = place.open(true);
    let old = slice(&log, 20);
    assert!(!old.is_ready(), "another process wrote them");
    log.append(&[batch(&log, 5, 1, 1)], NOW).unwrap();
    assert!(!slice(&log, 20).is_ready(), "in part");
    assert!(slice(&log, 30).is_ready());
    assert_eq!(old.clone().check().unwrap().len(), old.len());
    assert!(old.is_ready() && slice(&log, 20).is_ready(), "checked now");
    assert!(!slice(&log, 10).is_ready());
    log.roll(b"", NOW).unwrap();
    assert!(slice(&log, 20).is_ready(), "a roll forgets nothing");

    drop(log);
    let log = place.open(false);
    assert!(!slice(&log, 30).is_ready(), "believed by the recovery point, not checked");
    damage(&place.path(Kind::Log, 0), 70);
    assert!(slice(&log, 0).check().is_err());
}

#[test]
fn a_glance_finds_what_is_open_and_never_opens() {
    let place = Place::new();
    let log = place.three_segments();
    let glance = |from| log.segments().glance(Offset(from), ALL, 10_000).unwrap();
    assert!(matches!(glance(0), Glance::Cold), "a sealed segment that nobody has read");
    assert!(matches!(glance(20), Glance::Found(slice) if bases(&slice)[0] == 20));
    assert!(matches!(glance(30), Glance::Nothing));
    log.segments().read(Offset(0), ALL, 1).unwrap();
    assert!(matches!(glance(0), Glance::Found(_)));
}

#[test]
fn damage_to_a_header_is_told_from_the_end() {
    let place = Place::new();
    let log = place.three_segments();
    // The length of the second batch of the first segment.
    damage(&place.path(Kind::Log, 0), batch_at(0, 5, 0, 1).info.len as u64 + 8);
    let error = log.segments().read(Offset(5), ALL, 1).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { offset: Offset(5), .. }), "{error}");
    assert!(log.headers(Offset(0)).any(|header| header.is_err()));
}

/// A reader that is told of nothing where something is would ask for ever.
#[test]
fn a_batch_that_claims_more_than_there_is_is_damage_and_not_the_end() {
    for (base, batch, asked) in [(0, 0, 0), (0, 1, 7), (20, 0, 20), (20, 1, 27)] {
        let place = Place::new();
        let log = place.three_segments();
        // The upper byte of a last offset delta.
        damage(&place.path(Kind::Log, base), batch * batch_at(0, 5, 0, 1).info.len as u64 + 24);
        let error = log.segments().read(Offset(asked), ALL, 1).unwrap_err();
        assert!(matches!(error, LogError::Corrupt { .. }), "{base} {batch}: {error}");
    }
}

#[test]
fn batches_missing_from_the_end_of_a_segment_are_damage_and_not_the_end_of_the_log() {
    let place = Place::new();
    place.three_segments().close(b"").unwrap();
    lose_second_batch(&place.path(Kind::Log, 0));
    for clean in [true, false] {
        let segments = place.open(clean).segments();
        let missing = segments.read(Offset(5), ALL, 1).unwrap_err();
        assert!(matches!(missing, LogError::Corrupt { offset: Offset(5), .. }), "{missing}");
        assert_eq!(bases(&segments.read(Offset(0), ALL, 1).unwrap().unwrap()), [0]);
        assert_eq!(bases(&segments.read(Offset(10), ALL, 1).unwrap().unwrap()), [10]);
    }
}
