//! OffsetForLeaderEpoch 2-4: where a leader epoch ended, for clients that check whether their position was cut off
//! (KIP-320).

use forebay_base::LeaderEpoch;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};

use super::call::Call;
use super::codes::{of_refused, of_unavailable};
use crate::partitions::Hosted;

pub(super) async fn answer(
    call: &Call,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut response = OffsetForLeaderEpochResponse::default();
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let (error, epoch, end) = match look_up(call, &topic.topic, asked).await {
                Ok((epoch, end)) => (ErrorCode::None, epoch, end),
                Err(code) => (code, -1, -1),
            };
            partitions.push(EpochEndOffset {
                error_code: error.code(),
                partition: asked.partition,
                leader_epoch: epoch,
                end_offset: end,
            });
        }
        let topic = topic.topic.clone();
        response.topics.push(OffsetForLeaderTopicResult { topic, partitions });
    }
    response
}

async fn look_up(call: &Call, name: &str, asked: &OffsetForLeaderPartition) -> Result<(i32, i64), ErrorCode> {
    if !call.permits(name) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let topic = call.node.topic_by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let led = call.led(&topic, asked.partition).await;
    let Hosted::Open { partition, .. } = led.map_err(|unavailable| of_unavailable(&unavailable).code)? else {
        return Err(ErrorCode::KafkaStorageError);
    };
    let view = partition.view();
    view.check_epoch(LeaderEpoch(asked.current_leader_epoch)).map_err(|stale| of_refused(&stale).code)?;
    let end = view.end_of_epoch(LeaderEpoch(asked.leader_epoch));
    Ok(end.map_or((-1, -1), |(epoch, offset)| (epoch.0, offset.0)))
}
