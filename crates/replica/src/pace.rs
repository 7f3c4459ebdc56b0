use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use forebay_base::Instant;

/// An append that waits longer for its writer waits for its turn on the processors, or for the device.
const LATE: Duration = Duration::from_millis(2);

/// How often it is judged how appends fare, at most.
const WINDOW: Duration = Duration::from_millis(20);

/// Without an append for so long, nothing is held back.
const QUIET: Duration = Duration::from_secs(2);

/// Bytes a second when appends come to reads that were free.
const RATE_FIRST: u64 = 256 * 1024 * 1024;

/// The rate grows by this part in each window in which appends were on time.
const GROWTH: u64 = 32;

/// Nobody is held back for longer at once: a client must not think that the server is gone.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Has consumers who lag behind give way to appends of the same volume.
///
/// Reading from the device, checking and sending takes the processors and the device for as long as such a consumer can take
/// it, and producers wait meanwhile. So while appends come, all such consumers together have a rate in bytes:
///
/// ```text
///            an append came                    appends late: half the rate, on time: a little more
///    free ───────────────────> at a rate ─┐ <────┐
///     ^                                   ├──────┘
///     └──── no append for two seconds ────┘
/// ```
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The longest that an append has waited since it was judged last, in ns; 0: there was none.
    waited: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes a second; `None`: free.
    rate: Option<u64>,
    judged_at: Instant,
    /// When an append was known of last.
    append_at: Instant,
    /// When all that was taken so far is paid for.
    paid_at: Instant,
}

impl Pace {
    /// An append was taken up by its writer after so long.
    pub(crate) fn note_append(&self, waited: Duration) {
        let waited = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.waited.fetch_max(waited.max(1), Ordering::Relaxed);
    }

    /// A consumer who lags behind has got `bytes`: for so long it is not to have more. All together always get
    /// `rate_min` bytes a second.
    pub(crate) fn charge(&self, now: Instant, bytes: u64, rate_min: u64) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(state.judged_at) >= WINDOW {
            state.judge(now, Duration::from_nanos(self.waited.swap(0, Ordering::Relaxed)));
        }
        let Some(rate) = state.rate else { return Duration::ZERO };
        let rate = rate.max(rate_min).max(1);
        state.rate = Some(rate);
        let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
        state.paid_at = (state.paid_at.max(now) + cost.min(PAUSE_MAX)).min(now + PAUSE_MAX);
        state.paid_at.since(now)
    }
}

impl State {
    fn judge(&mut self, now: Instant, waited: Duration) {
        // What was noted while nobody read has nothing to do with reads.
        let resumed = now.since(self.judged_at) >= QUIET;
        self.judged_at = now;
        if !waited.is_zero() {
            self.append_at = now;
            self.rate = Some(match self.rate {
                Some(rate) if !resumed && waited > LATE => rate / 2,
                Some(rate) if !resumed => rate.saturating_add(rate / GROWTH),
                Some(_) | None => RATE_FIRST,
            });
        } else if now.since(self.append_at) >= QUIET {
            self.rate = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;
    const MIN: u64 = 64 * MIB;
    const LATE_APPENDS: Option<Duration> = Some(Duration::from_millis(5));
    const APPENDS_ON_TIME: Option<Duration> = Some(Duration::from_micros(50));

    /// A consumer who takes a MiB a millisecond if it may, beside appends that wait so long.
    struct Consumer {
        pace: Pace,
        now: Instant,
    }

    impl Consumer {
        fn new() -> Self {
            Self { pace: Pace::default(), now: Instant(1_000_000_000) }
        }

        /// MiB that it gets within a second.
        fn second(&mut self, append: Option<Duration>) -> u64 {
            let (end, mut read) = (self.now + Duration::from_secs(1), 0);
            while self.now < end {
                if let Some(waited) = append {
                    self.pace.note_append(waited);
                }
                let pause = self.pace.charge(self.now, MIB, MIN);
                self.now = self.now + pause.max(Duration::from_millis(1));
                read += 1;
            }
            read
        }
    }

    #[test]
    fn reads_give_way_while_appends_are_late_and_only_then() {
        let mut consumer = Consumer::new();
        assert_eq!(consumer.second(None), 1_000, "nobody is there to give way to");
        consumer.second(LATE_APPENDS);
        let least = consumer.second(LATE_APPENDS);
        assert!((60..70).contains(&least), "{least}");
        let grown = consumer.second(APPENDS_ON_TIME);
        assert!(grown > least * 3 / 2, "{grown}");
        for _ in 0..5 {
            consumer.second(APPENDS_ON_TIME);
        }
        assert_eq!(consumer.second(APPENDS_ON_TIME), 1_000, "appends that do not wait hold nobody back");
        consumer.second(LATE_APPENDS);
        for _ in 0..3 {
            consumer.second(None);
        }
        assert_eq!(consumer.second(None), 1_000, "they have ended");
    }

    #[test]
    fn who_comes_back_does_not_pay_for_what_was_while_it_was_away() {
        let mut consumer = Consumer::new();
        for _ in 0..2 {
            consumer.second(LATE_APPENDS);
        }
        consumer.now = consumer.now + QUIET;
        let first = consumer.second(APPENDS_ON_TIME);
        assert!(first > 250, "{first}");
    }

    #[test]
    fn consumers_share_one_rate_and_wait_a_few_seconds_at_most() {
        let (pace, now) = (Pace::default(), Instant(1_000_000_000));
        pace.note_append(Duration::from_secs(1));
        let one = pace.charge(now, 64 * MIB, MIN);
        assert_eq!(one, Duration::from_millis(250));
        assert_eq!(pace.charge(now, 64 * MIB, MIN), 2 * one);
        for _ in 0..10 {
            assert!(pace.charge(now, u64::MAX, MIN) <= PAUSE_MAX);
        }
    }
}
