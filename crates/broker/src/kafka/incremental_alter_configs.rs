//! IncrementalAlterConfigs 0-1: SET, DELETE, APPEND and SUBTRACT on topics. A broker's own settings are read from its
//! configuration when it starts.

use forebay_meta::{Command, ConfigChange, ConfigEdit, ConfigOp, Refusal, Reply};
use forebay_wire::Text;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use super::call::Call;
use super::codes::{Failure, failure_of, of_propose_error, outcomes};
use super::describe_configs::TOPIC;

pub(super) async fn answer(
    call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let (mut topics, mut refused) = (Vec::new(), Vec::new());
    for resource in &request.resources {
        let change = change(call, resource);
        refused.push(change.as_ref().err().cloned());
        topics.extend(change.ok());
    }
    let decided = propose(call, topics, request.validate_only).await;
    let responses = request.resources.iter().zip(outcomes(refused, decided)).map(|(resource, outcome)| {
        let failure = failure_of(outcome);
        AlterConfigsResourceResponse {
            error_code: failure.code.code(),
            error_message: failure.message.map(Text::from),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
        }
    });
    IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

type Decided = Vec<Result<(), Refusal>>;

async fn propose(call: &Call, topics: Vec<ConfigChange>, validate_only: bool) -> Result<Decided, Failure> {
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    match call.node.controller.propose(Command::AlterConfigs { topics, validate_only }).await {
        Ok(Reply::AlterConfigs(results)) => Ok(results),
        Ok(_) => Err(ErrorCode::UnknownServerError.into()),
        Err(error) => Err(of_propose_error(&error)),
    }
}

fn change(call: &Call, resource: &AlterConfigsResource) -> Result<ConfigChange, Failure> {
    if resource.resource_type != TOPIC {
        return Err(Failure::new(
            ErrorCode::InvalidRequest,
            "only topics can be altered; a broker's settings are read from its configuration when it starts",
        ));
    }
    if let Some(denied) = call.denied(&resource.resource_name) {
        return Err(denied);
    }
    let edits = resource.configs.iter().map(|config| {
        let op = match config.config_operation {
            0 => ConfigOp::Set,
            1 => ConfigOp::Delete,
            2 => ConfigOp::Append,
            3 => ConfigOp::Subtract,
            other => {
                let sentence = format!(
                    "unknown operation {other} on {}: 0 sets, 1 deletes, 2 appends, 3 subtracts",
                    &*config.name
                );
                return Err(Failure::new(ErrorCode::InvalidRequest, sentence));
            }
        };
        Ok(ConfigEdit {
            name: config.name.to_string(),
            op,
            value: config.value.as_ref().map(ToString::to_string),
        })
    });
    Ok(ConfigChange { topic: resource.resource_name.to_string(), edits: edits.collect::<Result<_, _>>()? })
}
