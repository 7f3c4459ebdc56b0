use std::fmt;
use std::io;
use std::sync::Arc;

use forebay_base::{Mutant, Workers, limits};

use crate::disk::File;
use crate::log::WriteBack;
use crate::pool::Pool;

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
        let mut outcome = self.file.sync();
        if outcome.is_err() && Mutant::SyncErrorRetried.is_planted() {
            outcome = self.file.sync();
        }
        (self.done)(outcome);
    }
}

/// The sync engine of one volume: helpers that sync different files at the same time, because a device takes many
/// flushes at once and one after another would add their waits up.
#[derive(Debug)]
pub struct SyncPool(Pool);

impl SyncPool {
    /// Starts `helpers` workers (at least one), named after `name`.
    pub fn start(workers: &dyn Workers, helpers: usize, name: &str) -> Self {
        Self(Pool::start(workers, helpers, &format!("{name}-sync"), limits::SYNC_QUEUE_MAX))
    }

    /// Has `job` done by the next free helper. If too many wait already the caller does it itself, which slows it
    /// down as it should; so it does after [`SyncPool::stop`].
    pub fn submit(&self, job: SyncJob) {
        if let Err(job) = self.0.submit(Box::new(move || job.run())) {
            job();
        }
    }

    /// Starts the write-back of what was written, on a helper; with too much to do already, not at all.
    pub fn write_back(&self, back: WriteBack) {
        let _ = self.0.submit(Box::new(move || back.file.write_back(back.at, back.len)));
    }

    /// Lets the helpers finish what waits, then ends them. False if one had died.
    pub fn stop(&self) -> bool {
        self.0.stop()
    }
}
