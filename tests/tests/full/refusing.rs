use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forebay_tests::{Conn, FsKind, Server, metric};

use crate::filling::{PARTITIONS, Site, append, check_all};
use crate::full_for;
use crate::volume::Volume;

/// Appends a second, by so many producers.
const RATE: u64 = 1_000;
const PRODUCERS: u64 = 4;

/// Kinds of lines that one failing append may cause, with some air: the write, the roll, hints.
const KINDS: u64 = 5;

/// What a while of appends came to.
struct Work {
    appends: u64,
    took: Duration,
    /// Processor time of the server.
    cpu: Duration,
}

impl Work {
    fn each(&self) -> Duration {
        self.cpu / u32::try_from(self.appends.max(1)).expect("few enough")
    }
}

/// Processor time that a server has taken so far.
fn cpu(server: &Server) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("the process lives");
    let (_, fields) = stat.rsplit_once(") ").expect("PID (NAME) STATE ...");
    let ticks = |field: usize| fields.split(' ').nth(field).and_then(|text| text.parse::<u64>().ok());
    // Ticks of 10 ms: utime and stime.
    Duration::from_millis(10 * (ticks(11).expect("a number") + ticks(12).expect("a number")))
}

/// Appends at the rate for a while; `is_refused` says what each answer must be. Where appends are accepted, each producer
/// has a partition of its own.
fn work(server: &Server, first: &[i64], is_refused: bool, lasts: Duration) -> Work {
    let (over, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let (began, before) = (Instant::now(), cpu(server));
    let producers: Vec<_> = (0..PRODUCERS as usize)
        .map(|producer| {
            let (mut conn, over, count) = (Conn::open(server.kafka()), over.clone(), count.clone());
            let (partition, mut next) = (producer % PARTITIONS, first[producer % PARTITIONS]);
            std::thread::spawn(move || {
                let mut due = Instant::now();
                while !over.load(Ordering::Relaxed) {
                    let answer = append(&mut conn, partition, next);
                    assert_eq!(answer.error_code, if is_refused { 56 } else { 0 }, "{answer:?}");
                    next += if is_refused { 0 } else { crate::filling::BATCH_RECORDS };
                    count.fetch_add(1, Ordering::Relaxed);
                    due += Duration::from_micros(1_000_000 * PRODUCERS / RATE);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                next
            })
        })
        .collect();
    std::thread::sleep(lasts);
    over.store(true, Ordering::Relaxed);
    producers.into_iter().for_each(|producer| _ = producer.join().expect("a producer is answered"));
    Work { appends: count.load(Ordering::Relaxed), took: began.elapsed(), cpu: cpu(server) - before }
}

/// While a thousand appends a second are refused, the log has one line for each partition and kind, then one a minute.
#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn a_thousand_refused_appends_a_second_leave_the_log_quiet() {
    let lasts = full_for();
    let volume = Volume::sized(FsKind::Tmpfs, 256 << 20);
    let mut site = Site::start(&volume);
    // Few enough that they fit, and a fresh topic's first segment is made before.
    let there = site.fill_to(1 << 20);
    let accepted = work(&site.server, &there, false, Duration::from_secs(3));
    drop(site);

    let volume = Volume::new(FsKind::Tmpfs);
    let mut site = Site::start(&volume);
    let lines = site.server.lines();
    let acknowledged = site.fill();
    let grabber = volume.grab();
    let first = site.server.lines().since(&lines).warnings().count();
    assert!(first > 0, "the first refusal has no line");
    let refused = work(&site.server, &acknowledged, true, lasts);
    assert!(
        refused.appends > RATE * lasts.as_secs() / 2,
        "{} appends in {:?}",
        refused.appends,
        refused.took
    );

    let lines = site.server.lines().since(&lines);
    let (told, most) = (lines.warnings().count() as u64, lines.most_in_a_minute());
    let minutes = refused.took.as_secs() / 60 + 1;
    assert!(most <= 60, "{most} lines in a minute:\n{lines}");
    assert!(told <= minutes * KINDS * PARTITIONS as u64 + minutes, "{told} lines in {minutes} min:\n{lines}");
    let suppressed = metric(&site.server, "forebay_log_lines_suppressed_total{reason=\"repeat\"}") as u64;
    println!(
        "{} appends refused in {:?}: {told} lines, at most {most} in a minute, {suppressed} counted in others; \
         processor time of a refused append {:?}, of an accepted one {:?}",
        refused.appends,
        refused.took,
        refused.each(),
        accepted.each()
    );
    if lasts >= Duration::from_secs(60) {
        assert!(refused.each() <= accepted.each(), "a refused append costs more than an accepted one");
    }
    drop(grabber);
    check_all(&site.server, &acknowledged);
}
