use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forebay_base::{Clock, Instant, Workers, limits};
use forebay_log::Pool;
use tokio::sync::{oneshot, watch};

use crate::store::StoreError;

/// A thread on which files of the metadata quorum are read and written, one call after the other.
///
/// The control runtime never waits for a disk: what a call found is awaited, and a disk that has stopped answering
/// stops nobody but those who need it.
#[derive(Debug)]
pub(crate) struct StorageThread {
    pool: Pool,
    clock: Arc<dyn Clock>,
    /// When the call in work began, in nanoseconds of the monotonic clock; [`IDLE`] if there is none.
    busy_since: AtomicU64,
    /// Calls that found the device or its file system failed.
    faults: watch::Sender<u64>,
}

const IDLE: u64 = u64::MAX;

impl StorageThread {
    /// Starts the thread, named after `name`. It counts in `faults` the calls that found the device failed.
    pub(crate) fn start(
        workers: &dyn Workers,
        clock: Arc<dyn Clock>,
        name: &str,
        faults: watch::Sender<u64>,
    ) -> Arc<Self> {
        let pool = Pool::start(workers, 1, name, limits::METADATA_CALLS_MAX);
        Arc::new(Self { pool, clock, busy_since: AtomicU64::new(IDLE), faults })
    }

    /// Does `work` after whatever was asked before. It is done also if its asker stops waiting.
    ///
    /// [`StoreError::Failed`]: it was not done, or it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (told, answer) = oneshot::channel();
        let thread = self.clone();
        let job = move || {
            let busy = Busy::begin(thread);
            let done = work();
            if done.as_ref().is_err_and(StoreError::is_fault) {
                busy.0.faults.send_modify(|count| *count += 1);
            }
            drop(busy);
            // Whoever asked may have gone.
            let _ = told.send(done);
        };
        let refused = |reason: &str| StoreError::Failed(reason.to_owned());
        self.pool
            .submit(Box::new(job))
            .map_err(|_| refused("too many calls wait for its disk, or the node is stopping"))?;
        answer.await.map_err(|_| refused("a call to it panicked; this is a bug"))?
    }

    /// For how long the disk has not answered the call in work; `None` if there is none.
    pub(crate) fn silent_for(&self) -> Option<Duration> {
        match self.busy_since.load(Ordering::Relaxed) {
            IDLE => None,
            since => Some(self.clock.now().since(Instant(since))),
        }
    }

    /// Ends the thread, after what was asked; blocks until it is gone, so only when nothing is in work any more.
    pub(crate) fn stop(&self) {
        if !self.pool.stop() {
            tracing::error!("a thread of the metadata store panicked");
        }
    }
}

/// Marks its thread as busy while it lives, also where the work panics.
struct Busy(Arc<StorageThread>);

impl Busy {
    fn begin(thread: Arc<StorageThread>) -> Self {
        thread.busy_since.store(thread.clock.now().0.min(IDLE - 1), Ordering::Relaxed);
        Self(thread)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy_since.store(IDLE, Ordering::Relaxed);
    }
}

/// A store that is called on a [`StorageThread`] only; clones share it.
#[derive(Debug)]
pub(crate) struct Seated<S> {
    /// Locked by the thread alone, for one call at a time: nobody ever waits for this lock.
    store: Arc<Mutex<S>>,
    thread: Arc<StorageThread>,
}

impl<S> Clone for Seated<S> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), thread: self.thread.clone() }
    }
}

impl<S: Send + 'static> Seated<S> {
    pub(crate) fn new(store: S, thread: Arc<StorageThread>) -> Self {
        Self { store: Arc::new(Mutex::new(store)), thread }
    }

    /// Calls the store, after the calls made before.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut S) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.store.clone();
        // A panic while it was locked has fenced nothing, but what the store holds is checked on every read.
        let locked = move || work(&mut store.lock().unwrap_or_else(PoisonError::into_inner));
        self.thread.run(locked).await
    }
}
