use forebay_base::{LeaderEpoch, Offset, ProducerId, crc32c};

/// Length of the fixed part of a batch, in bytes.
pub const HEADER_LEN: usize = 61;

/// Length of `baseOffset` and `batchLength`, which `batchLength` does not count.
pub const LENGTH_PREFIX_LEN: usize = 12;

/// The producer id of a batch that no idempotent producer sent.
pub const NO_PRODUCER: ProducerId = ProducerId(-1);

const CRC_FROM: usize = 21;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 0x40;

/// Why bytes are not a whole, sound record batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than a header, or than the header announces.
    #[error("the record batch is cut short")]
    Short,
    /// The length field is smaller than a header or negative.
    #[error("the record batch has an impossible length")]
    Length,
    /// Message format v0 or v1, or something else.
    #[error("unsupported message format (magic {0}); only record batch v2 is supported")]
    Magic(i8),
    /// The checksum does not match: the bytes were damaged.
    #[error("the record batch fails its CRC-32C check")]
    Crc,
    /// The header contradicts itself or the records.
    #[error("the record batch is inconsistent: {0}")]
    Inconsistent(&'static str),
    /// The codec number is not one of Kafka's five.
    #[error("unknown compression codec {0}")]
    Codec(i16),
    /// Inflating failed or passed the cap.
    #[error("the records cannot be decompressed: {0}")]
    Inflate(&'static str),
}

/// Kafka's compression codecs, by their number in the attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compression {
    /// 0
    None,
    /// 1
    Gzip,
    /// 2, in xerial framing or raw
    Snappy,
    /// 3, LZ4 frame format
    Lz4,
    /// 4 (KIP-110)
    Zstd,
}

/// What a batch's timestamps mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// Set by the producer.
    CreateTime,
    /// Set by the leader on append.
    LogAppendTime,
}

/// The fixed part of a record batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Length of the whole batch in bytes, the first 12 included.
    pub len: usize,
    /// Epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Raw attribute bits; unknown ones are kept.
    pub attributes: i16,
    /// Offset of the last record, relative to the first.
    pub last_offset_delta: i32,
    /// Timestamp of the first record, in ms.
    pub base_timestamp: i64,
    /// Largest timestamp, in ms.
    pub max_timestamp: i64,
    /// Idempotent producer, or -1.
    pub producer_id: ProducerId,
    /// Its epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// How many records it holds.
    pub record_count: i32,
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], BatchError> {
    bytes.get(at..at + N).and_then(|raw| raw.try_into().ok()).ok_or(BatchError::Short)
}

impl BatchHeader {
    /// Reads a header from the first 61 bytes of `bytes`; checks length and magic, not the checksum, and does not
    /// need the rest of the batch.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let length = i32::from_be_bytes(field(bytes, 8)?);
        let magic = i8::from_be_bytes(field(bytes, 16)?);
        // First: older formats have other lengths.
        if magic != 2 {
            return Err(BatchError::Magic(magic));
        }
        let len = usize::try_from(length).map_err(|_| BatchError::Length)?.saturating_add(LENGTH_PREFIX_LEN);
        if len < HEADER_LEN {
            return Err(BatchError::Length);
        }
        Ok(Self {
            base_offset: Offset(i64::from_be_bytes(field(bytes, 0)?)),
            len,
            leader_epoch: LeaderEpoch(i32::from_be_bytes(field(bytes, 12)?)),
            crc: u32::from_be_bytes(field(bytes, 17)?),
            attributes: i16::from_be_bytes(field(bytes, 21)?),
            last_offset_delta: i32::from_be_bytes(field(bytes, 23)?),
            base_timestamp: i64::from_be_bytes(field(bytes, 27)?),
            max_timestamp: i64::from_be_bytes(field(bytes, 35)?),
            producer_id: ProducerId(i64::from_be_bytes(field(bytes, 43)?)),
            producer_epoch: i16::from_be_bytes(field(bytes, 51)?),
            base_sequence: i32::from_be_bytes(field(bytes, 53)?),
            record_count: i32::from_be_bytes(field(bytes, 57)?),
        })
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta))
    }

    /// Offset after the last record.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// The codec of the records.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        match self.attributes & 7 {
            0 => Ok(Compression::None),
            1 => Ok(Compression::Gzip),
            2 => Ok(Compression::Snappy),
            3 => Ok(Compression::Lz4),
            4 => Ok(Compression::Zstd),
            other => Err(BatchError::Codec(other)),
        }
    }

    /// What the timestamps mean.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// True for a batch of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// True for a control batch: a transaction marker.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// True if `base_timestamp` is a delete horizon (KIP-534) and not the first record's timestamp.
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON != 0
    }

    /// True for a batch of an idempotent producer.
    pub fn is_idempotent(&self) -> bool {
        self.producer_id != NO_PRODUCER
    }

    /// Sequence number of the last record; wraps from 2^31-1 to 0.
    pub fn last_sequence(&self) -> i32 {
        ((i64::from(self.base_sequence) + i64::from(self.last_offset_delta)) & i64::from(i32::MAX)) as i32
    }
}

/// Checks the CRC-32C of one whole batch.
pub fn verify_crc(batch: &[u8]) -> Result<(), BatchError> {
    let stored = u32::from_be_bytes(field(batch, 17)?);
    if crc32c(batch.get(CRC_FROM..).ok_or(BatchError::Short)?) == stored {
        Ok(())
    } else {
        Err(BatchError::Crc)
    }
}

/// Stamps what the leader owns, base offset and leader epoch, into a batch or its header. The checksum does not
/// cover them.
pub fn stamp(header: &mut [u8; HEADER_LEN], base: Offset, epoch: LeaderEpoch) {
    header[0..8].copy_from_slice(&base.0.to_be_bytes());
    header[12..16].copy_from_slice(&epoch.0.to_be_bytes());
}

/// Stamps log append time: the attribute bit and the largest timestamp, and the checksum that covers them and
/// `rest`, the bytes after the header.
pub fn stamp_log_append_time(header: &mut [u8; HEADER_LEN], rest: &[u8], timestamp: i64) {
    let attributes = i16::from_be_bytes([header[21], header[22]]) | LOG_APPEND_TIME;
    header[21..23].copy_from_slice(&attributes.to_be_bytes());
    header[35..43].copy_from_slice(&timestamp.to_be_bytes());
    let mut crc = forebay_base::Crc32c::default();
    crc.update(&header[CRC_FROM..]);
    crc.update(rest);
    header[17..21].copy_from_slice(&crc.finish().to_be_bytes());
}
