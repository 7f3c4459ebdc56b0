use std::time::Duration;

use forebay_base::{Clock, Instant, WallTime};

/// Wall time at which every simulated world starts, in milliseconds since the Unix epoch.
const EPOCH_MS: i64 = 1_700_000_000_000;

/// Both clocks, driven by tokio's paused time: it advances only when every task waits.
#[derive(Debug, Clone, Copy)]
pub struct SimClock {
    start: tokio::time::Instant,
}

impl SimClock {
    /// A clock that stands at zero now. Made inside the runtime whose time it shows.
    pub fn start() -> Self {
        Self { start: tokio::time::Instant::now() }
    }

    /// The runtime's name for a point on this clock.
    pub(crate) fn tokio(&self, at: Instant) -> tokio::time::Instant {
        self.start + Duration::from_nanos(at.0)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Instant {
        Instant(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn wall(&self) -> WallTime {
        WallTime(EPOCH_MS + i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX - EPOCH_MS))
    }
}
