use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use forebay_base::PartitionId;
use forebay_meta::topic_config::TopicSettings;
use forebay_replica::Partition;
use tokio::sync::Notify;

/// A partition as this node hosts it.
#[derive(Debug, Clone)]
pub(crate) enum Hosted {
    /// Open: its writer owns the log, its view is published.
    Open {
        /// The handle.
        partition: Arc<Partition>,
        /// The topic's settings, as of the last Image acted on.
        settings: Arc<TopicSettings>,
    },
    /// It could not be opened; the sentence says why.
    Failed(Arc<str>),
}

impl Hosted {
    /// True if it takes no writes until its volume is readmitted.
    pub(crate) fn has_failed(&self) -> bool {
        match self {
            Self::Open { partition, .. } => partition.view().failed.is_some(),
            Self::Failed(_) => true,
        }
    }
}

/// What the map says of a partition.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// It is here, and its log is opened when somebody wants it.
    Unopened,
    /// That has been tried.
    Tried(Hosted),
}

/// Every partition this node hosts: swapped as a whole by the reconciler, read by everyone without waiting.
#[derive(Debug, Default)]
pub(crate) struct PartitionMap {
    places: ArcSwap<imbl::HashMap<PartitionId, Place>>,
    version: AtomicU64,
    changed: Notify,
    /// Partitions that somebody waits for; no more than there are.
    wanted: Mutex<BTreeSet<PartitionId>>,
    asked: Notify,
}

impl PartitionMap {
    /// What is hosted under `id` now, if it was opened.
    pub(crate) fn get(&self, id: PartitionId) -> Option<Hosted> {
        match self.place(id)? {
            Place::Tried(hosted) => Some(hosted),
            Place::Unopened => None,
        }
    }

    /// What is known of `id` now.
    pub(crate) fn place(&self, id: PartitionId) -> Option<Place> {
        self.places.load().get(&id).cloned()
    }

    /// The partitions that cannot be written, and why. Looks at every partition there is.
    pub(crate) fn failed(&self) -> Vec<(PartitionId, Arc<str>)> {
        let places = self.places.load();
        let failed = places.iter().filter_map(|(id, place)| match place {
            Place::Unopened => None,
            Place::Tried(Hosted::Failed(reason)) => Some((*id, reason.clone())),
            Place::Tried(Hosted::Open { partition, .. }) => Some((*id, partition.view().failed.clone()?)),
        });
        failed.collect()
    }

    /// Publishes a changed map. Only the reconciler calls this, so nothing is lost between read and write.
    pub(crate) fn publish(&self, change: impl FnOnce(&mut imbl::HashMap<PartitionId, Place>)) {
        let mut places = imbl::HashMap::clone(&self.places.load());
        change(&mut places);
        self.places.store(Arc::new(places));
        self.version.fetch_add(1, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Grows after each change of the map: who reads it before the map knows from it when to read the map again.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// What is hosted under `id`, waiting until `deadline` for the reconciler to open it.
    pub(crate) async fn wait_for(&self, id: PartitionId, deadline: tokio::time::Instant) -> Option<Hosted> {
        loop {
            let changed = self.changed.notified();
            match self.place(id) {
                Some(Place::Tried(hosted)) => return Some(hosted),
                Some(Place::Unopened) => self.want(id),
                None => {}
            }
            tokio::time::timeout_at(deadline, changed).await.ok()?;
        }
    }

    /// Asks for `id` to be opened soon.
    fn want(&self, id: PartitionId) {
        let fresh = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        if fresh {
            self.asked.notify_one();
        }
    }

    /// Ends when somebody has asked for a partition since the last time.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// At most `count_max` of the partitions that were asked for.
    pub(crate) fn take_wanted(&self, count_max: usize) -> Vec<PartitionId> {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: Vec<_> = wanted.iter().copied().take(count_max).collect();
        wanted.retain(|id| taken.last().is_none_or(|last| id > last));
        taken
    }
}
