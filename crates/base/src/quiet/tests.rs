use super::*;
use crate::{Rng, SeededRng, WallTime};

const SECOND: Duration = Duration::from_secs(1);

fn key(kind: u64, subject: u64) -> LineKey {
    LineKey { kind, subject: Some(subject) }
}

fn text() -> LineText {
    LineText { is_error: true, text: "it broke".into() }
}

fn at(seconds: u64) -> Instant {
    Instant::default() + SECOND * u32::try_from(seconds).unwrap()
}

/// Everything that is due, at that time.
fn due(lines: &mut LogLines, now: Instant) -> Vec<DueLine> {
    std::iter::from_fn(|| lines.due(now)).collect()
}

fn again(times: u64, over: u64) -> DueLine {
    DueLine::Again { line: text(), times, over: SECOND * u32::try_from(over).unwrap() }
}

#[test]
fn the_first_is_told_at_once_and_the_others_are_counted() {
    let mut lines = LogLines::default();
    let mut admit = |now, subject| lines.admit(at(now), key(1, subject), text);
    assert!(admit(0, 7), "the first");
    assert!(admit(0, 8), "the first of another");
    assert!((0..999).all(|_| !admit(59, 7)));
    assert_eq!(lines.next_timeout(), Some(at(60)));
    assert_eq!(due(&mut lines, at(59)), []);
    assert_eq!(due(&mut lines, at(61)), [again(999, 61)]);
    assert!(!lines.admit(at(62), key(1, 7), text), "61 s later than the line that counts it");
    assert!(lines.admit(at(62), key(1, 8), text), "it was silent for a minute");
    assert_eq!(due(&mut lines, at(121)), [again(1, 60)]);
    // Silent for a period: forgotten.
    assert_eq!(due(&mut lines, at(500)), []);
    assert_eq!((lines.next_timeout(), lines.known.len(), lines.order.len()), (None, 0, 0));
    assert_eq!(lines.counts(), LineCounts { transitions: 0, repeated: 1_000, left_out: 0 });
}

#[test]
fn what_has_been_silent_for_a_period_is_told_at_once_also_if_nobody_asked_for_lines() {
    let mut lines = LogLines::default();
    assert!(lines.admit(at(0), key(1, 1), text));
    assert!(lines.admit(at(60), key(1, 1), text));
    assert!(!lines.admit(at(61), key(1, 1), text));
    assert_eq!(due(&mut lines, at(60)), [], "the older place in the queue says nothing");
    assert_eq!(due(&mut lines, at(120)), [again(1, 60)]);
}

#[test]
fn a_flood_of_subjects_leaves_room_for_other_kinds_and_is_counted() {
    let mut lines = LogLines::default();
    let told = (0..1_000).filter(|subject| lines.admit(at(0), key(1, *subject), text)).count();
    assert_eq!(told, limits::LOG_KIND_LINES_PER_MINUTE);
    assert!(lines.admit(at(0), LineKey { kind: 2, subject: None }, text), "another kind has its line");
    assert_eq!(due(&mut lines, at(0)), []);
    assert_eq!(due(&mut lines, at(1)), [DueLine::LeftOut { lines: 980 }]);
    assert!(!lines.admit(at(2), key(1, 1_000), text));
    assert_eq!(due(&mut lines, at(59)), [], "once a period");
    assert_eq!(due(&mut lines, at(61)), [DueLine::LeftOut { lines: 1 }]);
    assert_eq!(lines.counts().left_out, 981);
}

#[test]
fn the_minute_is_full_at_its_bound() {
    let mut lines = LogLines::default();
    let told = (0..200).filter(|kind| lines.admit(at(0), key(*kind, 0), text)).count();
    assert_eq!(told, limits::LOG_LINES_PER_MINUTE - 1);
    assert_eq!(due(&mut lines, at(1)), [DueLine::LeftOut { lines: 141 }]);
    assert!(!lines.admit(at(59), key(300, 0), text));
    assert!(lines.admit(at(60), key(301, 0), text), "the first lines are a minute old");
}

#[test]
fn random_names_take_bounded_memory_and_their_kind_stands_for_them() {
    let mut lines = LogLines::default();
    for subject in 0..100_000 {
        lines.admit(at(subject / 10_000), key(1, subject), text);
    }
    assert_eq!(lines.known.len(), limits::LOG_SUBJECTS_MAX + 1);
    assert_eq!(lines.order.len(), limits::LOG_SUBJECTS_MAX + 1);
    assert!(lines.written.len() <= limits::LOG_LINES_PER_MINUTE);
    let counts = lines.counts();
    assert_eq!(counts.repeated + counts.left_out + limits::LOG_KIND_LINES_PER_MINUTE as u64, 100_000);
}

/// A line as it reached the log.
#[derive(Debug)]
enum Written {
    First(LineKey),
    Due(DueLine),
}

/// Random errors of a few kinds and many subjects, asked for lines at random times.
fn run(seed: u64) -> (Vec<(Instant, Written)>, u64, LogLines) {
    let (rng, mut lines, mut now) = (SeededRng::new(seed), LogLines::default(), Instant::default());
    let (mut written, mut occurrences) = (Vec::new(), 0);
    let subjects = [1, 3, 50, 10_000][(rng.next_u64() % 4) as usize];
    let step_ms = [1, 50, 3_000][(rng.next_u64() % 3) as usize];
    for _ in 0..6_000 {
        now = now + Duration::from_millis(rng.next_u64() % step_ms);
        let key = key(rng.next_u64() % 70, rng.next_u64() % subjects);
        occurrences += 1;
        if lines.admit(now, key, text) {
            written.push((now, Written::First(key)));
        }
        if rng.next_u64().is_multiple_of(4) {
            written.extend(due(&mut lines, now).into_iter().map(|line| (now, Written::Due(line))));
        }
    }
    // Until nothing is left to be told.
    while let Some(next) = lines.next_timeout() {
        now = now.max(next);
        written.extend(due(&mut lines, now).into_iter().map(|line| (now, Written::Due(line))));
    }
    (written, occurrences, lines)
}

#[test]
fn whatever_happens_the_log_stays_quiet_and_counts_everything() {
    for seed in 0..24 {
        let (written, occurrences, lines) = run(seed);
        let mut told = 0;
        for (place, (at, line)) in written.iter().enumerate() {
            let minute = written.partition_point(|(other, _)| *other + PERIOD <= *at);
            let within = written[minute..=place].iter();
            let in_minute = within.len();
            assert!(in_minute <= limits::LOG_LINES_PER_MINUTE, "seed {seed}: {in_minute} lines in a minute");
            told += match line {
                Written::First(key) => {
                    let first = |line: &Written| matches!(line, Written::First(first) if first == key);
                    assert_eq!(
                        within.filter(|(_, line)| first(line)).count(),
                        1,
                        "seed {seed}: {key:?} twice in a minute"
                    );
                    1
                }
                Written::Due(DueLine::Again { times, over, .. }) => {
                    assert!(*over >= PERIOD && *times > 0, "seed {seed}: {times} in {over:?}");
                    *times
                }
                Written::Due(DueLine::LeftOut { lines }) => *lines,
            };
        }
        assert_eq!(told, occurrences, "seed {seed}: every occurrence is in some line");
        assert!(lines.known.is_empty() && lines.order.is_empty(), "seed {seed}: all is forgotten at last");
    }
}

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Instant {
        at(5)
    }
    fn wall(&self) -> WallTime {
        WallTime::default()
    }
}

#[test]
fn a_change_of_state_has_no_limit_and_is_counted() {
    let log = QuietLog::new(Arc::new(Stopped));
    (0..1_000).for_each(|_| log.transition());
    assert!(log.admit(key(1, 1), text) && !log.admit(key(1, 1), text));
    assert_eq!(log.counts(), LineCounts { transitions: 1_000, repeated: 1, left_out: 0 });
    assert_eq!((log.due(), log.due_in()), (None, Some(PERIOD)));
}
