//! A server that runs out of descriptors while it works: no partition fails, nothing acknowledged is lost, and
//! connections come back by themselves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use forebay_client::{BatchBuilder, Client, NewTopic, OffsetAt};
use forebay_tests::requests::produce;
use forebay_tests::{Conn, Dice, Load, Server, check_numbered, get, metric};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

const TOPIC: &str = "load";
const PARTITIONS: i32 = 4;

/// Connections that want to take every descriptor.
const CROWD: usize = 100;

/// How long the server has no descriptors.
const SHORT_FOR: Duration = Duration::from_secs(4);

/// Connections are served again so soon after the crowd has gone.
const BACK_WITHIN: Duration = Duration::from_secs(30);

/// An opening that finds no descriptor ends so soon: a second until it begins, 5 s of waiting, and as much again, or
/// more, where the processors are lent elsewhere.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(60);

fn limit(server: &Server, descriptors: u64) {
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    let limit = Rlimit { current: Some(descriptors), maximum: getrlimit(Resource::Nofile).maximum };
    prlimit(pid, Resource::Nofile, limit).expect("the limit of a child can be set");
}

/// How many are open.
fn descriptors(server: &Server) -> u64 {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count() as u64
}

fn topic(name: &str, partitions: i32) -> NewTopic {
    NewTopic {
        partitions: Some(partitions),
        // Many rolls, each of which opens files.
        configs: BTreeMap::from([("segment.bytes".to_owned(), "65536".to_owned())]),
        ..NewTopic::named(name)
    }
}

/// Nothing of the server counts as broken.
fn check_sound(server: &Server, when: &str) {
    assert_eq!(metric(server, "forebay_partitions{status=\"Failed\"}") as u64, 0, "{when}");
    assert_eq!(metric(server, "forebay_raft_restarts_total") as u64, 0, "{when}");
    let (status, said) = get(server.http(), "/readyz").unwrap();
    assert_eq!(status, 200, "{when}: {said}");
}

/// Topics can be made while no descriptor is left but the reserve: the metadata log needs none, and the first record of
/// each takes a few.
async fn make_topics(client: &Client, conn: &mut Conn, count: usize) {
    for index in 0..count {
        let name = format!("made-{index}");
        client.create_topic(&topic(&name, 1), false).await.expect("a topic is made");
        append(conn, &name, 0);
    }
}

/// One record, by a client that does not try again.
fn append(conn: &mut Conn, topic: &str, partition: i32) {
    let batch = BatchBuilder::new().record(1_000, None, Some(b"x")).build().unwrap();
    let answer = conn.call(9, &produce(topic, partition, batch));
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0, "{topic}-{partition}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_descriptors_sheds_connections_and_no_partition_fails() {
    let server = Server::start();
    let client = server.client().await;
    client.create_topic(&topic(TOPIC, PARTITIONS), false).await.unwrap();
    let (mut lanes, mut dice) = (Vec::new(), Dice::new("FOREBAY_DESCRIPTORS_SEED"));
    for partition in 0..PARTITIONS {
        lanes.push((partition, server.client().await));
    }
    let load = Load::start(TOPIC, lanes, Duration::ZERO, &mut dice);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (lines, mut conn) = (server.lines(), server.conn());

    limit(&server, descriptors(&server) + 8);
    let crowd: Vec<_> = (0..CROWD).map(|_| TcpStream::connect(server.kafka()).unwrap()).collect();
    let (began, before) = (Instant::now(), load.acknowledged());
    make_topics(&client, &mut conn, 3).await;
    tokio::time::sleep(SHORT_FOR.saturating_sub(began.elapsed())).await;
    let during = load.acknowledged();
    for (partition, (before, during)) in before.iter().zip(&during).enumerate() {
        assert!(during > &(before + 100), "partition {partition} went from {before} to {during} only");
    }
    assert_eq!(load.fault(), None);

    drop(crowd);
    let back = Instant::now();
    while get(server.http(), "/readyz").is_err() {
        assert!(back.elapsed() < BACK_WITHIN, "no connection is served:\n{}", server.log());
    }
    server.client().await.refresh(None, false).await.unwrap();
    let back = back.elapsed();
    assert!(back < BACK_WITHIN, "connections are served after {back:?}");
    check_sound(&server, "with few descriptors");
    limit(&server, 4_096);

    let refused = metric(&server, "forebay_accept_failures_total") as u64;
    assert!(refused > 0, "it never ran out");
    let lines = server.lines().since(&lines);
    // On a slow disk there are slow requests, too.
    let warnings = lines.warnings().filter(|line| !line.contains("slow request")).count();
    assert!((1..=6).contains(&warnings), "{lines}");
    let mut total = 0;
    for (partition, sure) in load.stop().await {
        total += check_numbered(&client, TOPIC, partition, sure).await;
    }
    println!("{total} records, {refused} refused accepts, {warnings} warnings, back after {back:?}");
}

/// Partitions that were not open yet when the descriptors went.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_cannot_be_opened_for_want_of_descriptors_have_not_failed() {
    const MANY: i32 = 150;
    let mut server = Server::start();
    let client = server.client().await;
    client.create_topic(&topic(TOPIC, MANY), false).await.unwrap();
    let mut conn = server.conn();
    for partition in 0..MANY {
        append(&mut conn, TOPIC, partition);
    }
    server.kill();
    server.spawn();
    server.wait_ready();
    // What is open stays open, and nothing more can be opened, not even from the reserve.
    limit(&server, 8);
    let deadline = Instant::now() + GIVEN_UP_WITHIN;
    while !server.log().contains("cannot open a partition yet") {
        assert!(Instant::now() < deadline, "it has descriptors enough:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    limit(&server, 4_096);
    check_sound(&server, "a moment after the shortage");
    let deadline = Instant::now() + Duration::from_secs(30);
    let ends = loop {
        let fresh = server.client().await;
        let places: Vec<_> = (0..MANY).map(|partition| (partition, OffsetAt::Latest)).collect();
        if let Ok(ends) = fresh.list_offsets(TOPIC, &places).await {
            break ends;
        }
        assert!(Instant::now() < deadline, "not all are open:\n{}", server.log());
    };
    assert!(ends.values().all(|end| end.offset == 1), "{ends:?}");
    check_sound(&server, "after the shortage");
}
