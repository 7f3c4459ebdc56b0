//! What an operator sees of requests and connections: stages, the slow-request log, the list of connections.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests stand outside the product: they panic and read clocks"
)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_base::Id128;
use forebay_client::BatchBuilder;
use forebay_tests::requests::{create, fetch, produce};
use forebay_tests::{Conn, Server, forebay, get, metric, run_to_end};
use forebay_wire::kafka::api_versions::ApiVersionsRequest;
use serde_json::Value;

const MIB: usize = 1 << 20;

fn batch(bytes: usize) -> Bytes {
    BatchBuilder::new().record(1_000, None, Some(&vec![7; bytes])).build().unwrap()
}

fn stage(server: &Server, api: &str, stage: &str, suffix: &str) -> f64 {
    metric(server, &format!("forebay_request_stage_seconds_{suffix}{{api=\"{api}\",stage=\"{stage}\"}}"))
}

fn append(conn: &mut Conn, acks: i16, bytes: usize) {
    let mut request = produce("t", 0, batch(bytes));
    request.acks = acks;
    assert_eq!(conn.call(9, &request).responses[0].partition_responses[0].error_code, 0);
}

fn slow_lines(server: &Server) -> Vec<String> {
    let log = server.log();
    log.lines().filter(|line| line.contains("slow request")).map(str::to_owned).collect()
}

/// Waits until `look` has found something: the server counts an answer as sent after its client may have read it.
fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn every_request_is_counted_in_the_stages_that_it_passes() {
    let server = Server::start();
    let mut conn = server.conn();
    conn.call(4, &create("t", 1, &[]));
    append(&mut conn, 1, 100);
    append(&mut conn, -1, 100);
    append(&mut conn, -1, 100);
    conn.call(4, &fetch("t", Id128::ZERO, 0, 0));
    eventually(|| (stage(&server, "Fetch", "send", "count") >= 1.0).then_some(()));
    let counts = |api| {
        ["queue", "write", "sync", "wait", "send"].map(|name| stage(&server, api, name, "count") as u64)
    };
    assert_eq!(counts("Produce"), [3, 3, 2, 3, 3]);
    assert_eq!(counts("Fetch"), [1, 0, 0, 1, 1]);
    assert!(stage(&server, "Produce", "sync", "sum") > 0.0);
    let parts: f64 =
        ["queue", "write", "sync", "wait"].iter().map(|name| stage(&server, "Produce", name, "sum")).sum();
    let total = metric(&server, "forebay_request_duration_seconds_sum{api=\"Produce\"}");
    assert!((parts - total).abs() < 1e-6, "{parts} s in stages, {total} s in all");
}

#[test]
fn a_reader_that_takes_its_answer_slowly_is_logged_with_the_stage() {
    const DELAY: Duration = Duration::from_millis(1_500);
    let server = Server::with(&[("slow.request.ms", "500")]);
    let mut conn = server.conn();
    conn.call(4, &create("t", 1, &[]));
    for _ in 0..24 {
        append(&mut conn, 1, MIB - 200);
    }
    append(&mut conn, -1, 100);
    // Far more than the sockets' buffers hold.
    let mut request = fetch("t", Id128::ZERO, 0, 0);
    request.max_bytes = 32 << 20;
    request.topics[0].partitions[0].partition_max_bytes = 32 << 20;
    conn.send(4, &request);
    let mut len = [0; 4];
    assert_eq!(conn.receive_raw(&mut len).unwrap(), 4, "the answer is under way");
    std::thread::sleep(DELAY);
    let (mut left, mut buffer) = (u32::from_be_bytes(len) as usize, vec![0; MIB]);
    assert!(left > 20 * MIB);
    while left > 0 {
        left -= conn.receive_raw(&mut buffer).unwrap();
    }
    let line = eventually(|| slow_lines(&server).into_iter().find(|line| line.contains("Fetch")));
    let number = |name: &str| -> u64 {
        let (_, rest) = line.split_once(&format!("{name}=")).unwrap_or_else(|| panic!("no {name} in {line}"));
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    assert!(number("send_ms") >= 500 && number("total_ms") >= number("send_ms"), "{line}");
    assert!(number("queue_ms") + number("wait_ms") < number("send_ms"), "{line}");
    for said in ["WARN", "client_id=\"black-box\"", "peer=127.0.0.1:", "listener=PLAINTEXT"] {
        assert!(line.contains(said), "{said}: {line}");
    }
    assert!(stage(&server, "Fetch", "send", "sum") >= 0.5);
    assert!(metric(&server, "forebay_slow_requests_total") >= 1.0);
}

#[test]
fn a_long_poll_is_not_slow_and_a_flood_of_slow_requests_is_told_in_few_lines() {
    let server = Server::with(&[("slow.request.ms", "500")]);
    let mut conn = server.conn();
    conn.call(4, &create("t", 1, &[]));
    let mut request = fetch("t", Id128::ZERO, 0, 0);
    request.max_wait_ms = 1_000;
    let began = Instant::now();
    conn.call(4, &request);
    assert!(began.elapsed() >= Duration::from_secs(1));
    eventually(|| (stage(&server, "Fetch", "send", "count") >= 1.0).then_some(()));
    assert!(stage(&server, "Fetch", "wait", "sum") >= 0.9, "a long poll is waiting");
    assert!(!slow_lines(&server).iter().any(|line| line.contains("Fetch")), "{:?}", slow_lines(&server));

    // No disk syncs eight large batches one after the other within 1 ms.
    let server = Server::with(&[("slow.request.ms", "1")]);
    let mut conn = server.conn();
    conn.call(4, &create("t", 1, &[]));
    let before = metric(&server, "forebay_slow_requests_total");
    for _ in 0..20 {
        for _ in 0..8 {
            conn.send(9, &produce("t", 0, batch(MIB / 2)));
        }
        for _ in 0..8 {
            conn.answer::<forebay_wire::kafka::produce::ProduceResponse>(9);
        }
    }
    let slow = eventually(|| {
        let slow = metric(&server, "forebay_slow_requests_total") - before;
        (slow >= 20.0).then_some(slow)
    });
    let minutes = began.elapsed().as_secs() / 60 + 1;
    let lines = slow_lines(&server);
    let of_produce = lines.iter().filter(|line| line.contains("Produce")).count() as u64;
    assert!(
        (1..=minutes).contains(&of_produce),
        "{of_produce} lines of {slow} slow requests in {minutes} min"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_listed_while_they_are_open() {
    let server = Server::start();
    let client = server.client().await;
    client.refresh(None, false).await.unwrap();
    let mut raw = server.conn();
    let told = ApiVersionsRequest {
        client_software_name: "some-library".into(),
        client_software_version: "1.2.3".into(),
    };
    raw.call(3, &told);
    let list = || -> Vec<Value> {
        let (status, body) = get(server.http(), "/v1/connections").unwrap();
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["connections"].as_array().unwrap().clone()
    };
    let of = |software: &str| list().into_iter().find(|one| one["software_name"] == software);
    let ours = of("forebay").expect("our client is listed");
    assert!(ours["requests"].as_u64().unwrap() >= 2, "{ours}");
    // What was sent is counted after it was sent, so the client may be quicker.
    let one = eventually(|| of("some-library").filter(|one| one["sent_bytes"].as_u64() > Some(20)));
    assert_eq!((&one["software_version"], &one["client_id"]), (&"1.2.3".into(), &"black-box".into()));
    assert_eq!((&one["listener"], &one["principal"]), (&"PLAINTEXT".into(), &"User:ANONYMOUS".into()));
    assert_eq!((&one["requests"], &one["requests_in_work"]), (&1.into(), &0.into()));
    assert!(one["received_bytes"].as_u64().unwrap() > 20, "{one}");
    let gauge = "forebay_client_connections{software=\"some-library\",version=\"1.2.3\"}";
    assert_eq!(metric(&server, gauge) as u64, 1);

    let (status, said) =
        run_to_end(forebay().args(["cluster", "connections", "--output", "json", "--http", server.http()]));
    assert!(status.success(), "{said}");
    assert!(said.contains("\"some-library\"") && said.contains("\"opened_ms\""), "{said}");
    let (_, said) = run_to_end(forebay().args(["cluster", "connections", "--http", server.http()]));
    assert!(said.contains("some-library 1.2.3"), "{said}");

    drop(raw);
    eventually(|| of("some-library").is_none().then_some(()));
    assert_eq!(metric(&server, gauge) as u64, 0);
    let counter = "forebay_clients_total{software=\"some-library\",version=\"1.2.3\"}";
    assert_eq!(metric(&server, counter) as u64, 1);
}
