//! What one part of a request waits for does not hold up the others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

use std::thread::scope;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_records::{BatchBuilder, Compression};
use forebay_tests::requests::{create, list_offsets, produce};
use forebay_tests::{Conn, Server};

/// Batches that are inflated one after the other before the request's turn comes.
const AHEAD: usize = 12;

/// The race is run this often at the most.
const ROUNDS: i64 = 3;

/// What takes the server a while to look into, where keys must be there.
fn slow_batch() -> Bytes {
    let zeros = vec![0; 120 << 20];
    BatchBuilder::new().compression(Compression::Zstd).record(1_000, None, Some(&zeros)).build().unwrap()
}

fn end(conn: &mut Conn, topic: &str) -> i64 {
    conn.call(5, &list_offsets(topic, 0, -1)).topics[0].partitions[0].offset
}

/// The batch for one partition must wait for its turn to be inflated; the one before it in the request need not.
#[test]
fn a_batch_is_written_while_another_of_its_request_waits() {
    let server = Server::start();
    let mut conn = server.conn();
    for (name, policy) in [("plain", "delete"), ("compacted", "compact")] {
        let made = conn.call(7, &create(name, 1, &[("cleanup.policy", policy)]));
        assert_eq!(made.topics[0].error_code, 0, "{:?}", made.topics[0].error_message);
    }
    let first =
        conn.call(8, &produce("plain", 0, BatchBuilder::new().record(1, None, Some(b"v")).build().unwrap()));
    assert_eq!(first.responses[0].partition_responses[0].error_code, 0);
    let slow = slow_batch();
    // A disk that is slow for a moment may hold up the one that need not wait.
    let is_early = (0..ROUNDS).any(|round| {
        let (visible, answered) = race(&server, &slow, 2 + round);
        println!("visible after {visible:?}, the whole request answered after {answered:?}");
        visible < answered / 2
    });
    assert!(is_early, "it was written when the other one's turn had come");
}

/// How long until the record for one partition is visible, which makes the end `wanted`, and until its request is
/// answered, whose other batch has many before it.
fn race(server: &Server, slow: &Bytes, wanted: i64) -> (Duration, Duration) {
    let mut conn = server.conn();
    scope(|scope| {
        for _ in 0..AHEAD {
            scope.spawn(|| server.conn().call(8, &produce("compacted", 0, slow.clone())));
        }
        std::thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        let both = scope.spawn(move || {
            let mut request =
                produce("plain", 0, BatchBuilder::new().record(2, None, Some(b"w")).build().unwrap());
            request.topic_data.extend(produce("compacted", 0, slow.clone()).topic_data);
            server.conn().call(8, &request);
            began.elapsed()
        });
        while end(&mut conn, "plain") < wanted && began.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(2));
        }
        (began.elapsed(), both.join().unwrap())
    })
}
