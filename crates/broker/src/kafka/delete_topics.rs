//! DeleteTopics 1-6; by name, from version 6 also by id.

use forebay_base::TopicId;
use forebay_meta::{Command, Reply, TopicRef};
use forebay_wire::Text;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};

use super::call::Call;
use super::codes::{Failure, outcomes};

const STATES_FROM_VERSION: i16 = 6;

pub(super) async fn answer(call: &Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let timeout_ms = request.timeout_ms;
    let asked: Vec<DeleteTopicState> = if call.version >= STATES_FROM_VERSION {
        request.topics
    } else {
        let by_name = |name: Text| DeleteTopicState { name: Some(name), ..Default::default() };
        request.topic_names.into_iter().map(by_name).collect()
    };
    let denied: Vec<_> = asked.iter().map(|topic| denied(call, topic)).collect();
    let permitted = asked.iter().zip(&denied).filter(|(_, denied)| denied.is_none());
    let keys = permitted.map(|(topic, _)| match &topic.name {
        Some(name) => TopicRef::Name(name.to_string()),
        None => TopicRef::Id(TopicId(topic.topic_id)),
    });
    let command = Command::DeleteTopics { topics: keys.collect() };
    let decided = match call.propose(command, timeout_ms).await {
        Ok(Reply::DeleteTopics(results)) => Ok(results),
        Ok(_) => Err(ErrorCode::UnknownServerError.into()),
        Err(failure) => Err(failure),
    };
    let responses = asked.iter().zip(outcomes(denied, decided)).map(|(topic, outcome)| match outcome {
        Ok((id, name)) => {
            DeletableTopicResult { name: Some(Text::from(name)), topic_id: id.0, ..Default::default() }
        }
        Err(failure) => DeletableTopicResult {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            error_code: failure.code.code(),
            error_message: failure.message.map(Text::from),
        },
    });
    DeleteTopicsResponse { responses: responses.collect(), ..Default::default() }
}

fn denied(call: &Call, topic: &DeleteTopicState) -> Option<Failure> {
    match &topic.name {
        Some(name) => call.denied(name),
        None => call.denied(&call.node.topic_by_id(TopicId(topic.topic_id))?.name),
    }
}
