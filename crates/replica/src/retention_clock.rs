use std::time::Duration;

use forebay_base::{Instant, WallTime};

/// A jump forth is believed at the latest after this time.
const DOUBT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The time by which records age: what the wall clock says, unless it has jumped forth.
///
/// It goes on with the monotonic clock. The wall clock is believed when it is behind that, and when it has stood ahead
/// for as long as it is ahead (24 h at most): an hour forth is believed after an hour. So a clock that is set wrong and
/// right again deletes nothing too early, and one that stays does not keep records for ever.
///
/// Never ahead of the wall clock; monotone while the wall clock is; behind a wall clock that stands ahead no longer than
/// the jump is large, and no longer than twice 24 h where one jump follows another. What the wall clock says first is
/// believed: before it there is nothing to compare with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetentionClock {
    /// What this clock said last, and when.
    said: WallTime,
    at: Instant,
    doubt: Option<Doubt>,
}

/// A jump forth that is not believed yet.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// How far ahead the wall clock has been ever since.
    ahead_ms: i64,
    since: Instant,
}

impl RetentionClock {
    /// A clock that believes what the wall clock says now.
    pub(crate) fn new(now: Instant, wall: WallTime) -> Self {
        Self { said: wall, at: now, doubt: None }
    }

    /// The time by which records age, as of now. A jump is noticed when this is called first after it.
    pub(crate) fn read(&mut self, now: Instant, wall: WallTime) -> WallTime {
        // In whole milliseconds, the rest kept for the next time: many readings must not add up to a lag.
        let passed_ms = now.since(self.at).as_millis();
        let passed_ms = i64::try_from(passed_ms).unwrap_or(i64::MAX);
        let steady = WallTime(self.said.0.saturating_add(passed_ms));
        self.at = self.at + Duration::from_millis(passed_ms.unsigned_abs());
        self.said = if wall <= steady {
            self.doubt = None;
            wall
        } else {
            self.weigh(now, steady, wall)
        };
        self.said
    }

    /// What to say while the wall clock is ahead of `steady`.
    fn weigh(&mut self, now: Instant, steady: WallTime, wall: WallTime) -> WallTime {
        let ahead_ms = wall.0.saturating_sub(steady.0);
        // Of a second jump forth nothing counts until the first is believed; of one back, what is left has stood.
        let mut doubt = self.doubt.unwrap_or(Doubt { ahead_ms, since: now });
        doubt.ahead_ms = doubt.ahead_ms.min(ahead_ms);
        let needed = Duration::from_millis(doubt.ahead_ms.unsigned_abs()).min(DOUBT_MAX);
        if now.since(doubt.since) < needed {
            self.doubt = Some(doubt);
            return steady;
        }
        let rest_ms = ahead_ms - doubt.ahead_ms;
        self.doubt = (rest_ms > 0).then_some(Doubt { ahead_ms: rest_ms, since: now });
        WallTime(steady.0.saturating_add(doubt.ahead_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE_MS: i64 = 60_000;
    const HOUR_MS: i64 = 60 * MINUTE_MS;
    const DAY_MS: i64 = 24 * HOUR_MS;

    /// Both clocks, read together; the wall clock can be set.
    struct Clocks {
        passed_ms: i64,
        ahead_ms: i64,
        clock: RetentionClock,
    }

    impl Clocks {
        fn new() -> Self {
            Self { passed_ms: 0, ahead_ms: 0, clock: RetentionClock::new(Instant(0), WallTime(0)) }
        }

        fn wall(&self) -> i64 {
            self.passed_ms + self.ahead_ms
        }

        /// How far the clock is ahead of the time that passed, after so much more of it.
        fn after(&mut self, ms: i64) -> i64 {
            self.passed_ms += ms;
            let now = Instant(self.passed_ms.unsigned_abs() * 1_000_000);
            self.clock.read(now, WallTime(self.wall())).0 - self.passed_ms
        }
    }

    #[test]
    fn a_jump_forth_is_believed_when_it_has_stood_for_its_size() {
        let mut clocks = Clocks::new();
        clocks.ahead_ms = HOUR_MS;
        assert_eq!(clocks.after(0), 0);
        assert_eq!(clocks.after(HOUR_MS - 1), 0);
        assert_eq!(clocks.after(1), HOUR_MS);
    }

    #[test]
    fn a_jump_that_is_taken_back_is_never_believed() {
        let mut clocks = Clocks::new();
        for _ in 0..10 {
            clocks.ahead_ms = HOUR_MS;
            assert_eq!(clocks.after(40 * MINUTE_MS), 0);
            clocks.ahead_ms = 0;
            assert_eq!(clocks.after(MINUTE_MS), 0);
        }
    }

    #[test]
    fn a_jump_back_is_followed_at_once() {
        let mut clocks = Clocks::new();
        clocks.ahead_ms = -HOUR_MS;
        assert_eq!(clocks.after(1), -HOUR_MS);
        // Set right again it has jumped forth.
        clocks.ahead_ms = 0;
        assert_eq!(clocks.after(1), -HOUR_MS);
        assert_eq!(clocks.after(HOUR_MS), 0);
    }

    #[test]
    fn a_jump_of_years_is_believed_after_a_day() {
        let mut clocks = Clocks::new();
        clocks.ahead_ms = 3_650 * DAY_MS;
        assert_eq!(clocks.after(0), 0);
        assert_eq!(clocks.after(DAY_MS - 1), 0);
        assert_eq!(clocks.after(1), 3_650 * DAY_MS);
    }

    #[test]
    fn what_is_left_of_a_jump_has_stood_all_the_time() {
        let mut clocks = Clocks::new();
        clocks.ahead_ms = 2 * HOUR_MS;
        assert_eq!(clocks.after(0), 0);
        assert_eq!(clocks.after(HOUR_MS - 1), 0);
        clocks.ahead_ms = HOUR_MS;
        assert_eq!(clocks.after(1), HOUR_MS);
    }

    #[test]
    fn readings_between_milliseconds_lose_no_time() {
        let mut clock = RetentionClock::new(Instant(0), WallTime(0));
        for step in 1..=10_000u64 {
            // Four readings a millisecond, beside a wall clock that is ahead and doubted.
            clock.read(Instant(step * 250_000), WallTime(DAY_MS));
        }
        assert_eq!(clock.read(Instant(2_500_000_000), WallTime(DAY_MS)), WallTime(2_500));
    }

    fn steps() -> impl Strategy<Value = Vec<(i64, i64)>> {
        let passes = prop_oneof![0..10i64, 0..10 * MINUTE_MS, 0..3 * HOUR_MS];
        let jumps = prop_oneof![Just(0), -5..5i64, -3 * HOUR_MS..3 * HOUR_MS, -3 * DAY_MS..3 * DAY_MS];
        proptest::collection::vec((passes, jumps), 1..40)
    }

    proptest! {
        #[test]
        fn never_ahead_of_the_wall_clock_and_monotone_while_that_is(steps in steps()) {
            let mut clocks = Clocks::new();
            let (mut said_before, mut wall_before) = (0, 0);
            for (passes, jump) in steps {
                clocks.ahead_ms += jump;
                let said = clocks.after(passes) + clocks.passed_ms;
                prop_assert!(said <= clocks.wall());
                if clocks.wall() >= wall_before {
                    prop_assert!(said >= said_before, "{said} after {said_before}");
                }
                (said_before, wall_before) = (said, clocks.wall());
            }
        }

        /// However the wall clock is set: never more is believed than time has passed, jumps beyond 24 h left aside.
        #[test]
        fn what_is_believed_has_stood(steps in steps()) {
            let mut clocks = Clocks::new();
            let mut lowest = 0;
            for (passes, jump) in steps {
                clocks.ahead_ms = (clocks.ahead_ms + jump).clamp(-DAY_MS / 2, DAY_MS / 2);
                let ahead = clocks.after(passes);
                lowest = ahead.min(lowest);
                prop_assert!(ahead <= lowest + clocks.passed_ms, "{ahead} ahead");
            }
        }

        #[test]
        fn never_behind_for_longer_than_the_rule(steps in steps()) {
            let mut clocks = Clocks::new();
            let mut ahead = 0;
            for (passes, jump) in steps {
                clocks.ahead_ms += jump;
                ahead = clocks.after(passes);
            }
            // From here on the wall clock goes right, and is looked at every minute.
            let behind = clocks.ahead_ms - ahead;
            let looks = behind.min(2 * DAY_MS) / MINUTE_MS + 3;
            for _ in 0..looks {
                ahead = clocks.after(MINUTE_MS);
            }
            prop_assert_eq!(ahead, clocks.ahead_ms, "{} ms behind at first", behind);
        }
    }
}
