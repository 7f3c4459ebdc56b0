//! Which logs are opened, and when.
//!
//! ```text
//!   Start -> waiting --- somebody asks: at once, many at a time ---> under way -> the map
//!               `------ nobody does: one after the other, slowly ------^
//! ```
//! What nobody asks for is opened too, so that retention works for it and the metrics know its size; slowly, because
//! after a kill each one is a recovery that takes the disk from those who are served.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::PartitionId;
use forebay_meta::Leading;
use forebay_replica::{OpenError, Partition};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Partitions being opened at the same time. Each takes a place in a reader's queue and some memory for recovery.
const UNDER_WAY_MAX: usize = 256;

/// How long after a start the first partition that nobody asked for is opened, and then one after the other.
const SPARE_AFTER: Duration = Duration::from_secs(1);
const SPARE_EVERY: Duration = Duration::from_millis(2);

/// What is told when a log is open.
pub(crate) type Answer = oneshot::Receiver<Result<Arc<Partition>, OpenError>>;

/// How an opening ended.
pub(crate) struct Opened {
    pub(crate) id: PartitionId,
    /// What it was opened with.
    pub(crate) asked: Leading,
    /// `None`: it was not tried.
    pub(crate) outcome: Option<Result<Arc<Partition>, OpenError>>,
}

/// Partitions that are not open yet.
pub(crate) struct Openings {
    waiting: BTreeSet<PartitionId>,
    under_way: BTreeMap<PartitionId, Leading>,
    answers: FuturesUnordered<Pin<Box<dyn Future<Output = Told> + Send>>>,
    /// The one of those under way that nobody asked for.
    spare: Option<PartitionId>,
    spare_at: Instant,
}

type Told = (PartitionId, Option<Result<Arc<Partition>, OpenError>>);

impl fmt::Debug for Openings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Openings({} wait, {} under way)", self.waiting.len(), self.under_way.len())
    }
}

impl Openings {
    pub(crate) fn new() -> Self {
        Self {
            waiting: BTreeSet::new(),
            under_way: BTreeMap::new(),
            answers: FuturesUnordered::new(),
            spare: None,
            spare_at: Instant::now() + SPARE_AFTER,
        }
    }

    /// A partition is to be opened at some time.
    pub(crate) fn add(&mut self, id: PartitionId) {
        self.waiting.insert(id);
    }

    /// It is not any more.
    pub(crate) fn remove(&mut self, id: PartitionId) {
        self.waiting.remove(&id);
    }

    /// True if nobody has begun to open it.
    pub(crate) fn waits(&self, id: PartitionId) -> bool {
        self.waiting.contains(&id)
    }

    /// True while it is being opened.
    pub(crate) fn is_under_way(&self, id: PartitionId) -> bool {
        self.under_way.contains_key(&id)
    }

    /// True if nothing is being opened.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// How many more may be opened at the same time.
    pub(crate) fn room(&self) -> usize {
        UNDER_WAY_MAX.saturating_sub(self.under_way.len())
    }

    /// A partition is being opened as `asked`, and `answer` tells when it is.
    pub(crate) fn begin(&mut self, id: PartitionId, asked: Leading, answer: Answer) {
        self.waiting.remove(&id);
        self.under_way.insert(id, asked);
        self.answers.push(Box::pin(async move { (id, answer.await.ok()) }));
    }

    /// The next opening that ends; never, while none is under way. May be dropped and asked again.
    pub(crate) async fn next(&mut self) -> Opened {
        loop {
            let Some((id, outcome)) = self.answers.next().await else { std::future::pending().await };
            if self.spare == Some(id) {
                (self.spare, self.spare_at) = (None, Instant::now() + SPARE_EVERY);
            }
            if let Some(asked) = self.under_way.remove(&id) {
                return Opened { id, asked, outcome };
            }
        }
    }

    /// When the next one that nobody asked for may be opened, if there is one.
    pub(crate) fn spare_at(&self) -> Option<Instant> {
        let free = self.spare.is_none() && !self.waiting.is_empty();
        free.then_some(self.spare_at)
    }

    /// One that nobody asked for, off the list.
    pub(crate) fn take_spare(&mut self) -> Option<PartitionId> {
        self.waiting.pop_first()
    }

    /// This one was begun although nobody asked for it: the next one comes when it is open.
    pub(crate) fn note_spare(&mut self, id: PartitionId) {
        self.spare = self.is_under_way(id).then_some(id);
    }
}
