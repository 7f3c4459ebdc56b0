//! CreatePartitions 0-3. Every topic asked for is echoed.

use forebay_base::NodeId;
use forebay_meta::{Command, MorePartitions, Refusal, Reply};
use forebay_wire::Text;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};

use super::call::Call;
use super::codes::{Failure, failure_of, of_no_place, outcomes};

pub(super) async fn answer(call: &Call, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let denied: Vec<_> = request.topics.iter().map(|topic| call.denied(&topic.name)).collect();
    let permitted = request.topics.iter().zip(&denied).filter(|(_, denied)| denied.is_none());
    let topics = permitted.map(|(topic, _)| MorePartitions {
        name: topic.name.to_string(),
        count: topic.count,
        assignments: topic.assignments.as_ref().map(|assignments| {
            let nodes = |ids: &Vec<i32>| ids.iter().map(|id| NodeId(*id)).collect();
            assignments.iter().map(|assignment| nodes(&assignment.broker_ids)).collect()
        }),
    });
    let decided = propose(call, topics.collect(), &request).await;
    let results = request.topics.iter().zip(outcomes(denied, decided)).map(|(topic, outcome)| {
        let failure = failure_of(outcome);
        CreatePartitionsTopicResult {
            name: topic.name.clone(),
            error_code: failure.code.code(),
            error_message: failure.message.map(Text::from),
        }
    });
    CreatePartitionsResponse { results: results.collect(), ..Default::default() }
}

async fn propose(
    call: &Call,
    topics: Vec<MorePartitions>,
    request: &CreatePartitionsRequest,
) -> Result<Vec<Result<(), Refusal>>, Failure> {
    let avoid = call.node.not_to_be_used().map_err(|full| of_no_place(&call.node, full))?;
    let command = Command::CreatePartitions { topics, avoid, validate_only: request.validate_only };
    let Reply::CreatePartitions(results) = call.propose(command, request.timeout_ms).await? else {
        return Err(ErrorCode::UnknownServerError.into());
    };
    Ok(results)
}
