use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use forebay_base::{Doorbell, Turn, Worker, WorkerHandle, Workers};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Reads that must wait for the device, done on threads of their own so that the reactor never does.
///
/// A job is bounded by whoever submits it: a connection has at most one at a time, so the queue holds at most one
/// job per connection.
#[derive(Debug)]
pub(crate) struct ColdReads {
    queue: Arc<Queue>,
    doorbells: Vec<Arc<dyn Doorbell>>,
    handles: Mutex<Vec<Box<dyn WorkerHandle>>>,
}

#[derive(Default)]
struct Queue(Mutex<(VecDeque<Job>, bool)>);

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue")
    }
}

impl Queue {
    fn with<T>(&self, act: impl FnOnce(&mut VecDeque<Job>, &mut bool) -> T) -> T {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (jobs, stopped) = &mut *guard;
        act(jobs, stopped)
    }
}

impl ColdReads {
    /// Starts `threads` readers.
    pub(crate) fn start(workers: &dyn Workers, threads: usize) -> Self {
        let queue = Arc::new(Queue::default());
        let doorbells: Vec<_> = (0..threads).map(|_| workers.doorbell()).collect();
        let handles = doorbells
            .iter()
            .enumerate()
            .map(|(index, bell)| {
                workers.start(
                    &format!("cold-{index}"),
                    bell.clone(),
                    Box::new(Reader { queue: queue.clone() }),
                )
            })
            .collect();
        Self { queue, doorbells, handles: Mutex::new(handles) }
    }

    /// Runs `read` on a reader thread. `None` if the pool stopped or the job panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move || {
            // The asker may have gone; then nobody wants the bytes.
            let _ = reply.send(read());
        });
        let accepted = self.queue.with(|jobs, stopped| {
            if !*stopped {
                jobs.push_back(job);
            }
            !*stopped
        });
        if !accepted {
            return None;
        }
        self.doorbells.iter().for_each(|bell| bell.ring());
        answer.await.ok()
    }

    /// Lets the readers finish what is queued, and ends them.
    pub(crate) fn stop(&self) {
        self.queue.with(|_, stopped| *stopped = true);
        self.doorbells.iter().for_each(|bell| bell.ring());
        let handles = std::mem::take(&mut *self.handles.lock().unwrap_or_else(PoisonError::into_inner));
        for handle in handles {
            handle.join();
        }
    }
}

struct Reader {
    queue: Arc<Queue>,
}

impl Worker for Reader {
    fn turn(&mut self) -> Turn {
        match self.queue.with(|jobs, stopped| (jobs.pop_front(), *stopped)) {
            (Some(job), _) => {
                // A job that panics drops its answer, which its asker sees; the reader goes on.
                if catch_unwind(AssertUnwindSafe(job)).is_err() {
                    tracing::error!("a read panicked");
                }
                Turn::More
            }
            (None, true) => Turn::Done,
            (None, false) => Turn::Wait(None),
        }
    }
}
