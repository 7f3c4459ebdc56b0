use std::sync::Arc;

use forebay_base::PartitionId;

use crate::facts::{Facts, LogFacts, Memory, PartitionFacts, Quorum};
use crate::partitions::{Hosted, Place};
use crate::shared::Shared;

/// The facts of this moment.
pub(super) fn facts(shared: Arc<Shared>) -> Facts {
    let volume_counts = shared.volumes.iter().map(|(id, condition)| (*id, condition.counts())).collect();
    let status = shared.controller.status();
    let (used, limit) = shared.budget.usage();
    let partitions = shared.partitions.clone();
    Facts {
        node: shared.node,
        broker_epoch: shared.broker_epoch(),
        image: shared.image(),
        quorum: Quorum {
            leader: status.leader,
            term: status.term,
            alive: status.raft_alive,
            restarts: status.restarts,
            last_failure: status.last_failure,
            outage: shared.outage(),
            used_bytes: status.space_used,
            limit_bytes: status.space_total,
            disk_silent_for: status.disk_silent_for,
        },
        liveness: shared.controller.liveness().borrow().clone(),
        now: shared.clock.now(),
        wall: shared.clock.wall(),
        volume_counts,
        memory: Memory { used_bytes: used as u64, limit_bytes: limit as u64 },
        fetch_sessions: shared.fetch_sessions.counts(),
        min_insync_replicas: usize::try_from(shared.config.min_insync_replicas).unwrap_or(1),
        hosted: Box::new(move |id: PartitionId| partitions.place(id).map(partition)),
        connections: Box::new(move |after| shared.connections.page(after.id, after.limit)),
    }
}

fn partition(place: Place) -> PartitionFacts {
    match place {
        Place::Unopened | Place::Tried(Hosted::Failed(_)) => PartitionFacts::default(),
        Place::Tried(Hosted::Open { partition, .. }) => {
            let view = partition.view();
            let log = LogFacts {
                start: view.start,
                end: view.end,
                high_watermark: view.high_watermark,
                stable: view.stable,
                size_bytes: view.size_bytes,
            };
            PartitionFacts { log: Some(log) }
        }
    }
}
