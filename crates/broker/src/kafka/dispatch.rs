//! From a frame to the future of its answer: header, version, right, decoder, handler, encoder.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use forebay_base::Piece;
use forebay_wire::kafka::api_versions::ApiVersionsRequest;
use forebay_wire::kafka::{ApiKey, ErrorCode, RequestHeader};
use forebay_wire::{Decoder, Message, frame};
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::call::Call;
use super::course::Course;
use super::sending::Ready;
use super::session::Session;
use super::{
    api_versions, auth, create_partitions, create_topics, delete_records, delete_topics, describe_cluster,
    describe_configs, fetch, incremental_alter_configs, init_producer_id, list_offsets, metadata,
    offset_for_leader_epoch, produce,
};
use crate::shared::{SameMoment, Shared};

/// What a request comes to.
pub(super) enum Reply {
    /// A whole frame.
    Answer(Vec<Piece>),
    /// The client wants no answer.
    Silence,
    /// There is no way to answer: the connection must be closed. The sentence says why.
    Refused(String),
}

/// A request that is done: what it comes to, and how it went.
pub(super) struct Done {
    pub(super) reply: Reply,
    pub(super) course: Course,
}

impl Done {
    fn plain(reply: Reply) -> Self {
        Self { reply, course: Course::Plain }
    }
}

/// A request begun.
pub(super) enum Started {
    /// The next request may begin at once.
    Overlapping(Work),
    /// The next request must wait, as it does in Kafka: it may depend on this one.
    Exclusive(Work),
    /// The bytes are not a request that can be answered.
    Refused(String),
}

/// A request in work.
pub(super) struct Work {
    api: ApiKey,
    began: Instant,
    /// When its handler was first called, for a handler that has not begun at once.
    started: Option<Instant>,
    request_bytes: u64,
    task: Task,
}

enum Task {
    /// Batches are queued to their writers.
    Append(Box<Appending>),
    /// Anything else.
    Other(BoxFuture<'static, Done>),
}

/// A produce request that waits for its writers.
struct Appending {
    header: RequestHeader,
    submitted: produce::Submitted,
}

impl Work {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Done> {
        self.started.get_or_insert(now);
        match &mut self.task {
            Task::Append(appending) => appending.poll(cx),
            Task::Other(task) => task.as_mut().poll(cx),
        }
    }

    /// Has the writers begin with what was queued to them.
    pub(super) fn nudge(&mut self) {
        if let Task::Append(appending) = &mut self.task {
            appending.submitted.nudge();
        }
    }

    /// When it must be polled again whatever happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.task {
            Task::Append(appending) => appending.submitted.deadline(),
            Task::Other(_) => None,
        }
    }

    /// Bytes of its frame.
    pub(super) fn request_bytes(&self) -> u64 {
        self.request_bytes
    }

    /// What there is to count of it now that its answer is ready.
    pub(super) fn ready(&self, clocks: &SameMoment, now: Instant, course: Course) -> Ready {
        let stages = course.stages(self.began, self.started.unwrap_or(now), now, clocks);
        Ready { api: self.api, stages, at: now }
    }
}

impl Appending {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
        let (outcome, course) = ready!(self.submitted.poll_answer(cx));
        let reply = match outcome {
            None => Reply::Silence,
            Some(Ok(response)) => encode(&self.header, self.header.request_api_version, &response),
            Some(Err(error)) => Reply::Refused(format!("an acks=0 append was refused: {error}")),
        };
        Poll::Ready(Done { reply, course })
    }
}

/// A request that is begun, before it is counted.
enum Begun {
    Overlapping(Task),
    Exclusive(BoxFuture<'static, Done>),
    Refused(String),
}

/// Begins the request in `frame`, which came at `began`.
pub(super) fn start(node: &Arc<Shared>, session: &Arc<Session>, frame: Bytes, began: Instant) -> Started {
    let header = match RequestHeader::peek(&frame) {
        Ok(header) => header,
        Err(error) => return Started::Refused(format!("unreadable request header: {error}")),
    };
    if let Some(client_id) = &header.client_id {
        session.name_client(client_id);
    }
    let version = header.request_api_version;
    let Some((api, right)) = header.api().and_then(|api| Some((api, auth::right_of(api)?))) else {
        return Started::Refused(format!("unknown or unsupported api key {}", header.request_api_key));
    };
    let call = Call { node: node.clone(), session: session.clone(), api, version, right, began };
    if !api.served().contains(&version) {
        if api == ApiKey::ApiVersions {
            let reply = encode(&header, 0, &api_versions::unsupported());
            let task = Task::Other(Box::pin(async { Done::plain(reply) }));
            return Started::Exclusive(Work { api, began, started: None, request_bytes: 0, task });
        }
        return Started::Refused(format!("{api} version {version} is not supported"));
    }
    let request_bytes = frame.len() as u64;
    let work = |task| Work { api, began, started: None, request_bytes, task };
    match route(call, header, frame) {
        Begun::Overlapping(task) => Started::Overlapping(work(task)),
        Begun::Exclusive(reply) => Started::Exclusive(work(Task::Other(reply))),
        Begun::Refused(sentence) => Started::Refused(sentence),
    }
}

macro_rules! exclusive {
    ($call:ident, $header:ident, $frame:ident, $handler:ident) => {
        match decode(&$frame) {
            Ok(request) => Begun::Exclusive(Box::pin(async move {
                // The request owns what it needs of the frame.
                drop($frame);
                let response = $handler::answer(&$call, request).await;
                Done::plain(encode(&$header, $call.version, &response))
            })),
            Err(sentence) => Begun::Refused(sentence),
        }
    };
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "most of Kafka's keys are not served, and the table says which are"
)]
fn route(call: Call, header: RequestHeader, frame: Bytes) -> Begun {
    match call.api {
        ApiKey::Produce => start_produce(call, header, &frame),
        ApiKey::ApiVersions => start_api_versions(&call, &header, &frame),
        ApiKey::Fetch => start_fetch(call, header, frame),
        ApiKey::ListOffsets => exclusive!(call, header, frame, list_offsets),
        ApiKey::Metadata => exclusive!(call, header, frame, metadata),
        ApiKey::CreateTopics => exclusive!(call, header, frame, create_topics),
        ApiKey::DeleteTopics => exclusive!(call, header, frame, delete_topics),
        ApiKey::CreatePartitions => exclusive!(call, header, frame, create_partitions),
        ApiKey::DeleteRecords => exclusive!(call, header, frame, delete_records),
        ApiKey::DescribeConfigs => exclusive!(call, header, frame, describe_configs),
        ApiKey::IncrementalAlterConfigs => exclusive!(call, header, frame, incremental_alter_configs),
        ApiKey::DescribeCluster => exclusive!(call, header, frame, describe_cluster),
        ApiKey::OffsetForLeaderEpoch => exclusive!(call, header, frame, offset_for_leader_epoch),
        ApiKey::InitProducerId => exclusive!(call, header, frame, init_producer_id),
        other => Begun::Refused(format!("{other} is not served")),
    }
}

/// Produce requests overlap: each is queued to the writers as it comes, and waits for storage beside the others.
/// One that must wait before it can be queued is not overtaken by the next, so that batches keep their order.
fn start_produce(call: Call, header: RequestHeader, frame: &Bytes) -> Begun {
    let request = match decode(frame) {
        Ok(request) => request,
        Err(sentence) => return Begun::Refused(sentence),
    };
    let mut submit = Box::pin(produce::submit(call, request));
    match submit.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(submitted) => Begun::Overlapping(Task::Append(Box::new(Appending { header, submitted }))),
        Poll::Pending => Begun::Exclusive(Box::pin(async move {
            let mut appending = Appending { header, submitted: submit.await };
            appending.submitted.nudge();
            let deadline = appending.submitted.deadline();
            let answer = poll_fn(|cx| appending.poll(cx));
            match deadline {
                // The last poll, after the deadline, answers in any case.
                Some(deadline) => match tokio::time::timeout_at(deadline, answer).await {
                    Ok(done) => done,
                    Err(_) => poll_fn(|cx| appending.poll(cx)).await,
                },
                None => answer.await,
            }
        })),
    }
}

fn start_fetch(call: Call, header: RequestHeader, frame: Bytes) -> Begun {
    match decode(&frame) {
        Ok(request) => Begun::Exclusive(Box::pin(async move {
            // The request owns what it needs of the frame.
            drop(frame);
            let (response, parked) = fetch::answer(&call, request).await;
            Done { reply: encode(&header, call.version, &response), course: Course::Parked(parked) }
        })),
        Err(sentence) => Begun::Refused(sentence),
    }
}

fn start_api_versions(call: &Call, header: &RequestHeader, frame: &Bytes) -> Begun {
    let reply = match decode::<ApiVersionsRequest>(frame) {
        Ok(request) => encode(header, call.version, &api_versions::answer(call, &request)),
        Err(sentence) => return Begun::Refused(sentence),
    };
    Begun::Exclusive(Box::pin(async { Done::plain(reply) }))
}

fn decode<M: Message>(frame: &Bytes) -> Result<M, String> {
    let mut decoder = Decoder::new(frame.clone());
    let header = RequestHeader::decode(&mut decoder);
    let decoded = header.and_then(|header| M::decode(&mut decoder, header.request_api_version));
    decoded.map_err(|error| format!("malformed {} request: {error}", M::API))
}

fn encode<M: Message>(header: &RequestHeader, version: i16, response: &M) -> Reply {
    match frame::response(header.correlation_id, version, response) {
        Ok(pieces) => Reply::Answer(pieces),
        Err(error) => Reply::Refused(format!("{} ({}): {error}", M::API, ErrorCode::UnknownServerError)),
    }
}
