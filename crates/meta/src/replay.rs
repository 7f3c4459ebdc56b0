use std::sync::Arc;

use forebay_base::PartitionId;
use imbl::Vector;

use crate::{Assignment, Image, Record, Topic};

impl Image {
    /// Applies the record with that index. The only writer of an Image.
    ///
    /// Deterministic and total: a record at or below the Image's index is one seen before and changes nothing, a
    /// record about a topic that is gone changes nothing but the index.
    pub fn replay(&mut self, index: i64, record: &Record) {
        if index <= self.index {
            return;
        }
        self.index = index;
        self.put(record);
    }

    /// The effect of `record`, without its place in the log.
    pub(crate) fn put(&mut self, record: &Record) {
        match record {
            Record::Cluster { cluster, feature_level } => {
                self.cluster = *cluster;
                self.feature_level = *feature_level;
            }
            Record::Broker { node, broker } => {
                self.brokers.insert(*node, broker.clone());
            }
            Record::Topic { id, name } => {
                let name: Arc<str> = Arc::from(name.as_str());
                let topic =
                    Topic { id: *id, name: name.clone(), partitions: Vector::new(), configs: Arc::default() };
                self.names.insert(name, *id);
                self.topics.insert(*id, Arc::new(topic));
            }
            Record::Partition { id, assignment } => self.put_partition(*id, assignment),
            Record::Config { topic, name, value } => {
                if let Some(topic) = self.topics.get_mut(topic) {
                    let configs = Arc::make_mut(&mut Arc::make_mut(topic).configs);
                    match value {
                        Some(value) => configs.insert(name.clone(), value.clone()),
                        None => configs.remove(name),
                    };
                }
            }
            Record::TopicRemoved { id } => {
                if let Some(topic) = self.topics.remove(id) {
                    self.names.remove(&topic.name);
                    topic.partitions.iter().for_each(|assignment| self.count(assignment, false));
                }
            }
            Record::ProducerIds { next } => self.next_producer_id = *next,
        }
    }

    fn put_partition(&mut self, id: PartitionId, assignment: &Assignment) {
        let Some(topic) = self.topics.get_mut(&id.topic) else { return };
        let Ok(index) = usize::try_from(id.index) else { return };
        let partitions = &mut Arc::make_mut(topic).partitions;
        let before = match index.cmp(&partitions.len()) {
            std::cmp::Ordering::Less => Some(partitions.set(index, Arc::new(assignment.clone()))),
            std::cmp::Ordering::Equal => {
                partitions.push_back(Arc::new(assignment.clone()));
                None
            }
            std::cmp::Ordering::Greater => return,
        };
        if let Some(before) = before {
            self.count(&before, false);
        }
        self.count(assignment, true);
    }

    /// Keeps the derived counts in step with one assignment that comes or goes.
    fn count(&mut self, assignment: &Assignment, comes: bool) {
        let step = |count: u64| if comes { count.saturating_add(1) } else { count.saturating_sub(1) };
        self.partition_count = step(self.partition_count);
        for directory in &assignment.directories {
            match step(self.replicas_in(*directory)) {
                0 => self.replicas_in.remove(directory),
                count => self.replicas_in.insert(*directory, count),
            };
        }
        if let Some(leader) = assignment.leader {
            match step(self.led_by(leader)) {
                0 => self.led_by.remove(&leader),
                count => self.led_by.insert(leader, count),
            };
        }
    }
}
