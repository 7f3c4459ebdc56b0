use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Frames up to this size draw on a share of the budget of their own, so that a few announced giants cannot keep
/// everybody else's small requests out.
const SMALL_BYTES: usize = 64 * 1024;

/// Share of the budget kept for small frames: one part in this many.
const SMALL_SHARE: usize = 4;

/// The memory that requests may take, in bytes, for the whole process (`queued.max.request.bytes`). A frame is
/// admitted by its whole size before its body is read, and holds its share until it is answered.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    large_bytes: usize,
    total_bytes: usize,
}

/// A share of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Budget {
    /// A budget of `total_bytes`, of which `frame_bytes_max` must fit into the share for large frames.
    pub(crate) fn new(total_bytes: usize, frame_bytes_max: usize) -> Self {
        let small_bytes = (total_bytes / SMALL_SHARE).max(SMALL_BYTES);
        let large_bytes = total_bytes.saturating_sub(small_bytes).max(frame_bytes_max).min(u32::MAX as usize);
        Self {
            small: Arc::new(Semaphore::new(small_bytes)),
            large: Arc::new(Semaphore::new(large_bytes)),
            large_bytes,
            total_bytes: small_bytes + large_bytes,
        }
    }

    /// Waits for `bytes` of the budget. First come, first served within each share.
    pub(crate) async fn admit(self, bytes: usize) -> Option<Share> {
        let pool = if bytes <= SMALL_BYTES { self.small } else { self.large };
        let permits = u32::try_from(bytes.min(self.large_bytes)).ok()?;
        pool.acquire_many_owned(permits).await.ok().map(Share)
    }

    /// Bytes in use and bytes in all.
    pub(crate) fn usage(&self) -> (usize, usize) {
        let free = self.small.available_permits() + self.large.available_permits();
        (self.total_bytes.saturating_sub(free), self.total_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn giants_wait_for_each_other_and_never_for_small_frames() {
        let budget = Budget::new(1024 * 1024, 512 * 1024);
        let first = budget.clone().admit(512 * 1024).await;
        let waiting = tokio::time::timeout(Duration::from_millis(20), budget.clone().admit(512 * 1024)).await;
        assert!(waiting.is_err(), "the second giant must wait");
        assert!(budget.clone().admit(1024).await.is_some(), "a small frame must not");
        drop(first);
        assert!(budget.clone().admit(512 * 1024).await.is_some());
        assert_eq!(budget.usage().0, 0, "everything was given back");
    }
}
