//! A client that causes errors by the thousand does not flood the log: each line of it is counted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use forebay_client::BatchBuilder;
use forebay_tests::requests::{create, produce};
use forebay_tests::{Server, Stopwatch, metric};

/// Bad frames, each on a connection of its own.
const BAD_FRAMES: u64 = 2_000;

const SUPPRESSED: [&str; 2] = ["repeat", "limit"];

fn suppressed(server: &Server) -> [u64; 2] {
    SUPPRESSED.map(|reason| {
        metric(server, &format!("forebay_log_lines_suppressed_total{{reason=\"{reason}\"}}")) as u64
    })
}

/// Sends something that is no frame, and waits until the server has had enough of it.
fn send_a_bad_frame(server: &Server) {
    let mut stream = TcpStream::connect(server.kafka()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(&[0xFF; 8]).unwrap();
    // Closed, or reset for what it did not read.
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
}

/// The same line, thousands of times, from one listener.
#[test]
fn bad_frames_have_one_line_and_are_counted() {
    let server = Server::start();
    let before = server.lines();
    let (began, stopwatch) = (Instant::now(), Stopwatch::start());
    send_a_bad_frame(&server);
    let first = || {
        server
            .lines()
            .since(&before)
            .warnings()
            .find(|line| line.contains("broke the protocol"))
            .map(str::to_owned)
    };
    while first().is_none() {
        assert!(stopwatch.elapsed() < Duration::from_secs(1), "the first line comes within a second");
    }
    (1..BAD_FRAMES).for_each(|_| send_a_bad_frame(&server));
    let cut = metric(&server, "forebay_connections_cut_total{reason=\"protocol\"}") as u64;
    assert_eq!(cut, BAD_FRAMES);
    let lines = server.lines().since(&before);
    if began.elapsed() < Duration::from_secs(60) {
        assert_eq!(lines.warnings().count(), 1, "{lines}");
        assert_eq!(suppressed(&server), [BAD_FRAMES - 1, 0]);
    }
    if std::env::var_os("FOREBAY_QUIET_FULL").is_some() {
        let again = format!("times={}", BAD_FRAMES - 1);
        let summary = || {
            server
                .lines()
                .since(&before)
                .warnings()
                .any(|line| line.contains("again: ") && line.contains(&again))
        };
        while !summary() {
            assert!(began.elapsed() < Duration::from_secs(70), "the summary comes within a minute");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    println!("{BAD_FRAMES} bad frames, {} warnings", server.lines().since(&before).warnings().count());
}

/// Different lines, of several kinds: slow requests of many APIs, connections over the limit, bad frames.
#[test]
fn a_flood_of_many_kinds_stays_below_the_bound_of_the_process() {
    let server = Server::with(&[("slow.request.ms", "1"), ("max.connections", "3")]);
    let before = server.lines();
    let (mut conn, began) = (server.conn(), Instant::now());
    conn.call(4, &create("t", 1, &[]));
    let batch = BatchBuilder::new().record(1_000, None, Some(&vec![7; 500_000])).build().unwrap();
    for _ in 0..30 {
        conn.call(9, &produce("t", 0, batch.clone()));
        (0..20).for_each(|_| send_a_bad_frame(&server));
        let crowd: Vec<_> = (0..10).map(|_| TcpStream::connect(server.kafka()).unwrap()).collect();
        drop(crowd);
    }
    let slow = metric(&server, "forebay_slow_requests_total") as u64;
    let lines = server.lines().since(&before);
    let told = lines.warnings().count() as u64;
    assert!(slow >= 5, "{slow} slow requests");
    let minutes = began.elapsed().as_secs() / 60 + 1;
    assert!(told <= 10 * minutes, "{told} lines:\n{lines}");
    let [repeated, left_out] = suppressed(&server);
    assert!(repeated > 600 && left_out == 0, "{repeated} repeated, {left_out} left out");
    println!("{slow} slow requests, 600 bad frames, 300 connections: {told} warnings, {repeated} counted");
}

/// Appends that each meet an error of the file system.
const FAILING_APPENDS: u64 = 400;

/// A file that may not grow any more fails every append to it; nothing is torn, and it goes on when it may.
#[test]
fn appends_that_fail_have_one_line_and_are_counted() {
    let server = Server::start();
    let mut conn = server.conn();
    conn.call(4, &create("t", 1, &[]));
    let batch = BatchBuilder::new().record(1_000, None, Some(&vec![7; 100_000])).build().unwrap();
    let mut append = || {
        let answer = conn.call(9, &produce("t", 0, batch.clone()));
        let part = &answer.responses[0].partition_responses[0];
        (part.error_code, part.base_offset)
    };
    assert_eq!(append(), (0, 0));
    // The metadata's files are longer, but nothing is written so far behind in them.
    server.bound_files(Some(250_000));
    assert_eq!(append(), (0, 1));
    let (before, began) = (server.lines(), Instant::now());
    (0..FAILING_APPENDS).for_each(|_| assert_eq!(append().0, 56));
    let lines = server.lines().since(&before);
    let (told, minutes) = (lines.warnings().count() as u64, began.elapsed().as_secs() / 60 + 1);
    assert!((1..=3 * minutes).contains(&told), "{told} lines:\n{lines}");
    assert!(suppressed(&server)[0] >= FAILING_APPENDS - told);
    server.bound_files(None);
    assert_eq!(append(), (0, 2), "nothing of those that failed is there");
    println!("{FAILING_APPENDS} failing appends, {told} warnings");
}
