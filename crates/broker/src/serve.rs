use std::sync::Arc;
use std::time::Duration;

use forebay_base::QuietLog;
use rustix::process::Signal;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::{Config, Env, Node, NodeError, quiet};

/// Threads of the control plane: two, so that health is told also while the metadata log waits for its disk.
const CONTROL_THREADS: usize = 2;

/// How often a data-plane worker looks at sockets and at the shared queue, in polls: low, so that one busy
/// connection does not starve the others (measured: p99.9 of small requests on two cores).
const EVENT_INTERVAL: u32 = 31;

/// Why the server could not start, or did not stop cleanly. Each has an exit code of its own.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The runtimes or signal handlers could not be made.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// The node could not start.
    #[error(transparent)]
    Start(NodeError),
    /// The node did not stop cleanly; the next start recovers as after a crash.
    #[error("did not stop cleanly, the next start will check the data as after a crash: {0}")]
    Stop(NodeError),
}

/// Runs a server until SIGTERM or SIGINT, then drains it and stops. Blocks. `log` is asked before a warning or an error
/// is written; what it owes is written here.
pub fn serve(config: Config, log: Arc<QuietLog>) -> Result<(), ServeError> {
    let control = runtime("control", CONTROL_THREADS)?;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let data = runtime("data", cores)?;
    control.spawn(quiet::tell(log.clone()));
    let env = Env { quiet: log, ..Env::real(control.handle().clone()) };
    let deadline = Duration::from_millis(config.shutdown_deadline_ms);
    let outcome = data.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // What it says is an error of the write, too (EFBIG); unheard it would end the process.
        let _beyond_file_limit = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?;
        let mut told = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let node = tokio::select! {
            biased;
            started = Node::start(config, env) => started.map_err(ServeError::Start)?,
            signal = told() => {
                tracing::warn!(signal, "stopped before it had started");
                return Ok(());
            }
        };
        tracing::info!(signal = told().await, "draining");
        tokio::select! {
            biased;
            stopped = node.stop(deadline) => stopped.map_err(ServeError::Stop),
            signal = told() => {
                tracing::warn!(signal, "told again: stopping at once");
                Err(ServeError::Stop(NodeError::Unclean))
            }
        }
    });
    data.shutdown_background();
    control.shutdown_background();
    outcome
}

fn runtime(name: &str, threads: usize) -> Result<Runtime, std::io::Error> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .event_interval(EVENT_INTERVAL)
        .enable_all()
        .build()
}
