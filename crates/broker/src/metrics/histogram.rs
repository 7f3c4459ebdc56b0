use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::lanes::Lanes;

/// Buckets before the last, open one.
const BOUNDED: usize = 20;

/// Upper bound of the first bucket; each further one is twice as wide: 128 us, 256 us, ... 67 s.
const FIRST_NANOS: u64 = 128_000;

/// Durations, counted in buckets of doubling width.
#[derive(Debug, Default)]
pub(super) struct Histogram(Lanes<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    counts: [AtomicU64; BOUNDED + 1],
    sum_nanos: AtomicU64,
}

impl Histogram {
    pub(super) fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let own = self.0.own();
        own.counts[bucket_of(nanos)].fetch_add(1, Ordering::Relaxed);
        own.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        (0..=BOUNDED).map(|bucket| self.bucket(bucket)).sum()
    }

    pub(super) fn sum_seconds(&self) -> f64 {
        Duration::from_nanos(self.0.sum(|own| own.sum_nanos.load(Ordering::Relaxed))).as_secs_f64()
    }

    fn bucket(&self, bucket: usize) -> u64 {
        self.0.sum(|own| own.counts[bucket].load(Ordering::Relaxed))
    }

    /// Upper bound in seconds and how many durations were at most that long, bucket by bucket, the open one
    /// left out.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let below = (0..BOUNDED).scan(0, |sum, bucket| {
            *sum += self.bucket(bucket);
            Some(*sum)
        });
        bounds_nanos().map(|bound| Duration::from_nanos(bound).as_secs_f64()).zip(below)
    }
}

/// The first bucket whose bound is not below `nanos`: found by counting bits, since every request is recorded several
/// times.
fn bucket_of(nanos: u64) -> usize {
    let firsts = nanos.saturating_sub(1) / FIRST_NANOS;
    let doublings = u64::BITS - firsts.leading_zeros();
    BOUNDED.min(doublings as usize)
}

fn bounds_nanos() -> impl Iterator<Item = u64> {
    (0..BOUNDED).map(|doublings| FIRST_NANOS << doublings)
}

#[cfg(test)]
mod tests {
    use super::super::lanes::LANES;
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test of threads starts some")]
    fn what_several_threads_count_is_told_as_one() {
        let histogram = Histogram::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * LANES {
                scope.spawn(|| histogram.record(Duration::from_millis(1)));
            }
        });
        assert_eq!((histogram.count(), histogram.sum_seconds()), (2 * LANES as u64, 0.016));
        let counts: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts[..4], [0, 0, 0, 2 * LANES as u64]);
    }

    #[test]
    fn a_duration_is_counted_in_the_first_bucket_that_holds_it() {
        assert_eq!((bucket_of(0), bucket_of(1), bucket_of(u64::MAX)), (0, 0, BOUNDED));
        for (bucket, bound) in bounds_nanos().enumerate() {
            assert_eq!((bucket_of(bound), bucket_of(bound + 1)), (bucket, bucket + 1), "{bound}");
        }
    }
}
