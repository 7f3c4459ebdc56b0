//! One file per noun that commands are about; this one finds the file.

mod brokers;
mod configs;
mod partitions;
mod topics;

use std::collections::BTreeMap;

use forebay_base::{ClusterId, WallTime};

use crate::{Command, FEATURE_LEVEL_MAX, Image, Record, Refusal, Reply};

impl Image {
    /// Decides `command` on this Image: the records that carry it out, and the answer to give once they are
    /// committed. A refusal has no records, but is an answer that depends on this Image all the same.
    ///
    /// The first record gets the index after [`Image::index`]. The time is the leader's wall
    /// time; no command of today depends on it, jobs with deadlines will.
    pub fn decide(&self, _now: WallTime, command: &Command) -> (Vec<Record>, Reply) {
        let mut records = Vec::new();
        let reply = match command {
            Command::Format { cluster, feature_level } => {
                Reply::Format(self.decide_format(*cluster, *feature_level, &mut records))
            }
            Command::RegisterBroker { node, endpoints, directories, rack } => Reply::RegisterBroker(
                self.register(*node, endpoints, directories, rack.as_deref(), &mut records),
            ),
            Command::CreateTopics { topics, defaults, avoid, validate_only } => {
                let replies = self.create_topics(topics, *defaults, avoid, &mut records);
                forget(&mut records, *validate_only);
                Reply::CreateTopics(replies)
            }
            Command::DeleteTopics { topics } => Reply::DeleteTopics(self.delete_topics(topics, &mut records)),
            Command::CreatePartitions { topics, avoid, validate_only } => {
                let replies = self.create_partitions(topics, avoid, &mut records);
                forget(&mut records, *validate_only);
                Reply::CreatePartitions(replies)
            }
            Command::AlterConfigs { topics, validate_only } => {
                let replies = self.alter_configs(topics, &mut records);
                forget(&mut records, *validate_only);
                Reply::AlterConfigs(replies)
            }
            Command::AllocateProducerIds { node, epoch } => {
                Reply::AllocateProducerIds(self.allocate_producer_ids(*node, *epoch, &mut records))
            }
        };
        (records, reply)
    }

    fn decide_format(
        &self,
        cluster: ClusterId,
        feature_level: u16,
        records: &mut Vec<Record>,
    ) -> Result<(), Refusal> {
        if !(1..=FEATURE_LEVEL_MAX).contains(&feature_level) {
            return Err(Refusal::UnsupportedFeature { asked: feature_level, max: FEATURE_LEVEL_MAX });
        }
        if !self.is_formatted() {
            records.push(Record::Cluster { cluster, feature_level });
            return Ok(());
        }
        if self.cluster == cluster {
            return Ok(());
        }
        Err(Refusal::InconsistentCluster { ours: self.cluster.to_string(), theirs: cluster.to_string() })
    }

    fn must_be_formatted(&self) -> Result<(), Refusal> {
        if self.is_formatted() { Ok(()) } else { Err(Refusal::NotFormatted) }
    }
}

fn forget(records: &mut Vec<Record>, validate_only: bool) {
    if validate_only {
        records.clear();
    }
}

/// How often each key stands in a request: Kafka refuses every occurrence of one that stands there twice.
fn occurrences<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_insert(0) += 1;
    }
    counts
}
