//! What is shown as the status, while the sessions in which nodes report break, clients come and go and the server is
//! started again. `FOREBAY_STATUS_SECONDS` (default 20) is how long the volume stays full.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use forebay_records::BatchBuilder;
use forebay_tests::requests::{create, fetch, produce};
use forebay_tests::{Conn, FsKind, Server, eventually, get, json, number, post, tool};
use forebay_wire::kafka::describe_log_dirs::DescribeLogDirsRequest;
use serde_json::Value;

use crate::volume::Volume;
use crate::{BACK_ALWAYS, MIB, SHOWN_WITHIN};

const TOPIC: &str = "orders";
const RECONNECTS: u32 = 20;
const RESETS: u32 = 20;
const STARTS: u32 = 3;
/// After a reset, all is known again so soon, on a machine that has much else to do.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);

/// The status of the one partition; an error if nobody answers.
fn status(http: &str) -> std::io::Result<String> {
    let (_, body) = get(http, &format!("/v1/topics/{TOPIC}/partitions"))?;
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    Ok(answer["partitions"][0]["status"].as_str().unwrap_or_default().to_owned())
}

fn wait_for(server: &Server, wanted: &str, patience: Duration) -> Duration {
    let is_shown = || status(server.http()).unwrap() == wanted;
    eventually(&format!("{wanted} is shown"), patience, is_shown)
}

fn describe(server: &Server) -> String {
    tool(server, &["topic", "describe", TOPIC, "--bootstrap-server", server.kafka()]).1
}

/// Asks for a batch to be stored: the refusal, if it is one.
fn append(conn: &mut Conn) -> Option<String> {
    let batch = BatchBuilder::new().record(1, None, Some(&[0x61; 64 * 1024])).build().unwrap();
    let mut answer = conn.call(9, &produce(TOPIC, 0, batch));
    let part = answer.responses.remove(0).partition_responses.remove(0);
    assert!([0, 56].contains(&part.error_code), "{part:?}");
    (part.error_code == 56).then(|| part.error_message.map(|text| text.to_string()).unwrap_or_default())
}

fn make_topic(server: &Server) {
    let made = server.conn().call(5, &create(TOPIC, 1, &[("retention.ms", "-1")]));
    assert_eq!(made.topics[0].error_code, 0, "{:?}", made.topics[0].error_message);
}

#[test]
fn what_is_well_is_shown_as_well_again_after_each_break() {
    let mut server = Server::start();
    make_topic(&server);
    wait_for(&server, "Online", KNOWN_WITHIN);
    let (code, text) = tool(&server, &["cluster", "status"]);
    assert!(code == Some(0) && text.contains("All is well") && text.contains("1 Online"), "{text}");
    assert!(describe(&server).contains("Online"));
    for _ in 0..RESETS {
        assert_eq!(post(server.http(), "/v1/sessions/reset").unwrap(), (200, r#"{"reset":1}"#.to_owned()));
        wait_for(&server, "Online", KNOWN_WITHIN);
        eventually("the volume is shown as well", KNOWN_WITHIN, || {
            json(&server, "/v1/volumes")["volumes"][0]["state"] == "Normal"
        });
    }
    server.restart();
    wait_for(&server, "Online", KNOWN_WITHIN);
    eventually("nothing is complained of", KNOWN_WITHIN, || {
        json(&server, "/readyz")["complaints"] == Value::Array(Vec::new())
    });
    let log = server.log();
    assert!(!log.contains("is not heard of"), "{log}");
}

/// Looks at the status ten times a second, until it is stopped.
struct Sampler {
    over: Arc<AtomicBool>,
    samples: JoinHandle<BTreeMap<String, u64>>,
}

impl Sampler {
    fn start(server: &Server) -> Self {
        let (over, http) = (Arc::<AtomicBool>::default(), server.http().to_owned());
        let told = over.clone();
        let samples = std::thread::spawn(move || {
            let (mut counts, mut due) = (BTreeMap::new(), Instant::now());
            while !told.load(Ordering::Relaxed) {
                let shown = status(&http).unwrap_or_else(|_| "no answer".to_owned());
                *counts.entry(shown).or_default() += 1;
                due += Duration::from_millis(100);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            counts
        });
        Self { over, samples }
    }

    fn stop(self) -> BTreeMap<String, u64> {
        self.over.store(true, Ordering::Relaxed);
        self.samples.join().unwrap()
    }
}

/// Starts the server again on the full volume; every other time it is killed.
fn start_again(server: &mut Server, is_killed: bool) {
    if is_killed {
        server.kill();
    } else {
        server.stop();
    }
    server.spawn();
    server.wait_ready();
}

/// Reconnects, resets and restarts, each evenly spread over `lasts`.
fn disturb(server: &mut Server, lasts: Duration) {
    let began = Instant::now();
    let steps = 4 * RECONNECTS.max(RESETS).max(STARTS);
    let comes = |step: u32, of: u32| (step + 1) * of / steps > step * of / steps;
    for step in 0..steps {
        if comes(step, RECONNECTS) {
            let mut client = server.conn();
            assert!(append(&mut client).is_some(), "a full volume takes a batch");
            let read = client.call(12, &fetch(TOPIC, Default::default(), 0, 0));
            assert_eq!(read.responses[0].partitions[0].error_code, 0);
        }
        if comes(step, RESETS) {
            let (status, _) = post(server.http(), "/v1/sessions/reset").unwrap();
            assert_eq!(status, 200);
        }
        if comes(step, STARTS) {
            start_again(server, step % 2 == 0);
        }
        let due = began + lasts * (step + 1) / steps;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn a_full_volume_is_never_shown_as_online() {
    let lasts = Duration::from_secs(number("FOREBAY_STATUS_SECONDS", 20));
    let volume = Volume::new(FsKind::Tmpfs);
    let mut server = Server::prepare(&[]);
    server.keep_data_in(volume.data());
    server.spawn();
    server.wait_ready();
    make_topic(&server);
    wait_for(&server, "Online", KNOWN_WITHIN);
    volume.fill_but(6 * MIB);
    let mut client = server.conn();
    while append(&mut client).is_none() {}
    let shown = wait_for(&server, "OutOfSpace", SHOWN_WITHIN);
    volume.fill();
    assert_eq!(volume.free_bytes(), 0);

    let sampler = Sampler::start(&server);
    disturb(&mut server, lasts);
    let counts = sampler.stop();
    println!(
        "shown as OutOfSpace {shown:?} after the first refusal; over {lasts:?} with {RECONNECTS} reconnects, {RESETS} \
         resets and {STARTS} starts: {counts:?}"
    );
    let known = ["OutOfSpace", "Unknown", "no answer"];
    assert!(counts.keys().all(|status| known.contains(&status.as_str())), "{counts:?}");
    assert!(counts.get("OutOfSpace").copied().unwrap_or(0) > lasts.as_secs() * 5, "{counts:?}");

    wait_for(&server, "OutOfSpace", KNOWN_WITHIN);
    let (code, text) = tool(&server, &["cluster", "status"]);
    assert!(code == Some(8) && text.contains("1 OutOfSpace") && text.contains("is full"), "{text}");
    let text = describe(&server);
    assert!(text.contains("OutOfSpace since 20") && text.contains("is full"), "{text}");
    let dir = server.conn().call(4, &DescribeLogDirsRequest { topics: None }).results.remove(0);
    assert_eq!((dir.error_code, dir.usable_bytes, dir.total_bytes), (0, 0, 64 << 20));
    assert!(dir.topics[0].partitions[0].partition_size > 0, "{dir:?}");

    volume.free_but(0);
    let mut client = server.conn();
    let back = eventually("writes are back", BACK_ALWAYS, || append(&mut client).is_none());
    println!("writes are back {back:?} after the space was freed");
    wait_for(&server, "Online", Duration::from_secs(60));
}
