use forebay_base::{LeaderEpoch, Offset, ProducerId};

/// A record that a batch was refused for, by its index in the batch, with a sentence (Kafka's `record_errors`).
pub type RecordError = (i32, String);

/// Why a partition did not do what it was asked. One variant per distinct answer of Kafka's protocol, whose error
/// code is named first; the door maps them one to one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `CORRUPT_MESSAGE` (2): the bytes are damaged or cut.
    #[error("{0}")]
    Corrupt(String),
    /// `MESSAGE_TOO_LARGE` (10).
    #[error("the record batch has {bytes} bytes, the topic's max.message.bytes is {bytes_max}")]
    TooLarge {
        /// Length of the batch.
        bytes: usize,
        /// The topic's bound.
        bytes_max: usize,
    },
    /// `RECORD_LIST_TOO_LARGE` (18).
    #[error("the record batch has {bytes} bytes, the topic's segment.bytes is {bytes_max}")]
    LargerThanSegment {
        /// Length of the batch.
        bytes: u64,
        /// The topic's bound.
        bytes_max: u64,
    },
    /// `INVALID_RECORD` (87): sound bytes that the topic does not take.
    #[error("{reason}")]
    InvalidRecord {
        /// What is wrong, as a sentence.
        reason: String,
        /// The records at fault, where single ones are.
        errors: Vec<RecordError>,
    },
    /// `INVALID_TIMESTAMP` (32).
    #[error("{reason}")]
    InvalidTimestamp {
        /// What is wrong, as a sentence.
        reason: String,
        /// The records at fault, where they could be found.
        errors: Vec<RecordError>,
    },
    /// `UNSUPPORTED_COMPRESSION_TYPE` (76).
    #[error("unknown compression codec {0}")]
    UnsupportedCompression(i16),
    /// `INVALID_TXN_STATE` (48): a transactional batch, but no transaction is open.
    #[error("the batch is transactional, but its producer has no open transaction on this partition")]
    InvalidTransaction,
    /// `OUT_OF_ORDER_SEQUENCE_NUMBER` (45).
    #[error("producer {producer} sent sequence {got} where {wanted} was expected")]
    OutOfOrderSequence {
        /// Who sent it.
        producer: ProducerId,
        /// First sequence of the batch.
        got: i32,
        /// The one that would have been taken.
        wanted: i32,
    },
    /// `DUPLICATE_SEQUENCE_NUMBER` (46): stored before, too long ago to know its offset.
    #[error("producer {producer} sent sequence {got} again, which is older than its last five batches")]
    DuplicateSequence {
        /// Who sent it.
        producer: ProducerId,
        /// First sequence of the batch.
        got: i32,
    },
    /// `INVALID_PRODUCER_EPOCH` (47): a newer instance of the producer has taken over.
    #[error("producer {producer} has epoch {current}, the batch was sent with epoch {got}")]
    InvalidProducerEpoch {
        /// Who sent it.
        producer: ProducerId,
        /// Epoch of the batch.
        got: i16,
        /// The newest epoch seen.
        current: i16,
    },
    /// `NOT_LEADER_OR_FOLLOWER` (6): not led here (any more). The outcome of an append is unknown.
    #[error("this node does not lead the partition, or not in the same epoch any more")]
    NotLeader,
    /// `FENCED_LEADER_EPOCH` (74): the caller knows an older epoch.
    #[error("the request names leader epoch {got}, the partition is at {current}")]
    FencedEpoch {
        /// What the caller named.
        got: LeaderEpoch,
        /// What is so.
        current: LeaderEpoch,
    },
    /// `UNKNOWN_LEADER_EPOCH` (75): the caller knows an epoch that has not arrived here.
    #[error("the request names leader epoch {got}, this node knows {current}")]
    UnknownEpoch {
        /// What the caller named.
        got: LeaderEpoch,
        /// What is so here.
        current: LeaderEpoch,
    },
    /// `OFFSET_OUT_OF_RANGE` (1).
    #[error("offset {got} is not between the log start {start} and the high watermark {high_watermark}")]
    OffsetOutOfRange {
        /// What the caller named.
        got: Offset,
        /// First offset kept.
        start: Offset,
        /// First offset not yet committed.
        high_watermark: Offset,
    },
    /// `KAFKA_STORAGE_ERROR` (56): the volume failed; the sentence says how.
    #[error("{0}")]
    Storage(String),
    /// `KAFKA_STORAGE_ERROR` (56), or `POLICY_VIOLATION` (44) where the topic has `disk.full.error=fail`: there is no room
    /// for records, and nothing was written. The sentence says where, how full, and what to do.
    #[error("{0}")]
    OutOfSpace(String),
    /// Kafka has no exact code; its retriable `REQUEST_TIMED_OUT` (7) or a throttle fits: the writer's queue is full.
    #[error("the partition's writer has a full queue; try again")]
    Busy,
}
