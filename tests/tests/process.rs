//! The process: start, stop, exit codes, the lock on its directory, the HTTP door.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_base::Id128;
use forebay_client::BatchBuilder;
use forebay_tests::requests::{create, fetch, list_offsets, metadata, produce};
use forebay_tests::{Conn, Server, forebay, get, run_to_end};
use forebay_wire::kafka::api_versions::ApiVersionsRequest;

fn batch(value: &[u8]) -> Bytes {
    BatchBuilder::new().record(1_000, None, Some(value)).build().unwrap()
}

#[test]
fn it_stops_cleanly_and_finds_everything_again() {
    let mut server = Server::start();
    let mut conn = server.conn();
    conn.call(9, &metadata("t"));
    for _ in 0..3 {
        assert_eq!(
            conn.call(9, &produce("t", 0, batch(b"kept"))).responses[0].partition_responses[0].error_code,
            0
        );
    }
    // A connection that does nothing does not hold the stop up.
    let _idle = server.conn();
    let began = Instant::now();
    assert_eq!(server.stop().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "stopped after {:?}", began.elapsed());
    server.spawn();
    server.wait_ready();
    let mut conn = server.conn();
    assert_eq!(conn.call(4, &list_offsets("t", 0, -1)).topics[0].partitions[0].offset, 3);
    let part = conn.call(4, &fetch("t", Id128::ZERO, 0, 0)).responses.remove(0).partitions.remove(0);
    assert!(part.records.unwrap().read().unwrap().ends_with(b"kept\0"));
}

#[test]
fn a_directory_belongs_to_one_server() {
    let server = Server::start();
    let (status, said) = run_to_end(&mut server.beside().command());
    assert!(!status.success());
    assert!(said.contains(&format!("in use by pid {}", server.pid())), "{said}");
}

#[test]
fn a_newer_directory_is_refused_untouched() {
    let mut server = Server::start();
    assert_eq!(server.stop().code(), Some(0));
    let path = server.data().join("identity");
    let mut identity = std::fs::read(&path).unwrap();
    // Magic, version, ..., checksum of everything before it (docs/formats.md).
    let body = identity.len() - 4;
    identity[4..6].copy_from_slice(&999u16.to_be_bytes());
    let crc = forebay_base::crc32c(&identity[..body]);
    identity[body..].copy_from_slice(&crc.to_be_bytes());
    std::fs::write(&path, &identity).unwrap();
    let (status, said) = run_to_end(&mut server.command());
    assert!(!status.success());
    assert!(said.contains("newer"), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), identity);
}

#[test]
fn a_free_port_is_printed() {
    let server = Server::prepare(&[]);
    let log = std::fs::File::create(server.home().join("own.log")).unwrap();
    let mut command = forebay();
    command.args(["serve", "--kafka-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(server.data()).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let mut child = command.spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    let mut connected = false;
    while !connected && Instant::now() < until {
        let said = std::fs::read_to_string(server.home().join("own.log")).unwrap();
        let ports =
            said.split("127.0.0.1:").skip(1).map(|rest| rest.chars().take_while(char::is_ascii_digit));
        let ports: Vec<u16> = ports.filter_map(|digits| digits.collect::<String>().parse().ok()).collect();
        // Both doors print theirs; one of them speaks Kafka.
        connected = ports.iter().filter(|port| **port != 0).any(|port| speaks_kafka(*port));
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(connected, "the port that was picked stands in the log");
}

fn speaks_kafka(port: u16) -> bool {
    let mut conn = Conn::open(&format!("127.0.0.1:{port}"));
    conn.patience(Duration::from_secs(2));
    conn.send(0, &ApiVersionsRequest::default());
    conn.receive().is_ok_and(|answer| answer.is_some_and(|frame| frame.starts_with(&[0, 0, 0, 1])))
}

#[test]
fn the_http_door_tells_how_it_is() {
    let server = Server::start();
    let mut conn = server.conn();
    conn.call(9, &metadata("seen"));
    conn.call(9, &produce("seen", 0, batch(b"v")));
    assert_eq!(get(server.http(), "/healthz").unwrap().0, 200);
    assert_eq!(get(server.http(), "/readyz").unwrap().0, 200);
    let (status, metrics) = get(server.http(), "/metrics").unwrap();
    assert_eq!(status, 200);
    assert!(metrics.lines().any(|line| line.starts_with("# TYPE ")), "{metrics}");
    for (path, word) in [
        ("/v1/cluster", "cluster"),
        ("/v1/topics", "seen"),
        ("/v1/topics/seen", "seen"),
        ("/v1/topics/seen/partitions", "online"),
        ("/v1/volumes", "total"),
    ] {
        let (status, body) = get(server.http(), path).unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        let json: serde_json::Value =
            serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}"));
        assert!(json.to_string().to_lowercase().contains(word), "{path}: {body}");
    }
    assert_eq!(get(server.http(), "/v1/topics/none").unwrap().0, 404);
    assert_eq!(get(server.http(), "/nothing").unwrap().0, 404);
}

#[test]
fn a_configuration_is_printed_and_read_back() {
    let server = Server::prepare(&[("num.partitions", "7")]);
    let (status, printed) = run_to_end(server.command().arg("--print-config"));
    assert!(status.success());
    assert!(printed.lines().any(|line| line == "num.partitions=7"), "{printed}");
    let wrong = Server::prepare(&[("num.partition", "7")]);
    let (status, said) = run_to_end(&mut wrong.command());
    assert_eq!(status.code(), Some(2), "wrong configuration has its exit code");
    assert!(
        said.contains("'num.partition'") && said.contains("'num.partitions'"),
        "it says what was meant: {said}"
    );
}

#[test]
fn partitions_live_in_several_directories() {
    let mut server = Server::prepare(&[]);
    let second = server.home().join("second");
    server.flags(&["--data-dir", second.to_str().unwrap()]);
    server.spawn();
    server.wait_ready();
    let mut conn = server.conn();
    assert_eq!(conn.call(7, &create("spread", 6, &[])).topics[0].error_code, 0);
    for partition in 0..6 {
        let answer = conn.call(9, &produce("spread", partition, batch(b"v")));
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
    let count = |dir: &std::path::Path| std::fs::read_dir(dir.join("partitions")).unwrap().count();
    assert!(count(server.data()) > 0 && count(&second) > 0, "both are used");
    assert_eq!(count(server.data()) + count(&second), 6);
    server.restart();
    let mut conn = server.conn();
    for partition in 0..6 {
        assert_eq!(conn.call(4, &list_offsets("spread", partition, -1)).topics[0].partitions[0].offset, 1);
    }
}

#[test]
fn clients_are_told_the_advertised_address() {
    let mut server = Server::prepare(&[]);
    server.flags(&["--advertise", "river.example:19092"]);
    server.spawn();
    server.wait_ready();
    let answer = server.conn().call(9, &metadata("t"));
    assert_eq!((answer.brokers[0].host.as_str(), answer.brokers[0].port), ("river.example", 19092));
}
