//! Everything that names openraft: its types, its storage over [`crate::store`], its runtime from Env.

mod log;
mod machine;
mod network;
mod runtime;

use std::io::Cursor;

use bytes::Bytes;
use forebay_base::{Reader, Short, Writer};
use openraft::impls::OneshotResponder;
use openraft::{BasicNode, CommittedLeaderId, EntryPayload, LogId, RaftTypeConfig};
use serde::{Deserialize, Serialize};

use crate::store::{Entry, EntryId, Payload};

pub(crate) use log::{RaftLog, SharedLog};
pub(crate) use machine::{Machine, MachineError, Newest, Publisher, SharedSnapshots, replay};
pub(crate) use network::NoPeers;
pub(crate) use runtime::{ControlRuntime, with_rng};

/// The types this Raft group is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group;

impl RaftTypeConfig for Group {
    type D = Batch;
    type R = Outcome;
    type NodeId = u64;
    type Node = BasicNode;
    type Entry = openraft::Entry<Self>;
    type SnapshotData = Cursor<Vec<u8>>;
    type AsyncRuntime = ControlRuntime;
    type Responder = OneshotResponder<Self>;
}

pub(crate) type Raft = openraft::Raft<Group>;
pub(crate) type RaftEntry = openraft::Entry<Group>;

/// Records decided together: one Raft entry.
///
/// ```text
/// version u8 = 1 | proposal u64 | decided on i64 | records (see forebay_meta::Record)
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// Drawn by the proposer, so that it recognises its own batch after a crash left the outcome open.
    pub(crate) proposal: u64,
    /// Index of the Image they were decided on. On any other Image every node refuses the batch.
    pub(crate) decided_on: i64,
    /// The records' bytes.
    pub(crate) records: Vec<u8>,
}

const BATCH_VERSION: u8 = 1;

impl Batch {
    /// Bytes that come before the records.
    pub(crate) const HEADER_LEN: u64 = 17;

    fn encode(&self) -> Bytes {
        let mut out = Writer::new();
        out.u8(BATCH_VERSION);
        out.u64(self.proposal);
        out.i64(self.decided_on);
        out.raw(&self.records);
        out.into_bytes()
    }

    fn decode(bytes: Bytes) -> Result<Self, EntryError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if version != BATCH_VERSION {
            return Err(EntryError::Newer(version));
        }
        let (proposal, decided_on) = (reader.u64()?, reader.i64()?);
        Ok(Self { proposal, decided_on, records: reader.rest().to_vec() })
    }
}

/// What applying an entry led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// The batch is part of the Image.
    Applied,
    /// The batch was decided on another Image and changed nothing.
    Stale,
    /// The entry was none of ours.
    Internal,
}

/// An entry of the log that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EntryError {
    #[error("a batch of the metadata log has format version {0}, newer than this release reads")]
    Newer(u8),
    #[error("a batch of the metadata log ends too early")]
    Short(#[from] Short),
    #[error("the membership in the metadata log cannot be read: {0}")]
    Membership(#[from] serde_json::Error),
}

pub(crate) fn entry_id(id: &LogId<u64>) -> EntryId {
    EntryId { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
}

pub(crate) fn log_id(id: EntryId) -> LogId<u64> {
    LogId::new(CommittedLeaderId::new(id.term, id.node), id.index)
}

fn store_entry(entry: &RaftEntry) -> Result<Entry, EntryError> {
    let payload = match &entry.payload {
        EntryPayload::Blank => Payload::Blank,
        EntryPayload::Normal(batch) => Payload::Batch(batch.encode()),
        EntryPayload::Membership(membership) => Payload::Membership(serde_json::to_vec(membership)?.into()),
    };
    Ok(Entry { id: entry_id(&entry.log_id), payload })
}

fn raft_entry(entry: Entry) -> Result<RaftEntry, EntryError> {
    let payload = match entry.payload {
        Payload::Blank => EntryPayload::Blank,
        Payload::Batch(bytes) => EntryPayload::Normal(Batch::decode(bytes)?),
        Payload::Membership(bytes) => EntryPayload::Membership(serde_json::from_slice(&bytes)?),
    };
    Ok(RaftEntry { log_id: log_id(entry.id), payload })
}

#[cfg(test)]
mod tests;
