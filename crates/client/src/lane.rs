use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use forebay_base::ProducerId;
use forebay_records::BatchBuilder;
use forebay_wire::Text;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::client::ANY_VERSION;
use crate::connection::Sent;
use crate::pool::Purpose;
use crate::producer::{Acks, Produced, ProducerConfig};
use crate::{Client, ClientError};

/// A batch handed to a producer.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) batch: BatchBuilder,
    pub(crate) done: oneshot::Sender<Result<Produced, ClientError>>,
}

/// A batch that has its place in the order and is not acknowledged yet.
struct Pending {
    bytes: Bytes,
    records: i32,
    done: oneshot::Sender<Result<Produced, ClientError>>,
    give_up: Instant,
    /// The answer to come, once it was sent.
    sent: Option<Sent>,
}

/// The task behind a producer: one partition's batches in order.
///
/// Batches are sent ahead, but only the oldest one's answer is looked at. If it fails for a passing reason, all are
/// sent again in the same order with the same sequence numbers: the server knows what it has already.
pub(crate) struct Lane {
    client: Client,
    topic: String,
    partition: i32,
    config: ProducerConfig,
    identity: Option<(ProducerId, i16)>,
    next_sequence: i32,
    pending: VecDeque<Pending>,
    pause: Duration,
    /// Why an idempotent producer is at its end.
    broken: Option<ClientError>,
}

impl Lane {
    pub(crate) fn new(
        client: Client,
        topic: &str,
        partition: i32,
        config: ProducerConfig,
        identity: Option<(ProducerId, i16)>,
    ) -> Self {
        let pause = client.config().backoff_min;
        let (topic, next_sequence, pending, broken) = (topic.to_owned(), 0, VecDeque::new(), None);
        Self { client, topic, partition, config, identity, next_sequence, pending, pause, broken }
    }

    /// Runs until the queue is closed and everything in it has met its fate.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Queued>) {
        loop {
            if self.pending.is_empty() {
                match inbox.recv().await {
                    Some(queued) => self.accept(queued),
                    None => return,
                }
            }
            while self.pending.len() < self.config.in_flight_max {
                match inbox.try_recv() {
                    Ok(queued) => self.accept(queued),
                    Err(_) => break,
                }
            }
            match self.send_pending().await {
                Ok(()) => self.advance(&mut inbox).await,
                Err(error) => self.failed(error).await,
            }
        }
    }

    /// Gives a batch its place and its sequence number.
    fn accept(&mut self, queued: Queued) {
        let Queued { mut batch, done } = queued;
        if let Some(error) = &self.broken {
            let _ = done.send(Err(error.clone()));
            return;
        }
        let records = batch.count();
        if let Some((id, epoch)) = self.identity {
            batch = batch.producer(id, epoch, self.next_sequence);
        }
        match batch.build() {
            Ok(bytes) => {
                // Sequence numbers wrap from 2^31-1 to 0.
                self.next_sequence =
                    ((i64::from(self.next_sequence) + i64::from(records)) & i64::from(i32::MAX)) as i32;
                let give_up = Instant::now() + self.config.delivery_timeout;
                self.pending.push_back(Pending { bytes, records, done, give_up, sent: None });
            }
            Err(error) => {
                let _ = done.send(Err(ClientError::Invalid(error.to_string())));
            }
        }
    }

    /// Sends what is not under way, oldest first.
    async fn send_pending(&mut self) -> Result<(), ClientError> {
        if self.pending.iter().all(|pending| pending.sent.is_some()) {
            return Ok(());
        }
        let leader = self.client.leader_addr(&self.topic, self.partition).await?;
        let connection = self.client.connection(&leader, Purpose::General).await?;
        let version = connection.version::<ProduceRequest>(ANY_VERSION)?;
        let timeout_ms = i32::try_from(self.client.config().request_timeout.as_millis()).unwrap_or(i32::MAX);
        for pending in self.pending.iter_mut().filter(|pending| pending.sent.is_none()) {
            let request = produce_request(
                &self.topic,
                self.partition,
                pending.bytes.clone(),
                self.config.acks,
                timeout_ms,
            );
            match self.config.acks {
                Acks::None => connection.send_silent(&request, version).await?,
                Acks::Leader | Acks::All => pending.sent = Some(connection.send(&request, version).await?),
            }
        }
        Ok(())
    }

    /// Waits for the oldest batch's answer, or for another batch if there is room for one.
    async fn advance(&mut self, inbox: &mut mpsc::Receiver<Queued>) {
        if self.config.acks == Acks::None {
            for pending in self.pending.drain(..) {
                let _ = pending.done.send(Ok(Produced { base_offset: -1, records: pending.records }));
            }
            return;
        }
        let room = self.pending.len() < self.config.in_flight_max && !inbox.is_closed();
        let Some(sent) = self.pending.front_mut().and_then(|oldest| oldest.sent.as_mut()) else { return };
        let patience = self.client.config().request_timeout;
        let answer = tokio::select! {
            biased;
            answer = timeout(patience, sent.wait::<ProduceRequest>()) => answer,
            queued = inbox.recv(), if room => {
                if let Some(queued) = queued {
                    self.accept(queued);
                }
                return;
            }
        };
        let outcome = match answer {
            Ok(answer) => answer.and_then(|answer| self.outcome(answer)),
            Err(_) => Err(ClientError::Timeout { addr: sent.addr().to_owned(), waited: patience }),
        };
        match outcome {
            Ok(base_offset) => {
                self.pause = self.client.config().backoff_min;
                if let Some(oldest) = self.pending.pop_front() {
                    let _ = oldest.done.send(Ok(Produced { base_offset, records: oldest.records }));
                }
            }
            Err(error) => self.failed(error).await,
        }
    }

    /// The base offset, or why the oldest batch was not taken.
    fn outcome(&self, answer: ProduceResponse) -> Result<i64, ClientError> {
        let what = || format!("append to {}-{}", self.topic, self.partition);
        let parts = answer.responses.into_iter().flat_map(|topic| topic.partition_responses);
        let Some(part) = parts.into_iter().find(|part| part.index == self.partition) else {
            let leader = self.client.metadata();
            let addr = leader.leader_addr(&self.topic, self.partition).unwrap_or_default().to_owned();
            return Err(ClientError::Protocol { addr, reason: "an answer without the partition".to_owned() });
        };
        if part.error_code == ErrorCode::DuplicateSequenceNumber.code() {
            // Appended so long ago that the server does not remember where.
            return Ok(-1);
        }
        ClientError::check(part.error_code, what, part.error_message).map(|()| part.base_offset)
    }

    /// The oldest batch failed: all go back to be sent again after a pause, or it is given up.
    async fn failed(&mut self, error: ClientError) {
        if let ClientError::Timeout { addr, .. } = &error
            && let Ok(connection) = self.client.connection(addr, Purpose::General).await
        {
            self.client.discard(Purpose::General, &connection).await;
        }
        let Some(oldest) = self.pending.front() else { return };
        if error.is_retriable() && Instant::now() + self.pause < oldest.give_up {
            for pending in &mut self.pending {
                pending.sent = None;
            }
            tracing::debug!(topic = self.topic, partition = self.partition, %error, "sending again");
            sleep(self.pause).await;
            self.pause = (self.pause * 2).min(self.client.config().backoff_max);
            // If nobody answers, the next attempt will tell.
            let _ = self.client.refresh(Some(&[&self.topic]), false).await;
            return;
        }
        if let Some(oldest) = self.pending.pop_front() {
            let _ = oldest.done.send(Err(error.clone()));
        }
        if self.identity.is_some() {
            for pending in self.pending.drain(..) {
                let _ = pending.done.send(Err(error.clone()));
            }
            self.broken = Some(error);
        }
    }
}

fn produce_request(topic: &str, partition: i32, batch: Bytes, acks: Acks, timeout_ms: i32) -> ProduceRequest {
    let partition_data = vec![PartitionProduceData { index: partition, records: Some(batch) }];
    let topic_data = vec![TopicProduceData { name: Text::from(topic), partition_data }];
    ProduceRequest { transactional_id: None, acks: acks.code(), timeout_ms, topic_data }
}

impl Client {
    /// Appends one finished batch, sending it again while that can help. Unless the batch carries an idempotent
    /// producer's identity, a lost answer makes a duplicate. Answers with the offset of its first record (-1 with
    /// [`Acks::None`]).
    pub async fn produce(
        &self,
        topic: &str,
        partition: i32,
        batch: Bytes,
        acks: Acks,
    ) -> Result<i64, ClientError> {
        let mut attempts = self.attempts();
        loop {
            match self.produce_once(topic, partition, batch.clone(), acks).await {
                Err(error) if attempts.again(&error, Some(topic)).await => {}
                done => return done,
            }
        }
    }

    async fn produce_once(
        &self,
        topic: &str,
        partition: i32,
        batch: Bytes,
        acks: Acks,
    ) -> Result<i64, ClientError> {
        let leader = self.leader_addr(topic, partition).await?;
        let timeout_ms = i32::try_from(self.config().request_timeout.as_millis()).unwrap_or(i32::MAX);
        let request = produce_request(topic, partition, batch, acks, timeout_ms);
        if acks == Acks::None {
            let connection = self.connection(&leader, Purpose::General).await?;
            let version = connection.version::<ProduceRequest>(ANY_VERSION)?;
            return connection.send_silent(&request, version).await.map(|()| -1);
        }
        let answer = self.call_addr(&leader, Purpose::General, &request, ANY_VERSION).await?;
        let mut parts = answer.responses.into_iter().flat_map(|topic| topic.partition_responses);
        let Some(part) = parts.next() else {
            return Err(ClientError::Protocol {
                addr: leader,
                reason: "an answer without the partition".to_owned(),
            });
        };
        ClientError::check(part.error_code, || format!("append to {topic}-{partition}"), part.error_message)?;
        Ok(part.base_offset)
    }
}
