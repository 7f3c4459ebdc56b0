use std::sync::Arc;

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

/// Every partition this node hosts: swapped as a whole by the reconciler, read by everyone without waiting.
#[derive(Debug, Default)]
pub(crate) struct PartitionMap {
    hosted: ArcSwap<imbl::HashMap<PartitionId, Hosted>>,
    changed: Notify,
}

impl PartitionMap {
    /// What is hosted under `id` now.
    pub(crate) fn get(&self, id: PartitionId) -> Option<Hosted> {
        self.hosted.load().get(&id).cloned()
    }

    /// Publishes a changed map. Only the reconciler calls this, so nothing is lost between read and write.
    pub(crate) fn publish(&self, change: impl FnOnce(&mut imbl::HashMap<PartitionId, Hosted>)) {
        let mut hosted = imbl::HashMap::clone(&self.hosted.load());
        change(&mut hosted);
        self.hosted.store(Arc::new(hosted));
        self.changed.notify_waiters();
    }

    /// What is hosted under `id`, waiting until `deadline` for the reconciler to open it.
    pub(crate) async fn wait_for(&self, id: PartitionId, deadline: tokio::time::Instant) -> Option<Hosted> {
        loop {
            let changed = self.changed.notified();
            if let Some(hosted) = self.get(id) {
                return Some(hosted);
            }
            tokio::time::timeout_at(deadline, changed).await.ok()?;
        }
    }
}
