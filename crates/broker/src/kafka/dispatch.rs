//! From a frame to the future of its answer: header, version, right, decoder, handler, encoder.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use forebay_base::{Piece, total_len};
use forebay_wire::kafka::api_versions::ApiVersionsRequest;
use forebay_wire::kafka::{ApiKey, ErrorCode, RequestHeader};
use forebay_wire::{Decoder, Message, frame};
use futures_util::future::BoxFuture;

use super::call::{Call, Session};
use super::{
    api_versions, auth, create_partitions, create_topics, delete_records, delete_topics, describe_cluster,
    describe_configs, fetch, incremental_alter_configs, init_producer_id, list_offsets, metadata,
    offset_for_leader_epoch, produce,
};
use crate::shared::Shared;

/// What a request comes to.
pub(super) enum Reply {
    /// A whole frame.
    Answer(Vec<Piece>),
    /// The client wants no answer.
    Silence,
    /// There is no way to answer: the connection must be closed. The sentence says why.
    Refused(String),
}

/// A request begun.
pub(super) enum Started {
    /// The next request may begin at once.
    Overlapping(BoxFuture<'static, Reply>),
    /// The next request must wait, as it does in Kafka: it may depend on this one.
    Exclusive(BoxFuture<'static, Reply>),
    /// The bytes are not a request that can be answered.
    Refused(String),
}

/// Begins the request in `frame`.
pub(super) fn start(node: &Arc<Shared>, session: &Arc<Session>, frame: Bytes) -> Started {
    let header = match RequestHeader::peek(&frame) {
        Ok(header) => header,
        Err(error) => return Started::Refused(format!("unreadable request header: {error}")),
    };
    let version = header.request_api_version;
    let Some((api, right)) = header.api().and_then(|api| Some((api, auth::right_of(api)?))) else {
        return Started::Refused(format!("unknown or unsupported api key {}", header.request_api_key));
    };
    let began = tokio::time::Instant::now();
    let call = Call { node: node.clone(), session: session.clone(), api, version, right, began };
    if !api.served().contains(&version) {
        if api == ApiKey::ApiVersions {
            let reply = encode(&header, 0, &api_versions::unsupported());
            return Started::Exclusive(Box::pin(async { reply }));
        }
        return Started::Refused(format!("{api} version {version} is not supported"));
    }
    let (started, request_bytes) = (node.clock.now(), frame.len() as u64);
    let reply = route(call, header, frame);
    let node = node.clone();
    let timed = move |reply: BoxFuture<'static, Reply>| -> BoxFuture<'static, Reply> {
        Box::pin(async move {
            let reply = reply.await;
            let response_bytes = if let Reply::Answer(pieces) = &reply { total_len(pieces) } else { 0 };
            node.metrics.answered(api, node.clock.now().since(started), request_bytes, response_bytes);
            reply
        })
    };
    match reply {
        Started::Overlapping(reply) => Started::Overlapping(timed(reply)),
        Started::Exclusive(reply) => Started::Exclusive(timed(reply)),
        refused @ Started::Refused(_) => refused,
    }
}

macro_rules! exclusive {
    ($call:ident, $header:ident, $frame:ident, $handler:ident) => {
        match decode(&$frame) {
            Ok(request) => Started::Exclusive(Box::pin(async move {
                // The request owns what it needs of the frame.
                drop($frame);
                let response = $handler::answer(&$call, request).await;
                encode(&$header, $call.version, &response)
            })),
            Err(sentence) => Started::Refused(sentence),
        }
    };
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "most of Kafka's keys are not served, and the table says which are"
)]
fn route(call: Call, header: RequestHeader, frame: Bytes) -> Started {
    match call.api {
        ApiKey::Produce => start_produce(call, header, &frame),
        ApiKey::ApiVersions => start_api_versions(&call, &header, &frame),
        ApiKey::Fetch => exclusive!(call, header, frame, fetch),
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
        other => Started::Refused(format!("{other} is not served")),
    }
}

/// Produce requests overlap: each is queued to the writers as it comes, and waits for storage beside the others.
/// One that must wait before it can be queued is not overtaken by the next, so that batches keep their order.
fn start_produce(call: Call, header: RequestHeader, frame: &Bytes) -> Started {
    let request = match decode(frame) {
        Ok(request) => request,
        Err(sentence) => return Started::Refused(sentence),
    };
    let version = call.version;
    let reply = move |outcome| match outcome {
        None => Reply::Silence,
        Some(Ok(response)) => encode(&header, version, &response),
        Some(Err(error)) => Reply::Refused(format!("an acks=0 append was refused: {error}")),
    };
    let mut submit = Box::pin(produce::submit(call, request));
    match submit.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(submitted) => {
            Started::Overlapping(Box::pin(async move { reply(submitted.answer().await) }))
        }
        Poll::Pending => Started::Exclusive(Box::pin(async move { reply(submit.await.answer().await) })),
    }
}

fn start_api_versions(call: &Call, header: &RequestHeader, frame: &Bytes) -> Started {
    let reply = match decode::<ApiVersionsRequest>(frame) {
        Ok(request) => encode(header, call.version, &api_versions::answer(call, &request)),
        Err(sentence) => return Started::Refused(sentence),
    };
    Started::Exclusive(Box::pin(async { reply }))
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
