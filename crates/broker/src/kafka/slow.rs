use std::time::Duration;

use super::sending::Ready;
use super::session::Session;
use crate::metrics::Metrics;

/// Writes requests that took long to the log (`slow.request.ms`): of each API the first, then how many there were.
#[derive(Debug)]
pub(crate) struct SlowRequests {
    /// `None`: nothing is slow.
    from: Option<Duration>,
}

impl SlowRequests {
    /// Tells of requests that took `ms` or longer; 0 for none.
    pub(crate) fn new(ms: u64) -> Self {
        Self { from: (ms > 0).then(|| Duration::from_millis(ms)) }
    }

    /// Looks at an answer that was ready and has now been sent, after `send`. The long poll of a fetch does not count.
    pub(super) fn consider(&self, metrics: &Metrics, session: &Session, ready: &Ready, send: Duration) {
        let stages = &ready.stages;
        let total = stages.total() + send;
        if self.from.is_none_or(|from| total - stages.parked < from) {
            return;
        }
        metrics.slow_request();
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
