//! The vocabulary every room shares, and the outside world as values.
//!
//! A leaf: no tokio, no files, no sockets. It names things (`ids`, `time`), bounds things (`limits`),
//! moves bytes (`codec`, `piece`) and states the seams through which a node touches the world
//! (`Clock`, `Rng`, `Workers`), so that a simulator can hand in its own.

mod codec;
mod crc;
mod ids;
pub mod limits;
mod mutants;
mod piece;
mod quiet;
mod rng;
mod time;
mod worker;

pub use codec::{Reader, Short, Writer};
pub use crc::{Crc32c, crc32c};
pub use ids::{
    BrokerEpoch, ClusterId, DirectoryId, Id128, LeaderEpoch, NodeId, Offset, ParseIdError, PartitionId,
    ProducerId, TopicId,
};
pub use mutants::Mutant;
pub use piece::{Piece, Region, total_len};
pub use quiet::{DueLine, LineCounts, LineKey, LineText, LogLines, PERIOD as LOG_PERIOD, QuietLog};
pub use rng::{Rng, SeededRng, fresh_id};
pub use time::{Clock, Instant, WallTime};
pub use worker::{Doorbell, Turn, Worker, WorkerHandle, Workers};
