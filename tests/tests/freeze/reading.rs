use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use forebay_base::Id128;
use forebay_tests::Conn;
use forebay_tests::requests::fetch;

use crate::layout::{Layout, UNOPENED};

const READERS: usize = 4;

/// Each reader rests this long after two fetches, so that the partitions nobody has opened last for the whole test.
const PAUSE: Duration = Duration::from_millis(60);

/// One fetch takes no more than this: many small answers show a stall sooner than few large ones.
const FETCH_BYTES: i32 = 64 * 1024;

/// Readers of what lies in the frozen directory and in memory: every other fetch goes to a partition that nobody has
/// opened since the server started.
pub(crate) struct Reading {
    shared: Arc<Shared>,
    readers: Vec<JoinHandle<()>>,
}

struct Shared {
    /// Partitions read again and again: quiet ones, and those whose producers will be blocked.
    warm: Vec<(&'static str, i32)>,
    unopened: Vec<i32>,
    next: AtomicUsize,
    fetched: AtomicI64,
    refused: AtomicI64,
}

impl Reading {
    pub(crate) fn start(layout: &Layout, over: &Arc<AtomicBool>) -> Self {
        let shared = Arc::new(Shared {
            warm: layout.warm.clone(),
            unopened: layout.unopened.clone(),
            next: AtomicUsize::new(0),
            fetched: AtomicI64::new(0),
            refused: AtomicI64::new(0),
        });
        let reader = || {
            let (conn, shared, over) = (layout.server.conn(), shared.clone(), over.clone());
            std::thread::spawn(move || shared.read(conn, &over))
        };
        let readers = (0..READERS).map(|_| reader()).collect();
        Self { shared, readers }
    }

    /// Fetches answered with records by now.
    pub(crate) fn fetched(&self) -> i64 {
        self.shared.fetched.load(Ordering::Relaxed)
    }

    /// How many partitions are left that nobody has opened.
    pub(crate) fn unopened(&self) -> usize {
        self.shared.unopened.len().saturating_sub(self.shared.next.load(Ordering::Relaxed))
    }

    /// Waits for the end; how many fetches were refused or empty.
    pub(crate) fn join(self) -> i64 {
        self.readers.into_iter().for_each(|reader| reader.join().expect("a reader is answered"));
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn read(&self, mut conn: Conn, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            // They may run out once the freeze is over, on a slow disk.
            if let Some(unopened) = self.unopened.get(turn) {
                self.fetch(&mut conn, UNOPENED, *unopened);
            }
            let (topic, warm) = self.warm[turn % self.warm.len()];
            self.fetch(&mut conn, topic, warm);
            std::thread::sleep(PAUSE);
        }
    }

    fn fetch(&self, conn: &mut Conn, topic: &str, partition: i32) {
        let mut request = fetch(topic, Id128::ZERO, partition, 0);
        request.topics[0].partitions[0].partition_max_bytes = FETCH_BYTES;
        let answer = conn.call(4, &request);
        let part = &answer.responses[0].partitions[0];
        let some = part.error_code == 0 && part.records.as_ref().is_some_and(|records| !records.is_empty());
        let count = if some { &self.fetched } else { &self.refused };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
