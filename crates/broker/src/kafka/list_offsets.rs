//! ListOffsets 1-8: -1 latest (the stable offset if read_committed), -2 earliest, -3 the record with the largest
//! timestamp (version 7), -4 earliest local (version 8; the same as earliest here), else the first record at or
//! after a timestamp.

use std::sync::Arc;

use forebay_base::{LeaderEpoch, Offset};
use forebay_replica::{Partition, View, max_timestamp, offset_for_timestamp};
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};

use super::call::Call;
use super::codes::{of_log_error, of_refused, of_unavailable};
use crate::partitions::Hosted;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const MAX_TIMESTAMP_FROM_VERSION: i16 = 7;
const EARLIEST_LOCAL_FROM_VERSION: i16 = 8;
const NOT_FOUND: (i64, i64) = (-1, -1);

pub(super) async fn answer(call: &Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let committed = request.isolation_level == 1;
    let mut response = ListOffsetsResponse::default();
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let answer = look_up(call, &topic.name, asked, committed).await;
            let mut partition =
                ListOffsetsPartitionResponse { partition_index: asked.partition_index, ..Default::default() };
            match answer {
                Ok(((offset, timestamp), view)) => {
                    partition.offset = offset;
                    partition.timestamp = timestamp;
                    partition.leader_epoch = epoch_of(&view, Offset(offset));
                }
                Err(code) => partition.error_code = code.code(),
            }
            partitions.push(partition);
        }
        response.topics.push(ListOffsetsTopicResponse { name: topic.name.clone(), partitions });
    }
    response
}

async fn look_up(
    call: &Call,
    name: &str,
    asked: &ListOffsetsPartition,
    committed: bool,
) -> Result<((i64, i64), Arc<View>), ErrorCode> {
    if !call.permits(name) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let topic = call.node.topic_by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let led = call.led(&topic, asked.partition_index).await;
    let Hosted::Open { partition, .. } = led.map_err(|unavailable| of_unavailable(&unavailable).code)? else {
        return Err(ErrorCode::KafkaStorageError);
    };
    let view = partition.view();
    view.check_epoch(LeaderEpoch(asked.current_leader_epoch)).map_err(|stale| of_refused(&stale).code)?;
    let upto = if committed { view.stable } else { view.high_watermark };
    let found = match asked.timestamp {
        LATEST => (upto.0, -1),
        EARLIEST => (view.start.0, -1),
        EARLIEST_LOCAL if call.version >= EARLIEST_LOCAL_FROM_VERSION => (view.start.0, -1),
        MAX_TIMESTAMP if call.version >= MAX_TIMESTAMP_FROM_VERSION => {
            search(&partition, &view, move |view| max_timestamp(&view.segments, upto)).await?
        }
        negative if negative < 0 => return Err(ErrorCode::UnsupportedVersion),
        target => {
            search(&partition, &view, move |view| offset_for_timestamp(&view.segments, target, upto)).await?
        }
    };
    Ok((found, view))
}

type Found = Result<Option<(Offset, i64)>, forebay_log::LogError>;

/// Searching reads the log, perhaps from the device, so it is done off the reactor.
async fn search(
    partition: &Partition,
    view: &Arc<View>,
    search: impl FnOnce(&View) -> Found + Send + 'static,
) -> Result<(i64, i64), ErrorCode> {
    let (view, start) = (view.clone(), view.start);
    let found = partition.off_reactor(move || search(&view)).await.ok_or(ErrorCode::RequestTimedOut)?;
    let found = found.map_err(|error| of_log_error(&error))?;
    // The batch found may begin before the log start, where records were deleted from it.
    Ok(found.map_or(NOT_FOUND, |(offset, timestamp)| (offset.max(start).0, timestamp)))
}

/// The leader epoch in which the record at `offset` was written; of the end of the log, the epoch of the last one.
fn epoch_of(view: &View, offset: Offset) -> i32 {
    let entries = view.epochs.entries();
    entries.iter().rev().find(|(_, start)| *start <= offset).map_or(-1, |(epoch, _)| epoch.0)
}
