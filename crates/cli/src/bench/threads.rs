use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::machine::now;
use crate::failure::{Exit, Failure};

/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(100);

/// What blocking threads did together.
#[derive(Debug)]
pub(super) struct Joint<T> {
    /// What each of them did.
    pub(super) done: Vec<T>,
    /// From the first's start to the last's end.
    pub(super) took: Duration,
    /// Bytes moved in each whole second.
    pub(super) by_second: Vec<u64>,
}

/// Runs each of `jobs` on a thread of its own, and watches the bytes they count in `progress`. The first failure is
/// told when all have ended.
pub(super) fn run<T: Send, J: FnOnce() -> Result<T, Failure> + Send>(
    jobs: Vec<J>,
    progress: &[AtomicU64],
    bar: &ProgressBar,
) -> Result<Joint<T>, Failure> {
    let count = jobs.len();
    let (tell, told) = channel();
    let begun = now();
    thread::scope(|scope| {
        for job in jobs {
            let tell = tell.clone();
            scope.spawn(move || tell.send((job(), now())));
        }
        drop(tell);
        let mut watch = Watch { begun, progress, bar, by_second: Vec::new(), before: 0 };
        let (mut done, mut failed, mut ended) = (Vec::with_capacity(count), None, begun);
        loop {
            match told.recv_timeout(watch.pause()) {
                Ok((Ok(result), at)) => {
                    done.push(result);
                    ended = ended.max(at);
                }
                Ok((Err(failure), _)) => failed = failed.or(Some(failure)),
                Err(RecvTimeoutError::Timeout) => watch.tick(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        match failed {
            Some(failure) => Err(failure),
            // A thread that panicked has sent nothing.
            None if done.len() < count => Err(Failure::new(Exit::Failed, "a thread of the load ended early")),
            None => Ok(Joint { done, took: ended - begun, by_second: watch.by_second }),
        }
    })
}

/// Samples what was moved, at the end of each second.
struct Watch<'a> {
    begun: Instant,
    progress: &'a [AtomicU64],
    bar: &'a ProgressBar,
    by_second: Vec<u64>,
    before: u64,
}

impl Watch<'_> {
    /// Until the next tick or the end of the second.
    fn pause(&self) -> Duration {
        self.second_ends().saturating_duration_since(now()).min(TICK)
    }

    fn second_ends(&self) -> Instant {
        self.begun + Duration::from_secs(self.by_second.len() as u64 + 1)
    }

    fn tick(&mut self) {
        let moved: u64 = self.progress.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        self.bar.set_position(moved);
        if now() >= self.second_ends() {
            self.by_second.push(moved - self.before);
            self.before = moved;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_counted_and_failures_told() {
        let (progress, bar) = ([AtomicU64::new(0), AtomicU64::new(0)], ProgressBar::hidden());
        let job = |number: usize| {
            let progress = &progress[number];
            move || {
                for _ in 0..11 {
                    progress.fetch_add(100, Ordering::Relaxed);
                    thread::sleep(TICK);
                }
                Ok(number)
            }
        };
        let joint = run(vec![job(0), job(1)], &progress, &bar).unwrap();
        assert_eq!(joint.done.iter().sum::<usize>(), 1);
        assert!(joint.took >= TICK * 11);
        // Where the processors are lent elsewhere, jobs of 1.1 s may take longer.
        let seconds = joint.took.as_secs() as usize;
        assert!((1..=seconds).contains(&joint.by_second.len()), "{joint:?}");
        let told: u64 = joint.by_second.iter().sum();
        assert!((200..=2_200).contains(&told), "{joint:?}");
        let failing: Vec<fn() -> Result<(), Failure>> = vec![|| Ok(()), || Err(Failure::usage("no"))];
        assert!(run(failing, &[], &bar).is_err());
    }
}
