use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::{Clock, NodeId, Rng, Workers};
use forebay_log::Disk;

/// The outside world of a controller.
#[derive(Debug, Clone)]
pub struct ControllerEnv {
    /// Where it keeps its log and snapshots.
    pub disk: Arc<dyn Disk>,
    /// Wall time, for decisions that depend on it, and monotonic time, for how long the disk has been silent.
    pub clock: Arc<dyn Clock>,
    /// For elections and proposal ids.
    pub rng: Arc<dyn Rng>,
    /// Threads for its files.
    pub workers: Arc<dyn Workers>,
}

/// How a controller is set up.
#[derive(Debug, Clone)]
pub struct ControllerConfig {
    /// Its directory; made if missing, its parent must exist.
    pub dir: PathBuf,
    /// This node; not negative.
    pub node: NodeId,
    /// Bytes reserved for the Raft log when it is made.
    pub log_bytes: u64,
    /// Bytes reserved for each of the two snapshots; a larger one reserves more when it is written.
    pub snapshot_bytes: u64,
    /// A snapshot is taken once the log has grown by this many bytes since the last one, and half as many are kept
    /// behind it. `None`: a quarter of the log.
    pub snapshot_after_bytes: Option<u64>,
    /// A snapshot is taken once the log has grown by this many entries since the last one.
    pub snapshot_after_entries: u64,
    /// Why its disk must not be written yet, if so: see [`crate::Controller::bar`].
    pub barred: Option<Arc<str>>,
    /// How long a proposal may take before it is answered with [`crate::ProposeError::Timeout`].
    pub propose_timeout: Duration,
}

impl ControllerConfig {
    /// The defaults: 64 MiB of log, two snapshots of 16 MiB, one taken for every quarter of the log or 10,000 entries,
    /// 15 s for a proposal.
    pub fn new(dir: PathBuf, node: NodeId) -> Self {
        Self {
            dir,
            node,
            log_bytes: 64 << 20,
            snapshot_bytes: 16 << 20,
            snapshot_after_bytes: None,
            snapshot_after_entries: 10_000,
            barred: None,
            propose_timeout: Duration::from_secs(15),
        }
    }
}
