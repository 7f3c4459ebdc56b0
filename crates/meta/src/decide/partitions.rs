use std::collections::BTreeSet;

use forebay_base::limits::TOPIC_PARTITIONS_MAX;
use forebay_base::{DirectoryId, PartitionId};

use super::occurrences;
use super::topics::place_one_as_asked;
use crate::placement::Placer;
use crate::{Assignment, Image, MorePartitions, Record, Refusal, Topic};

impl Image {
    pub(super) fn create_partitions(
        &self,
        topics: &[MorePartitions],
        avoid: &BTreeSet<DirectoryId>,
        records: &mut Vec<Record>,
    ) -> Vec<Result<(), Refusal>> {
        let names = occurrences(topics.iter().map(|topic| topic.name.as_str()));
        let mut placer = Placer::new(self, avoid);
        let mut made = 0;
        let mut grow = |more: &MorePartitions| {
            if names.get(more.name.as_str()).is_some_and(|count| *count > 1) {
                let sentence =
                    format!("the request names topic '{}' more than once", more.name.escape_debug());
                return Err(Refusal::InvalidRequest(sentence));
            }
            let topic =
                self.topic_named(&more.name).ok_or_else(|| Refusal::UnknownTopic(more.name.clone()))?;
            let added = plan_growth(topic, more, &mut placer)?;
            made += added.len();
            if made > TOPIC_PARTITIONS_MAX as usize {
                let sentence =
                    format!("one request may make at most {TOPIC_PARTITIONS_MAX} partitions in all");
                return Err(Refusal::PolicyViolation(sentence));
            }
            for (index, assignment) in (topic.partitions.len() as i32..).zip(added) {
                records.push(Record::Partition { id: PartitionId { topic: topic.id, index }, assignment });
            }
            Ok(())
        };
        topics.iter().map(&mut grow).collect()
    }
}

fn plan_growth(
    topic: &Topic,
    more: &MorePartitions,
    placer: &mut Placer,
) -> Result<Vec<Assignment>, Refusal> {
    let current = topic.partitions.len() as i32;
    if more.count <= current {
        return Err(Refusal::InvalidPartitions(format!(
            "topic '{}' has {current} partitions; {} is not more, and partitions cannot be removed",
            topic.name, more.count
        )));
    }
    if more.count > TOPIC_PARTITIONS_MAX {
        return Err(Refusal::InvalidPartitions(format!(
            "a topic has at most {TOPIC_PARTITIONS_MAX} partitions, not {}",
            more.count
        )));
    }
    let replicas = topic.partitions.front().map_or(1, |first| first.replicas.len());
    let wanted = (more.count - current) as usize;
    match &more.assignments {
        None => (0..wanted)
            .map(|_| {
                placer.place(replicas).ok_or_else(|| {
                    Refusal::InvalidReplicationFactor(format!(
                        "replication factor {replicas} needs as many brokers, and {} are registered",
                        placer.node_count()
                    ))
                })
            })
            .collect(),
        Some(asked) if asked.len() != wanted => Err(Refusal::InvalidReplicaAssignment(format!(
            "{wanted} partitions are to be added, the assignment has {}",
            asked.len()
        ))),
        Some(asked) => (current..)
            .zip(asked)
            .map(|(index, nodes)| place_one_as_asked(index, nodes, replicas, placer))
            .collect(),
    }
}
