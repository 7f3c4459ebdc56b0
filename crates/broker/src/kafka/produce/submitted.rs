use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use forebay_meta::Topic;
use forebay_replica::{Appended, Refused};
use forebay_wire::Text;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceResponse,
    TopicProduceResponse,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::call::{Caller, throttle_time_ms};
use super::super::codes::{Failure, of_refused};
use super::super::course::Course;
use super::super::metadata::endpoint;
use crate::shared::assignment;

/// No request costs more time than this: its client must not think that the server is gone.
const THROTTLE_MAX: Duration = Duration::from_secs(1);

/// A request whose batches are queued.
pub(in crate::kafka) struct Submitted {
    acks: i16,
    deadline: Option<Instant>,
    /// For how long the connection is not to be heard afterwards.
    throttle: Duration,
    topics: Vec<(Text, Vec<(i32, Pending)>)>,
}

/// One batch of it.
pub(super) enum Pending {
    Queued { answer: oneshot::Receiver<Result<Appended, Refused>>, fails_when_full: bool, throttle: Duration },
    Appended(Appended),
    Refused(Failure),
}

impl Submitted {
    pub(super) fn new(
        acks: i16,
        deadline: Option<Instant>,
        topics: Vec<(Text, Vec<(i32, Pending)>)>,
    ) -> Self {
        let pending = topics.iter().flat_map(|(_, partitions)| partitions);
        let throttles = pending.filter_map(|(_, pending)| match pending {
            Pending::Queued { throttle, .. } => Some(*throttle),
            Pending::Appended(_) | Pending::Refused(_) => None,
        });
        let throttle = throttles.sum::<Duration>().min(THROTTLE_MAX);
        Self { acks, deadline, throttle, topics }
    }

    /// For how long the connection is not to be heard once the request is answered.
    pub(in crate::kafka) fn throttle(&self) -> Duration {
        self.throttle
    }

    /// When it is answered at the latest.
    pub(in crate::kafka) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Waits for every batch. `None`: no answer is due (`acks=0`). `Some(Err)`: the connection must be closed,
    /// which is the only way to tell a client that wants no answers.
    pub(in crate::kafka) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        caller: Caller<'_>,
    ) -> Poll<(Option<Result<ProduceResponse, ErrorCode>>, Course)> {
        for (_, pending) in self.topics.iter_mut().flat_map(|(_, partitions)| partitions) {
            ready!(pending.poll_settle(cx, self.deadline));
        }
        let course = self.course();
        let throttle_time_ms = throttle_time_ms(self.throttle);
        let (mut response, mut first_error) =
            (ProduceResponse { throttle_time_ms, ..Default::default() }, None);
        for (name, partitions) in std::mem::take(&mut self.topics) {
            let mut answered = Vec::with_capacity(partitions.len());
            for (index, pending) in partitions {
                let failure = match pending {
                    Pending::Appended(appended) => {
                        answered.push(accepted(index, &appended));
                        continue;
                    }
                    Pending::Refused(failure) => failure,
                    Pending::Queued { .. } => ErrorCode::RequestTimedOut.into(),
                };
                first_error.get_or_insert(failure.code);
                answered.push(refused(caller, &name, index, failure, &mut response.node_endpoints));
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
            Pending::Queued { .. } | Pending::Refused(_) => None,
        });
        let last = stored.max_by_key(|passage| passage.committed.unwrap_or(passage.written));
        last.map_or(Course::Plain, Course::Stored)
    }
}

impl Pending {
    /// Waits until the writer has answered, or the time is over.
    fn poll_settle(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Self::Queued { answer, fails_when_full, .. } = self else { return Poll::Ready(()) };
        *self = match Pin::new(answer).poll(cx) {
            Poll::Ready(Ok(Ok(appended))) => Self::Appended(appended),
            Poll::Ready(Ok(Err(refused))) => {
                Self::Refused(of_refused(&refused).in_the_topics_way(&refused, *fails_when_full))
            }
            // The writer went away with the batch queued: whether it was appended is unknown.
            Poll::Ready(Err(_)) => Self::Refused(ErrorCode::RequestTimedOut.into()),
            Poll::Pending if deadline.is_none_or(|deadline| Instant::now() < deadline) => {
                return Poll::Pending;
            }
            Poll::Pending => Self::Refused(ErrorCode::RequestTimedOut.into()),
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
    caller: Caller<'_>,
    name: &str,
    index: i32,
    failure: Failure,
    endpoints: &mut Vec<NodeEndpoint>,
) -> PartitionProduceResponse {
    let topic = caller.node.topic_by_name(name);
    if let Some(topic) = &topic {
        caller.node.metrics.produce_failed(&topic.name);
    }
    caller.node.metrics.failed(caller.right.api, failure.code);
    let mut response = PartitionProduceResponse {
        index,
        error_code: failure.code_for_produce(caller.version).code(),
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
        name_leader(caller, index, topic.as_deref(), &mut response, endpoints);
    }
    response
}

/// Tells who leads now (KIP-951, version 10), so that the client need not ask.
fn name_leader(
    caller: Caller<'_>,
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
    if let Some((host, port)) = endpoint(&caller.node.image(), leader, &caller.session.listener) {
        endpoints.push(NodeEndpoint { node_id: leader.0, host, port, rack: None });
    }
}
