//! DeleteTopics 1-6; by name, from version 6 also by id.

use forebay_base::TopicId;
use forebay_meta::{Command, Reply, TopicRef};
use forebay_wire::Text;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};

use super::call::Call;
use super::codes::{Failure, of_propose_error, of_refusal};

const STATES_FROM_VERSION: i16 = 6;

pub(super) async fn answer(call: &Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let asked: Vec<DeleteTopicState> = if call.version >= STATES_FROM_VERSION {
        request.topics
    } else {
        let by_name = |name: Text| DeleteTopicState { name: Some(name), ..Default::default() };
        request.topic_names.into_iter().map(by_name).collect()
    };
    let keys = asked.iter().map(|topic| match &topic.name {
        Some(name) => TopicRef::Name(name.to_string()),
        None => TopicRef::Id(TopicId(topic.topic_id)),
    });
    let command = Command::DeleteTopics { topics: keys.collect() };
    let outcome = match call.node.controller.propose(command).await {
        Ok(Reply::DeleteTopics(results)) => Ok(results),
        Ok(_) => Err(ErrorCode::UnknownServerError.into()),
        Err(error) => Err(of_propose_error(&error)),
    };
    let responses = asked.iter().enumerate().map(|(at, topic)| {
        let failure: Option<Failure> = match &outcome {
            Err(failure) => Some(failure.clone()),
            Ok(results) => match results.get(at) {
                Some(Ok((id, name))) => {
                    return DeletableTopicResult {
                        name: Some(Text::from(name.clone())),
                        topic_id: id.0,
                        ..Default::default()
                    };
                }
                Some(Err(refusal)) => Some(of_refusal(refusal)),
                None => Some(ErrorCode::UnknownServerError.into()),
            },
        };
        let failure = failure.unwrap_or(ErrorCode::None.into());
        DeletableTopicResult {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            error_code: failure.code.code(),
            error_message: failure.message.map(Text::from),
        }
    });
    DeleteTopicsResponse { responses: responses.collect(), ..Default::default() }
}
