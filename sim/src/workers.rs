use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use forebay_base::{Doorbell, Turn, Worker, WorkerHandle, Workers};
use tokio::sync::Notify;

use crate::clock::SimClock;

/// Workers as tasks of the one thread of the simulation: a turn is never interrupted, and between two turns
/// everyone else gets theirs.
#[derive(Debug)]
pub struct SimWorkers {
    clock: SimClock,
    /// Doorbells that no worker is bound to yet.
    unbound: Mutex<Vec<Arc<SimDoorbell>>>,
}

#[derive(Debug, Default)]
struct SimDoorbell(Notify);

impl Doorbell for SimDoorbell {
    fn ring(&self) {
        self.0.notify_one();
    }
}

#[derive(Debug)]
struct SimWorkerHandle {
    panicked: Arc<AtomicBool>,
}

impl WorkerHandle for SimWorkerHandle {
    fn join(self: Box<Self>) -> bool {
        !self.panicked.load(Ordering::Relaxed)
    }
}

/// Notes that the task it lives in unwinds.
struct PanicFlag(Arc<AtomicBool>);

impl Drop for PanicFlag {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl SimWorkers {
    /// Workers whose waits end by `clock`.
    pub fn new(clock: SimClock) -> Self {
        Self { clock, unbound: Mutex::default() }
    }

    /// The value behind a doorbell that [`Workers::doorbell`] made.
    fn bind(&self, doorbell: &Arc<dyn Doorbell>) -> Option<Arc<SimDoorbell>> {
        let mut unbound = self.unbound.lock().unwrap_or_else(PoisonError::into_inner);
        let place =
            unbound.iter().position(|own| std::ptr::addr_eq(Arc::as_ptr(own), Arc::as_ptr(doorbell)))?;
        Some(unbound.swap_remove(place))
    }
}

async fn run(mut worker: Box<dyn Worker>, doorbell: Arc<SimDoorbell>, clock: SimClock, panicked: PanicFlag) {
    loop {
        match worker.turn() {
            Turn::More => tokio::task::yield_now().await,
            Turn::Wait(None) => doorbell.0.notified().await,
            Turn::Wait(Some(until)) => {
                // Either way a turn follows; which of the two ended the wait does not matter.
                let _rung_or_late = tokio::time::timeout_at(clock.tokio(until), doorbell.0.notified()).await;
            }
            Turn::Done => break,
        }
    }
    drop(panicked);
}

impl Workers for SimWorkers {
    fn doorbell(&self) -> Arc<dyn Doorbell> {
        let doorbell = Arc::new(SimDoorbell::default());
        self.unbound.lock().unwrap_or_else(PoisonError::into_inner).push(doorbell.clone());
        doorbell
    }

    /// Must be called inside the simulation's runtime.
    fn start(
        &self,
        _name: &str,
        doorbell: Arc<dyn Doorbell>,
        worker: Box<dyn Worker>,
    ) -> Box<dyn WorkerHandle> {
        let panicked = Arc::new(AtomicBool::new(false));
        // A doorbell of someone else's can never wake the worker: it takes one turn and sleeps.
        let own = self.bind(&doorbell).unwrap_or_default();
        tokio::spawn(run(worker, own, self.clock, PanicFlag(panicked.clone())));
        Box::new(SimWorkerHandle { panicked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_base::{Clock, Instant};
    use std::time::Duration;

    struct Sleeper {
        clock: SimClock,
        turns: Arc<Mutex<Vec<Instant>>>,
    }

    impl Worker for Sleeper {
        fn turn(&mut self) -> Turn {
            let mut turns = self.turns.lock().unwrap();
            turns.push(self.clock.now());
            match turns.len() {
                1 => Turn::More,
                2 => Turn::Wait(Some(self.clock.now() + Duration::from_secs(60))),
                3 => Turn::Wait(None),
                _ => Turn::Done,
            }
        }
    }

    #[test]
    fn a_worker_wakes_by_time_and_by_bell() {
        let turns = Arc::new(Mutex::new(Vec::new()));
        crate::run(1, |world| {
            let turns = turns.clone();
            async move {
                let bell = world.workers.doorbell();
                let sleeper = Sleeper { clock: *world.clock, turns };
                let handle = world.workers.start("sleeper", bell.clone(), Box::new(sleeper));
                tokio::time::sleep(Duration::from_secs(100)).await;
                bell.ring();
                tokio::time::sleep(Duration::from_secs(1)).await;
                assert!(handle.join());
            }
        });
        let seconds: Vec<u64> = turns.lock().unwrap().iter().map(|at| at.0 / 1_000_000_000).collect();
        assert_eq!(seconds, [0, 0, 60, 100]);
    }
}
