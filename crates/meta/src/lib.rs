//! The state of the cluster, pure: what it is ([`Image`]), how it changes ([`Command`] -> [`Record`]) and what a
//! node has to do about it ([`reconcile`]).
//!
//! ```text
//!   Command --decide(&Image)--> (Vec<Record>, Reply)      the leader, one at a time
//!   Record  --replay(&mut Image)                          every node, in the order of the metadata log
//!   (Image, what this node has) --reconcile--> Vec<Action>
//!   (Image, what nodes report)  --status::derive--> what is shown
//! ```
//!
//! Replay is the only writer of an Image. Records hold effects and not requests, so that a node replays without
//! deciding and two releases may decide differently. This room does not know about Raft, disks, sockets, clocks
//! or randomness: time and fresh ids arrive as arguments.

mod command;
mod decide;
mod image;
pub mod liveness;
pub mod name;
mod placement;
mod reconcile;
mod record;
mod refusal;
mod replay;
mod report;
mod snapshot;
pub mod status;
pub mod topic_config;

pub use command::{
    AllocatedIds, Command, ConfigChange, ConfigEdit, ConfigOp, CreatedTopic, MorePartitions, NewTopic, Reply,
    TopicDefaults, TopicRef,
};
pub use image::{Assignment, Broker, Endpoint, Image, Topic};
pub use liveness::{Contact, NodeView};
pub use reconcile::{Action, Have, Leading, changed_topics, reconcile, reconcile_topics};
pub use record::{Record, RecordError};
pub use refusal::Refusal;
pub use report::{Failure, NodeReport, VolumeReport, VolumeSpace, VolumeState};
pub use snapshot::{SNAPSHOT_VERSION, SnapshotError};

/// The newest feature level this release can run: record kinds above the cluster's level are never decided.
pub const FEATURE_LEVEL_MAX: u16 = 1;

/// Producer ids are handed to brokers in blocks of this many (Kafka's size, KIP-730).
pub const PRODUCER_ID_BLOCK: i64 = 1_000;
