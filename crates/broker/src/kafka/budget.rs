use std::sync::Arc;

use bytes::Bytes;
use forebay_base::limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Frames up to this size draw on a share of the budget of their own, so that a few announced giants cannot keep
/// everybody else's small requests out.
pub(super) const SMALL_BYTES: usize = 64 * 1024;

/// Share of the budget kept for small frames: one part in this many.
const SMALL_SHARE: usize = 4;

/// The memory that requests may take, in bytes, for the whole process (`queued.max.request.bytes`). A frame is
/// admitted by its size when its first bytes have come (a large one in two steps), and holds its share until its
/// bytes are not needed any more.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    /// One batch at a time is inflated to be looked into, with at most `limits::INFLATE_MEMORY_BYTES`.
    inflating: Arc<Semaphore>,
    large_bytes: usize,
    total_bytes: usize,
}

/// Bytes that hold their share of the budget for as long as anybody holds a part of them.
pub(crate) fn charged(bytes: Bytes, share: Option<Share>) -> Bytes {
    match share {
        Some(share) => Bytes::from_owner(Charged { bytes, _share: share }),
        None => bytes,
    }
}

struct Charged {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A share of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    /// Bytes that it was asked for.
    bytes: usize,
    _permit: OwnedSemaphorePermit,
}

impl Share {
    fn new(bytes: usize, permit: OwnedSemaphorePermit) -> Self {
        Self { bytes, _permit: permit }
    }

    /// True if it was taken for `bytes` or more.
    pub(super) fn covers(&self, bytes: usize) -> bool {
        self.bytes >= bytes
    }
}

impl Budget {
    /// A budget of `total_bytes`: at least [`Budget::least`] of the largest frame.
    pub(crate) fn new(total_bytes: usize) -> Self {
        let small_bytes = total_bytes / SMALL_SHARE;
        let large_bytes = total_bytes.saturating_sub(small_bytes + limits::INFLATE_MEMORY_BYTES);
        let semaphore = |bytes: usize| Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)));
        Self {
            small: semaphore(small_bytes),
            inflating: semaphore(1),
            large: semaphore(large_bytes),
            large_bytes,
            total_bytes: small_bytes + large_bytes,
        }
    }

    /// The smallest budget in which a frame of `frame_bytes` has room beside the other shares.
    pub(crate) fn least(frame_bytes: usize) -> usize {
        let small_frames = SMALL_BYTES * SMALL_SHARE;
        let others = frame_bytes.saturating_add(limits::INFLATE_MEMORY_BYTES);
        small_frames.max(others.saturating_mul(SMALL_SHARE) / (SMALL_SHARE - 1) + 1)
    }

    /// Waits for `bytes` of the budget. First come, first served within each share.
    pub(crate) async fn admit(self, bytes: usize) -> Option<Share> {
        let pool = if bytes <= SMALL_BYTES { self.small } else { self.large };
        let permits = u32::try_from(bytes.min(self.large_bytes)).ok()?;
        pool.acquire_many_owned(permits).await.ok().map(|permit| Share::new(bytes, permit))
    }

    /// As [`Budget::admit`], if there is room now and nobody waits for it.
    pub(crate) fn try_admit(&self, bytes: usize) -> Option<Share> {
        let pool = if bytes <= SMALL_BYTES { &self.small } else { &self.large };
        let permits = u32::try_from(bytes.min(self.large_bytes)).ok()?;
        let permit = pool.clone().try_acquire_many_owned(permits).ok()?;
        Some(Share::new(bytes, permit))
    }

    /// Waits for the turn to inflate a batch.
    pub(crate) async fn inflating(&self) -> Option<Share> {
        self.inflating.clone().acquire_owned().await.ok().map(|permit| Share::new(0, permit))
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
        const GIANT: usize = 512 * 1024;
        let budget = Budget::new(Budget::least(GIANT));
        let first = budget.clone().admit(GIANT).await;
        let waiting = tokio::time::timeout(Duration::from_millis(20), budget.clone().admit(GIANT)).await;
        assert!(waiting.is_err(), "the second giant must wait");
        assert!(budget.clone().admit(1024).await.is_some(), "a small frame must not");
        drop(first);
        assert!(budget.clone().admit(GIANT).await.is_some());
        assert_eq!(budget.usage().0, 0, "everything was given back");

        let frame = charged(Bytes::from(vec![0; 1024]), budget.clone().admit(1024).await);
        let part = frame.slice(10..20);
        drop(frame);
        assert_eq!(budget.usage().0, 1024, "a part of a frame holds the whole");
        drop(part);
        assert_eq!(budget.usage().0, 0);
    }
}
