//! Produce 3-11 (0-2 are advertised because librdkafka stops compressing otherwise, KAFKA-18659, and refused).
//!
//! Two phases, so that pipelined requests keep their order and still overlap: [`submit`] checks every batch and
//! queues it to its writer without waiting for storage; [`Submitted::poll_answer`] waits. Each partition takes exactly
//! one batch of format v2. `acks=0` gets no answer; if its append is refused the connection is closed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use forebay_meta::Topic;
use forebay_meta::topic_config::TopicSettings;
use forebay_replica::{Acks, Appended, Batch, IntakeRules, Partition, Refused, intake};
use forebay_wire::Text;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceData,
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::call::Call;
use super::codes::{Failure, of_refused, of_unavailable};
use super::course::Course;
use super::metadata::endpoint;
use crate::partitions::Hosted;
use crate::settings::intake_rules;
use crate::shared::assignment;

const ZSTD_FROM_VERSION: i16 = 7;

/// A request whose batches are queued.
pub(super) struct Submitted {
    call: Call,
    acks: i16,
    deadline: Option<Instant>,
    nudges: Nudges,
    topics: Vec<(Text, Vec<(i32, Pending)>)>,
}

/// Partitions to which batches were queued and whose writers were not told. They are when this is dropped, whatever
/// becomes of the request.
#[derive(Default)]
struct Nudges(Vec<Arc<Partition>>);

impl Nudges {
    fn give(&mut self) {
        for partition in self.0.drain(..) {
            partition.nudge();
        }
    }
}

impl Drop for Nudges {
    fn drop(&mut self) {
        self.give();
    }
}

enum Pending {
    Queued {
        answer: oneshot::Receiver<Result<Appended, Refused>>,
        topic: Arc<Topic>,
        settings: Arc<TopicSettings>,
    },
    Appended(Appended),
    Refused {
        failure: Failure,
        topic: Option<Arc<Topic>>,
    },
}

/// Checks and queues every batch of the request.
pub(super) async fn submit(call: Call, request: ProduceRequest) -> Submitted {
    let acks = request.acks;
    // The client sets a deadline for replicas, so only `acks=all` has one.
    let patience = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let deadline = (acks == -1).then(|| call.began + patience);
    let mut topics = Vec::with_capacity(request.topic_data.len());
    let mut nudges = Nudges::default();
    for topic_data in request.topic_data {
        let topic = call.node.topic_by_name(&topic_data.name);
        let mut partitions = Vec::with_capacity(topic_data.partition_data.len());
        for data in topic_data.partition_data {
            let index = data.index;
            let pending = match queue(&call, acks, &topic_data.name, topic.as_ref(), data, &mut nudges).await
            {
                Ok(pending) => pending,
                Err(failure) => Pending::Refused { failure, topic: topic.clone() },
            };
            partitions.push((index, pending));
        }
        topics.push((topic_data.name, partitions));
    }
    Submitted { call, acks, deadline, nudges, topics }
}

async fn queue(
    call: &Call,
    acks: i16,
    name: &str,
    topic: Option<&Arc<Topic>>,
    data: PartitionProduceData,
    nudges: &mut Nudges,
) -> Result<Pending, Failure> {
    if !call.permits(name) {
        return Err(ErrorCode::TopicAuthorizationFailed.into());
    }
    let acks = match acks {
        0 | 1 => Acks::Leader,
        -1 => Acks::All,
        _ => return Err(ErrorCode::InvalidRequiredAcks.into()),
    };
    let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let hosted = call.led(topic, data.index).await.map_err(|unavailable| of_unavailable(&unavailable))?;
    let Hosted::Open { partition, settings } = hosted else {
        return Err(ErrorCode::KafkaStorageError.into());
    };
    let records = data.records.ok_or(ErrorCode::InvalidRecord)?;
    let batch = check(call, &partition, records, intake_rules(&settings)).await?;
    if batch.is_zstd() && call.version < ZSTD_FROM_VERSION {
        return Err(ErrorCode::UnsupportedCompressionType.into());
    }
    call.node.metrics.produced(&topic.name, batch.bytes.len() as u64, u64::from(batch.record_count()));
    let answer = partition.queue(batch, acks);
    nudges.0.push(partition);
    Ok(Pending::Queued { answer, topic: topic.clone(), settings })
}

/// Checks a batch; one that must be inflated for it, off the reactor and one at a time in the whole process, so that
/// small batches of many clients cannot become much memory at once.
async fn check(
    call: &Call,
    partition: &Partition,
    records: Bytes,
    rules: IntakeRules,
) -> Result<Batch, Failure> {
    let now = call.node.clock.wall();
    let checked = if intake::inflates(&records, &rules, now) {
        let turn = call.node.budget.inflating().await;
        let check = move || {
            let _turn = turn;
            intake::check(records, &rules, now)
        };
        partition.off_reactor(check).await.ok_or(ErrorCode::RequestTimedOut)?
    } else {
        intake::check(records, &rules, now)
    };
    checked.map_err(|refused| of_refused(&refused))
}

impl Submitted {
    /// When it is answered at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Has the writers begin. To be called soon: they may not hear of the batches before.
    pub(super) fn nudge(&mut self) {
        self.nudges.give();
    }

    /// Waits for every batch. `None`: no answer is due (`acks=0`). `Some(Err)`: the connection must be closed,
    /// which is the only way to tell a client that wants no answers.
    pub(super) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<(Option<Result<ProduceResponse, ErrorCode>>, Course)> {
        for (_, pending) in self.topics.iter_mut().flat_map(|(_, partitions)| partitions) {
            ready!(pending.poll_settle(cx, self.deadline));
        }
        let course = self.course();
        let (mut response, mut first_error) = (ProduceResponse::default(), None);
        for (name, partitions) in std::mem::take(&mut self.topics) {
            let mut answered = Vec::with_capacity(partitions.len());
            for (index, pending) in partitions {
                let (failure, topic) = match pending {
                    Pending::Appended(appended) => {
                        answered.push(accepted(index, &appended));
                        continue;
                    }
                    Pending::Refused { failure, topic } => (failure, topic),
                    Pending::Queued { topic, .. } => (ErrorCode::RequestTimedOut.into(), Some(topic)),
                };
                if let Some(topic) = &topic {
                    self.call.node.metrics.produce_failed(&topic.name);
                }
                self.call.node.metrics.failed(self.call.api, failure.code);
                first_error.get_or_insert(failure.code);
                let endpoints = &mut response.node_endpoints;
                answered.push(refused(&self.call, index, failure, topic.as_deref(), endpoints));
            }
            response.responses.push(TopicProduceResponse { name, partition_responses: answered });
        }
        let outcome = match (self.acks, first_error) {
            (0, None) => None,
            (0, Some(error)) => Some(Err(error)),
            _ => Some(Ok(response)),
        };
        Poll::Ready((outcome, course))
    }

    /// The way of the batch that was stored last.
    fn course(&self) -> Course {
        let pending = self.topics.iter().flat_map(|(_, partitions)| partitions);
        let stored = pending.filter_map(|(_, pending)| match pending {
            Pending::Appended(appended) => Some(appended.passage),
            Pending::Queued { .. } | Pending::Refused { .. } => None,
        });
        let last = stored.max_by_key(|passage| passage.committed.unwrap_or(passage.written));
        last.map_or(Course::Plain, Course::Stored)
    }
}

impl Pending {
    /// Waits until the writer has answered, or the time is over.
    fn poll_settle(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Self::Queued { answer, topic, settings } = self else { return Poll::Ready(()) };
        *self = match Pin::new(answer).poll(cx) {
            Poll::Ready(Ok(Ok(appended))) => Self::Appended(appended),
            Poll::Ready(Ok(Err(refused))) => {
                let failure = of_refused(&refused).in_the_topics_way(&refused, settings);
                Self::Refused { failure, topic: Some(topic.clone()) }
            }
            // The writer went away with the batch queued: whether it was appended is unknown.
            Poll::Ready(Err(_)) => {
                Self::Refused { failure: ErrorCode::RequestTimedOut.into(), topic: Some(topic.clone()) }
            }
            Poll::Pending if deadline.is_none_or(|deadline| Instant::now() < deadline) => {
                return Poll::Pending;
            }
            Poll::Pending => {
                Self::Refused { failure: ErrorCode::RequestTimedOut.into(), topic: Some(topic.clone()) }
            }
        };
        Poll::Ready(())
    }
}

fn accepted(index: i32, appended: &Appended) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code: ErrorCode::None.code(),
        base_offset: appended.base_offset.0,
        log_append_time_ms: appended.log_append_time.unwrap_or(-1),
        log_start_offset: appended.log_start.0,
        ..Default::default()
    }
}

fn refused(
    call: &Call,
    index: i32,
    failure: Failure,
    topic: Option<&Topic>,
    endpoints: &mut Vec<NodeEndpoint>,
) -> PartitionProduceResponse {
    let mut response = PartitionProduceResponse {
        index,
        error_code: failure.code_for_produce(call.version).code(),
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
        error_message: failure.message.map(Text::from),
        ..Default::default()
    };
    for (batch_index, message) in failure.records {
        response.record_errors.push(BatchIndexAndErrorMessage {
            batch_index,
            batch_index_error_message: Some(Text::from(message)),
        });
    }
    if failure.code == ErrorCode::NotLeaderOrFollower {
        name_leader(call, index, topic, &mut response, endpoints);
    }
    response
}

/// Tells who leads now (KIP-951, version 10), so that the client need not ask.
fn name_leader(
    call: &Call,
    index: i32,
    topic: Option<&Topic>,
    response: &mut PartitionProduceResponse,
    endpoints: &mut Vec<NodeEndpoint>,
) {
    let Some(current) = topic.and_then(|topic| assignment(topic, index)) else { return };
    let Some(leader) = current.leader else { return };
    response.current_leader = LeaderIdAndEpoch { leader_id: leader.0, leader_epoch: current.leader_epoch.0 };
    if endpoints.iter().any(|known| known.node_id == leader.0) {
        return;
    }
    if let Some((host, port)) = endpoint(&call.node.image(), leader, &call.session.listener) {
        endpoints.push(NodeEndpoint { node_id: leader.0, host, port, rack: None });
    }
}
