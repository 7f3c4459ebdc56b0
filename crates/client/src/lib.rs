//! A thin Kafka client: produce, fetch, admin.
//!
//! ```text
//! Producer ──┐                    ┌─ Metadata: who leads what, refreshed when an answer says that it is old
//! Consumer ──┼─> Client ── call ──┤
//! admin    ──┘                    └─ Connection per node and purpose: one task, requests pipelined, answers in order
//!                                        └─ link::Net
//! ```
//! Sees the network only as a `link::Net` and time only as tokio's, so that it runs in a simulation as it does in the
//! binary. Knows nothing of the server but the Kafka protocol.

mod admin;
mod client;
mod codec;
mod config;
mod connection;
mod consumer;
mod error;
mod fetch;
mod lane;
mod metadata;
mod offsets;
mod partitioner;
mod pool;
mod producer;

pub use admin::{AlterOp, ClusterView, ConfigChange, ConfigEntry, CreatedTopic, NewTopic, Node};
pub use client::Client;
pub use config::ClientConfig;
pub use consumer::Consumer;
pub use error::ClientError;
pub use fetch::{FetchFrom, FetchOptions, FetchedPartition, RawPartition};
pub use forebay_link::{Net, TcpNet};
pub use forebay_records::{
    BatchBuilder, BatchError, BatchHeader, Batches, Compression, Record, RecordHeader, Records, batches,
    verify_crc,
};
pub use forebay_wire::Request;
pub use forebay_wire::kafka::ErrorCode;
pub use metadata::{Metadata, PartitionInfo, TopicInfo};
pub use offsets::{FoundOffset, OffsetAt};
pub use partitioner::partition_for_key;
pub use pool::Purpose;
pub use producer::{Ack, Acks, Produced, Producer, ProducerConfig};

#[cfg(test)]
mod tests;
