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

/// The rate grows by one part in so many in each window in which appends were on time, and at most to twice what it was.
const GROWTH: u64 = 128;

/// Nobody is held back for longer at once: a client must not think that the server is gone.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Has consumers who lag behind give way to appends of the same volume.
///
/// Reading from the device, checking and sending takes the processors and the device for as long as such a consumer can take
/// it, and producers wait meanwhile. So while appends come, all such consumers together have a rate in bytes (more of them
/// than can be held back for [`PAUSE_MAX`] get more):
///
/// ```text
///            an append came: the least          appends late: half the rate, on time: a little more
///    free ────────────────────> at a rate ─┐ <────┐
///     ^                                    ├──────┘
///     └──── no append for two seconds ─────┘
/// ```
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The longest that an append has waited since it was judged last, in ns; 0: there was none.
    waited: AtomicU64,
    /// When the last append came, in ns of the clock; 0: never.
    append_at: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes a second; `None`: free.
    rate: Option<u64>,
    judged_at: Instant,
    /// When all that was taken so far is paid for.
    paid_at: Instant,
}

impl Pace {
    /// An append was taken up by its writer `now`, after so long.
    pub(crate) fn note_append(&self, now: Instant, waited: Duration) {
        self.append_at.store(now.0, Ordering::Relaxed);
        let waited = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.waited.fetch_max(waited.max(1), Ordering::Relaxed);
    }

    /// A consumer who lags behind has got `bytes`: for so long it is not to have more. All together always get
    /// `rate_min` bytes a second.
    pub(crate) fn charge(&self, now: Instant, bytes: u64, rate_min: u64) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(state.judged_at) >= WINDOW {
            let waited = Duration::from_nanos(self.waited.swap(0, Ordering::Relaxed));
            state.judge(now, waited, Instant(self.append_at.load(Ordering::Relaxed)));
        }
        let Some(rate) = state.rate else { return Duration::ZERO };
        let rate = rate.max(rate_min).max(1);
        state.rate = Some(rate);
        let cost_nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
        let cost = Duration::from_nanos(u64::try_from(cost_nanos).unwrap_or(u64::MAX));
        state.paid_at = (state.paid_at.max(now) + cost.min(PAUSE_MAX)).min(now + PAUSE_MAX);
        state.paid_at.since(now)
    }
}

impl State {
    fn judge(&mut self, now: Instant, waited: Duration, append_at: Instant) {
        let windows = now.since(self.judged_at).as_nanos() / WINDOW.as_nanos();
        self.judged_at = now;
        if append_at == Instant(0) || now.since(append_at) >= QUIET {
            self.rate = None;
        } else if !waited.is_zero() {
            let parts = u64::try_from(windows).unwrap_or(u64::MAX).min(GROWTH);
            self.rate = Some(match self.rate {
                None => 0,
                Some(rate) if waited > LATE => rate / 2,
                Some(rate) => rate.saturating_add(rate / GROWTH * parts),
            });
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

    /// A consumer who takes answers of some MiB, each within a millisecond if it may, beside appends that wait so long.
    struct Consumer {
        pace: Pace,
        now: Instant,
        answer: u64,
    }

    impl Consumer {
        fn new(answer: u64) -> Self {
            Self { pace: Pace::default(), now: Instant(1_000_000_000), answer }
        }

        /// MiB that it gets each second, for so long.
        fn take(&mut self, seconds: u64, append: Option<Duration>) -> u64 {
            let (began, end, mut read) = (self.now, self.now + Duration::from_secs(seconds), 0);
            while self.now < end {
                if let Some(waited) = append {
                    self.pace.note_append(self.now, waited);
                }
                let pause = self.pace.charge(self.now, self.answer * MIB, MIN);
                self.now = self.now + pause.max(Duration::from_millis(1));
                read += self.answer;
            }
            read * 1_000 / self.now.since(began).as_millis() as u64
        }
    }

    #[test]
    fn reads_give_way_while_appends_are_late_and_only_then() {
        for answer in [1, 50] {
            let (mut consumer, freely) = (Consumer::new(answer), answer * 1_000);
            assert_eq!(consumer.take(1, None), freely, "nobody is there to give way to");
            consumer.take(3, LATE_APPENDS);
            let least = consumer.take(5, LATE_APPENDS);
            assert!((60..70).contains(&least), "{least}");
            let grown = consumer.take(5, APPENDS_ON_TIME);
            assert!(grown > least * 3 / 2, "{grown}");
            consumer.take(30, APPENDS_ON_TIME);
            let held_back = freely - consumer.take(1, APPENDS_ON_TIME);
            assert!(held_back < freely / 50, "appends that do not wait hold nobody back: {held_back}");
            consumer.take(1, LATE_APPENDS);
            consumer.take(3, None);
            assert_eq!(consumer.take(1, None), freely, "they have ended");
        }
    }

    #[test]
    fn appends_of_long_ago_hold_nobody_back() {
        let mut consumer = Consumer::new(1);
        consumer.take(1, LATE_APPENDS);
        consumer.pace.note_append(consumer.now, Duration::from_secs(1));
        consumer.now = consumer.now + QUIET;
        assert_eq!(consumer.take(1, None), 1_000);
    }

    #[test]
    fn who_is_held_back_for_seconds_is_not_taken_for_one_who_was_away() {
        let (pace, mut now) = (Pace::default(), Instant(1_000_000_000));
        for _ in 0..20 {
            pace.note_append(now, Duration::from_millis(5));
            now = now + pace.charge(now, 50 * MIB, 10 * MIB);
        }
        pace.note_append(now, Duration::from_millis(5));
        assert_eq!(pace.charge(now, 50 * MIB, 10 * MIB), Duration::from_secs(5));
    }

    #[test]
    fn consumers_share_one_rate_and_wait_a_few_seconds_at_most() {
        let (pace, now) = (Pace::default(), Instant(1_000_000_000));
        pace.note_append(now, Duration::from_secs(1));
        let one = pace.charge(now, 64 * MIB, MIN);
        assert_eq!(one, Duration::from_secs(1));
        assert_eq!(pace.charge(now, 64 * MIB, MIN), 2 * one);
        for rate_min in [0, 1, MIN, u64::MAX] {
            assert!(pace.charge(now, u64::MAX, rate_min) <= PAUSE_MAX);
        }
    }
}
