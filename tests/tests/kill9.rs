//! kill -9 at random under load: what was acknowledged to an idempotent acks=all producer is there, once, in order.
//!
//! `FOREBAY_KILL_ROUNDS` rounds (default 5; CI runs 30), reproducible with `FOREBAY_KILL_SEED` as far as timing is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use forebay_client::{Ack, BatchBuilder, Client, FetchOptions, NewTopic, OffsetAt, Producer, ProducerConfig};
use forebay_tests::{Dice, Server, number_of, numbered_value};
use forebay_wire::kafka::ErrorCode;

const TOPIC: &str = "load";
const PARTITIONS: i32 = 4;
const ACKS_AWAITED: usize = 32;
const RECORDS_MAX: usize = 20;
const PADDING_MAX: usize = 600;

/// What the producer of one partition knows.
#[derive(Default)]
struct Known {
    /// Records below this are acknowledged.
    acknowledged: AtomicI64,
    /// Set by the test to end the load.
    stop: AtomicBool,
    /// The first thing that should not have happened.
    fault: Mutex<Option<String>>,
}

impl Known {
    fn blame(&self, what: String) {
        self.fault.lock().unwrap().get_or_insert(what);
    }
}

/// Sends numbered records, several batches under way, until told to stop; then waits for all of them. The number of
/// a record is its offset, for nobody else writes here.
async fn produce(client: Client, partition: i32, known: Arc<Known>, mut dice: Dice) {
    let producer = match Producer::open(&client, TOPIC, partition, ProducerConfig::default()).await {
        Ok(producer) => producer,
        Err(error) => return known.blame(format!("partition {partition}: no producer: {error}")),
    };
    let (mut next, mut waiting) = (0u64, VecDeque::<(u64, Ack)>::new());
    loop {
        let stopped = known.stop.load(Ordering::Relaxed);
        if stopped && waiting.is_empty() {
            return;
        }
        if !stopped && waiting.len() < ACKS_AWAITED {
            let mut batch = BatchBuilder::new();
            let first = next;
            for _ in 0..dice.pick(1, RECORDS_MAX) {
                let value = numbered_value(next, dice.pick(0, PADDING_MAX));
                batch.push(now_ms(), None, Some(&value), &[]);
                next += 1;
            }
            match producer.send(batch).await {
                Ok(ack) => waiting.push_back((first, ack)),
                Err(error) => return known.blame(format!("partition {partition}: not sent: {error}")),
            }
            continue;
        }
        let Some((first, ack)) = waiting.pop_front() else { continue };
        match ack.wait().await {
            // -1: a duplicate that the server remembers no more; the final count sees whether it is there once.
            Ok(produced) if produced.base_offset == first as i64 || produced.base_offset == -1 => {
                known.acknowledged.store(first as i64 + i64::from(produced.records), Ordering::Release);
            }
            Ok(produced) => {
                let offset = produced.base_offset;
                return known
                    .blame(format!("partition {partition}: record {first} acknowledged at offset {offset}"));
            }
            Err(error) => {
                return known.blame(format!("partition {partition}: batch {first} given up: {error}"));
            }
        }
    }
}

fn now_ms() -> i64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as i64)
}

/// Makes topics on and on, and notes those that it was told exist.
async fn make_topics(client: Client, made: Arc<Mutex<Vec<String>>>) {
    for number in 0.. {
        let name = format!("made-{number}");
        let answered = client.create_topic(&NewTopic::named(&name), false).await;
        // A retry after a lost answer meets the topic that the first attempt made.
        let exists =
            answered.as_ref().is_err_and(|error| error.code() == Some(ErrorCode::TopicAlreadyExists));
        if answered.is_ok() || exists {
            made.lock().unwrap().push(name);
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

/// Kills the server at a random moment of load, and sometimes again while it recovers.
async fn kill_once(server: &mut Server, dice: &mut Dice) {
    tokio::time::sleep(Duration::from_millis(dice.pick(20, 600) as u64)).await;
    server.kill();
    while dice.once_in(4) {
        server.spawn();
        tokio::time::sleep(Duration::from_millis(dice.pick(0, 120) as u64)).await;
        server.kill();
    }
    server.spawn();
    server.wait_ready();
}

/// What the client was told before the kill is true right after it.
async fn check_after_kill(client: &Client, known: &[Arc<Known>], before: &[i64], round: usize) {
    let places: Vec<(i32, OffsetAt)> =
        (0..PARTITIONS).map(|partition| (partition, OffsetAt::Latest)).collect();
    let ends = client.list_offsets(TOPIC, &places).await.expect("the server answers after its restart");
    for (partition, acknowledged) in before.iter().enumerate() {
        let end = ends[&(partition as i32)].offset;
        assert!(
            end >= *acknowledged,
            "round {round}, partition {partition}: ends at {end}, {acknowledged} acknowledged"
        );
        let fault = known[partition].fault.lock().unwrap().clone();
        assert_eq!(fault, None, "round {round}");
    }
}

/// Reads a whole partition and proves that record `n` is number `n`.
async fn check_partition(client: &Client, partition: i32, acknowledged: i64) -> i64 {
    let options = FetchOptions { max_wait: Duration::from_millis(100), ..Default::default() };
    let mut next = 0;
    loop {
        let fetched = client.fetch(TOPIC, partition, next, &options).await.expect("every record can be read");
        for record in &fetched.records {
            assert_eq!(record.offset.0, next, "partition {partition}: a hole or a step back");
            let number = number_of(record.value.as_deref().unwrap_or_default());
            assert_eq!(
                number,
                Some(next as u64),
                "partition {partition}, offset {next}: lost, moved, twice or damaged"
            );
            next += 1;
        }
        if next >= fetched.high_watermark {
            assert!(next >= acknowledged, "partition {partition}: {acknowledged} acknowledged, {next} found");
            return next;
        }
    }
}

#[test]
fn no_acknowledged_record_is_lost_moved_or_doubled() {
    let rounds: usize =
        std::env::var("FOREBAY_KILL_ROUNDS").map_or(5, |text| text.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(rounds));
}

async fn run(rounds: usize) {
    let began = Instant::now();
    let mut dice = Dice::new("FOREBAY_KILL_SEED");
    let mut server = Server::start();
    let client = server.client().await;
    // Small segments, so that rolls, indexes and snapshots of producers are met by kills too.
    let topic = NewTopic {
        partitions: Some(PARTITIONS),
        configs: BTreeMap::from([("segment.bytes".to_owned(), "1048576".to_owned())]),
        ..NewTopic::named(TOPIC)
    };
    client.create_topic(&topic, false).await.expect("a topic");
    let known: Vec<Arc<Known>> = (0..PARTITIONS).map(|_| Arc::default()).collect();
    let load: Vec<_> = (0..PARTITIONS)
        .map(|partition| {
            let known = known[partition as usize].clone();
            tokio::spawn(produce(client.clone(), partition, known, Dice::seeded(dice.bits())))
        })
        .collect();
    let made = Arc::new(Mutex::new(Vec::new()));
    let churn = tokio::spawn(make_topics(client.clone(), made.clone()));
    let mut ids = BTreeSet::new();
    for round in 0..rounds {
        let (id, _) = client.new_producer().await.expect("a producer id");
        assert!(ids.insert(id), "round {round}: producer id {id} was given out before");
        kill_once(&mut server, &mut dice).await;
        let told = made.lock().unwrap().clone();
        let before: Vec<i64> = known.iter().map(|known| known.acknowledged.load(Ordering::Acquire)).collect();
        check_after_kill(&client, &known, &before, round).await;
        let topics = client.refresh(None, false).await.expect("metadata");
        let lost = told.iter().find(|name| !topics.topics.contains_key(name.as_str()));
        assert_eq!(lost, None, "round {round}: a topic whose making was acknowledged is gone");
    }
    churn.abort();
    tokio::time::sleep(Duration::from_millis(200)).await;
    known.iter().for_each(|known| known.stop.store(true, Ordering::Relaxed));
    for task in load {
        task.await.unwrap();
    }
    let (mut acknowledged, mut found) = (0, 0);
    for (partition, known) in (0..).zip(&known) {
        assert_eq!(*known.fault.lock().unwrap(), None);
        let sure = known.acknowledged.load(Ordering::Acquire);
        assert!(sure > 0, "partition {partition}: there was no load");
        acknowledged += sure;
        found += check_partition(&client, partition, sure).await;
    }
    assert_eq!(server.stop().code(), Some(0), "it still stops cleanly");
    println!(
        "kill -9: {rounds} rounds, {acknowledged} records acknowledged, {found} found, \
         0 lost, 0 reordered, 0 duplicated, {} s",
        began.elapsed().as_secs()
    );
}
