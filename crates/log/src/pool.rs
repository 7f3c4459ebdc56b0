use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_base::{Doorbell, Turn, Worker, WorkerHandle, Workers};

/// Work for a [`Pool`].
pub type Job = Box<dyn FnOnce() + Send>;

/// A few threads for work that blocks, with a bounded queue before them.
#[derive(Debug)]
pub struct Pool {
    queue: Arc<Queue>,
    bells: Vec<Arc<dyn Doorbell>>,
    handles: Mutex<Vec<Box<dyn WorkerHandle>>>,
    jobs_max: usize,
}

/// What threads and submitters share: a leaf, never held while a job runs.
#[derive(Default)]
struct Queue(Mutex<QueueState>);

#[derive(Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    /// Threads that wait, by number.
    idle: Vec<usize>,
    closed: bool,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({} jobs)", self.state().jobs.len())
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// Starts `threads` workers (at least one), named after `name`; at most `jobs_max` jobs wait for them.
    pub fn start(workers: &dyn Workers, threads: usize, name: &str, jobs_max: usize) -> Self {
        let queue = Arc::new(Queue::default());
        let (mut bells, mut handles) = (Vec::new(), Vec::new());
        for number in 0..threads.max(1) {
            let bell = workers.doorbell();
            let hand = Hand { queue: queue.clone(), number };
            handles.push(workers.start(&format!("{name}-{number}"), bell.clone(), Box::new(hand)));
            bells.push(bell);
        }
        Self { queue, bells, handles: Mutex::new(handles), jobs_max }
    }

    /// Has `job` done by the next free thread. It comes back if too many wait, or after [`Pool::stop`].
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        let mut state = self.queue.state();
        if state.closed || state.jobs.len() >= self.jobs_max {
            return Err(job);
        }
        state.jobs.push_back(job);
        let idle = state.idle.pop();
        drop(state);
        if let Some(bell) = idle.and_then(|number| self.bells.get(number)) {
            bell.ring();
        }
        Ok(())
    }

    /// Lets the threads finish what waits, then ends them. False if one had died.
    pub fn stop(&self) -> bool {
        self.queue.state().closed = true;
        for bell in &self.bells {
            bell.ring();
        }
        let handles = std::mem::take(&mut *self.handles.lock().unwrap_or_else(PoisonError::into_inner));
        let died = handles.into_iter().map(WorkerHandle::join).filter(|sound| !sound).count();
        died == 0
    }
}

#[derive(Debug)]
struct Hand {
    queue: Arc<Queue>,
    number: usize,
}

impl Worker for Hand {
    fn turn(&mut self) -> Turn {
        let mut state = self.queue.state();
        match state.jobs.pop_front() {
            Some(job) => {
                drop(state);
                // A job that panics drops whatever it would have answered with, which its asker sees.
                if catch_unwind(AssertUnwindSafe(job)).is_err() {
                    tracing::error!("a job on a thread of its own panicked");
                }
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
        let pool = Pool::start(&Threads, 3, "test", 50);
        let done = Arc::new(AtomicUsize::new(0));
        for n in 0..40 {
            let done = done.clone();
            let job = move || {
                done.fetch_add(1, Ordering::SeqCst);
                assert!(n != 7, "one of them panics, and the others are done");
            };
            assert!(pool.submit(Box::new(job)).is_ok());
        }
        assert!(pool.stop());
        assert_eq!(done.load(Ordering::SeqCst), 40);
        assert!(pool.submit(Box::new(|| {})).is_err(), "after the stop it comes back");
    }

    #[test]
    fn a_job_too_many_comes_back() {
        let pool = Pool::start(&Threads, 1, "test", 0);
        assert!(pool.submit(Box::new(|| {})).is_err());
        pool.stop();
    }
}
