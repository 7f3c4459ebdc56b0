use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use forebay_tests::{Conn, Dice, FsKind, Server, eventually};

use crate::client::fetch_checked;
use crate::volume::Volume;

/// Consumers of each sort.
const CONSUMERS: usize = 2;

/// Fetches that a new consumer makes before it goes.
const FETCHES_OF_NEW: usize = 8;

/// How large answers may be: one batch, some, and more than the socket takes at once.
const SIZES: [i32; 3] = [1, 100_000, 1 << 20];

/// However slow the machine is, there are some fetches of each sort by then.
const ENOUGH_WITHIN: Duration = Duration::from_secs(60);

/// Each reader rests this long after a fetch.
const PAUSE: Duration = Duration::from_millis(3);

/// What came of the fetches.
#[derive(Debug, Default, Clone)]
pub(crate) struct Fetched {
    /// How long each took that gave what it should.
    times: Vec<Duration>,
    /// Of these, by connections made after the volume was filled.
    pub(crate) by_new: usize,
    /// Of these, of what was not in memory.
    pub(crate) cold: usize,
    /// What the others gave.
    failed: Vec<String>,
}

impl Fetched {
    /// Fetches that gave what they should.
    pub(crate) fn fetches(&self) -> usize {
        self.times.len()
    }

    /// The time that this share of them stayed below.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times
            .get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }

    /// # Panics
    /// If one failed, or if there were none of some sort.
    pub(crate) fn judge(&self, kind: FsKind, when: &str) {
        let all = self.times.len() + self.failed.len();
        assert!(
            self.failed.is_empty(),
            "{kind:?}, {when}: {} of {all} fetches failed, the first: {}",
            self.failed.len(),
            self.failed[0]
        );
        assert!(self.is_enough(kind), "{kind:?}, {when}: hardly a fetch of some sort, of {all}");
    }

    /// True if there were some of each sort.
    fn is_enough(&self, kind: FsKind) -> bool {
        let cold = kind == FsKind::Tmpfs || self.cold > 10;
        cold && self.by_new > 20 && self.times.len() > self.by_new + 20
    }
}

/// What readers share.
#[derive(Debug)]
struct Shared {
    address: String,
    topic: &'static str,
    partitions: PathBuf,
    /// Records that are there, by partition; empty when it is over.
    there: Mutex<Vec<u64>>,
    /// Nobody reads for a while.
    resting: AtomicBool,
    fetched: Mutex<Fetched>,
}

/// Sorts of consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// Keeps its connection.
    Connected,
    /// Connects, reads a little and goes.
    New,
    /// Has the page cache dropped before it reads.
    Cold,
}

/// Consumers that read what is there again and again.
pub(crate) struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts them, where so many records of each partition are there.
    pub(crate) fn start(server: &Server, volume: &Volume, topic: &'static str, there: &[u64]) -> Self {
        let shared = Arc::new(Shared {
            address: server.kafka().to_owned(),
            topic,
            partitions: volume.data().join("partitions"),
            there: Mutex::new(there.to_vec()),
            resting: AtomicBool::new(false),
            fetched: Mutex::default(),
        });
        let mut dice = Dice::new("FOREBAY_FULL_SEED");
        let cold = if volume.has_device() { CONSUMERS } else { 0 };
        let sorts = [(Sort::Connected, CONSUMERS), (Sort::New, CONSUMERS), (Sort::Cold, cold)];
        let mut threads = Vec::new();
        for (sort, count) in sorts {
            for _ in 0..count {
                let (shared, dice) = (shared.clone(), Dice::seeded(dice.bits()));
                threads.push(std::thread::spawn(move || shared.read(sort, dice)));
            }
        }
        Self { shared, threads }
    }

    /// They keep their connections and read nothing, until they are told how many records there are.
    pub(crate) fn rest(&self) {
        self.shared.resting.store(true, Ordering::Relaxed);
    }

    /// From now on so many are there.
    pub(crate) fn know(&self, there: &[u64]) {
        *self.shared.there.lock().unwrap() = there.to_vec();
        self.take();
        self.shared.resting.store(false, Ordering::Relaxed);
    }

    /// What came of the fetches since the last time.
    pub(crate) fn take(&self) -> Fetched {
        std::mem::take(&mut *self.shared.fetched.lock().unwrap())
    }

    /// Waits until there are enough fetches to be judged, or one has failed, which is enough as well.
    pub(crate) fn until_enough(&self, kind: FsKind) {
        eventually("there are some fetches of each sort", ENOUGH_WITHIN, || {
            let fetched = self.shared.fetched.lock().unwrap();
            fetched.is_enough(kind) || !fetched.failed.is_empty()
        });
    }

    /// Ends them; what came of the fetches since the last time.
    pub(crate) fn stop(self) -> Fetched {
        self.shared.there.lock().unwrap().clear();
        for thread in self.threads {
            thread.join().expect("a reader is answered");
        }
        std::mem::take(&mut *self.shared.fetched.lock().unwrap())
    }
}

impl Shared {
    fn read(&self, sort: Sort, mut dice: Dice) {
        let (mut conn, mut made) = (Conn::open(&self.address), 0);
        loop {
            if self.resting.load(Ordering::Relaxed) {
                std::thread::sleep(PAUSE);
                continue;
            }
            let there = self.there.lock().unwrap().clone();
            if there.is_empty() {
                return;
            }
            let partition = dice.pick(0, there.len());
            if sort == Sort::New && made == FETCHES_OF_NEW {
                (conn, made) = (Conn::open(&self.address), 0);
            }
            let from = dice.pick(0, there[partition] as usize) as u64;
            if sort == Sort::Cold {
                drop_cache(&self.partitions);
            }
            let began = Instant::now();
            let bytes_max = SIZES[dice.pick(0, SIZES.len())];
            let outcome = fetch_checked(&mut conn, self.topic, partition, from, bytes_max);
            let took = began.elapsed();
            made += 1;
            let mut fetched = self.fetched.lock().unwrap();
            match outcome {
                Ok(_) => {
                    fetched.times.push(took);
                    fetched.by_new += usize::from(sort == Sort::New);
                    fetched.cold += usize::from(sort == Sort::Cold);
                }
                Err(reason) => {
                    fetched.failed.push(format!("{sort:?}, partition {partition} from {from}: {reason}"))
                }
            }
            drop(fetched);
            std::thread::sleep(PAUSE);
        }
    }
}

/// Drops what the cache holds of every segment, so that the next fetch must read it.
fn drop_cache(partitions: &Path) {
    for partition in std::fs::read_dir(partitions).expect("partitions").flatten() {
        for file in std::fs::read_dir(partition.path()).into_iter().flatten().flatten() {
            if let Ok(file) = std::fs::File::open(file.path()) {
                let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
            }
        }
    }
}
