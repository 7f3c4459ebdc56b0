use peak_alloc::PeakAlloc;

/// Counts what Rust code holds. What a C library asks for is not in it, and is left to libFuzzer's own limits.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What `work` gives, and how many bytes it held at most beyond those held before.
pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let outcome = work();
    (outcome, HEAP.peak_usage().saturating_sub(before))
}
