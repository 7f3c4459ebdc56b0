//! What the metadata quorum keeps on disk: the Raft log, its state and two snapshots, in space reserved when they are
//! made. Synchronous, and free of Raft's rules: it stores what it is told, durably when a call returns.
//!
//! Full disks cannot touch it: the log is a ring of fixed segments, the state is rewritten in place, snapshots
//! alternate between two reserved files. All numbers are big-endian; every checksum is CRC-32C.
//!
//! ```text
//! raft.state   two slots of 512 bytes at 0 and 4096, written alternately; the sound one with the higher sequence counts
//!   0 "FBRS" | 4 version u16 = 1 | 6 flags u8 (1 vote, 2 vote is committed, 4 purged, 8 committed) | 7 zero
//!   8 sequence u64 | 16 segment bytes u64 | 24 segments u32 | 28 zero u32
//!   32 vote: term u64, node u64 | 48 purged: term, node, index u64 | 72 committed: term, node, index u64
//!   96 generation u64 | 104 dead from u64 | 112 first index u64 | zeros | 508 checksum of the 508 bytes before
//!
//! raft.log     segments of equal size, used in a ring; frames from the start of each, on multiples of 8
//!   0 "FBRE" | 4 version u8 = 1 | 5 kind u8 (0 blank, 1 batch, 2 membership) | 6 zero u16 | 8 payload length u32
//!   12 checksum u32 of the frame without this field | 16 sequence u64 of the segment's use | 24 generation u64
//!   32 index u64 | 40 term u64 | 48 node u64 | 56 durable u64: entries below this index were synced before
//!   64 payload | zeros to a multiple of 8
//!
//! snapshot.0, snapshot.1   written alternately; one whose body does not match its header is unfinished
//!   0 "FBRN" | 4 version u16 = 1 | 6 has last u8 | 7 zero | 8 sequence u64 | 16 last: term, node, index u64
//!   40 membership length u32 | 44 data length u64 | 52 checksum u32 of the body | zeros
//!   508 checksum of the 508 bytes before | zeros | 4096 body: membership, data
//! ```
//!
//! After a power cut any subset of the 512-byte sectors written since the last sync may be there. Recovery therefore
//! reads frames until one does not belong, and tells a torn tail (cut) from lost entries (refused) by what later
//! frames say was durable. Frames that were truncated or torn off never come back: every truncation and every start
//! raises the generation, and frames of a segment must not fall back to a lower one.

mod error;
mod frame;
mod log;
mod look;
mod recover;
mod snapshots;
mod state;

pub use error::StoreError;
pub use frame::{Entry, EntryId, Payload};
pub use log::{LogConfig, LogSpace, LogStore};
pub use look::{Seen, look};
pub use snapshots::{SnapshotMeta, SnapshotStore};
pub use state::Vote;

/// True if `dir` holds a metadata log, whole or begun.
pub fn is_in(disk: &dyn forebay_log::Disk, dir: &std::path::Path) -> std::io::Result<bool> {
    disk.exists(&dir.join(LOG_FILE))
}

/// Name of the file that holds the log's entries; the first one made.
pub(crate) const LOG_FILE: &str = "raft.log";
