use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use forebay_base::{Clock, LeaderEpoch, PartitionId, WorkerHandle, Workers, crc32c};
use forebay_log::{Files, Left, SyncPool};
use tokio::sync::oneshot;

use crate::Refused;
use crate::claims::Claims;
use crate::condition::{Condition, Found, Report, directory_of};
use crate::inbox::{Inbox, Message, Opening, Slot};
use crate::monitor::Monitor;
use crate::partition::{OpenError, Partition, PartitionConfig};
use crate::readers::Readers;
use crate::retention_clock::RetentionClock;
use crate::tenant::{Site, Tenant};
use crate::writer::{Writer, sentence};

/// The partitions of one data directory: a few writers that own them, one sync engine, and readers for what is cold.
pub struct Volume {
    writers: Vec<Running>,
    pool: Arc<SyncPool>,
    readers: Readers,
    next_slot: AtomicU64,
    condition: Arc<Condition>,
    monitor: Box<dyn WorkerHandle>,
}

struct Running {
    site: Arc<Site>,
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
    /// Starts `threads` of each kind (at least one each), and the monitor of its state. Partitions lie in
    /// `partitions_path`, each in a directory of its own, and are opened one by one; the data directory is the one above
    /// it. Records are taken once the monitor has looked at it: see [`Volume::condition`].
    pub fn start(
        files: &Arc<Files>,
        workers: &dyn Workers,
        clock: Arc<dyn Clock>,
        partitions_path: PathBuf,
        threads: Threads,
    ) -> Self {
        Self::start_as(files, workers, clock, partitions_path, threads, Found::Nothing)
    }

    /// As [`Volume::start`], with what was `found` out about the volume before.
    pub fn start_as(
        files: &Arc<Files>,
        workers: &dyn Workers,
        clock: Arc<dyn Clock>,
        partitions_path: PathBuf,
        threads: Threads,
        found: Found,
    ) -> Self {
        let (condition, monitor) = watch_over(files, workers, &clock, &partitions_path, found);
        let pool = Arc::new(SyncPool::start(workers, threads.sync_helpers, "volume"));
        let readers = Readers::start(workers, threads.readers);
        let start = |number: usize| {
            let inbox = Arc::new(Inbox::new(workers.doorbell(), Arc::clone(&clock)));
            let site = Arc::new(Site {
                files: Arc::clone(files),
                clock: Arc::clone(&clock),
                pool: Arc::clone(&pool),
                readers: readers.clone(),
                inbox: Arc::clone(&inbox),
                claims: Claims::default(),
                condition: Arc::clone(&condition),
                partitions_path: partitions_path.clone(),
                retention: Mutex::new(RetentionClock::new(clock.now(), clock.wall())),
            });
            condition.add_writer(Arc::clone(&inbox));
            let outcome = Arc::new(OnceLock::new());
            let writer = Writer::new(Arc::clone(&site), Arc::clone(&outcome));
            let handle =
                workers.start(&format!("writer-{number}"), Arc::clone(inbox.bell()), Box::new(writer));
            Running { site, handle, outcome }
        };
        let writers = (0..threads.writers.max(1)).map(start).collect();
        Self { writers, pool, readers, next_slot: AtomicU64::new(0), condition, monitor }
    }

    /// What is known of its state.
    pub fn condition(&self) -> &Arc<Condition> {
        &self.condition
    }

    /// Opens a partition's log, recovering it unless the last stop was `clean`, and leads in `epoch`. A reader's thread
    /// does it, and the writer is not waited for; no answer comes if too many reads wait already.
    pub fn open(
        &self,
        id: PartitionId,
        config: PartitionConfig,
        epoch: LeaderEpoch,
        clean: bool,
    ) -> oneshot::Receiver<Result<Arc<Partition>, OpenError>> {
        let (reply, answer) = oneshot::channel();
        let slot = Slot(self.next_slot.fetch_add(1, Ordering::Relaxed));
        let left = if clean { Left::Clean } else { Left::Unclean };
        let opening = Opening { id, slot, config, epoch, left, failed: None };
        open_later(&self.writer(id).site, opening, reply);
        answer
    }

    /// Opens a partition that has failed anew: what its device has of its last segment is read again, checked and synced,
    /// and nothing that was acknowledged may be missing. Until then, and if it cannot be done, its reads go on as they were.
    /// [`OpenError::AlreadyOpen`] if it has not failed.
    pub fn reopen(
        &self,
        partition: &Partition,
        config: PartitionConfig,
        epoch: LeaderEpoch,
    ) -> oneshot::Receiver<Result<Arc<Partition>, OpenError>> {
        let (reply, answer) = oneshot::channel();
        let (id, slot) = (partition.id(), Slot(self.next_slot.fetch_add(1, Ordering::Relaxed)));
        let opening = Opening { id, slot, config, epoch, left: Left::Unclean, failed: None };
        let message = Message::Reopen(partition.slot(), Box::new(opening), reply);
        self.writer(id).site.inbox.post(message);
        answer
    }

    /// Removes, durably, what lies on the disk of a partition that is not open.
    pub fn delete_stray(&self, id: PartitionId) -> oneshot::Receiver<Result<(), Refused>> {
        let (reply, answer) = oneshot::channel();
        self.writer(id).site.inbox.post(Message::DeleteStray(id, reply));
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
            writer.site.inbox.post(Message::Stop(true, Some(told)));
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
            writer.site.inbox.post(Message::Stop(clean, None));
        }
        let mut sound = clean;
        for Running { handle, outcome, .. } in self.writers {
            sound &= handle.join();
            sound &= outcome.get() == Some(&true);
        }
        self.condition.stop();
        sound &= self.monitor.join();
        let read = self.readers.stop();
        self.pool.stop() && read && sound
    }

    /// A partition belongs to one writer; a topic's partitions are spread over all.
    fn writer(&self, id: PartitionId) -> &Running {
        let spread = crc32c(&id.topic.0.0).wrapping_add(id.index.unsigned_abs()) as usize;
        &self.writers[spread % self.writers.len()]
    }
}

/// Starts the monitor of the volume that holds `partitions_path`.
fn watch_over(
    files: &Arc<Files>,
    workers: &dyn Workers,
    clock: &Arc<dyn Clock>,
    partitions_path: &Path,
    found: Found,
) -> (Arc<Condition>, Box<dyn WorkerHandle>) {
    let dir = directory_of(partitions_path);
    let bell = workers.doorbell();
    let report = Report::begun(dir.clone(), found, clock.wall(), clock.now());
    let condition = Arc::new(Condition::new(Arc::clone(files.disk()), Arc::clone(&bell), report));
    let (disk, watched) = (Arc::clone(files.disk()), Arc::clone(&condition));
    let monitor = Monitor::new(disk, dir, Arc::clone(clock), watched, found);
    let handle = workers.start("volume-monitor", bell, Box::new(monitor));
    (condition, handle)
}

/// Who is told how an opening ended.
pub(crate) type Opened = oneshot::Sender<Result<Arc<Partition>, OpenError>>;

/// Has a reader's thread open a log, unless it is open or being opened; no answer comes if too much waits already.
pub(crate) fn open_later(site: &Arc<Site>, opening: Opening, reply: Opened) {
    let (id, slot) = (opening.id, opening.slot);
    if !site.claims.take(id, slot) {
        let _ = reply.send(Err(OpenError::AlreadyOpen));
        return;
    }
    let at = Arc::clone(site);
    if !site.readers.submit(move || drop(reply.send(open(&at, &opening)))) {
        site.claims.note_refused();
        site.claims.release(id, slot);
    }
}

/// Opens a log and hands it to its writer: what is sent to the partition from here on comes after it.
fn open(site: &Arc<Site>, opening: &Opening) -> Result<Arc<Partition>, OpenError> {
    let opened = catch_unwind(AssertUnwindSafe(|| Tenant::open(site, opening)))
        .unwrap_or_else(|panic| Err(OpenError::Panicked(sentence(panic.as_ref()))));
    match opened {
        Ok(tenant) => {
            let partition = Arc::clone(tenant.partition());
            site.inbox.post(Message::Adopt(Box::new(tenant)));
            Ok(partition)
        }
        Err(error) => {
            site.claims.note_refused();
            site.claims.release(opening.id, opening.slot);
            if let Some(failed) = &opening.failed {
                failed.publish_failure(&error.to_string().into());
            }
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests;
