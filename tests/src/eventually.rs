use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until `is_so`; how long that took.
///
/// # Panics
/// If it is not so `within` that time: what is missing is `what`.
#[track_caller]
pub fn eventually(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
    began.elapsed()
}
