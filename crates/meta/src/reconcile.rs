use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forebay_base::{DirectoryId, LeaderEpoch, NodeId, PartitionId, TopicId};
use imbl::ordmap::DiffItem;

use crate::{Assignment, Image, Topic};

/// What a node has of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Have {
    /// The directory it lies in.
    pub directory: DirectoryId,
    /// How it runs; `None`: files that nobody has opened.
    pub running: Option<Leading>,
}

/// How an opened partition runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leading {
    /// The epoch it leads in; `None`: it does not lead.
    pub epoch: Option<LeaderEpoch>,
    /// The topic settings it was given last.
    pub configs: Arc<BTreeMap<String, String>>,
}

/// One step towards the Image. Each is idempotent: doing it twice is doing it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open the partition, making its files if there are none.
    Start {
        /// Which one.
        id: PartitionId,
        /// Name of its topic.
        topic: Arc<str>,
        /// Where it belongs.
        directory: DirectoryId,
        /// Leads in this epoch; `None`: does not lead.
        leads: Option<LeaderEpoch>,
        /// The topic's own settings.
        configs: Arc<BTreeMap<String, String>>,
    },
    /// Lead in this epoch, or stop leading.
    Lead {
        /// Which one.
        id: PartitionId,
        /// `None`: does not lead.
        epoch: Option<LeaderEpoch>,
    },
    /// Take on the topic's own settings.
    Configure {
        /// Which one.
        id: PartitionId,
        /// The settings.
        configs: Arc<BTreeMap<String, String>>,
    },
    /// Close the partition and leave its files: it belongs into a directory that this node does not have.
    Stop {
        /// Which one.
        id: PartitionId,
    },
    /// Close the partition if it is open and remove its files: no topic wants them here.
    Delete {
        /// Which one.
        id: PartitionId,
        /// Where the files lie.
        directory: DirectoryId,
    },
}

/// The topics that differ between two Images, found without walking what the two share: making the 20,000th topic
/// does not look at the others.
pub fn changed_topics(old: &Image, new: &Image) -> BTreeSet<TopicId> {
    let id_of = |item| match item {
        DiffItem::Add(id, _) | DiffItem::Remove(id, _) | DiffItem::Update { new: (id, _), .. } => *id,
    };
    old.topics.diff(&new.topics).map(id_of).collect()
}

/// What node `me` with the directories `mine` must do so that what it has becomes what the Image wants.
///
/// An Image that is not formatted wants nothing and forbids nothing. The caller must not pass an Image that is
/// older than one it has seen: what an old Image does not know would be deleted.
pub fn reconcile(
    want: &Image,
    have: &BTreeMap<PartitionId, Have>,
    me: NodeId,
    mine: &BTreeSet<DirectoryId>,
) -> Vec<Action> {
    let topics = have.keys().map(|id| id.topic).chain(want.topics.keys().copied()).collect();
    reconcile_topics(&topics, want, have, me, mine)
}

/// [`reconcile`] for these topics only.
pub fn reconcile_topics(
    topics: &BTreeSet<TopicId>,
    want: &Image,
    have: &BTreeMap<PartitionId, Have>,
    me: NodeId,
    mine: &BTreeSet<DirectoryId>,
) -> Vec<Action> {
    let mut actions = Vec::new();
    if want.is_formatted() {
        for topic in topics {
            leave(*topic, want, have, me, &mut actions);
            if let Some(topic) = want.topics.get(topic) {
                approach_topic(topic, have, me, mine, &mut actions);
            }
        }
    }
    actions
}

/// What to give up of one topic.
fn leave(
    topic: TopicId,
    want: &Image,
    have: &BTreeMap<PartitionId, Have>,
    me: NodeId,
    actions: &mut Vec<Action>,
) {
    let of_topic = PartitionId { topic, index: i32::MIN }..=PartitionId { topic, index: i32::MAX };
    for (id, held) in have.range(of_topic) {
        match want.partition(*id).and_then(|assignment| assignment.directory_of(me)) {
            None => actions.push(Action::Delete { id: *id, directory: held.directory }),
            // A replica in the wrong directory is never deleted here: moving it is a job of its own.
            Some(wanted) if wanted != held.directory && held.running.is_some() => {
                actions.push(Action::Stop { id: *id })
            }
            Some(_) => {}
        }
    }
}

fn approach_topic(
    topic: &Topic,
    have: &BTreeMap<PartitionId, Have>,
    me: NodeId,
    mine: &BTreeSet<DirectoryId>,
    actions: &mut Vec<Action>,
) {
    for (index, assignment) in (0..).zip(&topic.partitions) {
        let Some(directory) = assignment.directory_of(me).filter(|directory| mine.contains(directory)) else {
            continue;
        };
        let id = PartitionId { topic: topic.id, index };
        let running =
            have.get(&id).filter(|held| held.directory == directory).and_then(|held| held.running.as_ref());
        approach(id, topic, assignment, directory, running, me, actions);
    }
}

fn approach(
    id: PartitionId,
    topic: &Topic,
    assignment: &Assignment,
    directory: DirectoryId,
    running: Option<&Leading>,
    me: NodeId,
    actions: &mut Vec<Action>,
) {
    let leads = (assignment.leader == Some(me)).then_some(assignment.leader_epoch);
    let Some(running) = running else {
        actions.push(Action::Start {
            id,
            topic: topic.name.clone(),
            directory,
            leads,
            configs: topic.configs.clone(),
        });
        return;
    };
    if running.epoch != leads {
        actions.push(Action::Lead { id, epoch: leads });
    }
    if !Arc::ptr_eq(&running.configs, &topic.configs) && running.configs != topic.configs {
        actions.push(Action::Configure { id, configs: topic.configs.clone() });
    }
}
