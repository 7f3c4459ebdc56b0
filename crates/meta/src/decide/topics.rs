use std::collections::{BTreeMap, BTreeSet};

use forebay_base::limits::TOPIC_PARTITIONS_MAX;
use forebay_base::{DirectoryId, NodeId, PartitionId, TopicId};

use super::occurrences;
use crate::placement::Placer;
use crate::{
    Assignment, CreatedTopic, Image, NewTopic, Record, Refusal, TopicDefaults, TopicRef, name, topic_config,
};

impl Image {
    pub(super) fn create_topics(
        &self,
        topics: &[NewTopic],
        defaults: TopicDefaults,
        avoid: &BTreeSet<DirectoryId>,
        records: &mut Vec<Record>,
    ) -> Vec<Result<CreatedTopic, Refusal>> {
        let names = occurrences(topics.iter().map(|topic| topic.name.as_str()));
        let ids = occurrences(topics.iter().map(|topic| topic.id));
        let mut placer = Placer::new(self, avoid);
        let mut made = 0;
        let mut create = |topic: &NewTopic| {
            self.must_be_formatted()?;
            if names.get(topic.name.as_str()).is_some_and(|count| *count > 1) {
                let sentence =
                    format!("the request names topic '{}' more than once", topic.name.escape_debug());
                return Err(Refusal::InvalidRequest(sentence));
            }
            if topic.id.0.is_zero() || self.topics.contains_key(&topic.id) || ids.get(&topic.id) > Some(&1) {
                return Err(Refusal::InvalidRequest(format!("topic id {} is not a fresh one", topic.id)));
            }
            let (created, assignments) = self.plan_topic(topic, defaults, &mut placer)?;
            made += assignments.len();
            if made > TOPIC_PARTITIONS_MAX as usize {
                let sentence =
                    format!("one request may make at most {TOPIC_PARTITIONS_MAX} partitions in all");
                return Err(Refusal::PolicyViolation(sentence));
            }
            push_topic(&topic.name, &created, assignments, records);
            Ok(created)
        };
        topics.iter().map(&mut create).collect()
    }

    fn plan_topic(
        &self,
        topic: &NewTopic,
        defaults: TopicDefaults,
        placer: &mut Placer,
    ) -> Result<(CreatedTopic, Vec<Assignment>), Refusal> {
        name::validate_new(&topic.name).map_err(Refusal::InvalidTopic)?;
        if self.names.contains_key(topic.name.as_str()) {
            return Err(Refusal::TopicAlreadyExists(topic.name.clone()));
        }
        let configs = check_configs(&topic.configs)?;
        let assignments = if topic.assignments.is_empty() {
            place_topic(topic, defaults, placer)?
        } else {
            place_as_asked(topic, placer)?
        };
        let created = CreatedTopic {
            id: topic.id,
            partitions: assignments.len() as i32,
            replication_factor: assignments.first().map_or(0, |first| first.replicas.len() as i16),
            configs,
        };
        Ok((created, assignments))
    }

    pub(super) fn delete_topics(
        &self,
        topics: &[TopicRef],
        records: &mut Vec<Record>,
    ) -> Vec<Result<(TopicId, String), Refusal>> {
        let found: Vec<_> = topics.iter().map(|topic| self.find_topic(topic)).collect();
        let counts = occurrences(found.iter().flatten().map(|(id, _)| *id));
        let mut delete = |found: Result<(TopicId, String), Refusal>| {
            let (id, name) = found?;
            if counts.get(&id).is_some_and(|count| *count > 1) {
                return Err(Refusal::InvalidRequest(format!(
                    "the request names topic '{name}' more than once"
                )));
            }
            records.push(Record::TopicRemoved { id });
            Ok((id, name))
        };
        found.into_iter().map(&mut delete).collect()
    }

    fn find_topic(&self, topic: &TopicRef) -> Result<(TopicId, String), Refusal> {
        let found = match topic {
            TopicRef::Name(name) => {
                self.topic_named(name).ok_or_else(|| Refusal::UnknownTopic(name.clone()))?
            }
            TopicRef::Id(id) => self.topic(*id).ok_or(Refusal::UnknownTopicId(*id))?,
        };
        Ok((found.id, found.name.to_string()))
    }
}

fn push_topic(name: &str, created: &CreatedTopic, assignments: Vec<Assignment>, records: &mut Vec<Record>) {
    records.push(Record::Topic { id: created.id, name: name.to_owned() });
    for (index, assignment) in (0..).zip(assignments) {
        records.push(Record::Partition { id: PartitionId { topic: created.id, index }, assignment });
    }
    for (name, value) in &created.configs {
        records.push(Record::Config { topic: created.id, name: name.clone(), value: Some(value.clone()) });
    }
}

fn check_configs(configs: &[(String, Option<String>)]) -> Result<BTreeMap<String, String>, Refusal> {
    let mut checked = BTreeMap::new();
    for (name, value) in configs {
        let Some(value) = value else {
            topic_config::find(name).ok_or_else(|| {
                Refusal::InvalidConfig(format!("there is no topic setting '{}'", name.escape_debug()))
            })?;
            continue;
        };
        topic_config::validate(name, value).map_err(Refusal::InvalidConfig)?;
        checked.insert(name.clone(), value.clone());
    }
    topic_config::validate_together(&checked).map_err(Refusal::InvalidConfig)?;
    Ok(checked)
}

fn place_topic(
    topic: &NewTopic,
    defaults: TopicDefaults,
    placer: &mut Placer,
) -> Result<Vec<Assignment>, Refusal> {
    let partitions = if topic.partitions == -1 { defaults.partitions } else { topic.partitions };
    let factor =
        if topic.replication_factor == -1 { defaults.replication_factor } else { topic.replication_factor };
    if !(1..=TOPIC_PARTITIONS_MAX).contains(&partitions) {
        return Err(Refusal::InvalidPartitions(format!(
            "a topic has 1 to {TOPIC_PARTITIONS_MAX} partitions, not {partitions} (-1 asks for the default)"
        )));
    }
    let replicas = usize::try_from(factor).ok().filter(|count| *count > 0).ok_or_else(|| {
        Refusal::InvalidReplicationFactor(format!("the replication factor must be at least 1, not {factor}"))
    })?;
    let nodes = placer.node_count();
    let too_few = || {
        Refusal::InvalidReplicationFactor(format!(
            "replication factor {factor} needs as many brokers, and {nodes} are registered"
        ))
    };
    (0..partitions).map(|_| placer.place(replicas).ok_or_else(too_few)).collect()
}

/// The assignment that the caller gave: partitions 0, 1, 2 .. without gaps, all of the same size.
fn place_as_asked(topic: &NewTopic, placer: &mut Placer) -> Result<Vec<Assignment>, Refusal> {
    if topic.partitions != -1 || topic.replication_factor != -1 {
        return Err(Refusal::InvalidRequest(
            "with an explicit assignment the partition count and the replication factor must be -1"
                .to_owned(),
        ));
    }
    if topic.assignments.len() > TOPIC_PARTITIONS_MAX as usize {
        return Err(Refusal::InvalidPartitions(format!(
            "a topic has at most {TOPIC_PARTITIONS_MAX} partitions"
        )));
    }
    let by_index: BTreeMap<i32, &Vec<NodeId>> =
        topic.assignments.iter().map(|(index, nodes)| (*index, nodes)).collect();
    let consecutive = by_index.keys().copied().eq(0..topic.assignments.len() as i32);
    if !consecutive {
        return Err(Refusal::InvalidReplicaAssignment(
            "the assigned partitions must be numbered 0, 1, 2 and so on, each one once".to_owned(),
        ));
    }
    let first_len = by_index.values().next().map_or(0, |nodes| nodes.len());
    by_index.into_iter().map(|(index, nodes)| place_one_as_asked(index, nodes, first_len, placer)).collect()
}

/// Places partition `index` on the nodes that a caller named; there must be `replicas` of them.
pub(super) fn place_one_as_asked(
    index: i32,
    nodes: &[NodeId],
    replicas: usize,
    placer: &mut Placer,
) -> Result<Assignment, Refusal> {
    let refuse = |why: &str| Refusal::InvalidReplicaAssignment(format!("partition {index}: {why}"));
    if nodes.len() != replicas {
        return Err(refuse("all partitions of a topic must have the same number of replicas"));
    }
    placer.place_on(nodes.to_vec()).ok_or_else(|| refuse("the replicas must be distinct registered brokers"))
}
