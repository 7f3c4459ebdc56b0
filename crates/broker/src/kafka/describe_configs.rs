//! DescribeConfigs 1-4: every setting of a topic or of a broker, with its value, where it comes from, its type and
//! its documentation. A null or empty list of names asks for all of them.

use std::collections::HashSet;

use forebay_meta::topic_config::{self, Described, Source};
use forebay_wire::Text;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};

use super::auth::CLUSTER;
use super::call::Call;
use super::codes::Failure;
use crate::{Config, Kind, Setting, Source as ServerSource};

/// Kafka's number for a topic among resource types.
pub(super) const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const DYNAMIC_TOPIC_CONFIG: i8 = 1;
const STATIC_BROKER_CONFIG: i8 = 4;
const DEFAULT_CONFIG: i8 = 5;

const TYPE_BOOLEAN: i8 = 1;
const TYPE_STRING: i8 = 2;
const TYPE_INT: i8 = 3;
const TYPE_LONG: i8 = 5;
const TYPE_DOUBLE: i8 = 6;
const TYPE_LIST: i8 = 7;

pub(super) async fn answer(call: &Call, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let mut seen = HashSet::new();
    let resources = request.resources.iter();
    // Each resource is described once, however often it is named.
    let distinct =
        resources.filter(|resource| seen.insert((resource.resource_type, resource.resource_name.clone())));
    let results = distinct.map(|resource| {
        let outcome = match resource.resource_type {
            TOPIC => topic(call, resource, request.include_synonyms),
            BROKER => broker(call, resource, request.include_synonyms),
            _ => Err(Failure::new(ErrorCode::InvalidRequest, "only topics and brokers have settings")),
        };
        let (failure, mut configs) = match outcome {
            Ok(configs) => (ErrorCode::None.into(), configs),
            Err(failure) => (failure, Vec::new()),
        };
        if !request.include_documentation {
            configs.iter_mut().for_each(|config| config.documentation = None);
        }
        DescribeConfigsResult {
            error_code: failure.code.code(),
            error_message: failure.message.map(Text::from),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            configs,
        }
    });
    DescribeConfigsResponse { results: results.collect(), ..Default::default() }
}

type Configs = Vec<DescribeConfigsResourceResult>;

fn wanted(resource: &DescribeConfigsResource, name: &str) -> bool {
    let keys = resource.configuration_keys.as_deref().unwrap_or_default();
    keys.is_empty() || keys.iter().any(|key| **key == *name)
}

fn topic(call: &Call, resource: &DescribeConfigsResource, synonyms: bool) -> Result<Configs, Failure> {
    let name = &*resource.resource_name;
    if !call.permits(name) {
        return Err(ErrorCode::TopicAuthorizationFailed.into());
    }
    if forebay_meta::name::validate(name).is_err() {
        return Err(ErrorCode::InvalidTopicException.into());
    }
    let topic = call.node.topic_by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let described = topic_config::describe(&topic.configs, &call.node.topic_defaults);
    Ok(described
        .filter(|one| wanted(resource, one.config.name))
        .map(|one| topic_setting(call, &one, synonyms))
        .collect())
}

fn topic_setting(call: &Call, one: &Described<'_>, synonyms: bool) -> DescribeConfigsResourceResult {
    let source = source_number(one.source);
    let mut known = Vec::new();
    if synonyms {
        if one.source == Source::Topic {
            known.push(synonym(one.config.name, one.value, source));
        }
        if let Some(value) = call.node.topic_defaults.get(one.config.name) {
            known.push(synonym(one.config.server_name, value, STATIC_BROKER_CONFIG));
        }
        known.push(synonym(one.config.server_name, one.config.default, DEFAULT_CONFIG));
    }
    DescribeConfigsResourceResult {
        name: Text::from(one.config.name),
        value: Some(Text::from(one.value)),
        config_source: source,
        synonyms: known,
        config_type: topic_type(one.config.kind),
        documentation: Some(Text::from(one.config.doc)),
        ..Default::default()
    }
}

/// Kafka's number for where a topic's setting comes from.
pub(super) fn source_number(source: Source) -> i8 {
    match source {
        Source::Topic => DYNAMIC_TOPIC_CONFIG,
        Source::Server => STATIC_BROKER_CONFIG,
        Source::Default => DEFAULT_CONFIG,
    }
}

fn synonym(name: &str, value: &str, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym { name: Text::from(name), value: Some(Text::from(value)), source }
}

fn topic_type(kind: topic_config::Kind) -> i8 {
    match kind {
        topic_config::Kind::Boolean => TYPE_BOOLEAN,
        topic_config::Kind::Int { .. } => TYPE_INT,
        topic_config::Kind::Long { .. } => TYPE_LONG,
        topic_config::Kind::Fraction => TYPE_DOUBLE,
        topic_config::Kind::OneOf(_) => TYPE_STRING,
        topic_config::Kind::SomeOf(_) | topic_config::Kind::List => TYPE_LIST,
    }
}

fn broker(call: &Call, resource: &DescribeConfigsResource, synonyms: bool) -> Result<Configs, Failure> {
    let name = &*resource.resource_name;
    if !call.permits(CLUSTER) {
        return Err(ErrorCode::ClusterAuthorizationFailed.into());
    }
    // The empty name asks for settings of all brokers together; there are none of those.
    if name.is_empty() {
        return Ok(Vec::new());
    }
    if name.parse() != Ok(call.node.node.0) {
        let sentence = format!("this is node {}; ask node {name} for its own settings", call.node.node);
        return Err(Failure::new(ErrorCode::InvalidRequest, sentence));
    }
    let values = call.node.config.values().into_iter().zip(Config::describe());
    Ok(values
        .filter(|((name, ..), _)| wanted(resource, name))
        .map(|((name, value, source), setting)| broker_setting(name, value, source, setting, synonyms))
        .collect())
}

fn broker_setting(
    name: &str,
    value: String,
    source: ServerSource,
    setting: &Setting,
    synonyms: bool,
) -> DescribeConfigsResourceResult {
    let source = if source == ServerSource::Default { DEFAULT_CONFIG } else { STATIC_BROKER_CONFIG };
    DescribeConfigsResourceResult {
        name: Text::from(name),
        synonyms: if synonyms { vec![synonym(name, &value, source)] } else { Vec::new() },
        value: Some(Text::from(value)),
        read_only: true,
        config_source: source,
        config_type: match setting.kind {
            Kind::Boolean => TYPE_BOOLEAN,
            Kind::Integer { .. } | Kind::Limit { .. } => TYPE_LONG,
            Kind::Choice(_) | Kind::Text => TYPE_STRING,
            Kind::List => TYPE_LIST,
        },
        documentation: Some(Text::from(setting.doc)),
        ..Default::default()
    }
}
