use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use forebay_base::{Doorbell, Turn, Worker, WorkerHandle, Workers, limits};

use crate::disk::File;

/// One file to sync, and whom to tell.
pub struct SyncJob {
    /// The file.
    pub file: Arc<dyn File>,
    /// Told once, on a helper's thread (or the submitter's, see [`SyncPool::submit`]). A failed sync is never tried
    /// again (rule R32).
    pub done: Box<dyn FnOnce(io::Result<()>) + Send>,
}

impl fmt::Debug for SyncJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncJob").field("file", &self.file).finish_non_exhaustive()
    }
}

impl SyncJob {
    fn run(self) {
        let outcome = self.file.sync();
        (self.done)(outcome);
    }
}

/// The sync engine of one volume: helpers that sync different files at the same time, because a device takes many
/// flushes at once and one after another would add their waits up.
#[derive(Debug)]
pub struct SyncPool {
    queue: Arc<Queue>,
    bells: Vec<Arc<dyn Doorbell>>,
    handles: Mutex<Vec<Box<dyn WorkerHandle>>>,
}

/// What helpers and submitters share: a leaf, never held during a sync.
#[derive(Debug, Default)]
struct Queue(Mutex<QueueState>);

#[derive(Debug, Default)]
struct QueueState {
    jobs: VecDeque<SyncJob>,
    /// Helpers that wait, by number.
    idle: Vec<usize>,
    closed: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl SyncPool {
    /// Starts `helpers` workers (at least one), named after `name`.
    pub fn start(workers: &dyn Workers, helpers: usize, name: &str) -> Self {
        let queue = Arc::new(Queue::default());
        let (mut bells, mut handles) = (Vec::new(), Vec::new());
        for number in 0..helpers.max(1) {
            let bell = workers.doorbell();
            let helper = Syncer { queue: queue.clone(), number };
            handles.push(workers.start(&format!("{name}-sync-{number}"), bell.clone(), Box::new(helper)));
            bells.push(bell);
        }
        Self { queue, bells, handles: Mutex::new(handles) }
    }

    /// Has `job` done by the next free helper. If too many wait already the caller does it itself, which slows it
    /// down as it should; so it does after [`SyncPool::stop`].
    pub fn submit(&self, job: SyncJob) {
        let mut state = self.queue.state();
        if state.closed || state.jobs.len() >= limits::SYNC_QUEUE_MAX {
            drop(state);
            return job.run();
        }
        state.jobs.push_back(job);
        let idle = state.idle.pop();
        drop(state);
        if let Some(bell) = idle.and_then(|number| self.bells.get(number)) {
            bell.ring();
        }
    }

    /// Lets the helpers finish what waits, then ends them. False if one had panicked.
    pub fn stop(&self) -> bool {
        self.queue.state().closed = true;
        for bell in &self.bells {
            bell.ring();
        }
        let handles =
            std::mem::take(&mut *self.handles.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        let panicked = handles.into_iter().map(WorkerHandle::join).filter(|sound| !sound).count();
        panicked == 0
    }
}

#[derive(Debug)]
struct Syncer {
    queue: Arc<Queue>,
    number: usize,
}

impl Worker for Syncer {
    fn turn(&mut self) -> Turn {
        let mut state = self.queue.state();
        match state.jobs.pop_front() {
            Some(job) => {
                drop(state);
                job.run();
                Turn::More
            }
            None if state.closed => Turn::Done,
            None => {
                if !state.idle.contains(&self.number) {
                    state.idle.push(self.number);
                }
                Turn::Wait(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{Disk, Open, RealDisk};

    #[derive(Debug)]
    struct Threads;

    #[derive(Debug)]
    struct Bell;

    impl Doorbell for Bell {
        fn ring(&self) {}
    }

    #[derive(Debug)]
    struct Handle(std::thread::JoinHandle<()>);

    impl WorkerHandle for Handle {
        fn join(self: Box<Self>) -> bool {
            self.0.join().is_ok()
        }
    }

    /// Threads that look every millisecond, whatever the bell says.
    impl Workers for Threads {
        fn doorbell(&self) -> Arc<dyn Doorbell> {
            Arc::new(Bell)
        }

        #[allow(clippy::disallowed_methods, reason = "a test brings its own threads")]
        fn start(&self, _: &str, _: Arc<dyn Doorbell>, mut worker: Box<dyn Worker>) -> Box<dyn WorkerHandle> {
            Box::new(Handle(std::thread::spawn(move || {
                while worker.turn() != Turn::Done {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            })))
        }
    }

    #[test]
    fn every_job_is_done_once_and_stop_waits_for_them() {
        let dir = tempfile::tempdir().unwrap();
        let pool = SyncPool::start(&Threads, 3, "test");
        let done = Arc::new(AtomicUsize::new(0));
        for n in 0..40 {
            let file = RealDisk.open(&dir.path().join(n.to_string()), Open::Create).unwrap();
            let done = done.clone();
            let count = move |outcome: io::Result<()>| {
                outcome.unwrap();
                done.fetch_add(1, Ordering::SeqCst);
            };
            pool.submit(SyncJob { file, done: Box::new(count) });
        }
        assert!(pool.stop());
        assert_eq!(done.load(Ordering::SeqCst), 40);
    }
}
