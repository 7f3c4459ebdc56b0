//! Record batch v2 (KIP-98, magic 2): the unit that clients send, the log stores and fetches return, byte for byte.
//!
//! ```text
//!  0 baseOffset i64 | 8 batchLength i32 | 12 partitionLeaderEpoch i32 | 16 magic i8 (2) | 17 crc u32
//! 21 attributes i16 | 23 lastOffsetDelta i32 | 27 baseTimestamp i64 | 35 maxTimestamp i64
//! 43 producerId i64 | 51 producerEpoch i16 | 53 baseSequence i32 | 57 recordCount i32 | 61 records
//! ```
//! `batchLength` counts from byte 12. The CRC-32C covers byte 21 to the end, so a leader can stamp the first two
//! fields without touching it.
//!
//! [`BatchHeader`] is all a broker reads of most batches. [`Records`] looks inside: it inflates under a cap and checks
//! every length against the bytes that remain; [`scan`] does so in little memory. [`BatchBuilder`] is the way back.

mod build;
mod compress;
mod header;
mod record;
mod scan;
mod snappy;

pub use build::{BatchBuilder, BuildError};
pub use compress::{compress, decompress};
pub use record::{Batches, Record, RecordHeader, Records, batches};
pub use scan::{Seen, scan};

pub use header::{
    BatchError, BatchHeader, Compression, HEADER_LEN, LENGTH_PREFIX_LEN, NO_PRODUCER, TimestampType, stamp,
    stamp_log_append_time, verify_crc,
};
