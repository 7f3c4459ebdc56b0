use std::sync::Arc;
use std::time::Duration;

use forebay_base::PartitionId;
use forebay_log::Space;
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::directories::Directory;
use crate::facts::{Facts, LogFacts, Memory, PartitionFacts, Quorum, VolumeFacts};
use crate::partitions::{Hosted, Place};
use crate::shared::Shared;

/// A file system that does not tell its space for this long counts as not answering.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks for the space of one data directory, without ever waiting for it on a thread that others need.
#[derive(Debug)]
pub(super) struct Probe {
    directory: Arc<Directory>,
    /// A stalled file system holds one thread, not one more with every question.
    asking: Arc<Semaphore>,
}

impl Probe {
    pub(super) fn new(directory: Arc<Directory>) -> Self {
        Self { directory, asking: Arc::new(Semaphore::new(1)) }
    }

    async fn ask(&self) -> VolumeFacts {
        let (directory, asking) = (self.directory.clone(), self.asking.clone());
        let answer = timeout(PATIENCE, async move {
            let turn = asking.acquire_owned().await;
            spawn_blocking(move || {
                let space = directory.data.space();
                drop(turn);
                space
            })
            .await
        });
        let space: Result<Space, String> = match answer.await {
            Ok(Ok(Ok(space))) => Ok(space),
            Ok(Ok(Err(error))) => Err(error.to_string()),
            Ok(Err(_)) => Err("the question was dropped".to_owned()),
            Err(_) => Err(format!("the file system has not answered for {} s", PATIENCE.as_secs())),
        };
        VolumeFacts { directory: self.directory.id, path: self.directory.data.path().to_owned(), space }
    }
}

/// The facts of this moment.
pub(super) async fn facts(shared: Arc<Shared>, probes: Arc<[Probe]>) -> Facts {
    let volumes = join_all(probes.iter().map(Probe::ask)).await;
    let status = shared.controller.status();
    let (used, limit) = shared.budget.usage();
    let partitions = shared.partitions.clone();
    Facts {
        node: shared.node,
        broker_epoch: shared.broker_epoch,
        image: shared.image(),
        quorum: Quorum {
            leader: status.leader,
            term: status.term,
            alive: status.raft_alive,
            restarts: status.restarts,
            last_failure: status.last_failure,
            used_bytes: status.space_used,
            limit_bytes: status.space_total,
        },
        volumes,
        memory: Memory { used_bytes: used as u64, limit_bytes: limit as u64 },
        fetch_sessions: shared.fetch_sessions.counts(),
        min_insync_replicas: usize::try_from(shared.config.min_insync_replicas).unwrap_or(1),
        hosted: Box::new(move |id: PartitionId| partitions.place(id).map(partition)),
        connections: Box::new(move |after| shared.connections.page(after.id, after.limit)),
    }
}

fn partition(place: Place) -> PartitionFacts {
    match place {
        Place::Unopened => PartitionFacts::default(),
        Place::Tried(Hosted::Open { partition, .. }) => {
            let view = partition.view();
            let log = LogFacts {
                start: view.start,
                end: view.end,
                high_watermark: view.high_watermark,
                stable: view.stable,
                size_bytes: view.size_bytes,
            };
            PartitionFacts { log: Some(log), failed: view.failed.clone() }
        }
        Place::Tried(Hosted::Failed(reason)) => PartitionFacts { log: None, failed: Some(reason) },
    }
}
