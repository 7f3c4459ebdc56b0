//! Produce 3-11 (0-2 are advertised because librdkafka stops compressing otherwise, KAFKA-18659, and refused).
//!
//! Two phases, so that pipelined requests keep their order and still overlap: [`submit`] checks every batch and
//! queues it to its writer without waiting for storage; [`Submitted::answer`] waits. Each partition takes exactly
//! one batch of format v2. `acks=0` gets no answer; if its append is refused the connection is closed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_meta::Topic;
use forebay_replica::{Acks, Appended, Batch, IntakeRules, Partition, Refused, intake};
use forebay_wire::Text;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceData,
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use tokio::sync::oneshot;

use super::call::Call;
use super::codes::{Failure, of_refused, of_unavailable};
use super::metadata::endpoint;
use crate::partitions::Hosted;
use crate::settings::intake_rules;
use crate::shared::assignment;

const ZSTD_FROM_VERSION: i16 = 7;

/// A request whose batches are queued.
pub(super) struct Submitted {
    call: Call,
    acks: i16,
    patience: Duration,
    topics: Vec<(Text, Vec<(i32, Pending)>)>,
}

enum Pending {
    Refused { failure: Failure, topic: Option<Arc<Topic>> },
    Queued { answer: oneshot::Receiver<Result<Appended, Refused>>, topic: Arc<Topic> },
}

/// Checks and queues every batch of the request.
pub(super) async fn submit(call: Call, request: ProduceRequest) -> Submitted {
    let patience = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let acks = request.acks;
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for topic_data in request.topic_data {
        let topic = call.node.topic_by_name(&topic_data.name);
        let mut partitions = Vec::with_capacity(topic_data.partition_data.len());
        for data in topic_data.partition_data {
            let index = data.index;
            let pending = match queue(&call, acks, &topic_data.name, topic.as_ref(), data).await {
                Ok(pending) => pending,
                Err(failure) => Pending::Refused { failure, topic: topic.clone() },
            };
            partitions.push((index, pending));
        }
        topics.push((topic_data.name, partitions));
    }
    Submitted { call, acks, patience, topics }
}

async fn queue(
    call: &Call,
    acks: i16,
    name: &str,
    topic: Option<&Arc<Topic>>,
    data: PartitionProduceData,
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
    Ok(Pending::Queued { answer: partition.append(batch, acks), topic: topic.clone() })
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
    /// Waits for every batch. `None`: no answer is due (`acks=0`). `Some(Err)`: the connection must be closed,
    /// which is the only way to tell a client that wants no answers.
    pub(super) async fn answer(self) -> Option<Result<ProduceResponse, ErrorCode>> {
        let deadline = (self.acks == -1).then(|| tokio::time::Instant::now() + self.patience);
        let (mut response, mut first_error) = (ProduceResponse::default(), None);
        for (name, partitions) in self.topics {
            let mut answered = Vec::with_capacity(partitions.len());
            for (index, pending) in partitions {
                let partition =
                    finish(&self.call, index, pending, deadline, &mut response.node_endpoints).await;
                if let Some(error) =
                    ErrorCode::from_code(partition.error_code).filter(|code| *code != ErrorCode::None)
                {
                    self.call.node.metrics.failed(self.call.api, error);
                    first_error.get_or_insert(error);
                }
                answered.push(partition);
            }
            response.responses.push(TopicProduceResponse { name, partition_responses: answered });
        }
        match (self.acks, first_error) {
            (0, None) => None,
            (0, Some(error)) => Some(Err(error)),
            _ => Some(Ok(response)),
        }
    }
}

async fn finish(
    call: &Call,
    index: i32,
    pending: Pending,
    deadline: Option<tokio::time::Instant>,
    endpoints: &mut Vec<NodeEndpoint>,
) -> PartitionProduceResponse {
    let (failure, topic) = match pending {
        Pending::Refused { failure, topic } => (failure, topic),
        Pending::Queued { answer, topic } => match in_time(answer, deadline).await {
            Some(Ok(appended)) => return accepted(index, &appended),
            Some(Err(refused)) => (of_refused(&refused), Some(topic)),
            // The time is over, or the writer went away with the batch queued: whether it was appended is unknown.
            None => (ErrorCode::RequestTimedOut.into(), Some(topic)),
        },
    };
    if let Some(topic) = &topic {
        call.node.metrics.produce_failed(&topic.name);
    }
    refused(call, index, failure, topic.as_deref(), endpoints)
}

/// The answer, if it comes before the deadline that the client set for its replicas (`acks=all`).
async fn in_time<T>(answer: oneshot::Receiver<T>, deadline: Option<tokio::time::Instant>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, answer).await.ok()?.ok(),
        None => answer.await.ok(),
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
