//! IncrementalAlterConfigs 0-1: SET, DELETE, APPEND and SUBTRACT on topics. A broker's own settings are read from its
//! configuration when it starts.

use forebay_meta::{Command, ConfigChange, ConfigEdit, ConfigOp, Reply};
use forebay_wire::Text;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use super::call::Call;
use super::codes::{Failure, of_propose_error, of_refusal};
use super::describe_configs::TOPIC;

pub(super) async fn answer(
    call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let changes: Vec<_> = request.resources.iter().map(|resource| change(call, resource)).collect();
    let topics: Vec<_> = changes.iter().filter_map(|change| change.as_ref().ok().cloned()).collect();
    let outcome = propose(call, topics, request.validate_only).await;
    // Answers come in the order of the changes that were proposed, so they are taken one by one.
    let mut answers = outcome.map(Vec::into_iter);
    let responses = request.resources.iter().zip(changes).map(|(resource, change)| {
        let failure = match (change, &mut answers) {
            (Err(failure), _) => failure,
            (Ok(_), Err(failure)) => failure.clone(),
            (Ok(_), Ok(answers)) => answers.next().unwrap_or_else(|| ErrorCode::UnknownServerError.into()),
        };
        AlterConfigsResourceResponse {
            error_code: failure.code.code(),
            error_message: failure.message.map(Text::from),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
        }
    });
    IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

async fn propose(
    call: &Call,
    topics: Vec<ConfigChange>,
    validate_only: bool,
) -> Result<Vec<Failure>, Failure> {
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    match call.node.controller.propose(Command::AlterConfigs { topics, validate_only }).await {
        Ok(Reply::AlterConfigs(results)) => Ok(results
            .iter()
            .map(|result| result.as_ref().err().map_or(ErrorCode::None.into(), of_refusal))
            .collect()),
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
    if !call.permits(&resource.resource_name) {
        return Err(ErrorCode::TopicAuthorizationFailed.into());
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
