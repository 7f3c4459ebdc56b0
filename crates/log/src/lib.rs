//! The partition log: the only room that opens data files.
//!
//! ```text
//!   writer (one owner)            readers (any number)
//!   Log ── publishes ──> Arc<Segments> ──> Slice (owns its file) ──> sendfile, or a checked read
//!    │ append · roll · truncate · retain          SyncPool: fdatasync on helper threads
//!    ▼
//!   DIR/partitions/<PartitionId>/  00000000000000000000.log  .index  .producers   state
//!                                  batches as sent           hints                two slots
//!   DIR/  forebay.lock  identity  clean  partitions/  metadata/                   DataDir
//! ```
//!
//! What it does not know: topics, peers, metadata. It looks at batch headers, never at records.
//!
//! A power cut leaves any subset of the sectors, sizes and names that were not synced. Hence the order of things:
//! - a segment is synced before its successor is made, so only the last one can be torn (`append.rs`);
//! - a name is synced before anything that relies on it is answered;
//! - the state slot that announces a deletion or a truncation is synced before the first byte goes (`cut.rs`);
//! - index and producer files are hints: checksummed, never synced, rebuilt, removed durably before they could lie;
//! - a failed sync is never repeated: the log is poisoned, reads go on (rule R32).

mod append;
mod checked;
mod cut;
mod directory;
mod disk;
mod epochs;
mod error;
mod files;
mod growing;
mod handles;
mod index;
mod log;
mod names;
mod pool;
mod recovery;
mod rest;
mod sealed;
mod segment;
mod segments;
mod slice;
mod snapshots;
mod state;
mod sync;
pub mod verify;
pub mod volume;
mod walk;

pub use append::Stamped;
pub use directory::{DataDir, FORMAT_VERSION, Identity, take_clean_mark};
pub use disk::{DirEntry, Disk, File, Lock, Open, RealDisk, Space};
pub use epochs::EpochCache;
pub use error::{DirError, LogError, is_out_of_descriptors};
pub use files::Files;
pub use log::{Left, Log, LogConfig, SyncTarget, WriteBack, remove_partition};
pub use pool::{Job, Pool};
pub use segments::{Glance, Segments};
pub use slice::Slice;
pub use sync::{SyncJob, SyncPool};

#[cfg(test)]
mod tests;
