use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use forebay_client::{
    Ack, BatchBuilder, Client, Compression, Producer, ProducerConfig, RecordHeader, partition_for_key,
};

use super::lines::Line;
use crate::cluster::wall_ms;
use crate::failure::Failure;

/// Records that trickle in wait this long for company before they are sent.
const LINGER: Duration = Duration::from_millis(5);

/// Batches handed over whose fate was not looked at yet.
const ACKS_MAX: usize = 1024;

/// Gathers records into batches, one per partition, and hands them to a producer per partition.
pub(super) struct Sender {
    client: Client,
    topic: String,
    partitions: Vec<i32>,
    config: ProducerConfig,
    batch_bytes: usize,
    compression: Compression,
    headers: Vec<RecordHeader>,
    producers: BTreeMap<i32, Producer>,
    batches: BTreeMap<i32, BatchBuilder>,
    /// Position in `partitions` of the one that takes records without a key until its batch is sent.
    turn: usize,
    acks: VecDeque<Ack>,
    acknowledged: u64,
}

impl Sender {
    /// A sender without batches: see [`Sender::batches`].
    pub(super) fn new(client: Client, topic: &str, partitions: Vec<i32>, config: ProducerConfig) -> Self {
        Self {
            client,
            topic: topic.to_owned(),
            partitions,
            config,
            batch_bytes: 0,
            compression: Compression::None,
            headers: Vec::new(),
            producers: BTreeMap::new(),
            batches: BTreeMap::new(),
            turn: 0,
            acks: VecDeque::new(),
            acknowledged: 0,
        }
    }

    /// Says what batches look like.
    pub(super) fn batches(
        mut self,
        bytes: u64,
        compression: Compression,
        headers: Vec<RecordHeader>,
    ) -> Self {
        self.batch_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        (self.compression, self.headers) = (compression, headers);
        self
    }

    /// How long to wait for more input before what is gathered must be flushed; `None`: nothing is gathered.
    pub(super) fn linger(&self) -> Option<Duration> {
        (!self.batches.is_empty()).then_some(LINGER)
    }

    /// Records whose batches were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Adds a record to the batch of its partition, and sends the batch if it is full.
    pub(super) async fn send(&mut self, partition: Option<i32>, line: Line<'_>) -> Result<(), Failure> {
        let partition = partition.unwrap_or_else(|| self.choose(line.key));
        let compression = self.compression;
        let batch =
            self.batches.entry(partition).or_insert_with(|| BatchBuilder::new().compression(compression));
        batch.push(wall_ms(), line.key, line.value, &self.headers);
        if batch.plain_len() >= self.batch_bytes {
            self.send_batch(partition).await?;
        }
        Ok(())
    }

    /// Sends everything gathered.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        while let Some(partition) = self.batches.keys().next().copied() {
            self.send_batch(partition).await?;
        }
        Ok(())
    }

    /// Sends everything and waits until all of it is acknowledged.
    pub(super) async fn finish(&mut self) -> Result<(), Failure> {
        self.flush().await?;
        self.settle(0).await
    }

    fn choose(&self, key: Option<&[u8]>) -> i32 {
        let position = match key {
            Some(key) => partition_for_key(key, i32::try_from(self.partitions.len()).unwrap_or(1)) as usize,
            None => self.turn,
        };
        self.partitions.get(position).copied().unwrap_or(0)
    }

    async fn send_batch(&mut self, partition: i32) -> Result<(), Failure> {
        let Some(batch) = self.batches.remove(&partition) else { return Ok(()) };
        self.turn = (self.turn + 1) % self.partitions.len().max(1);
        if !self.producers.contains_key(&partition) {
            let producer = Producer::open(&self.client, &self.topic, partition, self.config).await?;
            self.producers.insert(partition, producer);
        }
        if let Some(producer) = self.producers.get(&partition) {
            self.acks.push_back(producer.send(batch).await?);
        }
        self.settle(ACKS_MAX).await
    }

    /// Waits for the oldest batches until at most `open` are left.
    async fn settle(&mut self, open: usize) -> Result<(), Failure> {
        while self.acks.len() > open {
            if let Some(ack) = self.acks.pop_front() {
                self.acknowledged += u64::try_from(ack.wait().await?.records).unwrap_or(0);
            }
        }
        Ok(())
    }
}
