use std::fmt;
use std::sync::Arc;

use crate::Instant;

/// What a worker wants after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// There is more to do now.
    More,
    /// Nothing to do until the doorbell rings, or until the given time.
    Wait(Option<Instant>),
    /// Finished for good: its doorbell was closed and nothing is left to do.
    Done,
}

/// Blocking work that belongs to a volume: a partition writer, a sync helper. Given a thread of its own by the
/// binary, and turns on the one thread of a simulation.
pub trait Worker: Send {
    /// Does what there is to do, without waiting for more to come.
    fn turn(&mut self) -> Turn;
}

/// Wakes one worker. Ringing before the worker waits is not lost.
pub trait Doorbell: Send + Sync + fmt::Debug {
    /// Makes the worker take a turn soon.
    fn ring(&self);
}

/// A running worker.
pub trait WorkerHandle: Send + fmt::Debug {
    /// Blocks until the worker is done; `false` if it panicked. A simulated worker answers at once.
    fn join(self: Box<Self>) -> bool;
}

/// Starts workers.
pub trait Workers: Send + Sync + fmt::Debug {
    /// A doorbell, to be handed to whoever has work for the worker that [`Workers::start`] will bind to it.
    fn doorbell(&self) -> Arc<dyn Doorbell>;

    /// Starts `worker`, woken by `doorbell` (made by this same value).
    fn start(
        &self,
        name: &str,
        doorbell: Arc<dyn Doorbell>,
        worker: Box<dyn Worker>,
    ) -> Box<dyn WorkerHandle>;
}
