use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forebay_base::{DirectoryId, LeaderEpoch, NodeId, PartitionId};

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
    if !want.is_formatted() {
        return Vec::new();
    }
    let mut actions = Vec::new();
    for (id, held) in have {
        match want.partition(*id).and_then(|assignment| assignment.directory_of(me)) {
            None => actions.push(Action::Delete { id: *id, directory: held.directory }),
            // A replica in the wrong directory is never deleted here: moving it is a job of its own.
            Some(wanted) if wanted != held.directory && held.running.is_some() => {
                actions.push(Action::Stop { id: *id })
            }
            Some(_) => {}
        }
    }
    for topic in want.topics.values() {
        for (index, assignment) in (0..).zip(&topic.partitions) {
            let Some(directory) = assignment.directory_of(me).filter(|directory| mine.contains(directory))
            else {
                continue;
            };
            let id = PartitionId { topic: topic.id, index };
            let running = have
                .get(&id)
                .filter(|held| held.directory == directory)
                .and_then(|held| held.running.as_ref());
            approach(id, topic, assignment, directory, running, me, &mut actions);
        }
    }
    actions
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
