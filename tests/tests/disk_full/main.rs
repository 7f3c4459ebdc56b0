//! A volume that is really full, to its last byte: reads go on, writes are refused with a sentence, the status says so
//! and nothing else, and everything comes back by itself when space is freed.
//!
//! Needs root for a tmpfs of its own: `cargo xtask faults disk_full` runs it. `FOREBAY_FULL_CYCLES` (default 5) is how
//! often a volume is filled and freed, `FOREBAY_FULL_STARTS` (default 5) how often a node starts on a full one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

mod client;

use std::time::{Duration, Instant};

use forebay_tests::{Server, TmpFs, get, run_to_end};

use client::{Client, Produced};

const MIB: u64 = 1 << 20;

/// The status is right so soon after the first refusal.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);
/// Writes are back so soon after space was freed.
const BACK_WITHIN: Duration = Duration::from_secs(10);

fn times(variable: &str) -> usize {
    std::env::var(variable).map_or(5, |text| text.parse().expect("a number"))
}

fn server_on(fs: &TmpFs, settings: &[(&str, &str)]) -> Server {
    let mut server = Server::prepare(settings);
    server.keep_data_in(fs.dir().join("data"));
    server.spawn();
    server.wait_ready();
    server
}

/// The first volume in the answer of `/v1/volumes`.
fn volume(server: &Server) -> serde_json::Value {
    let (status, body) = get(server.http(), "/v1/volumes").unwrap();
    assert_eq!(status, 200, "{body}");
    let list: serde_json::Value = serde_json::from_str(&body).unwrap();
    list["volumes"][0].clone()
}

fn status(server: &Server, topic: &str) -> String {
    let (_, body) = get(server.http(), &format!("/v1/topics/{topic}")).unwrap();
    let topic: serde_json::Value = serde_json::from_str(&body).unwrap();
    topic["status"].as_str().unwrap_or_default().to_owned()
}

/// How often the volume moved from one state to the other, by the server's own lines.
fn moves(server: &Server, from: &str, to: &str) -> usize {
    let log = server.log();
    let plain: String = strip_colours(&log);
    plain.lines().filter(|line| line.contains(&format!("from={from} to={to} "))).count()
}

fn strip_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split('\u{1b}');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        plain.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    plain
}

/// Waits until a write is taken; how long that took.
fn back(client: &mut Client) -> Duration {
    let began = Instant::now();
    while !matches!(client.produce(1), Produced::Stored) {
        assert!(began.elapsed() < Duration::from_secs(30), "writes do not come back");
        std::thread::sleep(Duration::from_millis(50));
    }
    began.elapsed()
}

/// Writes until the volume refuses; the sentence.
fn fill_by_writing(client: &mut Client) -> String {
    loop {
        if let Produced::Refused(sentence) = client.produce(64) {
            return sentence;
        }
    }
}

#[test]
#[ignore = "needs root and a tmpfs: cargo xtask faults disk_full"]
fn a_full_volume_refuses_writes_serves_reads_and_comes_back_each_time() {
    let fs = TmpFs::new(64);
    let server = server_on(&fs, &[]);
    let mut client = Client::new(&server, "orders", &[]);
    let (cycles, mut slowest) = (times("FOREBAY_FULL_CYCLES"), Duration::ZERO);
    client.produce(64);
    // What is free for records on the smallest volume.
    assert!(fs.free_bytes() >= 40 * MIB, "{} are free", fs.free_bytes());
    for cycle in 1..=cycles {
        // Somebody else takes most of it, so that it is full to the last byte soon.
        fs.fill_but(6 * MIB);
        let sentence = fill_by_writing(&mut client);
        let refused = Instant::now();
        for part in [fs.dir().to_str().unwrap(), "are free", "go on by themselves when", "delete topics"] {
            assert!(sentence.contains(part), "{sentence}");
        }
        while status(&server, "orders") != "OutOfSpace" {
            assert!(refused.elapsed() < SHOWN_WITHIN, "{}", volume(&server));
        }
        fs.fill();
        assert_eq!(fs.free_bytes(), 0);
        for _ in 0..10 {
            assert!(matches!(client.produce(1), Produced::Refused(_)));
            client.check_all();
            assert_eq!(status(&server, "orders"), "OutOfSpace");
            std::thread::sleep(Duration::from_millis(50));
        }
        fs.free(16 * MIB);
        let took = back(&mut client);
        slowest = slowest.max(took);
        assert!(took < BACK_WITHIN, "{took:?}: {}", volume(&server));
        assert_eq!((moves(&server, "Low", "Full"), moves(&server, "Full", "Low")), (cycle, cycle));
        client.check_all();
        client.delete_all();
    }
    println!("       {cycles} cycles, writes back within {slowest:.1?}");
    let warned = strip_colours(&server.log()).lines().filter(|line| line.contains("WARN")).count();
    assert!(warned <= 6 * cycles + 4, "{warned} warnings");
}

#[test]
#[ignore = "needs root and a tmpfs: cargo xtask faults disk_full"]
fn eight_mib_that_are_freed_are_enough() {
    let fs = TmpFs::new(64);
    let server = server_on(&fs, &[]);
    let mut client = Client::new(&server, "orders", &[]);
    client.produce(64);
    fs.fill();
    let taken = std::fs::metadata(fs.dir().join("somebody-elses")).unwrap().len();
    std::thread::sleep(Duration::from_secs(2));
    assert!(matches!(client.produce(1), Produced::Refused(_)));
    fs.free(taken - 8 * MIB);
    let took = back(&mut client);
    assert!(took < BACK_WITHIN, "{took:?}");
    client.check_all();
}

#[test]
#[ignore = "needs root and a tmpfs: cargo xtask faults disk_full"]
fn deleting_records_or_a_topic_brings_writes_back() {
    let fs = TmpFs::new(64);
    let server = server_on(&fs, &[]);
    let mut client = Client::new(&server, "kept", &[]);
    client.produce(64);
    // All of it lies in one segment, that is written to.
    let mut other = Client::new(&server, "filling", &[]);
    fs.fill_but(16 * MIB);
    fill_by_writing(&mut other);
    fs.fill();
    assert!(matches!(client.produce(1), Produced::Refused(_)));
    other.delete_all();
    let took = back(&mut client);
    assert!(took < BACK_WITHIN, "{took:?}");
    fill_by_writing(&mut other);
    fs.fill();
    assert!(matches!(client.produce(1), Produced::Refused(_)));
    other.delete_topic();
    let took = back(&mut client);
    assert!(took < BACK_WITHIN, "{took:?}");
    client.check_all();
}

#[test]
#[ignore = "needs root and a tmpfs: cargo xtask faults disk_full"]
fn a_node_starts_on_a_full_volume_and_serves_reads() {
    let fs = TmpFs::new(64);
    let mut server = server_on(&fs, &[]);
    let mut client = Client::new(&server, "orders", &[]);
    fs.fill_but(12 * MIB);
    fill_by_writing(&mut client);
    fs.fill();
    let known = status(&server, "orders");
    assert_eq!(known, "OutOfSpace");
    for start in 0..times("FOREBAY_FULL_STARTS") {
        if start % 2 == 0 {
            server.kill()
        } else {
            let _ = server.stop();
        }
        fs.fill();
        assert_eq!(fs.free_bytes(), 0);
        server.spawn();
        server.wait_ready();
        client.reconnect(&server);
        assert!(matches!(client.produce(1), Produced::Refused(_)));
        client.check_all();
        assert_eq!(status(&server, "orders"), "OutOfSpace");
    }
    fs.free(0);
    let took = back(&mut client);
    assert!(took < BACK_WITHIN, "{took:?}");
    client.check_all();
}

#[test]
#[ignore = "needs root and a tmpfs: cargo xtask faults disk_full"]
fn the_oldest_records_go_where_the_topic_says_so() {
    let fs = TmpFs::new(64);
    let server = server_on(&fs, &[]);
    let configs = [("disk.full.policy", "delete-oldest"), ("segment.bytes", "4194304")];
    let mut client = Client::new(&server, "rolling", &configs);
    let began = Instant::now();
    while client.stored() < 3 * 64 * 16 {
        if matches!(client.produce(64), Produced::Refused(_)) {
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "{} stored: {}",
            client.stored(),
            volume(&server)
        );
    }
    client.check_from_start();
}

#[test]
#[ignore = "needs root and a tmpfs: cargo xtask faults disk_full"]
fn a_producer_may_be_told_to_give_up_and_no_topic_is_made_on_a_full_volume() {
    let fs = TmpFs::new(64);
    let server = server_on(&fs, &[]);
    let mut client = Client::new(&server, "strict", &[("disk.full.error", "fail")]);
    client.refused_with(44);
    client.produce(1);
    fs.fill();
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(matches!(client.produce(1), Produced::Refused(_)));
    let (code, sentence) = client.create_topic("late");
    assert_eq!(code, 44, "{sentence}");
    assert!(sentence.contains("is full") && sentence.contains("are free"), "{sentence}");
    fs.free(0);
    back(&mut client);
    assert_eq!(client.create_topic("late").0, 0);
}

#[test]
#[ignore = "needs root and a tmpfs: cargo xtask faults disk_full"]
fn a_volume_that_is_too_small_is_refused_with_a_sentence() {
    let fs = TmpFs::new(63);
    let mut server = Server::prepare(&[]);
    server.keep_data_in(fs.dir().join("data"));
    let (status, said) = run_to_end(&mut server.command());
    assert!(!status.success());
    assert!(said.contains("63.0 MiB") && said.contains("64.0 MiB at least"), "{said}");
}
