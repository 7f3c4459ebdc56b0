use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::sending::Ready;
use super::session::Session;
use crate::metrics::Metrics;

/// Lines in the log for slow requests, in each second: a client can be as slow as it likes, as often as it likes.
const LINES_PER_SECOND: u32 = 5;

/// Writes requests that took long to the log (`slow.request.ms`), a few of them each second.
#[derive(Debug)]
pub(crate) struct SlowRequests {
    /// `None`: nothing is slow.
    from: Option<Duration>,
    lines: Mutex<Lines>,
}

/// How many lines may be written: so many in each second, counted from the first line of it.
#[derive(Debug, Default)]
struct Lines {
    second: Option<Instant>,
    written: u32,
    suppressed: u64,
}

impl SlowRequests {
    /// Tells of requests that took `ms` or longer; 0 for none.
    pub(crate) fn new(ms: u64) -> Self {
        Self { from: (ms > 0).then(|| Duration::from_millis(ms)), lines: Mutex::default() }
    }

    /// Looks at an answer that was ready and has now been sent, after `send`. The long poll of a fetch does not count.
    pub(super) fn consider(&self, metrics: &Metrics, session: &Session, ready: &Ready, send: Duration) {
        let stages = &ready.stages;
        let total = stages.total() + send;
        if self.from.is_none_or(|from| total - stages.parked < from) {
            return;
        }
        metrics.slow_request();
        let admitted = self.lines.lock().unwrap_or_else(PoisonError::into_inner).admit(ready.at + send);
        let Some(suppressed) = admitted else { return };
        if suppressed > 0 {
            tracing::warn!(suppressed, "slow requests that the log has left out");
        }
        let ms = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(
            api = %ready.api,
            connection = session.id,
            client_id = ?session.client_id().unwrap_or_default(),
            peer = %session.peer,
            listener = %session.listener,
            total_ms = ms(total),
            queue_ms = ms(stages.queue),
            write_ms = stages.write.map(ms),
            sync_ms = stages.sync.map(ms),
            wait_ms = ms(stages.wait),
            long_poll_ms = ms(stages.parked),
            send_ms = ms(send),
            "slow request"
        );
    }
}

impl Lines {
    /// May one more line be written? With how many were left out before it.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let fresh = self.second.is_none_or(|second| now >= second + Duration::from_secs(1));
        if fresh {
            (self.second, self.written) = (Some(now), 0);
        }
        if self.written == LINES_PER_SECOND {
            self.suppressed += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_a_few_lines_and_the_next_tells_what_it_left_out() {
        let (mut lines, start) = (Lines::default(), Instant::now());
        let mut burst = |after_ms: u64, count: usize| -> Vec<Option<u64>> {
            (0..count).map(|_| lines.admit(start + Duration::from_millis(after_ms))).collect()
        };
        assert_eq!(burst(0, 7), [Some(0), Some(0), Some(0), Some(0), Some(0), None, None]);
        assert_eq!(burst(999, 1), [None]);
        assert_eq!(burst(1000, 2), [Some(3), Some(0)]);
        assert_eq!(burst(10_000, 1), [Some(0)]);
    }
}
