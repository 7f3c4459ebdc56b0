use std::collections::{BTreeMap, BTreeSet};

use forebay_base::{DirectoryId, LeaderEpoch, NodeId};

use crate::{Assignment, Image};

/// Chooses where new replicas go: the nodes and directories with the fewest replicas, the leader being the chosen
/// node that leads least. Remembers its own choices, so one command's partitions spread too.
#[derive(Debug)]
pub(crate) struct Placer {
    nodes: BTreeMap<NodeId, NodeLoad>,
}

#[derive(Debug)]
struct NodeLoad {
    directories: Vec<(DirectoryId, u64)>,
    led: u64,
}

impl NodeLoad {
    fn replicas(&self) -> u64 {
        self.directories.iter().map(|(_, replicas)| replicas).sum()
    }

    fn take_directory(&mut self) -> Option<DirectoryId> {
        let (directory, replicas) = self.directories.iter_mut().min_by_key(|(_, replicas)| *replicas)?;
        *replicas += 1;
        Some(*directory)
    }
}

impl Placer {
    /// From all nodes and their directories. Those to `avoid` are left out, but where a node has no other.
    pub(crate) fn new(image: &Image, avoid: &BTreeSet<DirectoryId>) -> Self {
        let load = |(node, broker): (&NodeId, &crate::Broker)| {
            let all = broker.directories.iter().all(|id| avoid.contains(id));
            let wanted = broker.directories.iter().filter(|id| all || !avoid.contains(id));
            let directories = wanted.map(|id| (*id, image.replicas_in(*id))).collect();
            (*node, NodeLoad { directories, led: image.led_by(*node) })
        };
        Self { nodes: image.brokers.iter().map(load).collect() }
    }

    /// How many nodes there are to choose from.
    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Places one partition of `replicas` replicas; `None` if there are too few nodes.
    pub(crate) fn place(&mut self, replicas: usize) -> Option<Assignment> {
        if replicas == 0 || replicas > self.nodes.len() {
            return None;
        }
        let mut by_load: Vec<_> =
            self.nodes.iter().map(|(node, load)| (load.replicas(), load.led, *node)).collect();
        by_load.sort_unstable();
        by_load.truncate(replicas);
        by_load.sort_unstable_by_key(|(held, led, node)| (*led, *held, *node));
        self.place_on(by_load.into_iter().map(|(_, _, node)| node).collect())
    }

    /// Places one partition on exactly `replicas`, the first one leading. `None` if the list is empty, names a node
    /// twice or names one that is not registered.
    pub(crate) fn place_on(&mut self, replicas: Vec<NodeId>) -> Option<Assignment> {
        let distinct: BTreeSet<_> = replicas.iter().collect();
        let known =
            replicas.iter().all(|node| self.nodes.get(node).is_some_and(|load| !load.directories.is_empty()));
        if distinct.len() != replicas.len() || !known {
            return None;
        }
        let leader = *replicas.first()?;
        let mut directories = Vec::with_capacity(replicas.len());
        for node in &replicas {
            directories.push(self.nodes.get_mut(node)?.take_directory()?);
        }
        self.nodes.get_mut(&leader)?.led += 1;
        Some(Assignment {
            isr: replicas.clone(),
            replicas,
            directories,
            leader: Some(leader),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Broker, Record};
    use forebay_base::{BrokerEpoch, Id128};

    fn image(nodes: i32, directories: u8) -> Image {
        let mut image = Image::default();
        for node in 0..nodes {
            let directories =
                (0..directories).map(|n| DirectoryId(Id128([node as u8 * 16 + n + 1; 16]))).collect();
            let broker = Broker { epoch: BrokerEpoch(1), endpoints: Vec::new(), directories, rack: None };
            image.put(&Record::Broker { node: NodeId(node), broker });
        }
        image
    }

    #[test]
    fn replicas_leaders_and_directories_spread_evenly() {
        let mut placer = Placer::new(&image(3, 2), &BTreeSet::new());
        let placed: Vec<_> = (0..12).filter_map(|_| placer.place(3)).collect();
        assert_eq!(placed.len(), 12);
        for node in 0..3 {
            assert_eq!(placed.iter().filter(|one| one.leader == Some(NodeId(node))).count(), 4);
        }
        for load in placer.nodes.values() {
            assert!(load.directories.iter().all(|(_, replicas)| *replicas == 6));
        }
    }

    #[test]
    fn impossible_placements_are_none() {
        let mut placer = Placer::new(&image(2, 1), &BTreeSet::new());
        assert_eq!(placer.place(3), None);
        assert_eq!(placer.place(0), None);
        assert_eq!(placer.place_on(vec![]), None);
        assert_eq!(placer.place_on(vec![NodeId(0), NodeId(0)]), None);
        assert_eq!(placer.place_on(vec![NodeId(7)]), None);
        assert_eq!(placer.place_on(vec![NodeId(1), NodeId(0)]).unwrap().leader, Some(NodeId(1)));
    }

    #[test]
    fn directories_to_avoid_are_used_only_where_there_is_no_other() {
        let image = image(2, 2);
        let first = |node: i32| image.brokers[&NodeId(node)].directories[0];
        let mut avoid = BTreeSet::from([first(0), first(1)]);
        let mut placer = Placer::new(&image, &avoid);
        for _ in 0..6 {
            let placed = placer.place(2).unwrap();
            assert!(placed.directories.iter().all(|directory| !avoid.contains(directory)));
        }
        avoid.extend(&image.brokers[&NodeId(1)].directories);
        assert!(Placer::new(&image, &avoid).place(2).is_some());
    }
}
