//! Fetch 4-16. Answers are header bytes and slices of segments (room log); nothing passes through the partition's
//! owner.
//!
//! Limits are soft (KIP-74): the first batch of the first partition that has one is always sent whole. A request
//! that finds less than `min_bytes` waits, as a waiter in the partitions' lists and not as a task of its own, until
//! enough is visible or `max_wait_ms` is over. Fetch sessions (KIP-227) are declined by answering session id 0.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::{LeaderEpoch, Offset, Piece};
use forebay_log::{Glance, LogError, Slice};
use forebay_meta::Topic;
use forebay_replica::{Partition, View, Waiter};
use forebay_wire::Payload;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::fetch::{
    AbortedTransaction, EpochEndOffset, FetchPartition, FetchRequest, FetchResponse, FetchTopic,
    FetchableTopicResponse, PartitionData,
};

use super::call::Call;
use super::codes::{code_for_fetch, of_log_error, of_refused, of_unavailable};
use crate::partitions::Hosted;

const TOPIC_IDS_FROM_VERSION: i16 = 13;
const READ_COMMITTED: i8 = 1;

/// One topic asked for, resolved once for the whole wait.
struct AskedTopic<'a> {
    request: &'a FetchTopic,
    name: Option<Arc<str>>,
    partitions: Vec<Asked>,
}

/// One partition asked for.
struct Asked {
    index: i32,
    from: Offset,
    bytes_max: u64,
    target: Result<Arc<Partition>, ErrorCode>,
    epoch: i32,
    /// Epoch of the record before `from`, where the client tells it (version 12).
    last_epoch: i32,
}

/// What one look at a partition's view found.
struct Found {
    error: ErrorCode,
    view: Option<Arc<View>>,
    slice: Option<Slice>,
    /// Where the client's log parts from this one (KIP-595).
    diverging: Option<(LeaderEpoch, Offset)>,
}

impl Found {
    fn refused(error: ErrorCode) -> Self {
        Self { error, view: None, slice: None, diverging: None }
    }
}

/// What the whole request wants.
struct Wanted {
    bytes_max: u64,
    bytes_min: u64,
    committed: bool,
    deadline: tokio::time::Instant,
}

pub(super) async fn answer(call: &Call, request: FetchRequest) -> FetchResponse {
    if request.session_id != 0 && request.session_epoch > 0 {
        let error_code = ErrorCode::FetchSessionIdNotFound.code();
        return FetchResponse { error_code, ..Default::default() };
    }
    let bytes_max = bound(request.max_bytes).min(call.node.config.fetch_max_bytes as u64);
    let committed = request.isolation_level == READ_COMMITTED;
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        topics.push(resolve(call, topic).await);
    }
    // A client that waits longer than a connection may be idle could not be told from one that is gone.
    let wait_ms = bound(request.max_wait_ms).min(call.node.config.connections_max_idle_ms);
    let wanted = Wanted {
        bytes_max,
        bytes_min: bound(request.min_bytes),
        committed,
        deadline: tokio::time::Instant::now() + Duration::from_millis(wait_ms),
    };
    let found = wait_for(call, &topics, &wanted).await;
    assemble(call, topics, found, committed).await
}

fn bound(number: i32) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

async fn resolve<'a>(call: &Call, asked: &'a FetchTopic) -> AskedTopic<'a> {
    let (topic, missing) = if call.version >= TOPIC_IDS_FROM_VERSION {
        (call.node.topic_by_id(forebay_base::TopicId(asked.topic_id)), ErrorCode::UnknownTopicId)
    } else {
        (call.node.topic_by_name(&asked.topic), ErrorCode::UnknownTopicOrPartition)
    };
    let mut partitions = Vec::with_capacity(asked.partitions.len());
    for partition in &asked.partitions {
        partitions.push(Asked {
            index: partition.partition,
            from: Offset(partition.fetch_offset),
            bytes_max: bound(partition.partition_max_bytes),
            target: target(call, topic.as_deref(), partition, missing).await,
            epoch: partition.current_leader_epoch,
            last_epoch: partition.last_fetched_epoch,
        });
    }
    AskedTopic { request: asked, name: topic.map(|topic| topic.name.clone()), partitions }
}

async fn target(
    call: &Call,
    topic: Option<&Topic>,
    asked: &FetchPartition,
    missing: ErrorCode,
) -> Result<Arc<Partition>, ErrorCode> {
    let topic = topic.ok_or(missing)?;
    if !call.permits(&topic.name) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    match call.led(topic, asked.partition).await {
        Ok(Hosted::Open { partition, .. }) => Ok(partition),
        Ok(Hosted::Failed(_)) => Err(ErrorCode::KafkaStorageError),
        Err(unavailable) => Err(of_unavailable(&unavailable).code),
    }
}

/// Looks until enough is there, something is wrong, time is up, or the node is stopping. The last look stands.
async fn wait_for(call: &Call, topics: &[AskedTopic<'_>], wanted: &Wanted) -> Vec<Vec<Found>> {
    let partitions =
        || topics.iter().flat_map(|topic| &topic.partitions).filter_map(|asked| asked.target.as_ref().ok());
    let waiter = Waiter::new();
    let mut stopping = call.node.stopping.clone();
    let mut guards = None;
    loop {
        let woken = waiter.woken();
        let found = look(call, topics, wanted).await;
        let bytes: u64 =
            found.iter().flatten().filter_map(|found| found.slice.as_ref()).map(Slice::len).sum();
        let answerable =
            found.iter().flatten().any(|found| found.error != ErrorCode::None || found.diverging.is_some());
        let over = tokio::time::Instant::now() >= wanted.deadline || *stopping.borrow();
        if bytes >= wanted.bytes_min || answerable || over || partitions().next().is_none() {
            return found;
        }
        if guards.is_none() {
            // Registered before the next look, so that nothing published in between is missed.
            guards = Some(partitions().map(|partition| partition.watch(&waiter)).collect::<Vec<_>>());
            continue;
        }
        // Whatever ends the wait, the next look tells what there is.
        tokio::select! {
            biased;
            () = woken => {}
            _ = stopping.changed() => {}
            () = tokio::time::sleep_until(wanted.deadline) => {}
        }
    }
}

async fn look(call: &Call, topics: &[AskedTopic<'_>], wanted: &Wanted) -> Vec<Vec<Found>> {
    let mut left = wanted.bytes_max;
    let mut first = true;
    let mut looks = Vec::with_capacity(topics.len());
    for topic in topics {
        let mut found = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let one = match &asked.target {
                Ok(partition) if call.node.partitions.get(partition.id()).is_none() => {
                    Found::refused(ErrorCode::UnknownTopicOrPartition)
                }
                Ok(partition) => look_one(asked, partition, left, first, wanted.committed).await,
                Err(error) => Found::refused(*error),
            };
            if let Some(slice) = &one.slice {
                left = left.saturating_sub(slice.len());
                first = false;
            }
            found.push(one);
        }
        looks.push(found);
    }
    looks
}

async fn look_one(asked: &Asked, partition: &Partition, left: u64, first: bool, committed: bool) -> Found {
    let view = partition.view();
    let bytes_max = asked.bytes_max.min(left);
    let diverging = diverging(asked, &view);
    let result = match view.check_epoch(LeaderEpoch(asked.epoch)) {
        Err(refused) => Err(of_refused(&refused).code),
        Ok(()) if diverging.is_some() => Ok(None),
        Ok(()) if asked.from < view.start || asked.from > view.end => Err(ErrorCode::OffsetOutOfRange),
        Ok(()) => {
            let upto = if committed { view.stable } else { view.high_watermark };
            find(partition, &view, asked.from..upto, bytes_max, first).await
        }
    };
    let (error, slice) = result.map_or_else(|error| (error, None), |slice| (ErrorCode::None, slice));
    Found { error, view: Some(view), slice, diverging }
}

/// The largest epoch up to the client's last one, with its end, if the client has something else there.
fn diverging(asked: &Asked, view: &View) -> Option<(LeaderEpoch, Offset)> {
    if asked.last_epoch < 0 {
        return None;
    }
    let (epoch, end) = view.end_of_epoch(LeaderEpoch(asked.last_epoch))?;
    (epoch.0 < asked.last_epoch || end < asked.from).then_some((epoch, end))
}

/// The slice to send, or nothing: past the bound, or no room left and not the first. Where finding it takes the device,
/// that is done off the reactor.
async fn find(
    partition: &Partition,
    view: &View,
    range: Range<Offset>,
    bytes_max: u64,
    first: bool,
) -> Result<Option<Slice>, ErrorCode> {
    if range.is_empty() || (bytes_max == 0 && !first) {
        return Ok(None);
    }
    let found = match view.segments.glance(range.start, range.end, bytes_max) {
        Ok(Glance::Nothing) => Ok(None),
        Ok(Glance::Found(slice)) => Ok(Some(slice)),
        Ok(Glance::Cold) => {
            let segments = view.segments.clone();
            waited(partition, move || segments.read(range.start, range.end, bytes_max)).await
        }
        Err(error) => Err(of_log_error(&error)),
    };
    found.map(|slice| slice.filter(|slice| slice.len() <= bytes_max || first))
}

/// Reads off the reactor.
async fn waited<T: Send + 'static>(
    partition: &Partition,
    read: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, ErrorCode> {
    let read = partition.off_reactor(read).await.ok_or(ErrorCode::KafkaStorageError)?;
    read.map_err(|error| of_log_error(&error))
}

async fn assemble(
    call: &Call,
    topics: Vec<AskedTopic<'_>>,
    found: Vec<Vec<Found>>,
    committed: bool,
) -> FetchResponse {
    let mut response = FetchResponse::default();
    for (topic, found) in topics.into_iter().zip(found) {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        let mut bytes = 0;
        for (asked, found) in topic.partitions.iter().zip(found) {
            let data = partition_data(call, asked, found, committed).await;
            bytes += data.records.as_ref().map_or(0, Payload::len);
            partitions.push(data);
        }
        if let Some(name) = &topic.name {
            call.node.metrics.fetched(name, bytes);
        }
        response.responses.push(FetchableTopicResponse {
            topic: topic.request.topic.clone(),
            topic_id: topic.request.topic_id,
            partitions,
        });
    }
    response
}

async fn partition_data(call: &Call, asked: &Asked, found: Found, committed: bool) -> PartitionData {
    let (mut error, mut records) = (found.error, None);
    if let (Some(slice), Ok(partition)) = (found.slice, &asked.target) {
        match payload(partition, slice).await {
            Ok(piece) => records = Some(Payload::from(piece)),
            Err(code) => error = code,
        }
    }
    if error != ErrorCode::None {
        call.node.metrics.failed(call.api, error);
    }
    let mut data = PartitionData {
        partition_index: asked.index,
        error_code: code_for_fetch(error, call.version).code(),
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        aborted_transactions: committed.then(Vec::<AbortedTransaction>::new),
        preferred_read_replica: -1,
        // Some clients take null for an error.
        records: Some(records.unwrap_or_default()),
        ..Default::default()
    };
    if let Some((epoch, end)) = found.diverging {
        data.diverging_epoch = EpochEndOffset { epoch: epoch.0, end_offset: end.0 };
    }
    if let Some(view) = found.view.filter(|_| error == ErrorCode::None) {
        data.high_watermark = view.high_watermark.0;
        data.last_stable_offset = view.stable.0;
        data.log_start_offset = view.start.0;
    }
    data
}

/// Bytes that are in memory and known to be sound go out as they lie in the file. Others are read through and checked off
/// the reactor first; they take no memory of ours either.
async fn payload(partition: &Partition, slice: Slice) -> Result<Piece, ErrorCode> {
    if slice.is_ready() {
        return Ok(slice.piece());
    }
    waited(partition, move || slice.check()).await.map(|sound| sound.piece())
}
