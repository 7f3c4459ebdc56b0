use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use forebay_base::{Clock, LeaderEpoch, PartitionId, WorkerHandle, Workers, crc32c};
use forebay_log::{Disk, SyncPool};
use tokio::sync::oneshot;

use crate::Refused;
use crate::inbox::{Inbox, Message, Opening, Slot};
use crate::partition::{OpenError, Partition, PartitionConfig};
use crate::tenant::Site;
use crate::writer::Writer;

/// The partitions of one data directory: a few writers that own them, and one sync engine.
pub struct Volume {
    writers: Vec<Running>,
    pool: Arc<SyncPool>,
    next_slot: AtomicU64,
}

struct Running {
    inbox: Arc<Inbox>,
    handle: Box<dyn WorkerHandle>,
    /// Set by the writer when it is done: true if all its logs are sound on the disk.
    outcome: Arc<OnceLock<bool>>,
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Volume({} writers)", self.writers.len())
    }
}

impl Volume {
    /// Starts `writers` writers and `sync_helpers` sync helpers (at least one each). Partitions lie in
    /// `partitions_path`, each in a directory of its own, and are opened one by one.
    pub fn start(
        disk: Arc<dyn Disk>,
        workers: &dyn Workers,
        clock: Arc<dyn Clock>,
        partitions_path: PathBuf,
        writers: usize,
        sync_helpers: usize,
    ) -> Self {
        let pool = Arc::new(SyncPool::start(workers, sync_helpers.max(1), "volume"));
        let start = |number: usize| {
            let inbox = Arc::new(Inbox::new(workers.doorbell()));
            let site = Site {
                disk: Arc::clone(&disk),
                clock: Arc::clone(&clock),
                pool: Arc::clone(&pool),
                inbox: Arc::clone(&inbox),
                partitions_path: partitions_path.clone(),
            };
            let outcome = Arc::new(OnceLock::new());
            let writer = Writer::new(Arc::new(site), Arc::clone(&outcome));
            let handle =
                workers.start(&format!("writer-{number}"), Arc::clone(inbox.bell()), Box::new(writer));
            Running { inbox, handle, outcome }
        };
        let writers = (0..writers.max(1)).map(start).collect();
        Self { writers, pool, next_slot: AtomicU64::new(0) }
    }

    /// Opens a partition's log, recovering it unless the last stop was `clean`, and leads in `epoch`.
    pub fn open(
        &self,
        id: PartitionId,
        config: PartitionConfig,
        epoch: LeaderEpoch,
        clean: bool,
    ) -> oneshot::Receiver<Result<Arc<Partition>, OpenError>> {
        let (reply, answer) = oneshot::channel();
        let slot = Slot(self.next_slot.fetch_add(1, Ordering::Relaxed));
        self.inbox(id).post(Message::Open(Box::new(Opening { id, slot, config, epoch, clean, reply })));
        answer
    }

    /// Removes, durably, what lies on the disk of a partition that is not open.
    pub fn delete_stray(&self, id: PartitionId) -> oneshot::Receiver<Result<(), Refused>> {
        let (reply, answer) = oneshot::channel();
        self.inbox(id).post(Message::DeleteStray(id, reply));
        answer
    }

    /// Writes what is queued, makes every log durable and closes it, without blocking: true if all of them are sound.
    /// Nothing can be opened afterwards; [`Volume::stop`] still has to end the threads, and answers the same.
    ///
    /// For whoever cannot block, as in a simulation, where the writers run on the caller's own thread.
    pub async fn close(&self) -> bool {
        let mut answers = Vec::with_capacity(self.writers.len());
        for writer in &self.writers {
            let (told, answer) = oneshot::channel();
            writer.inbox.post(Message::Stop(true, Some(told)));
            answers.push((answer, writer));
        }
        let mut sound = true;
        for (answer, writer) in answers {
            // No answer: it was done before, or it died.
            let known = answer.await.ok().or_else(|| writer.outcome.get().copied());
            sound &= known.unwrap_or(false);
        }
        sound
    }

    /// Ends the writers and sync helpers; blocks until they are gone. With `clean`, what is queued is written, every
    /// log is made durable and closed first: true if all of them are sound, so that a clean mark may be left. Without,
    /// everything stays as it lies.
    pub fn stop(self, clean: bool) -> bool {
        for writer in &self.writers {
            writer.inbox.post(Message::Stop(clean, None));
        }
        let mut sound = clean;
        for Running { handle, outcome, .. } in self.writers {
            sound &= handle.join();
            sound &= outcome.get() == Some(&true);
        }
        self.pool.stop() && sound
    }

    /// A partition belongs to one writer; a topic's partitions are spread over all.
    fn inbox(&self, id: PartitionId) -> &Inbox {
        let spread = crc32c(&id.topic.0.0).wrapping_add(id.index.unsigned_abs()) as usize;
        &self.writers[spread % self.writers.len()].inbox
    }
}

#[cfg(test)]
mod tests;
