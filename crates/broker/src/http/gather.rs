use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forebay_base::{Clock, Instant, PartitionId};
use forebay_log::Space;
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::directories::Directory;
use crate::facts::{Facts, LogFacts, Memory, PartitionFacts, Quorum, VolumeFacts};
use crate::partitions::{Hosted, Place};
use crate::shared::Shared;

/// A file system that does not tell its space for this long is not waited for: the last it said is told instead.
const PATIENCE: Duration = Duration::from_millis(300);

/// Asks for the space of one data directory, without ever waiting for it on a thread that others need.
#[derive(Debug)]
pub(super) struct Probe {
    directory: Arc<Directory>,
    gauge: Gauge,
}

impl Probe {
    pub(super) fn new(directory: Arc<Directory>, clock: Arc<dyn Clock>) -> Self {
        Self { directory, gauge: Gauge::new(clock) }
    }

    async fn ask(&self) -> VolumeFacts {
        let directory = self.directory.clone();
        let (space, age) = self.gauge.ask(move || directory.data.space()).await;
        VolumeFacts { directory: self.directory.id, path: self.directory.data.path().to_owned(), space, age }
    }
}

/// What a file system said of its space last.
#[derive(Debug)]
struct Gauge {
    clock: Arc<dyn Clock>,
    /// A stalled file system holds one thread, not one more with every question.
    asking: Arc<Semaphore>,
    last: Arc<Mutex<Option<(Space, Instant)>>>,
}

impl Gauge {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, asking: Arc::new(Semaphore::new(1)), last: Arc::default() }
    }

    /// The space by `question`, which may block, and how old that is. Takes hardly longer than [`PATIENCE`].
    async fn ask(
        &self,
        question: impl FnOnce() -> io::Result<Space> + Send + 'static,
    ) -> (Result<Space, String>, Duration) {
        let (asking, last, clock) = (self.asking.clone(), self.last.clone(), self.clock.clone());
        let answer = timeout(PATIENCE, async move {
            let turn = asking.acquire_owned().await;
            spawn_blocking(move || {
                let space = question();
                if let Ok(space) = &space {
                    *last.lock().unwrap_or_else(PoisonError::into_inner) = Some((*space, clock.now()));
                }
                drop(turn);
                space
            })
            .await
        });
        match answer.await {
            Ok(Ok(space)) => (space.map_err(|error| error.to_string()), Duration::ZERO),
            Ok(Err(_)) => (Err("the question was dropped".to_owned()), Duration::ZERO),
            Err(_) => self.last(),
        }
    }

    fn last(&self) -> (Result<Space, String>, Duration) {
        match *self.last.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((space, at)) => (Ok(space), self.clock.now().since(at)),
            None => (Err("the file system does not answer".to_owned()), Duration::ZERO),
        }
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
            disk_silent_for: status.disk_silent_for,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::SystemClock;
    use std::sync::mpsc;

    #[tokio::test]
    async fn a_file_system_that_falls_silent_is_answered_for() {
        let gauge = Gauge::new(Arc::new(SystemClock::new()));
        let space = |free_bytes| Space { total_bytes: 100, free_bytes, free_files: 9 };
        let (answer, stalled) = mpsc::channel();
        let (silent, age) = gauge.ask(move || stalled.recv().map_err(io::Error::other)).await;
        assert!(silent.is_err() && age.is_zero(), "nothing is known yet: {silent:?}");
        // It is not asked once more while it is silent.
        let (silent, _) = gauge.ask(|| panic!("asked twice")).await;
        assert!(silent.is_err());
        answer.send(space(7)).unwrap();
        assert_eq!(gauge.ask(move || Ok(space(6))).await, (Ok(space(6)), Duration::ZERO));

        let (answer, stalled) = mpsc::channel();
        let (told, age) = gauge.ask(move || stalled.recv().map_err(io::Error::other)).await;
        assert_eq!(told, Ok(space(6)));
        assert!(age >= PATIENCE && age < 20 * PATIENCE, "{age:?}");
        answer.send(space(5)).unwrap();
        let (failed, _) = gauge.ask(|| Err(io::Error::other("gone"))).await;
        assert_eq!(failed, Err("gone".to_owned()));
    }
}
