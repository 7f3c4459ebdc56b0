//! CreateTopics 2-7. Decided by the metadata leader, all topics of a request at once; each has its own answer.

use forebay_base::{TopicId, fresh_id};
use forebay_meta::{Command, CreatedTopic, NewTopic, Refusal, Reply, TopicDefaults, topic_config};
use forebay_wire::Text;
use forebay_wire::kafka::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use forebay_wire::kafka::{ApiKey, ErrorCode};

use super::auth;
use super::call::Call;
use super::codes::{Failure, of_no_place, of_refusal, outcomes};
use super::describe_configs::source_number;

/// How long a request that makes topics by the way waits for that, in ms: it has no timeout of its own, and answers
/// behind it wait with it.
const AUTO_CREATE_TIMEOUT_MS: i32 = 5_000;

pub(super) async fn answer(call: &Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let denied: Vec<_> = request.topics.iter().map(|topic| call.denied(&topic.name)).collect();
    let permitted = request.topics.iter().zip(&denied).filter(|(_, denied)| denied.is_none());
    let topics = permitted.map(|(topic, _)| new_topic(call, topic)).collect();
    let decided = propose(call, topics, request.validate_only, request.timeout_ms).await;
    let results =
        request.topics.iter().zip(outcomes(denied, decided)).map(|(topic, outcome)| match outcome {
            Ok(created) => created_topic(call, topic, &created),
            Err(failure) => failed(topic, failure),
        });
    CreateTopicsResponse { topics: results.collect(), ..Default::default() }
}

/// Makes topics with the node's defaults, for auto-creation; says which could not be made. One that somebody else
/// made in the meantime is not a failure. What the quorum did not decide in time may come yet: LEADER_NOT_AVAILABLE is
/// what has every client ask again.
pub(super) async fn create_with_defaults(call: &Call, names: Vec<Text>) -> Vec<(Text, ErrorCode)> {
    if names.is_empty() {
        return Vec::new();
    }
    let (names, denied): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| may_create(call, name));
    let denied = denied.into_iter().map(|name| (name, ErrorCode::TopicAuthorizationFailed));
    let topics = names.iter().map(|name| NewTopic {
        id: TopicId(fresh_id(&*call.node.rng)),
        name: name.to_string(),
        partitions: -1,
        replication_factor: -1,
        assignments: Vec::new(),
        configs: Vec::new(),
    });
    let code_of = |name: Text, result: &Result<CreatedTopic, Refusal>| match result {
        Ok(_) | Err(Refusal::TopicAlreadyExists(_)) => None,
        Err(refusal) => Some((name, of_refusal(refusal).code)),
    };
    let failed: Vec<_> = match propose(call, topics.collect(), false, AUTO_CREATE_TIMEOUT_MS).await {
        Ok(results) => {
            names.into_iter().zip(&results).filter_map(|(name, result)| code_of(name, result)).collect()
        }
        Err(_) => names.into_iter().map(|name| (name, ErrorCode::LeaderNotAvailable)).collect(),
    };
    failed.into_iter().chain(denied).collect()
}

/// Making a topic takes the right to create it, also where it is made because somebody asked for it.
fn may_create(call: &Call, name: &str) -> bool {
    auth::right_of(ApiKey::CreateTopics)
        .is_some_and(|right| auth::allows(&call.session.principal, right, name))
}

type Created = Vec<Result<CreatedTopic, Refusal>>;

async fn propose(
    call: &Call,
    topics: Vec<NewTopic>,
    validate_only: bool,
    timeout_ms: i32,
) -> Result<Created, Failure> {
    let config = &call.node.config;
    let defaults = TopicDefaults {
        partitions: config.num_partitions,
        replication_factor: config.default_replication_factor,
    };
    let avoid = call.node.not_to_be_used().map_err(|full| of_no_place(&call.node, full))?;
    let command = Command::CreateTopics { topics, validate_only, defaults, avoid };
    let Reply::CreateTopics(results) = call.propose(command, timeout_ms).await? else {
        return Err(ErrorCode::UnknownServerError.into());
    };
    Ok(results)
}

fn new_topic(call: &Call, topic: &CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.iter().map(|assignment| {
        let replicas = assignment.broker_ids.iter().map(|id| forebay_base::NodeId(*id)).collect();
        (assignment.partition_index, replicas)
    });
    NewTopic {
        id: TopicId(fresh_id(&*call.node.rng)),
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: topic
            .configs
            .iter()
            .map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string)))
            .collect(),
    }
}

fn failed(topic: &CreatableTopic, failure: Failure) -> CreatableTopicResult {
    CreatableTopicResult {
        name: topic.name.clone(),
        error_code: failure.code.code(),
        error_message: failure.message.map(Text::from),
        num_partitions: -1,
        replication_factor: -1,
        ..Default::default()
    }
}

fn created_topic(call: &Call, topic: &CreatableTopic, created: &CreatedTopic) -> CreatableTopicResult {
    let described = topic_config::describe(&created.configs, &call.node.topic_defaults);
    let configs = described.map(|one| CreatableTopicConfigs {
        name: Text::from(one.config.name),
        value: Some(Text::from(one.value)),
        config_source: source_number(one.source),
        ..Default::default()
    });
    CreatableTopicResult {
        name: topic.name.clone(),
        topic_id: created.id.0,
        num_partitions: created.partitions,
        replication_factor: created.replication_factor,
        configs: Some(configs.collect()),
        ..Default::default()
    }
}
