use std::time::Duration;

use forebay_base::ProducerId;
use forebay_records::BatchBuilder;
use forebay_wire::kafka::init_producer_id::InitProducerIdRequest;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::lane::{Lane, Queued};
use crate::{Client, ClientError};

/// Batches that may wait for their turn in one producer.
const QUEUED_MAX: usize = 16;

/// When an append counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// When it was sent. Nothing is known of its fate.
    None,
    /// When the leader has it.
    Leader,
    /// When every in-sync replica has it on stable storage.
    All,
}

impl Acks {
    /// Kafka's number for it.
    pub fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// How a producer behaves.
#[derive(Debug, Clone, Copy)]
pub struct ProducerConfig {
    /// When an append counts as done.
    pub acks: Acks,
    /// Retries never duplicate or reorder (KIP-98). Needs [`Acks::All`].
    pub idempotent: bool,
    /// Batches under way at once; with `idempotent` at most 5 (the server remembers as many).
    pub in_flight_max: usize,
    /// A batch that is not acknowledged after this long is given up.
    pub delivery_timeout: Duration,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            idempotent: true,
            in_flight_max: 5,
            delivery_timeout: Duration::from_secs(120),
        }
    }
}

/// Where a batch was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    /// Offset of its first record; -1 if the server did not say (`Acks::None`, or a duplicate it remembers no more).
    pub base_offset: i64,
    /// How many records it holds.
    pub records: i32,
}

/// Appends batches to one partition, in order, several under way at once. What fails for a passing reason is sent
/// again. Batches are acknowledged in the order they were sent in.
///
/// After a batch was given up, an idempotent producer is at its end: its sequence has a hole, and every further batch
/// is answered with that error. Open a new one.
#[derive(Debug)]
pub struct Producer {
    queue: mpsc::Sender<Queued>,
    lane: JoinHandle<()>,
}

/// The fate of a batch that was handed over.
#[derive(Debug)]
pub struct Ack(oneshot::Receiver<Result<Produced, ClientError>>);

impl Ack {
    /// Waits for it.
    pub async fn wait(self) -> Result<Produced, ClientError> {
        self.0.await.unwrap_or_else(|_| Err(ClientError::Invalid("the producer was dropped".to_owned())))
    }
}

impl Producer {
    /// A producer for one partition. An idempotent one asks the server for its identity first.
    pub async fn open(
        client: &Client,
        topic: &str,
        partition: i32,
        config: ProducerConfig,
    ) -> Result<Self, ClientError> {
        if config.in_flight_max == 0 || (config.idempotent && config.in_flight_max > 5) {
            return Err(ClientError::Invalid(
                "batches in flight must be 1 to 5 for an idempotent producer".to_owned(),
            ));
        }
        if config.idempotent && config.acks != Acks::All {
            return Err(ClientError::Invalid("an idempotent producer needs acks=all".to_owned()));
        }
        let identity = if config.idempotent { Some(client.new_producer().await?) } else { None };
        let (queue, inbox) = mpsc::channel(QUEUED_MAX);
        let lane = Lane::new(client.clone(), topic, partition, config, identity);
        Ok(Self { queue, lane: tokio::spawn(lane.run(inbox)) })
    }

    /// Hands a batch over; waits while the queue is full. The batch's own producer fields are replaced.
    pub async fn send(&self, batch: BatchBuilder) -> Result<Ack, ClientError> {
        if batch.is_empty() {
            return Err(ClientError::Invalid("an empty batch cannot be sent".to_owned()));
        }
        let (done, ack) = oneshot::channel();
        let gone = |_| ClientError::Invalid("the producer has ended".to_owned());
        self.queue.send(Queued { batch, done }).await.map_err(gone)?;
        Ok(Ack(ack))
    }

    /// Waits until everything handed over has met its fate.
    pub async fn close(self) {
        drop(self.queue);
        // A lane that panicked has dropped its acks, whose owners see it.
        let _ = self.lane.await;
    }
}

impl Client {
    /// Asks for a fresh identity of an idempotent producer: id and epoch.
    pub async fn new_producer(&self) -> Result<(ProducerId, i16), ClientError> {
        let request = InitProducerIdRequest { transaction_timeout_ms: i32::MAX, ..Default::default() };
        let mut attempts = self.attempts();
        loop {
            let answered = self.call_any(&request).await.and_then(|answer| {
                ClientError::check_code(answer.error_code, || "get a producer id".to_owned())?;
                Ok((ProducerId(answer.producer_id), answer.producer_epoch))
            });
            match answered {
                Err(error) if attempts.again(&error, None).await => {}
                done => return done,
            }
        }
    }
}
