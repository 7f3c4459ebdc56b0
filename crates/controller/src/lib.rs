//! Hosts the metadata of [`forebay_meta`] on a Raft group and publishes it as `watch<Arc<Image>>`.
//!
//! ```text
//!   propose(Command) --bounded queue--> decide task --one Raft entry per batch--> commit --> replay --> image()
//!                                           ^                                                  |
//!                                           +------------------ newest Image ------------------+
//! ```
//!
//! Nodes are heard in sessions: each opens one ([`Controller::open_session`]) and reports in it; what is known of them
//! by that is [`Controller::liveness`].
//!
//! Files are read and written on threads of their own: a disk that does not answer delays what must be written to it,
//! and neither [`Controller::status`] nor whoever reads the last Image.
//!
//! A disk that takes no writes is an outage: see [`Controller::outage`] and [`Controller::bar`].
//!
//! The only room that names openraft. The Raft task is supervised: when it dies, of an error or a panic, it is
//! started again from disk with back-off, while [`Controller::image`] keeps the last Image and proposals wait.
//! This room does not know topics' data, clients, or what a node does with an Image.

mod config;
mod controller;
mod propose;
mod raft;
mod sessions;
mod storage;
pub mod store;
mod supervise;

pub use config::{ControllerConfig, ControllerEnv};
pub use controller::{Controller, ControllerStatus, StartError};
pub use propose::ProposeError;
pub use sessions::{Session, SessionError};
