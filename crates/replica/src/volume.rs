use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use forebay_base::{Clock, LeaderEpoch, PartitionId, WorkerHandle, Workers, crc32c};
use forebay_log::{Disk, SyncPool};
use tokio::sync::oneshot;

use crate::Refused;
use crate::inbox::{Inbox, Message, Opening, Slot};
use crate::partition::{OpenError, Partition, PartitionConfig};
use crate::readers::Readers;
use crate::retention_clock::RetentionClock;
use crate::tenant::Site;
use crate::writer::Writer;

/// The partitions of one data directory: a few writers that own them, one sync engine, and readers for what is cold.
pub struct Volume {
    writers: Vec<Running>,
    pool: Arc<SyncPool>,
    readers: Readers,
    next_slot: AtomicU64,
}

struct Running {
    inbox: Arc<Inbox>,
    handle: Box<dyn WorkerHandle>,
    /// Set by the writer when it is done: true if all its logs are sound on the disk.
    outcome: Arc<OnceLock<bool>>,
}

/// Threads of a volume, by what they do.
#[derive(Debug, Clone, Copy)]
pub struct Threads {
    /// Each owns a part of the partitions, and is the only one who writes them.
    pub writers: usize,
    /// Sync files, several at a time.
    pub sync_helpers: usize,
    /// Read what is not in memory.
    pub readers: usize,
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Volume({} writers)", self.writers.len())
    }
}

impl Volume {
    /// Starts `threads` of each kind (at least one each). Partitions lie in
    /// `partitions_path`, each in a directory of its own, and are opened one by one.
    pub fn start(
        disk: Arc<dyn Disk>,
        workers: &dyn Workers,
        clock: Arc<dyn Clock>,
        partitions_path: PathBuf,
        threads: Threads,
    ) -> Self {
        let pool = Arc::new(SyncPool::start(workers, threads.sync_helpers, "volume"));
        let readers = Readers::start(workers, threads.readers);
        let start = |number: usize| {
            let inbox = Arc::new(Inbox::new(workers.doorbell()));
            let site = Site {
                disk: Arc::clone(&disk),
                clock: Arc::clone(&clock),
                pool: Arc::clone(&pool),
                readers: readers.clone(),
                inbox: Arc::clone(&inbox),
                partitions_path: partitions_path.clone(),
                retention: Mutex::new(RetentionClock::new(clock.now(), clock.wall())),
            };
            let outcome = Arc::new(OnceLock::new());
            let writer = Writer::new(Arc::new(site), Arc::clone(&outcome));
            let handle =
                workers.start(&format!("writer-{number}"), Arc::clone(inbox.bell()), Box::new(writer));
            Running { inbox, handle, outcome }
        };
        let writers = (0..threads.writers.max(1)).map(start).collect();
        Self { writers, pool, readers, next_slot: AtomicU64::new(0) }
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
        let read = self.readers.stop();
        self.pool.stop() && read && sound
    }

    /// A partition belongs to one writer; a topic's partitions are spread over all.
    fn inbox(&self, id: PartitionId) -> &Inbox {
        let spread = crc32c(&id.topic.0.0).wrapping_add(id.index.unsigned_abs()) as usize;
        &self.writers[spread % self.writers.len()].inbox
    }
}

#[cfg(test)]
mod tests;
