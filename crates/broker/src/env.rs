use std::sync::Arc;

use forebay_base::{Clock, QuietLog, Rng, Workers};
use forebay_link::Net;
use forebay_log::Disk;

/// The outside world, handed to a node as values. The binary passes the real one, a simulation its own; nothing
/// else differs between them.
#[derive(Debug, Clone)]
pub struct Env {
    /// File systems.
    pub disk: Arc<dyn Disk>,
    /// Connections.
    pub net: Arc<dyn Net>,
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// How many descriptors the logs may hold. Connections, and whatever else the process opens, come on top.
    pub descriptors_max: usize,
    /// Which warnings and errors of the process have a line in its log. Whoever listens to them asks it.
    pub quiet: Arc<QuietLog>,
    /// Threads for the blocking work of volumes.
    pub workers: Arc<dyn Workers>,
    /// The small runtime of the control plane (Raft, HTTP), apart from the data plane so that a busy data plane
    /// never misses a heartbeat. A simulation passes its only runtime.
    pub control: tokio::runtime::Handle,
}
