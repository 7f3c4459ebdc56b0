use std::sync::Arc;

use bytes::Bytes;
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
    /// For records read into memory to be sent; apart, so that answers never wait for requests nor requests for them.
    answers: Arc<Semaphore>,
    /// One batch at a time is inflated to be looked into, to at most `limits::INFLATED_BYTES_MAX`: the one thing that
    /// comes on top of the budget.
    inflating: Arc<Semaphore>,
    answer_bytes: usize,
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
pub(crate) struct Share(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Budget {
    /// A budget of `total_bytes`, of which `frame_bytes_max` must fit into the share for large frames.
    pub(crate) fn new(total_bytes: usize, frame_bytes_max: usize) -> Self {
        let small_bytes = (total_bytes / SMALL_SHARE).max(SMALL_BYTES);
        let large_bytes =
            total_bytes.saturating_sub(2 * small_bytes).max(frame_bytes_max).min(u32::MAX as usize);
        Self {
            small: Arc::new(Semaphore::new(small_bytes)),
            answers: Arc::new(Semaphore::new(small_bytes)),
            inflating: Arc::new(Semaphore::new(1)),
            answer_bytes: small_bytes,
            large: Arc::new(Semaphore::new(large_bytes)),
            large_bytes,
            total_bytes: 2 * small_bytes + large_bytes,
        }
    }

    /// Waits for `bytes` of the budget. First come, first served within each share.
    pub(crate) async fn admit(self, bytes: usize) -> Option<Share> {
        let pool = if bytes <= SMALL_BYTES { self.small } else { self.large };
        let permits = u32::try_from(bytes.min(self.large_bytes)).ok()?;
        pool.acquire_many_owned(permits).await.ok().map(Share)
    }

    /// Room for `bytes` of an answer. The first part of an answer waits for it, and holds nothing while it waits; later
    /// parts take what is there or go without.
    pub(crate) async fn answer(&self, bytes: usize, first: bool) -> Option<Share> {
        let permits = u32::try_from(bytes.min(self.answer_bytes)).ok()?;
        let pool = self.answers.clone();
        if first {
            return pool.acquire_many_owned(permits).await.ok().map(Share);
        }
        pool.try_acquire_many_owned(permits).ok().map(Share)
    }

    /// Waits for the turn to inflate a batch.
    pub(crate) async fn inflating(&self) -> Option<Share> {
        self.inflating.clone().acquire_owned().await.ok().map(Share)
    }

    /// Bytes in use and bytes in all.
    pub(crate) fn usage(&self) -> (usize, usize) {
        let free = self.small.available_permits()
            + self.large.available_permits()
            + self.answers.available_permits();
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

        let answer = budget.answer(256 * 1024, true).await;
        assert!(
            answer.is_some() && budget.answer(1024, false).await.is_none(),
            "the rest of an answer goes without"
        );
        let frame = charged(Bytes::from(vec![0; 1024]), budget.clone().admit(1024).await);
        let part = frame.slice(10..20);
        drop((answer, frame));
        assert_eq!(budget.usage().0, 1024, "a part of a frame holds the whole");
        drop(part);
        assert_eq!(budget.usage().0, 0);
    }
}
