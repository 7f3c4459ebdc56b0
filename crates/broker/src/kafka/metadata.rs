//! Metadata 0-12. Null (version 0: empty) topics means all. A topic that is missing and may be made is made before
//! the answer, which then names its leader at once.

use std::collections::HashSet;
use std::sync::Arc;

use forebay_base::{NodeId, TopicId};
use forebay_meta::{Image, Topic};
use forebay_wire::Text;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};

use super::call::Call;
use super::create_topics::create_with_defaults;

pub(super) async fn answer(call: &Call, request: MetadataRequest) -> MetadataResponse {
    let everything = match &request.topics {
        None => true,
        Some(topics) => call.version == 0 && topics.is_empty(),
    };
    let topics = if everything {
        let image = call.node.image();
        image.topics.values().filter(|topic| call.permits(&topic.name)).map(describe).collect()
    } else {
        let mut seen = HashSet::new();
        let mut asked = request.topics.unwrap_or_default();
        // Each topic is described once, however often it is named: an answer must not outgrow its request by far.
        asked.retain(|topic| seen.insert((topic.topic_id, topic.name.clone())));
        let missing = missing(call, &asked, request.allow_auto_topic_creation);
        let failures = create_with_defaults(call, missing).await;
        asked.iter().map(|topic| one(call, topic, &failures)).collect()
    };
    let image = call.node.image();
    MetadataResponse {
        brokers: brokers(&image, &call.session.listener),
        cluster_id: Some(Text::from(image.cluster.to_string())),
        controller_id: call.node.node.0,
        topics,
        ..Default::default()
    }
}

/// Names to be made: asked for by a valid name, unknown, and wanted by client and configuration both.
fn missing(call: &Call, asked: &[MetadataRequestTopic], wanted: bool) -> Vec<Text> {
    if !wanted || !call.node.config.auto_create_topics_enable {
        return Vec::new();
    }
    let names = asked.iter().filter(|topic| topic.topic_id.is_zero()).filter_map(|topic| topic.name.clone());
    names
        .filter(|name| forebay_meta::name::validate(name).is_ok() && call.node.topic_by_name(name).is_none())
        .collect()
}

fn one(call: &Call, asked: &MetadataRequestTopic, failures: &[(Text, ErrorCode)]) -> MetadataResponseTopic {
    let by_id = !asked.topic_id.is_zero();
    let (found, unknown) = if by_id {
        (call.node.topic_by_id(TopicId(asked.topic_id)), ErrorCode::UnknownTopicId)
    } else {
        let name = asked.name.as_deref().unwrap_or_default();
        (call.node.topic_by_name(name), ErrorCode::UnknownTopicOrPartition)
    };
    let error = match (&found, &asked.name) {
        (Some(topic), _) if call.permits(&topic.name) => return describe(topic),
        (Some(_), _) => ErrorCode::TopicAuthorizationFailed,
        (None, Some(name)) if !by_id && forebay_meta::name::validate(name).is_err() => {
            ErrorCode::InvalidTopicException
        }
        (None, Some(name)) => {
            failures.iter().find(|(failed, _)| failed == name).map_or(unknown, |(_, failure)| *failure)
        }
        (None, None) => unknown,
    };
    MetadataResponseTopic {
        error_code: error.code(),
        name: asked.name.clone(),
        topic_id: asked.topic_id,
        ..Default::default()
    }
}

fn describe(topic: &Arc<Topic>) -> MetadataResponseTopic {
    let partitions = topic.partitions.iter().enumerate().map(|(index, assignment)| {
        let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<_>>();
        MetadataResponsePartition {
            error_code: if assignment.leader.is_some() { 0 } else { ErrorCode::LeaderNotAvailable.code() },
            partition_index: i32::try_from(index).unwrap_or(i32::MAX),
            leader_id: assignment.leader.map_or(-1, |leader| leader.0),
            leader_epoch: assignment.leader_epoch.0,
            replica_nodes: ids(&assignment.replicas),
            isr_nodes: ids(&assignment.isr),
            ..Default::default()
        }
    });
    MetadataResponseTopic {
        name: Some(Text::from(&*topic.name)),
        topic_id: topic.id.0,
        partitions: partitions.collect(),
        topic_authorized_operations: i32::MIN,
        ..Default::default()
    }
}

fn brokers(image: &Image, listener: &str) -> Vec<MetadataResponseBroker> {
    let one = |node: &NodeId| {
        let (host, port) = endpoint(image, *node, listener)?;
        let rack = image.brokers.get(node).and_then(|broker| broker.rack.clone()).map(Text::from);
        Some(MetadataResponseBroker { node_id: node.0, host, port, rack })
    };
    image.brokers.keys().filter_map(one).collect()
}

/// Where clients of `listener` reach a node.
pub(super) fn endpoint(image: &Image, node: NodeId, listener: &str) -> Option<(Text, i32)> {
    let endpoints = &image.brokers.get(&node)?.endpoints;
    let found = endpoints.iter().find(|endpoint| endpoint.listener == listener)?;
    Some((Text::from(found.host.clone()), i32::from(found.port)))
}
