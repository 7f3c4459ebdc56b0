use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};

use forebay_base::{Clock, Doorbell, Turn, Worker, WorkerHandle, Workers};

/// The real workers: a thread each, parked while there is nothing to do.
#[derive(Debug)]
pub struct ThreadWorkers {
    clock: Arc<dyn Clock>,
    /// Bells handed out and not bound to a worker yet.
    unbound: Mutex<Vec<Arc<Bell>>>,
}

/// Wakes one thread. `rung` carries a ring that comes while the thread is not parked, or not started.
#[derive(Debug, Default)]
struct Bell {
    rung: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Doorbell for Bell {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

impl ThreadWorkers {
    /// Workers that measure their waits with `clock`, which must run at the speed of the machine's.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, unbound: Mutex::default() }
    }
}

impl Workers for ThreadWorkers {
    fn doorbell(&self) -> Arc<dyn Doorbell> {
        let bell = Arc::new(Bell::default());
        self.unbound.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&bell));
        bell
    }

    /// Panics if the doorbell is not one of these workers', or is bound already, or if the operating system gives no
    /// thread, as `std::thread::spawn` does: a node cannot start without.
    fn start(
        &self,
        name: &str,
        doorbell: Arc<dyn Doorbell>,
        worker: Box<dyn Worker>,
    ) -> Box<dyn WorkerHandle> {
        let bell = {
            let mut unbound = self.unbound.lock().unwrap_or_else(PoisonError::into_inner);
            let address = Arc::as_ptr(&doorbell).cast::<()>();
            let Some(at) = unbound.iter().position(|bell| Arc::as_ptr(bell).cast() == address) else {
                panic!("the doorbell of worker {name} was made elsewhere or is in use");
            };
            unbound.swap_remove(at)
        };
        let clock = Arc::clone(&self.clock);
        match thread::Builder::new().name(name.to_owned()).spawn(move || run(&bell, clock.as_ref(), worker)) {
            Ok(thread) => Box::new(Handle(thread)),
            Err(error) => panic!("cannot start the thread of worker {name}: {error}"),
        }
    }
}

fn run(bell: &Bell, clock: &dyn Clock, mut worker: Box<dyn Worker>) {
    // From here on a ring unparks; one that came before left `rung` set.
    let _ = bell.thread.set(thread::current());
    loop {
        match worker.turn() {
            Turn::More => {}
            Turn::Done => return,
            Turn::Wait(until) => {
                while !bell.rung.swap(false, Ordering::SeqCst) {
                    match until {
                        None => thread::park(),
                        Some(until) => {
                            let now = clock.now();
                            if now >= until {
                                break;
                            }
                            thread::park_timeout(until.since(now));
                        }
                    }
                }
            }
        }
    }
}

/// A running thread.
struct Handle(JoinHandle<()>);

impl WorkerHandle for Handle {
    fn join(self: Box<Self>) -> bool {
        self.0.join().is_ok()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {}", self.0.thread().name().unwrap_or("unnamed"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use forebay_base::{Instant, WallTime};

    use super::*;

    #[derive(Debug)]
    struct TestClock(std::time::Instant);

    impl Clock for TestClock {
        fn now(&self) -> Instant {
            Instant(self.0.elapsed().as_nanos() as u64)
        }
        fn wall(&self) -> WallTime {
            WallTime(0)
        }
    }

    struct Counter {
        turns: mpsc::Sender<usize>,
        taken: usize,
        clock: Arc<dyn Clock>,
    }

    impl Worker for Counter {
        fn turn(&mut self) -> Turn {
            self.taken += 1;
            self.turns.send(self.taken).unwrap();
            match self.taken {
                1 => Turn::Wait(None),
                2 => Turn::Wait(Some(self.clock.now() + Duration::from_millis(5))),
                3 => Turn::More,
                _ => Turn::Done,
            }
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test of threads needs the machine's clock")]
    fn rings_are_not_lost_and_waits_end_in_time() {
        let clock = Arc::new(TestClock(std::time::Instant::now()));
        let workers = ThreadWorkers::new(clock.clone());
        let bell = workers.doorbell();
        let (turns, taken) = mpsc::channel();
        bell.ring();
        let handle =
            workers.start("counter", Arc::clone(&bell), Box::new(Counter { turns, taken: 0, clock }));
        assert!(handle.join());
        assert_eq!(taken.iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
        bell.ring();
    }

    #[test]
    fn a_panic_is_told() {
        struct Broken;
        impl Worker for Broken {
            fn turn(&mut self) -> Turn {
                panic!("on purpose");
            }
        }
        let workers = ThreadWorkers::new(Arc::new(TestClock(now())));
        assert!(!workers.start("broken", workers.doorbell(), Box::new(Broken)).join());
    }

    #[allow(clippy::disallowed_methods, reason = "a test of threads needs the machine's clock")]
    fn now() -> std::time::Instant {
        std::time::Instant::now()
    }
}
