use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

/// Somebody who waits for any of some partitions to move: a long poll. It is woken after every publication of a
/// partition that it watches; a wake that comes before the wait is kept.
#[derive(Debug, Default)]
pub struct Waiter {
    notify: Notify,
}

impl Waiter {
    /// A waiter that watches nothing yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Ends at the next wake, or at once if there was one since the last. Watch first, then look, then wait: nothing
    /// is missed.
    pub async fn woken(&self) {
        self.notify.notified().await;
    }

    fn wake(&self) {
        self.notify.notify_one();
    }
}

/// The waiters of one partition.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<Watching>);

#[derive(Debug, Default)]
struct Watching {
    next: u64,
    /// In the order they came, so that they wake in that order.
    list: BTreeMap<u64, Arc<Waiter>>,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, Watching> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn watch(self: &Arc<Self>, waiter: &Arc<Waiter>) -> WatchGuard {
        let mut watching = self.lock();
        let number = watching.next;
        watching.next += 1;
        watching.list.insert(number, Arc::clone(waiter));
        WatchGuard { waiters: Arc::downgrade(self), number }
    }

    /// True if anybody watches.
    pub(crate) fn any(&self) -> bool {
        !self.lock().list.is_empty()
    }

    pub(crate) fn wake(&self) {
        for waiter in self.lock().list.values() {
            waiter.wake();
        }
    }
}

/// Ends the watch of one partition when dropped.
#[derive(Debug)]
pub struct WatchGuard {
    waiters: Weak<Waiters>,
    number: u64,
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        if let Some(waiters) = self.waiters.upgrade() {
            let mut watching = waiters.lock();
            watching.list.remove(&self.number);
            if watching.list.is_empty() {
                // An emptied map keeps its memory, and there may be very many partitions.
                watching.list = BTreeMap::new();
            }
        }
    }
}
