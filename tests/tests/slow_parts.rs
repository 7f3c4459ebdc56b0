//! Clients that are slow, idle, half dead or greedy: the others keep their throughput, and memory stays within its
//! budget.
//!
//! Small numbers by default, with a wide margin; `FOREBAY_SLOW_FULL=1` (and `cargo xtask faults slow_parts`) has the
//! full ones. Every figure is printed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_base::Id128;
use forebay_client::BatchBuilder;
use forebay_tests::requests::{create, fetch, produce};
use forebay_tests::{Conn, Server};
use forebay_wire::kafka::api_versions::ApiVersionsRequest;
use forebay_wire::kafka::produce::ProduceResponse;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const TOPIC: &str = "busy";
const PARTITIONS: i32 = 8;

/// Producers and readers that nothing is wrong with, of each as many.
const SOUND: i32 = 2;

/// What a reader takes at once.
const FETCH_BYTES: i32 = 256 * 1024;

/// What a half-open frame claims to hold, and what is sent of it.
const FRAME_CLAIMED: u32 = 64 * 1024;
const GIANT_CLAIMED: u32 = 1024 * 1024;
const FRAME_SENT: usize = 100;

/// Requests that one connection always has under way, and how it goes on: so many answers taken and requests sent at
/// once, then a rest.
const IN_FLIGHT: usize = 1_000;
const STEP: usize = 10;
const REST: Duration = Duration::from_millis(20);

/// Memory of an idle connection: 120 MiB for 10,000.
const IDLE_BYTES: u64 = 12 * 1024;
/// What a half-open frame may hold: one growing step (`limits::FRAME_STEP_BYTES`).
const HALF_OPEN_BYTES: u64 = 64 * 1024;
/// What everything else here may add: answers under way, the thousand requests, the allocator's slack.
const REST_BYTES: u64 = 64 << 20;

/// How much of it there is.
struct Scale {
    half_open: usize,
    idle: usize,
    /// How long each rate is taken.
    window: Duration,
    /// Least share of their throughput that the sound ones keep.
    kept: f64,
}

impl Scale {
    fn wanted() -> Self {
        match std::env::var_os("FOREBAY_SLOW_FULL") {
            Some(_) => Self { half_open: 500, idle: 10_000, window: Duration::from_secs(10), kept: 0.8 },
            // Other tests run beside this one: only a stall is told from noise.
            None => Self { half_open: 50, idle: 200, window: Duration::from_secs(2), kept: 0.3 },
        }
    }
}

/// Clients that do what clients do, and count it.
struct Sound {
    done: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Sound {
    fn start(server: &Server) -> Self {
        let (done, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let thread = |mut step: Box<dyn FnMut() + Send>| {
            let (done, over) = (done.clone(), over.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    step();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let mut threads = Vec::new();
        for partition in 0..SOUND {
            let (mut conn, batch) = (server.conn(), batch(16_000));
            threads.push(thread(Box::new(move || append(&mut conn, partition, batch.clone()))));
            let mut conn = server.conn();
            threads.push(thread(Box::new(move || {
                let mut request = fetch(TOPIC, Id128::ZERO, SOUND + partition, 0);
                request.topics[0].partitions[0].partition_max_bytes = FETCH_BYTES;
                let answer = conn.call(4, &request);
                let records = answer.responses[0].partitions[0].records.as_ref();
                assert!(records.is_some_and(|records| records.len() > 100_000), "there is much to read");
            })));
        }
        Self { done, over, threads }
    }

    /// Requests answered per second.
    fn rate(&self, window: Duration) -> f64 {
        let (began, before) = (Instant::now(), self.done.load(Ordering::Relaxed));
        std::thread::sleep(window);
        (self.done.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64()
    }

    fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("a sound client is served"));
    }
}

fn batch(bytes: usize) -> Bytes {
    BatchBuilder::new().record(1_000, None, Some(&vec![7; bytes])).build().unwrap()
}

fn append(conn: &mut Conn, partition: i32, batch: Bytes) {
    let mut request = produce(TOPIC, partition, batch);
    // Answered from memory: how fast the disk is does not matter here.
    request.acks = 1;
    assert_eq!(conn.call(9, &request).responses[0].partition_responses[0].error_code, 0);
}

/// A client that is a burden: sits there until it is dropped.
struct Burden {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Burden {
    fn start(mut step: impl FnMut() + Send + 'static) -> Self {
        let over = Arc::<AtomicBool>::default();
        let until = over.clone();
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                step();
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Burden {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        assert!(ended || std::thread::panicking(), "a slow client is served too");
    }
}

/// Asks for megabytes and takes one KiB of them each second.
fn slow_reader(server: &Server) -> Burden {
    let mut conn = server.conn();
    conn.send(4, &fetch(TOPIC, Id128::ZERO, SOUND, 0));
    Burden::start(move || {
        let taken = conn.receive_raw(&mut [0; 256]).expect("the answer goes on");
        assert!(taken > 0, "a slow reader is not cut off");
        std::thread::sleep(Duration::from_millis(250));
    })
}

/// Always has a thousand requests under way.
fn greedy(server: &Server) -> Burden {
    let (mut conn, batch) = (server.conn(), batch(100));
    let send = move |conn: &mut Conn| {
        let mut request = produce(TOPIC, PARTITIONS - 1, batch.clone());
        request.acks = 1;
        conn.send(9, &request);
    };
    (0..IN_FLIGHT).for_each(|_| send(&mut conn));
    Burden::start(move || {
        for _ in 0..STEP {
            let (_, answer) = conn.answer::<ProduceResponse>(9);
            assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
            send(&mut conn);
        }
        std::thread::sleep(REST);
    })
}

/// Announces a frame and sends the beginning of it.
fn half_open(server: &Server, claimed: u32) -> Conn {
    let mut conn = server.conn();
    let mut bytes = claimed.to_be_bytes().to_vec();
    bytes.resize(4 + FRAME_SENT, 0);
    conn.send_raw(&bytes).expect("the server reads");
    conn
}

/// Introduces itself and falls silent.
fn idle(server: &Server) -> Conn {
    let mut conn = server.conn();
    conn.call(0, &ApiVersionsRequest::default());
    conn
}

/// A process has as many descriptors as it asks for, up to a bound.
fn raise_descriptors() {
    let now = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: now.maximum, ..now }).expect("up to the hard limit");
}

#[test]
fn the_slow_do_not_slow_down_the_others() {
    let scale = Scale::wanted();
    // Before the server starts: it inherits the limit.
    raise_descriptors();
    let server = Server::with(&[("max.connections", "12000")]);
    let mut conn = server.conn();
    assert_eq!(conn.call(7, &create(TOPIC, PARTITIONS, &[])).topics[0].error_code, 0);
    for partition in SOUND..2 * SOUND {
        (0..40).for_each(|_| append(&mut conn, partition, batch(200_000)));
    }
    let sound = Sound::start(&server);
    sound.rate(scale.window / 2);
    let (before, lean) = (sound.rate(scale.window), server.memory().resident);

    let idle: Vec<Conn> = (0..scale.idle).map(|_| idle(&server)).collect();
    let fed = server.memory().resident;
    let half_open: Vec<Conn> = (0..scale.half_open).map(|_| half_open(&server, FRAME_CLAIMED)).collect();
    let burdens = [slow_reader(&server), greedy(&server)];
    sound.rate(scale.window / 4);
    // A disk that stands still for a moment is not their doing: it is looked at twice.
    let mut during = sound.rate(scale.window);
    if during < before * scale.kept {
        during = during.max(sound.rate(scale.window));
    }
    let full = server.memory().resident;
    drop((burdens, half_open, idle));
    sound.rate(scale.window / 4);
    let after = sound.rate(scale.window);
    sound.stop();

    // Others use this machine too, so what was possible is taken from both sides.
    let (possible, mib) = ((before + after) / 2.0, |bytes: u64| bytes as f64 / f64::from(1 << 20));
    let kept = during / possible;
    let allowed =
        lean + scale.idle as u64 * IDLE_BYTES + scale.half_open as u64 * HALF_OPEN_BYTES + REST_BYTES;
    println!(
        "slow parts: {} idle, {} half open, 1 slow reader, 1 with {IN_FLIGHT} in flight: sound clients did \
         {before:.0} requests/s before, {during:.0} during, {after:.0} after: kept {kept:.2} (at least {}); \
         memory {:.0} MiB before, {:.0} with the idle, {:.0} with all (at most {:.0})",
        scale.idle,
        scale.half_open,
        scale.kept,
        mib(lean),
        mib(fed),
        mib(full),
        mib(allowed)
    );
    assert!(kept >= scale.kept, "the sound clients kept {kept:.2} of their throughput");
    assert!(full <= allowed, "the server holds {full} bytes, {allowed} are allowed");
}

#[test]
fn announced_giants_do_not_hold_up_large_requests() {
    raise_descriptors();
    let server = Server::start();
    let mut conn = server.conn();
    assert_eq!(conn.call(7, &create(TOPIC, 1, &[])).topics[0].error_code, 0);
    conn.patience(Duration::from_secs(60));
    // Together they claim more than all memory for requests (`queued.max.request.bytes`).
    let giants: Vec<Conn> = (0..500).map(|_| half_open(&server, GIANT_CLAIMED)).collect();
    std::thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    append(&mut conn, 0, batch(200_000));
    let waited = began.elapsed();
    drop(giants);
    println!("500 announced giants: a request of 200 kB took {:.1} s", waited.as_secs_f64());
    assert!(waited < Duration::from_secs(20), "a sound client waited {waited:?}");
}
