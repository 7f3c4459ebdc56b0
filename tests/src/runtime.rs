/// Runs `work` to its end, with two threads for what it spawns.
///
/// # Panics
/// If it does, or there are no threads to be had.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().expect("a runtime").block_on(work)
}
