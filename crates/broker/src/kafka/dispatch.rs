//! From a frame to the future of its answer: header, version, right, decoder, handler, encoder.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use forebay_base::Piece;
use forebay_wire::kafka::api_versions::ApiVersionsRequest;
use forebay_wire::kafka::{ApiKey, ErrorCode, RequestHeader};
use forebay_wire::{DecodeError, Decoder, Message, frame};
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::call::{Call, Caller};
use super::course::Course;
use super::nudges::Nudges;
use super::routes::Routes;
use super::sending::Ready;
use super::session::Session;
use super::{
    api_versions, auth, create_partitions, create_topics, delete_records, delete_topics, describe_cluster,
    describe_configs, describe_log_dirs, fetch, incremental_alter_configs, init_producer_id, list_offsets,
    metadata, offset_for_leader_epoch, produce,
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
    /// For how long the connection is not to be heard from now on; [`Work::throttle`] is where that was known before.
    pub(super) throttle: Duration,
}

impl Done {
    fn plain(reply: Reply) -> Self {
        Self { reply, course: Course::Plain, throttle: Duration::ZERO }
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
    right: &'static auth::Right,
    began: Instant,
    submitted: produce::Submitted,
}

/// What requests of one connection have in common.
pub(super) struct Door {
    pub(super) node: Arc<Shared>,
    pub(super) session: Arc<Session>,
    routes: Routes,
    /// Writers that have not heard of batches that were queued to them.
    pub(super) nudges: Nudges,
}

impl Door {
    pub(super) fn new(node: Arc<Shared>, session: Arc<Session>) -> Self {
        let routes = Routes::new(&node);
        Self { node, session, routes, nudges: Nudges::default() }
    }

    /// Gives the memory back that only a busy connection needs.
    pub(super) fn rest(&mut self) {
        self.routes.forget();
    }
}

impl Work {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, now: Instant, door: &Door) -> Poll<Done> {
        self.started.get_or_insert(now);
        match &mut self.task {
            Task::Append(appending) => appending.poll(cx, &door.node, &door.session),
            Task::Other(task) => task.as_mut().poll(cx),
        }
    }

    /// When it must be polled again whatever happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.task {
            Task::Append(appending) => appending.submitted.deadline(),
            Task::Other(_) => None,
        }
    }

    /// For how long the connection is not to be heard after it was begun.
    pub(super) fn throttle(&self) -> Duration {
        match &self.task {
            Task::Append(appending) => appending.submitted.throttle(),
            Task::Other(_) => Duration::ZERO,
        }
    }

    /// What it asks.
    pub(super) fn api(&self) -> ApiKey {
        self.api
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
    fn poll(&mut self, cx: &mut Context<'_>, node: &Shared, session: &Session) -> Poll<Done> {
        let (version, right) = (self.header.request_api_version, self.right);
        let caller = Caller { node, session, version, right, began: self.began };
        let (outcome, course) = ready!(self.submitted.poll_answer(cx, caller));
        let reply = match outcome {
            None => Reply::Silence,
            Some(Ok(response)) => encode(&self.header, version, &response),
            Some(Err(error)) => Reply::Refused(format!("an acks=0 append was refused: {error}")),
        };
        Poll::Ready(Done { reply, course, throttle: Duration::ZERO })
    }
}

/// A request that is begun, before it is counted.
enum Begun {
    Overlapping(Task),
    Exclusive(BoxFuture<'static, Done>),
    Refused(String),
}

/// Begins the request in `frame`, which came at `began`.
pub(super) fn start(door: &mut Door, frame: Bytes, began: Instant) -> Started {
    let request_bytes = frame.len() as u64;
    let mut body = Decoder::new(frame);
    let header = match RequestHeader::begin(&mut body) {
        Ok(header) => header,
        Err(error) => return Started::Refused(format!("unreadable request header: {error}")),
    };
    if let Some(client_id) = &header.client_id {
        door.session.name_client(client_id);
    }
    let version = header.request_api_version;
    let Some((api, right)) = header.api().and_then(|api| Some((api, auth::right_of(api)?))) else {
        return Started::Refused(format!("unknown or unsupported api key {}", header.request_api_key));
    };
    if !api.served().contains(&version) {
        if api == ApiKey::ApiVersions {
            let reply = encode(&header, 0, &api_versions::unsupported());
            let task = Task::Other(Box::pin(async { Done::plain(reply) }));
            return Started::Exclusive(Work { api, began, started: None, request_bytes, task });
        }
        return Started::Refused(format!("{api} version {version} is not supported"));
    }
    if let Err(error) = header.finish(&mut body) {
        return Started::Refused(malformed(api, &error));
    }
    let begun = if api == ApiKey::Produce {
        start_produce(door, header, right, began, body)
    } else {
        let (node, session) = (door.node.clone(), door.session.clone());
        route(Call { node, session, api, version, right, began }, header, body)
    };
    let work = |task| Work { api, began, started: None, request_bytes, task };
    match begun {
        Begun::Overlapping(task) => Started::Overlapping(work(task)),
        Begun::Exclusive(reply) => Started::Exclusive(work(Task::Other(reply))),
        Begun::Refused(sentence) => Started::Refused(sentence),
    }
}

macro_rules! exclusive {
    ($call:ident, $header:ident, $body:ident, $handler:ident) => {
        match decode($body, $call.version) {
            Ok(request) => Begun::Exclusive(Box::pin(async move {
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
fn route(call: Call, header: RequestHeader, body: Decoder) -> Begun {
    match call.api {
        ApiKey::ApiVersions => start_api_versions(&call, &header, body),
        ApiKey::Fetch => start_fetch(call, header, body),
        ApiKey::ListOffsets => exclusive!(call, header, body, list_offsets),
        ApiKey::Metadata => exclusive!(call, header, body, metadata),
        ApiKey::CreateTopics => exclusive!(call, header, body, create_topics),
        ApiKey::DeleteTopics => exclusive!(call, header, body, delete_topics),
        ApiKey::CreatePartitions => exclusive!(call, header, body, create_partitions),
        ApiKey::DeleteRecords => exclusive!(call, header, body, delete_records),
        ApiKey::DescribeConfigs => exclusive!(call, header, body, describe_configs),
        ApiKey::IncrementalAlterConfigs => exclusive!(call, header, body, incremental_alter_configs),
        ApiKey::DescribeCluster => exclusive!(call, header, body, describe_cluster),
        ApiKey::DescribeLogDirs => exclusive!(call, header, body, describe_log_dirs),
        ApiKey::OffsetForLeaderEpoch => exclusive!(call, header, body, offset_for_leader_epoch),
        ApiKey::InitProducerId => exclusive!(call, header, body, init_producer_id),
        other => Begun::Refused(format!("{other} is not served")),
    }
}

/// Produce requests overlap: each is queued to the writers as it comes, and waits for storage beside the others.
/// One that must wait before it can be queued is not overtaken by the next, so that batches keep their order.
fn start_produce(
    door: &mut Door,
    header: RequestHeader,
    right: &'static auth::Right,
    began: Instant,
    body: Decoder,
) -> Begun {
    let version = header.request_api_version;
    let request = match decode(body, version) {
        Ok(request) => request,
        Err(sentence) => return Begun::Refused(sentence),
    };
    let Door { node, session, routes, nudges } = door;
    let caller = Caller { node, session, version, right, began };
    if let Some(submitted) = produce::submit_now(caller, routes, nudges, &request) {
        return Begun::Overlapping(Task::Append(Box::new(Appending { header, right, began, submitted })));
    }
    let call =
        Call { node: node.clone(), session: session.clone(), api: ApiKey::Produce, version, right, began };
    Begun::Exclusive(Box::pin(async move {
        let submitted = produce::submit(call.clone(), request).await;
        let (deadline, throttle) = (submitted.deadline(), submitted.throttle());
        let mut appending = Appending { header, right, began, submitted };
        let mut answer = poll_fn(|cx| appending.poll(cx, &call.node, &call.session));
        let done = match deadline {
            // The last poll, after the deadline, answers in any case.
            Some(deadline) => match tokio::time::timeout_at(deadline, &mut answer).await {
                Ok(done) => done,
                Err(_) => answer.await,
            },
            None => answer.await,
        };
        Done { throttle, ..done }
    }))
}

fn start_fetch(call: Call, header: RequestHeader, body: Decoder) -> Begun {
    match decode(body, call.version) {
        Ok(request) => Begun::Exclusive(Box::pin(async move {
            let fetch::Answered { response, parked, throttle } = fetch::answer(&call, request).await;
            Done { reply: encode(&header, call.version, &response), course: Course::Parked(parked), throttle }
        })),
        Err(sentence) => Begun::Refused(sentence),
    }
}

fn start_api_versions(call: &Call, header: &RequestHeader, body: Decoder) -> Begun {
    let reply = match decode::<ApiVersionsRequest>(body, call.version) {
        Ok(request) => encode(header, call.version, &api_versions::answer(call, &request)),
        Err(sentence) => return Begun::Refused(sentence),
    };
    Begun::Exclusive(Box::pin(async { Done::plain(reply) }))
}

/// The request, which owns what it needs of the frame.
fn decode<M: Message>(mut body: Decoder, version: i16) -> Result<M, String> {
    M::decode(&mut body, version).map_err(|error| malformed(M::API, &error))
}

fn malformed(api: ApiKey, error: &DecodeError) -> String {
    format!("malformed {api} request: {error}")
}

fn encode<M: Message>(header: &RequestHeader, version: i16, response: &M) -> Reply {
    match frame::response(header.correlation_id, version, response) {
        Ok(pieces) => Reply::Answer(pieces),
        Err(error) => Reply::Refused(format!("{} ({}): {error}", M::API, ErrorCode::UnknownServerError)),
    }
}
