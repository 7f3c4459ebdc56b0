//! `forebay bench`: what it counts is what is there, against a real server and against the yardstick.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_client::BatchBuilder;
use forebay_tests::requests::produce;
use forebay_tests::{Conn, Server, forebay, run_to_end};
use serde_json::Value;
use tempfile::TempDir;

const DAMAGED: i32 = 5;

/// A running yardstick with four partitions.
struct Yardstick {
    child: Child,
    dir: TempDir,
    addr: String,
}

impl Yardstick {
    fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("forebay-test-").tempdir().unwrap();
        let mut command = forebay();
        command.args(["bench", "yardstick", "--partitions", "4", "--dir"]).arg(dir.path());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { child, dir, addr }
    }
}

impl Drop for Yardstick {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `forebay bench WORDS` against `addr`: its exit code, its figures, and all it said.
fn bench(addr: &str, words: &str) -> (Option<i32>, Value, String) {
    let mut command = forebay();
    command.arg("bench").args(words.split(' ')).args(["--output", "json", "-b", addr]);
    let (status, said) = run_to_end(&mut command);
    let figures = serde_json::Deserializer::from_str(&said).into_iter().next();
    (status.code(), figures.and_then(Result::ok).unwrap_or_default(), said)
}

/// The figures of a run that must succeed.
fn figures(addr: &str, words: &str) -> Value {
    let (code, figures, said) = bench(addr, words);
    assert_eq!(code, Some(0), "{words}: {said}");
    figures
}

fn checked(figures: &Value) -> [u64; 3] {
    ["records", "lost", "damaged"].map(|name| figures["checked"][name].as_u64().unwrap())
}

/// Three connections with four requests in flight; 1 MiB in batches of three records is 86 requests.
const LOAD: &str =
    "produce --connections 3 --in-flight 4 --batch-bytes 4K --total-bytes 1M --partitions 4 --acks 1";

#[test]
fn what_was_acknowledged_is_read_back() {
    let (yardstick, server) = (Yardstick::start(), Server::start());
    for (addr, raw) in [(yardstick.addr.as_str(), " --raw"), (server.kafka(), "")] {
        for spread in ["connection", "turns", "random"] {
            let made = figures(addr, &format!("{LOAD} --spread {spread}{raw}"));
            let records = made["records"].as_u64().unwrap();
            assert!(records >= 3 * 86 && made["bytes"].as_u64().unwrap() >= 1 << 20, "{made}");
            assert_eq!(checked(&made), [records, 0, 0], "{made}");
            assert!(made["answered"]["p50_ms"].as_f64().unwrap() > 0.0);
            assert!(!made["commit"].as_str().unwrap().is_empty());
        }
        let counted = figures(addr, &format!("{LOAD} --no-check{raw}"));
        let total = 4 * counted["records"].as_u64().unwrap();
        for words in ["consume --connections 3", "consume --no-check", "consume --fetch-bytes 1K --no-check"]
        {
            let read = figures(addr, &format!("{words}{raw}"));
            assert_eq!(read["records"].as_u64(), Some(total), "{words}: {read}");
            assert_eq!(read["bytes"].as_u64(), counted["bytes"].as_u64().map(|bytes| 4 * bytes));
            assert_eq!(checked(&read), [if words.contains("no-check") { 0 } else { total }, 0, 0]);
        }
    }
    // The frames of a raw load are Kafka's own.
    let raw = figures(server.kafka(), &format!("{LOAD} --raw"));
    assert_eq!(checked(&raw), [raw["records"].as_u64().unwrap(), 0, 0]);
    let zipped = figures(server.kafka(), &format!("{LOAD} --compression zstd --topic zipped"));
    assert_eq!(checked(&zipped), [zipped["records"].as_u64().unwrap(), 0, 0]);
}

#[test]
fn large_batches_and_unanswered_ones_arrive() {
    let yardstick = Yardstick::start();
    let large = "--batch-bytes 1M --total-bytes 20M --connections 2 --partitions 4 --raw";
    let made = figures(&yardstick.addr, &format!("produce {large}"));
    assert_eq!(checked(&made), [made["records"].as_u64().unwrap(), 0, 0], "{made}");
    let silent = figures(&yardstick.addr, &format!("produce {large} --acks 0"));
    assert_eq!(checked(&silent)[1..], [0, 0], "{silent}");
    let read = figures(&yardstick.addr, "consume --raw");
    assert_eq!(checked(&read)[0], 2 * made["records"].as_u64().unwrap());
}

#[test]
fn damage_is_noticed() {
    let yardstick = Yardstick::start();
    let made = figures(&yardstick.addr, &format!("{LOAD} --raw"));
    let file =
        std::fs::OpenOptions::new().write(true).open(yardstick.dir.path().join("partition-2")).unwrap();
    file.write_all_at(b"#", 2000).unwrap();
    let (code, read, said) = bench(&yardstick.addr, "consume --raw");
    assert_eq!((code, checked(&read)[2]), (Some(DAMAGED), 1), "{said}");
    assert_eq!(read["records"], made["records"]);
    assert_eq!(bench(&yardstick.addr, "consume --raw --no-check").0, Some(0));
    // What comes damaged is not written.
    let batch = BatchBuilder::new().record(1_000, None, Some(b"drop")).build().unwrap();
    let mut bent = batch.to_vec();
    *bent.last_mut().unwrap() ^= 1;
    let mut conn = Conn::open(&yardstick.addr);
    let mut append = |partition, batch: Bytes| {
        let answer = conn.call(7, &produce("any", partition, batch)).responses.remove(0);
        (answer.partition_responses[0].error_code, answer.partition_responses[0].base_offset)
    };
    let end = append(1, batch.clone()).1;
    assert_eq!(append(1, bent.into()), (2, -1));
    assert_eq!(append(1, batch.slice(..40)).0, 2);
    assert_eq!(append(4, batch.clone()), (3, -1));
    assert_eq!(append(1, batch), (0, end + 1));
}

#[test]
fn an_answer_that_makes_no_sense_ends_the_load() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let server = std::thread::Builder::new().spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 512]).unwrap() > 0);
        stream.write_all(&[0; 128]).unwrap();
        stream.read(&mut [0; 512]).unwrap()
    });
    let (code, _, said) = bench(&addr, "produce --raw --total-bytes 1K");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the answer is none to the request"), "{said}");
    assert_eq!(server.unwrap().join().unwrap(), 0);
}

#[test]
fn runs_repeat_at_a_rate_and_tell_what_the_server_used() {
    let server = Server::start();
    let words = format!("{LOAD} --rate 100 --repeat 2 --series --server-pid {}", server.pid());
    let begun = Instant::now();
    let made = figures(server.kafka(), &words);
    // 86 requests at 100 a second, three times.
    assert!(begun.elapsed() > Duration::from_millis(3 * 850), "{:?}", begun.elapsed());
    let runs = made["runs"].as_array().unwrap();
    assert_eq!((runs.len(), made["warmed_up"].as_bool()), (2, Some(true)));
    for run in runs {
        let rate = run["requests_per_second"].as_f64().unwrap();
        assert!((20.0..=103.0).contains(&rate), "{run}");
        assert!(run["server_peak_rss_bytes"].as_u64().unwrap() > 1_000_000);
        assert!(run["server_cpu_seconds_per_gb"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(checked(&made), [3 * runs[0]["records"].as_u64().unwrap(), 0, 0]);
    let cold = format!("consume --cold --data-dir {}", server.data().display());
    assert_eq!(figures(server.kafka(), &cold)["cache"], "cold");
    let latency = figures(server.kafka(), "latency --rate 50 --duration 1 --topic other --partitions 2");
    assert_eq!((latency["requests"].as_u64(), checked(&latency)), (Some(50), [50, 0, 0]));
    let received = latency["received"]["p50_ms"].as_f64().unwrap();
    assert!(received > 0.0 && received < 5_000.0, "{latency}");
    assert_eq!(bench(server.kafka(), "consume --topic nothing").0, Some(2));
}

#[test]
fn limits_are_measured() {
    let dir = tempfile::Builder::new().prefix("forebay-test-").tempdir().unwrap();
    let mut command = forebay();
    command.args(["bench", "limits", "--total-bytes", "4M", "--sustained-bytes", "20M", "--repeat", "1"]);
    let (status, said) = run_to_end(command.args(["--output", "json", "--dir"]).arg(dir.path()));
    assert!(status.success(), "{said}");
    let told: Value = serde_json::Deserializer::from_str(&said).into_iter().next().unwrap().unwrap();
    let limits = told["limits"].as_object().unwrap();
    assert_eq!(limits.len(), 14, "{said}");
    for (name, limit) in limits {
        assert!(limit["median"].as_f64().unwrap() > 0.0, "{name}: {limit}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "files are left");
}
