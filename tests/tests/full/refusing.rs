use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forebay_records::BatchBuilder;
use forebay_tests::requests::produce;
use forebay_tests::{FsKind, Server, eventually, metric, run_to_end};
use forebay_wire::kafka::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use forebay_wire::kafka::produce::ProduceRequest;

use crate::client::{Client, Produced};
use crate::site::Site;
use crate::volume::Volume;
use crate::{MIB, full_for};

/// Appends a second, by so many producers.
const RATE: u64 = 1_000;
const PRODUCERS: u64 = PARTITIONS as u64;
/// So many that none of them is slowed down for what it sends: a refused MiB costs a second.
const PARTITIONS: usize = 16;

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

/// Appends at the rate for a while, longer on a machine that is too slow for half of it, each producer to a partition of its
/// own; `is_refused` says what each answer must be.
fn work(server: &Server, client: &Client, is_refused: bool, lasts: Duration) -> Work {
    let (over, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let (began, before) = (Instant::now(), cpu(server));
    let producers: Vec<_> = (0..PARTITIONS)
        .map(|partition| {
            let (mut client, over, count) = (client.beside(server), over.clone(), count.clone());
            std::thread::spawn(move || {
                let mut due = Instant::now();
                while !over.load(Ordering::Relaxed) {
                    let produced = client.produce(partition, 1);
                    assert_eq!(produced != Produced::Stored, is_refused, "{produced:?}");
                    count.fetch_add(1, Ordering::Relaxed);
                    due += Duration::from_micros(1_000_000 * PRODUCERS / RATE);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
            })
        })
        .collect();
    std::thread::sleep(lasts);
    let half = RATE * lasts.as_secs() / 2;
    eventually("half of the appends are made", 2 * lasts, || count.load(Ordering::Relaxed) >= half);
    over.store(true, Ordering::Relaxed);
    producers.into_iter().for_each(|producer| producer.join().expect("a producer is answered"));
    Work { appends: count.load(Ordering::Relaxed), took: began.elapsed(), cpu: cpu(server) - before }
}

/// While a thousand appends a second are refused, the log has one line for each partition and kind, then one a minute.
#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn a_thousand_refused_appends_a_second_leave_the_log_quiet() {
    let lasts = full_for();
    let volume = Volume::sized(FsKind::Tmpfs, 256);
    let site = Site::start(&volume);
    let mut client = Client::new(&site.server, "accepted", PARTITIONS as i32, &[]);
    client.fill_to(MIB);
    // Few enough that they fit.
    let accepted = work(&site.server, &client, false, Duration::from_secs(3));
    drop((site, volume));

    let volume = Volume::new(FsKind::Tmpfs);
    let site = Site::start(&volume);
    let mut client = Client::new(&site.server, "refused", PARTITIONS as i32, &[]);
    client.fill_to(MIB);
    volume.fill_but(8 * MIB);
    let lines = site.server.lines();
    client.fill();
    let grabber = volume.grab();
    let first = site.server.lines().since(&lines).warnings().count();
    assert!(first > 0, "the first refusal has no line");
    let refused = work(&site.server, &client, true, lasts);

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
    // It has asked for nothing all the while, and may have been closed for it.
    client.reconnect(&site.server);
    client.check();
    site.no_panic();
}

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn a_producer_may_be_told_to_give_up_and_no_topic_is_made_on_a_full_volume() {
    let volume = Volume::new(FsKind::Tmpfs);
    let site = Site::start(&volume);
    let mut client = Client::new(&site.server, "strict", 1, &[("disk.full.error", "fail")]);
    client.refused_with(44);
    client.fill_to(MIB);
    volume.fill();
    site.shown_full("strict");
    client.refused();
    let (code, sentence) = client.create_topic("late");
    assert_eq!(code, 44, "{sentence}");
    assert!(sentence.contains("is full") && sentence.contains("are free"), "{sentence}");
    volume.free_but(0);
    client.back();
    assert_eq!(client.create_topic("late").0, 0);
}

/// Each version has its own way to say that a disk is full; who wants no answer is cut off.
#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn every_way_to_append_is_refused_in_its_own() {
    let volume = Volume::new(FsKind::Tmpfs);
    let site = Site::start(&volume);
    let _topic = Client::new(&site.server, "old", 1, &[]);
    volume.fill();
    site.shown_full("old");
    let record = BatchBuilder::new().record(1, None, Some(b"v")).build().expect("a small batch");
    let mut conn = site.server.conn();
    for (version, code) in [(3, 6), (4, 56), (7, 56), (8, 56), (11, 56)] {
        let answer = conn.call(version, &produce("old", 0, record.clone()));
        let refused = &answer.responses[0].partition_responses[0];
        assert_eq!(refused.error_code, code, "version {version}");
        let sentence = refused.error_message.as_deref().unwrap_or_default();
        assert_eq!(sentence.contains("is full"), version >= 8, "version {version}: {sentence}");
        assert!(answer.throttle_time_ms > 0, "version {version}");
    }
    conn.send(8, &ProduceRequest { acks: 0, ..produce("old", 0, record) });
    assert!(conn.receive().expect("it is closed in order").is_none());
    let topics = vec![CreatePartitionsTopic { name: "old".into(), count: 2, assignments: None }];
    let request = CreatePartitionsRequest { topics, timeout_ms: 5_000, validate_only: false };
    let refused = site.server.conn().call(3, &request).results.remove(0);
    let sentence = refused.error_message.as_deref().unwrap_or_default();
    assert!(refused.error_code == 44 && sentence.contains("is full"), "{} {sentence}", refused.error_code);
}

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn a_volume_that_is_too_small_is_refused_with_a_sentence() {
    let volume = Volume::sized(FsKind::Tmpfs, 63);
    let mut server = Server::prepare(&[]);
    server.keep_data_in(volume.data());
    let (status, said) = run_to_end(&mut server.command());
    assert!(!status.success());
    assert!(said.contains("63.0 MiB") && said.contains("64.0 MiB at least"), "{said}");
}
