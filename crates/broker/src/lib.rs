//! A node: the doors clients come through, the partitions behind them, and the wiring.
//!
//! ```text
//!   kafka/  connection task ── decode, authorise ──> one handler per API
//!              │ produce: batches to the writer that owns the partition (room replica)
//!              │ fetch:   slices from the partition's published view, never through its owner
//!              └ admin:   commands to the metadata quorum (room controller)
//!   http/   health, metrics, the read side of /v1
//!   heartbeat    all that there is to say of this node -> controller, again and again
//!   reconciler   new Image -> actions on partitions -> partition map
//! ```
//! [`Node::start`] is the only way a node comes to life: the binary, the tests and the simulator all use it.

mod config;
mod descriptors;
mod directories;
mod env;
mod facts;
mod heartbeat;
mod http;
mod kafka;
mod membership;
mod metadata_volume;
mod metrics;
mod neighbours;
mod node;
mod opening;
mod partitions;
mod quiet;
mod real;
mod reconciler;
mod serve;
mod settings;
mod shared;
mod verify;

pub use config::*;
pub use env::Env;
pub use forebay_meta::topic_config::FLUSH_ASYNC_WARNING;
pub use node::{Node, NodeError};
pub use quiet::QUIET_TARGET;
pub use real::real_clock;
pub use serve::{ServeError, serve};
pub use verify::{Damage, Verified, VerifyError, verify};
