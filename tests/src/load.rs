use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_client::{Ack, BatchBuilder, Client, FetchOptions, OffsetAt, Producer, ProducerConfig};
use tokio::task::JoinHandle;

use crate::{Dice, number_of, numbered_value};

/// Batches under way or waiting in a producer: enough to keep it busy, or few, so that one that rests counts soon.
const ACKS_AWAITED: usize = 32;
const ACKS_AWAITED_RESTING: usize = 5;
const RECORDS_MAX: usize = 20;
const PADDING_MAX: usize = 600;

/// What the producer of one partition knows.
#[derive(Debug, Default)]
struct Known {
    /// Records below this are acknowledged.
    acknowledged: AtomicI64,
    /// Set by the test to end the load.
    stop: AtomicBool,
    /// The first thing that should not have happened.
    fault: Mutex<Option<String>>,
}

/// Idempotent acks=all producers of numbered records, one a partition, several batches under way in each. The number
/// of a record is its offset, for nobody else writes there meanwhile; so whatever is lost, moved or doubled shows.
#[derive(Debug)]
pub struct Load {
    topic: String,
    lanes: Vec<Lane>,
}

#[derive(Debug)]
struct Lane {
    partition: i32,
    known: Arc<Known>,
    task: JoinHandle<()>,
}

impl Load {
    /// Starts a producer for each of `partitions`, each on the client that stands beside it: clones of one client
    /// share a connection. Each rests for `pause` after every batch.
    pub fn start(topic: &str, partitions: Vec<(i32, Client)>, pause: Duration, dice: &mut Dice) -> Self {
        let lanes = partitions.into_iter().map(|(partition, client)| {
            let known = Arc::<Known>::default();
            let sending = Sending { client, topic: topic.to_owned(), partition, pause };
            let task = tokio::spawn(sending.run(known.clone(), Dice::seeded(dice.bits())));
            Lane { partition, known, task }
        });
        Self { topic: topic.to_owned(), lanes: lanes.collect() }
    }

    /// How many records of each partition are acknowledged by now.
    pub fn acknowledged(&self) -> Vec<i64> {
        self.lanes.iter().map(|lane| lane.known.acknowledged.load(Ordering::Acquire)).collect()
    }

    /// The first thing that should not have happened to any producer.
    pub fn fault(&self) -> Option<String> {
        self.lanes.iter().find_map(|lane| lane.known.fault.lock().expect("nobody panics here").clone())
    }

    /// Proves that what was acknowledged `before` the server went away is there now that it is back.
    ///
    /// # Panics
    /// If it is not; `when` says in which round.
    pub async fn check_ends(&self, client: &Client, before: &[i64], when: &str) {
        let places: Vec<_> = self.lanes.iter().map(|lane| (lane.partition, OffsetAt::Latest)).collect();
        let ends = client.list_offsets(&self.topic, &places).await.expect("the server answers again");
        for (lane, acknowledged) in self.lanes.iter().zip(before) {
            let (partition, end) = (lane.partition, ends[&lane.partition].offset);
            assert!(
                end >= *acknowledged,
                "{when}, partition {partition}: ends at {end}, {acknowledged} acknowledged"
            );
        }
        assert_eq!(self.fault(), None, "{when}");
    }

    /// Ends the load and waits for all that is under way. Records acknowledged, by partition.
    ///
    /// # Panics
    /// If a producer met something it should not have met, or got nothing done.
    pub async fn stop(self) -> Vec<(i32, i64)> {
        self.lanes.iter().for_each(|lane| lane.known.stop.store(true, Ordering::Relaxed));
        let mut sure = Vec::new();
        for lane in self.lanes {
            lane.task.await.expect("a producer does not panic");
            assert_eq!(*lane.known.fault.lock().expect("nobody panics here"), None);
            let acknowledged = lane.known.acknowledged.load(Ordering::Acquire);
            assert!(acknowledged > 0, "partition {}: there was no load", lane.partition);
            sure.push((lane.partition, acknowledged));
        }
        sure
    }
}

/// Reads a whole partition and proves that record `n` is number `n` and that all acknowledged ones are there. How
/// many there are.
///
/// # Panics
/// If a record is lost, moved, there twice or damaged.
pub async fn check_numbered(client: &Client, topic: &str, partition: i32, acknowledged: i64) -> i64 {
    let options = FetchOptions { max_wait: Duration::from_millis(100), ..Default::default() };
    let mut next = 0;
    loop {
        let fetched = client.fetch(topic, partition, next, &options).await.expect("every record can be read");
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

/// One producer's work.
struct Sending {
    client: Client,
    topic: String,
    partition: i32,
    pause: Duration,
}

impl Sending {
    async fn run(self, known: Arc<Known>, dice: Dice) {
        if let Err(fault) = self.send_all(&known, dice).await {
            known.fault.lock().expect("nobody panics here").get_or_insert(fault);
        }
    }

    /// Sends numbered records until told to stop; then waits for all of them. The error is what should not happen.
    async fn send_all(&self, known: &Known, mut dice: Dice) -> Result<(), String> {
        let Self { client, topic, partition, pause } = self;
        let failed = |what: String| format!("partition {partition}: {what}");
        let producer = Producer::open(client, topic, *partition, ProducerConfig::default()).await;
        let producer = producer.map_err(|error| failed(format!("no producer: {error}")))?;
        let ends = client.list_offsets(topic, &[(*partition, OffsetAt::Latest)]).await;
        let ends = ends.map_err(|error| failed(format!("no end: {error}")))?;
        let mut next = ends[partition].offset as u64;
        let mut waiting = VecDeque::<(u64, Ack)>::new();
        let awaited = if pause.is_zero() { ACKS_AWAITED } else { ACKS_AWAITED_RESTING };
        loop {
            let stopped = known.stop.load(Ordering::Relaxed);
            if stopped && waiting.is_empty() {
                return Ok(());
            }
            if !stopped && waiting.len() < awaited {
                let first = next;
                let sent = producer.send(batch(&mut next, &mut dice)).await;
                waiting.push_back((first, sent.map_err(|error| failed(format!("not sent: {error}")))?));
                if !pause.is_zero() {
                    tokio::time::sleep(*pause).await;
                }
                continue;
            }
            let Some((first, ack)) = waiting.pop_front() else { continue };
            let produced = ack.wait().await;
            let produced = produced.map_err(|error| failed(format!("batch {first} given up: {error}")))?;
            // -1: a duplicate that the server remembers no more; the final count sees whether it is there once.
            if produced.base_offset != first as i64 && produced.base_offset != -1 {
                return Err(failed(format!(
                    "record {first} is told to be at offset {}",
                    produced.base_offset
                )));
            }
            known.acknowledged.store(first as i64 + i64::from(produced.records), Ordering::Release);
        }
    }
}

/// A batch of the records that come next.
fn batch(next: &mut u64, dice: &mut Dice) -> BatchBuilder {
    let now_ms = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as i64);
    let mut batch = BatchBuilder::new();
    for _ in 0..dice.pick(1, RECORDS_MAX) {
        batch.push(now_ms, None, Some(&numbered_value(*next, dice.pick(0, PADDING_MAX))), &[]);
        *next += 1;
    }
    batch
}
