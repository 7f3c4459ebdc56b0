//! Being built.
#![allow(missing_docs)]
pub mod store;
mod raft;
