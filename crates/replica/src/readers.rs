use std::sync::Arc;

use forebay_base::{Workers, limits};
use forebay_log::Pool;
use tokio::sync::oneshot;

use crate::pace::Pace;

/// The threads of one volume for reads that must wait for its device, so that no event loop ever does.
#[derive(Debug, Clone)]
pub(crate) struct Readers {
    pool: Arc<Pool>,
    pace: Arc<Pace>,
}

impl Readers {
    /// Starts `threads` readers (at least one).
    pub(crate) fn start(workers: &dyn Workers, threads: usize) -> Self {
        let pool = Arc::new(Pool::start(workers, threads, "reader", limits::READS_MAX));
        Self { pool, pace: Arc::default() }
    }

    /// How those who read from the device give way to appends.
    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Runs `read` on a reader thread. `None` if too many reads wait already, the volume has stopped, or it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        // The asker may have gone; then nobody wants the result.
        self.pool.submit(Box::new(move || drop(reply.send(read())))).ok()?;
        answer.await.ok()
    }

    /// Has `work` done on a reader thread. False if too much waits already, or the volume has stopped.
    pub(crate) fn submit(&self, work: impl FnOnce() + Send + 'static) -> bool {
        self.pool.submit(Box::new(work)).is_ok()
    }

    /// Lets the readers finish what is queued, and ends them.
    pub(crate) fn stop(&self) -> bool {
        self.pool.stop()
    }
}
