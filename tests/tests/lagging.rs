//! A consumer who reads from the disk gives way to producers, and nobody else does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests stand outside the product: they panic and read clocks"
)]

use std::time::{Duration, Instant};

use forebay_base::Id128;
use forebay_client::BatchBuilder;
use forebay_tests::requests::{fetch, metadata, produce};
use forebay_tests::{Conn, Server, eventually, metric};

const BATCHES: i64 = 60;
const BATCH_BYTES: usize = 1_000_000;
/// The server looks at how appends fare at most every 20 ms.
const JUDGED_EVERY: Duration = Duration::from_millis(40);

fn append(conn: &mut Conn, topic: &str, bytes: usize) {
    let batch = BatchBuilder::new().record(1_000, None, Some(&vec![7; bytes])).build().unwrap();
    assert_eq!(conn.call(9, &produce(topic, 0, batch)).responses[0].partition_responses[0].error_code, 0);
}

/// Bytes that a fetch of up to 20 MB gets, and the throttle it is told.
fn read(conn: &mut Conn, from: i64) -> (u64, Duration) {
    let mut request = fetch("old", Id128::ZERO, 0, from);
    request.max_bytes = 20_000_000;
    request.topics[0].partitions[0].partition_max_bytes = request.max_bytes;
    let mut answer = conn.call(11, &request);
    let part = answer.responses.remove(0).partitions.remove(0);
    assert_eq!(part.error_code, 0);
    let throttle = Duration::from_millis(answer.throttle_time_ms as u64);
    (part.records.map_or(0, |records| records.len()), throttle)
}

#[test]
fn a_consumer_who_lags_gives_way_to_producers() {
    let mut server = Server::start();
    let mut conn = server.conn();
    for topic in ["old", "new"] {
        conn.call(9, &metadata(topic));
    }
    for _ in 0..BATCHES {
        append(&mut conn, "old", BATCH_BYTES);
    }
    assert_eq!(server.stop().code(), Some(0));
    // What this process has not checked is read through, wherever it is.
    server.spawn();
    server.wait_ready();
    let (mut producer, mut behind, mut ahead) = (server.conn(), server.conn(), server.conn());

    let (bytes, throttle) = read(&mut behind, 0);
    assert!(bytes > 15_000_000 && throttle.is_zero(), "nobody appends: {bytes} bytes, {throttle:?}");

    std::thread::sleep(JUDGED_EVERY);
    let (mut began, mut throttle) = (Instant::now(), Duration::ZERO);
    eventually("it is held back", Duration::from_secs(20), || {
        append(&mut producer, "new", 100);
        began = Instant::now();
        let read = read(&mut behind, 20);
        throttle = read.1;
        read.0 > 15_000_000 && throttle > Duration::from_millis(20)
    });
    read(&mut behind, 20);
    assert!(began.elapsed() >= throttle, "heard after {:?} in spite of {throttle:?}", began.elapsed());

    eventually("it is, though memory holds what was read for it", Duration::from_secs(20), || {
        append(&mut producer, "new", 100);
        let (bytes, throttle) = read(&mut behind, 0);
        bytes > 15_000_000 && !throttle.is_zero()
    });
    let (bytes, throttle) = read(&mut ahead, BATCHES - 10);
    assert!(bytes > 5_000_000 && throttle.is_zero(), "it has caught up: {bytes} bytes, {throttle:?}");
    assert!(metric(&server, "forebay_fetch_throttled_seconds_total") > 0.02);

    eventually("reads are free again", Duration::from_secs(20), || read(&mut behind, 0).1.is_zero());
    eventually("appends count again", Duration::from_secs(20), || {
        append(&mut producer, "new", 100);
        !read(&mut behind, 0).1.is_zero()
    });
    assert!(read(&mut behind, BATCHES - 10).1.is_zero());
    append(&mut producer, "new", 100);
    assert!(read(&mut behind, 0).1.is_zero(), "all it wants is in memory, and it had caught up");
}

#[test]
fn what_was_just_stored_is_read_from_memory() {
    let server = Server::start();
    let mut conn = server.conn();
    conn.call(9, &metadata("old"));
    for _ in 0..BATCHES {
        append(&mut conn, "old", BATCH_BYTES);
    }
    let (bytes, throttle) = read(&mut conn, 0);
    assert!(
        bytes > 15_000_000 && throttle.is_zero(),
        "appends come, and this was read from the disk: {throttle:?}"
    );
}
