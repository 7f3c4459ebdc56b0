use std::sync::Arc;

use forebay_replica::Partition;

/// Writers that were given batches and not told, each by one of its partitions. They are told when this is dropped,
/// whatever becomes of those who wait.
#[derive(Debug, Default)]
pub(super) struct Nudges(Vec<Arc<Partition>>);

impl Nudges {
    /// A batch was queued to the partition.
    pub(super) fn add(&mut self, partition: &Arc<Partition>) {
        if !self.0.iter().any(|known| known.shares_writer(partition)) {
            self.0.push(partition.clone());
        }
    }

    /// True if there are writers to tell.
    pub(super) fn are_due(&self) -> bool {
        !self.0.is_empty()
    }

    /// Has the writers begin.
    pub(super) fn give(&mut self) {
        for partition in self.0.drain(..) {
            partition.nudge();
        }
    }
}

impl Drop for Nudges {
    fn drop(&mut self) {
        self.give();
    }
}
