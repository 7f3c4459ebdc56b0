//! DeleteRecords 0-2: moves the log start; -1 means the high watermark. Durable when answered.

use std::time::Duration;

use forebay_base::Offset;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};

use super::call::Call;
use super::codes::{of_refused, of_unavailable};
use crate::partitions::Hosted;

pub(super) async fn answer(call: &Call, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let deadline =
        tokio::time::Instant::now() + Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let mut response = DeleteRecordsResponse::default();
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let outcome = tokio::time::timeout_at(deadline, delete(call, &topic.name, asked)).await;
            let (low_watermark, code) = match outcome.unwrap_or(Err(ErrorCode::RequestTimedOut)) {
                Ok(start) => (start.0, ErrorCode::None),
                Err(code) => (-1, code),
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: asked.partition_index,
                low_watermark,
                error_code: code.code(),
            });
        }
        response.topics.push(DeleteRecordsTopicResult { name: topic.name.clone(), partitions });
    }
    response
}

async fn delete(call: &Call, name: &str, asked: &DeleteRecordsPartition) -> Result<Offset, ErrorCode> {
    if !call.permits(name) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let topic = call.node.topic_by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let led = call.led(&topic, asked.partition_index).await;
    let Hosted::Open { partition, settings } =
        led.map_err(|unavailable| of_unavailable(&unavailable).code)?
    else {
        return Err(ErrorCode::KafkaStorageError);
    };
    if settings.compact && !settings.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let answer = partition.delete_records(Offset(asked.offset)).await;
    answer.map_err(|_| ErrorCode::RequestTimedOut)?.map_err(|refused| of_refused(&refused).code)
}
