use std::collections::BTreeSet;

use forebay_base::{BrokerEpoch, DirectoryId, NodeId};

use crate::{AllocatedIds, Broker, Endpoint, Image, PRODUCER_ID_BLOCK, Record, Refusal};

impl Image {
    pub(super) fn register(
        &self,
        node: NodeId,
        endpoints: &[Endpoint],
        directories: &[DirectoryId],
        rack: Option<&str>,
        records: &mut Vec<Record>,
    ) -> Result<BrokerEpoch, Refusal> {
        self.must_be_formatted()?;
        if node.0 < 0 {
            return Err(Refusal::InvalidRequest(format!("a node id is not negative, this one is {node}")));
        }
        let distinct: BTreeSet<_> = directories.iter().collect();
        if directories.is_empty() || distinct.len() != directories.len() {
            return Err(Refusal::InvalidRequest(format!(
                "node {node} must register at least one data directory, and each one once"
            )));
        }
        let elsewhere = |(other, broker): (&NodeId, &Broker)| {
            *other != node && broker.directories.iter().any(|directory| distinct.contains(directory))
        };
        if let Some((other, _)) = self.brokers.iter().find(|(other, broker)| elsewhere((other, broker))) {
            return Err(Refusal::InvalidRequest(format!(
                "node {node} registers a data directory that belongs to node {other}"
            )));
        }
        // The index that this very record will have (rule R1).
        let epoch = BrokerEpoch(self.index + 1);
        let broker = Broker {
            epoch,
            endpoints: endpoints.to_vec(),
            directories: directories.to_vec(),
            rack: rack.map(str::to_owned),
        };
        records.push(Record::Broker { node, broker });
        Ok(epoch)
    }

    pub(super) fn allocate_producer_ids(
        &self,
        node: NodeId,
        epoch: BrokerEpoch,
        records: &mut Vec<Record>,
    ) -> Result<AllocatedIds, Refusal> {
        self.must_be_formatted()?;
        let broker = self.brokers.get(&node).ok_or(Refusal::BrokerNotRegistered(node.0))?;
        if broker.epoch != epoch {
            return Err(Refusal::StaleBrokerEpoch { node: node.0, current: broker.epoch.0, given: epoch.0 });
        }
        let first = self.next_producer_id;
        records.push(Record::ProducerIds { next: first.saturating_add(PRODUCER_ID_BLOCK) });
        Ok(AllocatedIds { first, count: PRODUCER_ID_BLOCK })
    }
}
