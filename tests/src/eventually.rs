use std::fs;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// One tick of the times in `/proc/stat`.
const TICK: Duration = Duration::from_millis(10);

/// Waits until `is_so`; how long that took.
///
/// What the host of a virtual machine takes of its processors meanwhile does not count.
///
/// # Panics
/// If it is not so `within` that time: what is missing is `what`.
#[track_caller]
pub fn eventually(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let stopwatch = Stopwatch::start();
    while !is_so() {
        assert!(stopwatch.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
    stopwatch.elapsed()
}

/// Measures time, without what the host of a virtual machine took of its processors: a bound holds for a machine that
/// runs.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
    began: Instant,
    stolen: Duration,
}

impl Stopwatch {
    /// Begins to measure.
    pub fn start() -> Self {
        Self { began: Instant::now(), stolen: stolen() }
    }

    /// The time since then.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed().saturating_sub(stolen().saturating_sub(self.stolen))
    }
}

/// What was taken of a processor since the machine runs, the mean of all, and so never more than the time that passes;
/// zero where the system does not tell.
fn stolen() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = stat.lines().next().and_then(|all| all.split_whitespace().nth(8)?.parse().ok());
    let processors = stat.lines().skip(1).take_while(|line| line.starts_with("cpu")).count().max(1);
    TICK * ticks.unwrap_or(0) / processors as u32
}
