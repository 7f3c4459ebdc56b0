//! Bad input: the process never dies, its memory stays bounded, other connections notice nothing, and the offender
//! gets the protocol's error or is closed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_base::Id128;
use forebay_client::{BatchBuilder, Compression};
use forebay_tests::requests::{create, fetch, list_offsets, metadata, produce};
use forebay_tests::{Conn, Dice, Sample, Server, get, numbered_value, samples};
use forebay_wire::frame;
use forebay_wire::kafka::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use forebay_wire::kafka::{ApiKey, ErrorCode};

/// All requests in memory together may take this much.
const BUDGET_BYTES: u64 = 56 << 20;

/// The largest frame accepted.
const FRAME_BYTES_MAX: i32 = 8 << 20;

/// What the process may grow by on top of the budget: answers, caches, the allocator's slack.
const SLACK_BYTES: u64 = 96 << 20;

const TARGET: &str = "target";
const BYSTANDER: &str = "bystander";

fn server() -> Server {
    Server::with(&[
        ("queued.max.request.bytes", &BUDGET_BYTES.to_string()),
        ("socket.request.max.bytes", &FRAME_BYTES_MAX.to_string()),
    ])
}

fn make_topic(server: &Server, name: &str) -> Id128 {
    let made = server.conn().call(7, &create(name, 1, &[]));
    assert_eq!(made.topics[0].error_code, 0, "{:?}", made.topics[0].error_message);
    made.topics[0].topic_id
}

fn batch(value: &[u8]) -> Bytes {
    BatchBuilder::new().record(1_000, None, Some(value)).build().unwrap()
}

/// A frame around `body`, with its true length.
fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes(), body].concat()
}

/// Somebody who does everything right, all the while: appends a record and reads it back, and is never kept waiting.
fn bystander(server: &Server, over: &AtomicBool) -> u64 {
    let mut conn = server.conn();
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let value = numbered_value(count, 100);
        let appended = conn.call(7, &produce(BYSTANDER, 0, batch(&value)));
        let part = &appended.responses[0].partition_responses[0];
        assert_eq!((part.error_code, part.base_offset), (0, count as i64), "{:?}", part.error_message);
        let answer = conn.call(4, &fetch(BYSTANDER, Id128::ZERO, 0, count as i64));
        let part = &answer.responses[0].partitions[0];
        assert_eq!(part.error_code, 0);
        let stored = part.records.as_ref().unwrap().read().unwrap();
        assert!(stored.windows(value.len()).any(|window| window == value), "its own record comes back");
        assert!(began.elapsed() < Duration::from_secs(10), "a bystander waited {:?}", began.elapsed());
        count += 1;
    }
    count
}

/// Runs `attack` while a bystander works, and checks that the server is as before.
fn besiege(name: &str, attack: impl FnOnce(&Server, Id128)) {
    let mut server = server();
    let id = make_topic(&server, TARGET);
    make_topic(&server, BYSTANDER);
    let before = server.memory();
    let over = AtomicBool::new(false);
    let served = scope(|scope| {
        let calm = scope.spawn(|| bystander(&server, &over));
        attack(&server, id);
        over.store(true, Ordering::Relaxed);
        calm.join().unwrap()
    });
    assert!(served > 0);
    assert!(server.is_alive());
    assert_eq!(get(server.http(), "/readyz").unwrap().0, 200);
    let after = server.memory();
    let grown = after.peak.saturating_sub(before.resident);
    println!("{name}: {served} calls of a bystander, memory grew by {} KiB at most", grown / 1024);
    assert!(grown <= BUDGET_BYTES + SLACK_BYTES, "memory grew by {grown} bytes");
    assert_eq!(server.stop().code(), Some(0));
}

/// What became of an offender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It was answered, and so was the sound request after it.
    Answered,
    /// It was closed.
    Closed,
    /// Neither in time: a fetch that waits as it was told, or an announced rest that does not come.
    Silent,
}

/// For what must be answered or closed: longer than a busy machine needs.
const PATIENT: Duration = Duration::from_secs(10);

/// For what may rightly be left waiting.
const HASTY: Duration = Duration::from_millis(300);

/// Sends a frame that may be anything, then an ApiVersions request, and waits for the answer to that one.
fn offend(server: &Server, bytes: &[u8], patience: Duration) -> Fate {
    let mut conn = server.conn();
    conn.patience(patience);
    let sentinel = encoded(0, &ApiVersionsRequest::default(), i32::MAX);
    if conn.send_raw(bytes).is_err() || conn.send_raw(&sentinel).is_err() {
        return Fate::Closed;
    }
    loop {
        match conn.receive() {
            Ok(Some(answer)) if answer.starts_with(&i32::MAX.to_be_bytes()) => return Fate::Answered,
            Ok(Some(_)) => {}
            Ok(None) => return Fate::Closed,
            Err(_) => return Fate::Silent,
        }
    }
}

fn encoded<R: forebay_wire::Request>(version: i16, request: &R, id: i32) -> Vec<u8> {
    let pieces = frame::request(id, None, version, request).unwrap();
    pieces.iter().flat_map(|piece| piece.read().unwrap()).collect()
}

#[test]
fn claimed_lengths_cost_nothing() {
    besiege("lengths", |server, _| {
        for length in [-1, i32::MIN, i32::MAX, FRAME_BYTES_MAX + 1] {
            let mut conn = server.conn();
            conn.send_raw(&length.to_be_bytes()).unwrap();
            assert_eq!(conn.receive().unwrap(), None, "a length of {length} is refused by closing");
        }
        // Announced and allowed, but never sent: 64 times 8 MiB would not fit.
        let mut open: Vec<Conn> = (0..64).map(|_| server.conn()).collect();
        for conn in &mut open {
            let _ = conn.send_raw(&FRAME_BYTES_MAX.to_be_bytes());
            let _ = conn.send_raw(&[0; 2048]);
        }
        std::thread::sleep(Duration::from_millis(500));
        let resident = server.memory().resident;
        assert!(resident < BUDGET_BYTES + 2 * SLACK_BYTES, "{resident} bytes for frames that never came");
        drop(open);
        // And one that ends in the middle.
        let mut conn = server.conn();
        conn.send_raw(&[0, 0, 1, 0, 0, 18]).unwrap();
        conn.end_sending();
        assert_eq!(conn.receive().unwrap(), None);
    });
}

#[test]
fn large_frames_share_one_budget() {
    besiege("budget", |server, id| {
        let large = vec![7u8; 1 << 20];
        // 48 MiB of frames that announce themselves truly, sent to their last byte but one: they may not all be held.
        let frame = encoded(3, &produce(TARGET, 0, batch(&large[..1_000_000])), 1);
        let mut open: Vec<Conn> = (0..48).map(|_| server.conn()).collect();
        scope(|scope| {
            for conn in &mut open {
                let frame = &frame;
                scope.spawn(move || {
                    conn.patience(Duration::from_millis(100));
                    // The server stops reading when the budget is spent, so sending may stall; it is given up then.
                    let _ = conn.send_raw(&frame[..frame.len() - 1]);
                });
            }
            std::thread::sleep(Duration::from_millis(500));
            // The holders of the budget go away, and whoever waited goes on.
        });
        drop(open);
        let answer = server.conn().call(13, &fetch(TARGET, id, 0, 0));
        assert_eq!(answer.responses[0].partitions[0].error_code, 0);
    });
}

#[test]
fn every_request_may_end_anywhere() {
    besiege("cuts", |server, id| {
        for Sample { name, frame } in samples(TARGET, id) {
            let body = &frame[4..];
            assert_eq!(offend(server, &frame, PATIENT), Fate::Answered, "{name}, whole");
            for end in (0..body.len()).step_by(1 + body.len() / 24) {
                assert_ne!(
                    offend(server, &framed(&body[..end]), PATIENT),
                    Fate::Silent,
                    "{name} cut to {end} bytes"
                );
            }
        }
    });
}

#[test]
fn counts_may_be_anything() {
    besiege("counts", |server, id| {
        let small: [&[u8]; 6] = [
            &[0xFF; 4],
            &[0x7F, 0xFF, 0xFF, 0xFF],
            &[0x80, 0, 0, 0],
            &[0, 0xFF, 0xFF, 0xFF],
            &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
            &[0x7F],
        ];
        for Sample { name, frame } in samples(TARGET, id) {
            // A fetch may be told to wait for as long as it likes; that is no fault.
            let may_wait = name.starts_with("Fetch") || name.starts_with("Produce");
            for at in 8..(frame.len() - 4).min(100) {
                let mut body = frame[4..].to_vec();
                let claim = small[at % small.len()];
                let end = (at + claim.len()).min(body.len());
                body.splice(at..end, claim.iter().copied());
                let fate = offend(server, &framed(&body), if may_wait { HASTY } else { PATIENT });
                assert!(
                    fate != Fate::Silent || may_wait,
                    "{name} with {claim:02x?} at {at}: no answer and no close"
                );
            }
        }
    });
}

#[test]
fn unknown_apis_and_versions_are_refused() {
    let server = server();
    let mut body = vec![0, 0, 0, 0, 0, 0, 0, 9, 0xFF, 0xFF];
    for (key, version) in [(-1i16, 0i16), (999, 0), (0, 99), (1, 99), (3, -1), (4, 0), (0, 2), (0, i16::MAX)]
    {
        body[..2].copy_from_slice(&key.to_be_bytes());
        body[2..4].copy_from_slice(&version.to_be_bytes());
        let mut conn = server.conn();
        conn.send_raw(&framed(&body)).unwrap();
        assert_eq!(conn.receive().unwrap(), None, "key {key} version {version}: there is no answer to give");
    }
    // ApiVersions is the exception: an answer of version 0 that says what would do.
    body[..4].copy_from_slice(&[0, 18, 0, 99]);
    let mut conn = server.conn();
    conn.send_raw(&framed(&body)).unwrap();
    let (id, answer): (i32, ApiVersionsResponse) = conn.answer(0);
    assert_eq!((id, answer.error_code), (9, ErrorCode::UnsupportedVersion.code()));
    let own = answer.api_keys.iter().find(|api| api.api_key == ApiKey::ApiVersions.code());
    assert!(own.is_some_and(|own| own.min_version == 0 && own.max_version >= 4));
    assert_eq!(conn.call(3, &named()).error_code, 0, "the connection goes on");
}

fn named() -> ApiVersionsRequest {
    ApiVersionsRequest { client_software_name: "x".into(), client_software_version: "1".into() }
}

/// A batch whose bytes were changed, its checksum made right again unless that is the point.
fn bent(bend: impl FnOnce(&mut Vec<u8>), mend: bool) -> Bytes {
    let mut bytes = BatchBuilder::new().record(1_000, Some(b"k"), Some(b"v")).build().unwrap().to_vec();
    bend(&mut bytes);
    if mend && bytes.len() > 21 {
        let crc = forebay_base::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    bytes.into()
}

#[test]
fn unsound_batches_are_refused_and_leave_nothing() {
    let server = server();
    make_topic(&server, TARGET);
    let set = |at: usize, with: &'static [u8]| {
        move |bytes: &mut Vec<u8>| bytes[at..at + with.len()].copy_from_slice(with)
    };
    let two = [batch(b"a"), batch(b"b")].concat();
    let huge = batch(&vec![0; 2 << 20]);
    let cases: Vec<(&str, Bytes, &[ErrorCode])> = vec![
        ("bad CRC", bent(set(17, &[1, 2, 3, 4]), false), &[ErrorCode::CorruptMessage]),
        ("bad byte", bent(|bytes| *bytes.last_mut().unwrap() ^= 1, false), &[ErrorCode::CorruptMessage]),
        ("magic 1", bent(set(16, &[1]), true), MAGIC),
        ("magic 3", bent(set(16, &[3]), true), MAGIC),
        ("length too small", bent(set(8, &[0, 0, 0, 1]), false), UNSOUND),
        ("length negative", bent(set(8, &[0xFF; 4]), false), UNSOUND),
        ("length too large", bent(set(8, &[0, 1, 0, 0]), false), UNSOUND),
        ("cut", bent(|bytes| bytes.truncate(40), false), UNSOUND),
        ("no bytes", Bytes::new(), UNSOUND),
        ("trailing bytes", bent(|bytes| bytes.extend([0; 7]), false), UNSOUND),
        ("two batches", two.into(), &[ErrorCode::InvalidRecord]),
        ("count 0", bent(set(57, &[0; 4]), true), UNSOUND),
        ("count negative", bent(set(57, &[0xFF; 4]), true), UNSOUND),
        ("count huge", bent(set(57, &[0x7F, 0xFF, 0xFF, 0xFF]), true), UNSOUND),
        ("last offset delta", bent(set(23, &[0, 0, 0, 9]), true), UNSOUND),
        ("unknown codec", bent(set(21, &[0, 7]), true), UNSOUND),
        ("control batch", bent(set(21, &[0, 0x20]), true), UNSOUND),
        ("too large", huge, &[ErrorCode::MessageTooLarge]),
    ];
    let mut conn = server.conn();
    for (name, records, expected) in cases {
        let answer = conn.call(8, &produce(TARGET, 0, records));
        let part = &answer.responses[0].partition_responses[0];
        let code = ErrorCode::from_code(part.error_code).unwrap();
        assert!(expected.contains(&code), "{name}: {} {:?}", code.name(), part.error_message);
        assert_eq!(part.base_offset, -1, "{name}");
    }
    let end = &conn.call(4, &list_offsets(TARGET, 0, -1)).topics[0].partitions[0];
    assert_eq!((end.error_code, end.offset), (0, 0), "nothing was appended");
    let sound = conn.call(8, &produce(TARGET, 0, batch(b"sound")));
    assert_eq!(sound.responses[0].partition_responses[0].base_offset, 0);
}

const MAGIC: &[ErrorCode] =
    &[ErrorCode::UnsupportedForMessageFormat, ErrorCode::InvalidRecord, ErrorCode::CorruptMessage];
const UNSOUND: &[ErrorCode] =
    &[ErrorCode::CorruptMessage, ErrorCode::InvalidRecord, ErrorCode::UnsupportedCompressionType];

#[test]
fn invalid_names_are_told_so() {
    let server = server();
    let long = "x".repeat(250);
    let mut conn = server.conn();
    for name in ["", ".", "..", "a/b", "a b", "schön", "a\0b", long.as_str()] {
        let answer = conn.call(9, &metadata(name));
        assert_eq!(
            answer.topics[0].error_code,
            ErrorCode::InvalidTopicException.code(),
            "Metadata of {name:?}"
        );
        let answer = conn.call(7, &create(name, 1, &[]));
        assert_eq!(
            answer.topics[0].error_code,
            ErrorCode::InvalidTopicException.code(),
            "CreateTopics of {name:?}"
        );
        let answer = conn.call(8, &produce(name, 0, batch(b"v")));
        assert_ne!(answer.responses[0].partition_responses[0].error_code, 0, "Produce to {name:?}");
    }
    let longest = "x".repeat(249);
    assert_eq!(conn.call(9, &metadata(&longest)).topics[0].error_code, 0);
}

/// A few kilobytes that inflate to more than a server should hold, where it has to look inside: keys must be there on a
/// compacted topic.
#[test]
fn bombs_do_not_go_off() {
    let bombs: Vec<Bytes> = [Compression::Gzip, Compression::Zstd, Compression::Lz4]
        .map(|codec| {
            let zeros = vec![0; 150 << 20];
            BatchBuilder::new().compression(codec).record(1_000, None, Some(&zeros)).build().unwrap()
        })
        .into();
    besiege("bombs", |server, _| {
        let made = server.conn().call(7, &create("compacted", 1, &[("cleanup.policy", "compact")]));
        assert_eq!(made.topics[0].error_code, 0, "{:?}", made.topics[0].error_message);
        scope(|scope| {
            for bomb in bombs.iter().chain(&bombs) {
                scope.spawn(move || {
                    let answer = server.conn().call(8, &produce("compacted", 0, bomb.clone()));
                    let part = &answer.responses[0].partition_responses[0];
                    assert_ne!(part.error_code, 0, "{} bytes were taken", bomb.len());
                });
            }
        });
    });
}

/// Real frames, each bent in a few random ways.
#[test]
fn ten_thousand_mutations() {
    const MUTATIONS: usize = 10_000;
    const THREADS: usize = 6;
    besiege("mutations", |server, id| {
        let samples = samples(TARGET, id);
        let mut dice = Dice::new("FOREBAY_MUTATION_SEED");
        let seeds: Vec<u64> = (0..THREADS).map(|_| dice.bits()).collect();
        let sent = AtomicUsize::new(0);
        let fates = [Fate::Answered, Fate::Closed, Fate::Silent];
        let met = [const { AtomicUsize::new(0) }; 3];
        scope(|scope| {
            for seed in seeds {
                let (samples, sent, met) = (&samples, &sent, &met);
                scope.spawn(move || {
                    let mut dice = Dice::seeded(seed);
                    while sent.fetch_add(1, Ordering::Relaxed) < MUTATIONS {
                        let sample = &samples[dice.pick(0, samples.len())];
                        let other = &samples[dice.pick(0, samples.len())];
                        let fate = offend(server, &mutated(&sample.frame, &other.frame, &mut dice), HASTY);
                        let slot = fates.iter().position(|known| *known == fate).unwrap();
                        met[slot].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let [answered, closed, silent] = met.map(AtomicUsize::into_inner);
        println!("{MUTATIONS} mutations: {answered} answered, {closed} closed, {silent} left waiting");
        assert!(
            answered > MUTATIONS / 20 && closed > MUTATIONS / 20,
            "they reach the decoders and what is behind them"
        );
    });
}

fn mutated(frame: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut body = frame[4..].to_vec();
    for _ in 0..dice.pick(1, 4) {
        if body.is_empty() {
            break;
        }
        let at = dice.pick(0, body.len());
        match dice.pick(0, 14) {
            0 => body[at] ^= 1 << dice.pick(0, 8),
            1 => body[at] = dice.bits() as u8,
            2 => body.truncate(at),
            3 => drop(body.splice(at..at, dice.bits().to_be_bytes())),
            4 => drop(body.drain(at..(at + dice.pick(1, 9)).min(body.len()))),
            5 => {
                let word = [i32::MAX, i32::MIN, -1, -2, 0, 1 << 20][dice.pick(0, 6)].to_be_bytes();
                let end = (at + 4).min(body.len());
                body[at..end].copy_from_slice(&word[..end - at]);
            }
            6 => body.extend_from_slice(&other[dice.pick(0, other.len())..]),
            7 => {
                let from = 4 + dice.pick(0, other.len() - 4);
                drop(body.splice(at.., other[from..].iter().copied()));
            }
            // Most of all: what may still be a sound request.
            _ => body[at] = body[at].wrapping_add(1),
        }
    }
    let mut bytes = framed(&body);
    if dice.once_in(20) {
        bytes[dice.pick(0, 4)] ^= dice.bits() as u8;
    }
    bytes
}
