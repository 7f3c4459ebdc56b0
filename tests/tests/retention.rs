//! Retention and DeleteRecords while consumers read the same segments: no error but "out of range" at the old start,
//! and no wrong byte.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use forebay_base::Id128;
use forebay_client::{BatchBuilder, Client, FetchOptions, NewTopic, OffsetAt, Producer, ProducerConfig};
use forebay_records::{Records, batches, verify_crc};
use forebay_tests::requests::{delete_records, fetch};
use forebay_tests::{Dice, Server, block_on, number_of, numbered_value};
use forebay_wire::frame;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::fetch::FetchResponse;

const TOPIC: &str = "shrinking";
const BATCH: u64 = 10;
const PADDING: usize = 1_000;
const RUN: Duration = Duration::from_secs(6);

/// Appends numbered records; record `n` stands at offset `n`.
async fn append(client: &Client, from: u64, batches: u64) {
    let producer = Producer::open(client, TOPIC, 0, ProducerConfig::default()).await.unwrap();
    let mut acks = Vec::new();
    for first in (from..from + batches * BATCH).step_by(BATCH as usize) {
        let mut batch = BatchBuilder::new();
        for number in first..first + BATCH {
            batch.push(now_ms(), None, Some(&numbered_value(number, PADDING)), &[]);
        }
        acks.push((first, producer.send(batch).await.unwrap()));
    }
    for (first, ack) in acks {
        assert_eq!(ack.wait().await.unwrap().base_offset, first as i64);
    }
}

fn now_ms() -> i64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as i64)
}

async fn start_of(client: &Client) -> i64 {
    client.list_offsets(TOPIC, &[(0, OffsetAt::Earliest)]).await.unwrap()[&0].offset
}

/// Reads on and on, from the start again whenever the start has overtaken it or the end is reached.
async fn read(
    client: Client,
    over: Arc<AtomicBool>,
    seen: Arc<AtomicU64>,
    overtaken: Arc<AtomicU64>,
    bytes: i32,
) {
    let options = FetchOptions {
        max_wait: Duration::from_millis(50),
        partition_max_bytes: bytes,
        ..Default::default()
    };
    let mut next = 0;
    while !over.load(Ordering::Relaxed) {
        match client.fetch(TOPIC, 0, next, &options).await {
            Ok(part) => {
                for record in &part.records {
                    assert_eq!(record.offset.0, next, "a hole");
                    let number = number_of(record.value.as_deref().unwrap_or_default());
                    assert_eq!(number, Some(next as u64), "a wrong byte at offset {next}");
                    next += 1;
                }
                seen.fetch_add(part.records.len() as u64, Ordering::Relaxed);
                if next >= part.high_watermark {
                    next = start_of(&client).await;
                }
            }
            Err(error) => {
                assert_eq!(error.code(), Some(ErrorCode::OffsetOutOfRange), "reading at {next}: {error}");
                overtaken.fetch_add(1, Ordering::Relaxed);
                let start = start_of(&client).await;
                assert!(start > next, "offset {next} is refused, but the log starts at {start}");
                next = start;
            }
        }
    }
}

#[test]
fn readers_never_see_the_log_shrink_under_them() {
    block_on(async {
        let server = Server::with(&[("log.retention.check.interval.ms", "100")]);
        let client = server.client().await;
        let topic = NewTopic {
            partitions: Some(1),
            configs: [("segment.bytes", "131072"), ("retention.bytes", "524288")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..NewTopic::named(TOPIC)
        };
        client.create_topic(&topic, false).await.unwrap();
        append(&client, 0, 20).await;
        let over = Arc::new(AtomicBool::new(false));
        let (seen, overtaken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut tasks = Vec::new();
        for bytes in [1, 20_000, 300_000, 8 << 20] {
            let client = server.client().await;
            tasks.push(tokio::spawn(read(client, over.clone(), seen.clone(), overtaken.clone(), bytes)));
        }
        let shrink = {
            let (client, over) = (client.clone(), over.clone());
            tokio::spawn(async move {
                let mut dice = Dice::new("FOREBAY_SHRINK_SEED");
                while !over.load(Ordering::Relaxed) {
                    let start = start_of(&client).await;
                    let to = start + dice.pick(0, 120) as i64;
                    match client.delete_records(TOPIC, 0, to).await {
                        Ok(low) => assert!(low >= to, "asked to delete below {to}, the log starts at {low}"),
                        Err(error) => assert_eq!(error.code(), Some(ErrorCode::OffsetOutOfRange), "{error}"),
                    }
                    tokio::time::sleep(Duration::from_millis(dice.pick(1, 40) as u64)).await;
                }
            })
        };
        let mut next = 20 * BATCH;
        let end = tokio::time::Instant::now() + RUN;
        while tokio::time::Instant::now() < end {
            append(&client, next, 10).await;
            next += 10 * BATCH;
        }
        over.store(true, Ordering::Relaxed);
        shrink.await.unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        let start = start_of(&client).await;
        println!(
            "{next} records written, log starts at {start}, {} read, {} times overtaken by the start",
            seen.load(Ordering::Relaxed),
            overtaken.load(Ordering::Relaxed)
        );
        assert!(start > next as i64 / 2, "the log did shrink");
        assert!(seen.load(Ordering::Relaxed) > next, "there was reading");
    });
}

/// A segment that is deleted while it is being sent is sent to its end.
#[test]
fn an_answer_in_flight_outlives_its_segment() {
    let server = Server::with(&[("log.retention.check.interval.ms", "100")]);
    let count = 600 * BATCH;
    block_on(async {
        let client = server.client().await;
        let configs = [("segment.bytes".to_owned(), (4 << 20).to_string())].into();
        client.create_topic(&NewTopic { configs, ..NewTopic::named(TOPIC) }, false).await.unwrap();
        append(&client, 0, 600).await;
    });
    // Six readers ask for megabytes each, more than a socket's buffers hold, and do not read yet.
    let mut readers: Vec<_> = (0..6i64).map(|reader| (reader * 50, server.conn())).collect();
    for (offset, conn) in &mut readers {
        conn.send(4, &fetch(TOPIC, Id128::ZERO, 0, *offset));
        let mut first = [0; 1];
        assert_eq!(conn.receive_raw(&mut first).unwrap(), 1, "the answer is under way");
    }
    let mut admin = server.conn();
    let deleted = admin.call(2, &delete_records(TOPIC, 0, -1));
    let part = &deleted.topics[0].partitions[0];
    assert_eq!((part.error_code, part.low_watermark), (0, count as i64));
    let gone = admin.call(4, &fetch(TOPIC, Id128::ZERO, 0, 0));
    assert_eq!(gone.responses[0].partitions[0].error_code, ErrorCode::OffsetOutOfRange.code());
    std::thread::sleep(Duration::from_millis(500));
    for (offset, conn) in &mut readers {
        // The first byte of the length was taken above; answers are shorter than 16 MiB.
        let mut rest = [0; 3];
        read_exact(conn, &mut rest);
        let len = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
        assert!(len > 2 << 20, "large enough to be cut by a close: {len}");
        let mut body = vec![0; len];
        read_exact(conn, &mut body);
        let (_, answer) = frame::open_response::<FetchResponse>(body.into(), 4).unwrap();
        let stored = answer.responses[0].partitions[0].records.as_ref().unwrap().read().unwrap();
        check_batches(stored, *offset as u64);
    }
}

fn read_exact(conn: &mut forebay_tests::Conn, buffer: &mut [u8]) {
    let mut filled = 0;
    while filled < buffer.len() {
        match conn.receive_raw(&mut buffer[filled..]).expect("the answer goes on") {
            0 => panic!("closed after {filled} of {} bytes", buffer.len()),
            read => filled += read,
        }
    }
}

/// Every whole batch is sound and holds the numbers that follow from `next` on.
fn check_batches(stored: Bytes, mut next: u64) {
    let from = next;
    for batch in batches(stored) {
        let (_, batch) = batch.expect("whole batches only");
        verify_crc(&batch).expect("the batch is sound");
        for record in Records::of(&batch).unwrap() {
            let record = record.unwrap();
            assert_eq!(record.offset.0, next as i64);
            assert_eq!(number_of(record.value.as_deref().unwrap_or_default()), Some(next), "a wrong byte");
            next += 1;
        }
    }
    assert!(next > from, "there were records");
}
