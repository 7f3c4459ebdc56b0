use std::io;

use bytes::Bytes;
use forebay_base::{LeaderEpoch, Offset, ProducerId, Writer, crc32c};

use crate::{Compression, HEADER_LEN, LENGTH_PREFIX_LEN, NO_PRODUCER, RecordHeader, compress};

/// Why a batch could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Its length passes what the format's 32-bit fields can hold.
    #[error("the batch is too large: {0} bytes")]
    TooLarge(usize),
    /// A codec failed.
    #[error("the batch can not be compressed")]
    Compress(#[from] io::Error),
}

/// Builds one batch, record by record, as a producer does. Offsets count from the base offset, which a leader
/// stamps anew.
#[derive(Debug)]
pub struct BatchBuilder {
    compression: Compression,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    producer: (ProducerId, i16, i32),
    flags: i16,
    records: Writer,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// No records yet, no compression, no producer.
    pub fn new() -> Self {
        Self {
            compression: Compression::None,
            base_offset: Offset(0),
            leader_epoch: LeaderEpoch(-1),
            producer: (NO_PRODUCER, -1, -1),
            flags: 0,
            records: Writer::new(),
            count: 0,
            base_timestamp: -1,
            max_timestamp: -1,
        }
    }

    /// Compresses the records with `codec`.
    pub fn compression(mut self, codec: Compression) -> Self {
        self.compression = codec;
        self
    }

    /// Marks the batch as an idempotent producer's; `sequence` is its first record's.
    pub fn producer(mut self, id: ProducerId, epoch: i16, sequence: i32) -> Self {
        self.producer = (id, epoch, sequence);
        self
    }

    /// Sets what otherwise a leader stamps.
    pub fn stamped(mut self, base: Offset, epoch: LeaderEpoch) -> Self {
        (self.base_offset, self.leader_epoch) = (base, epoch);
        self
    }

    /// Sets attribute bits beyond the codec's three: transactional 0x10, control 0x20, or unknown ones.
    pub fn flags(mut self, bits: i16) -> Self {
        self.flags = bits & !7;
        self
    }

    /// Adds a record. `timestamp` is in milliseconds since the Unix epoch.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let mut record = Writer::new();
        record.i8(0);
        record.ivarint(timestamp.wrapping_sub(self.base_timestamp));
        record.ivarint(i64::from(self.count));
        nullable(&mut record, key);
        nullable(&mut record, value);
        record.ivarint(headers.len() as i64);
        for header in headers {
            nullable(&mut record, Some(&header.name));
            nullable(&mut record, header.value.as_deref());
        }
        self.records.ivarint(record.len() as i64);
        self.records.raw(record.as_slice());
        self.count = self.count.saturating_add(1);
    }

    /// As [`BatchBuilder::push`], for a chain of calls.
    pub fn record(mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        self.push(timestamp, key, value, &[]);
        self
    }

    /// How many records were added.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// True if no record was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Length of the batch if it were not compressed, in bytes.
    pub fn plain_len(&self) -> usize {
        HEADER_LEN + self.records.len()
    }

    /// The finished batch with its checksum.
    pub fn build(self) -> Result<Bytes, BuildError> {
        let body = match self.compression {
            Compression::None => self.records.into_bytes(),
            codec @ (Compression::Gzip | Compression::Snappy | Compression::Lz4 | Compression::Zstd) => {
                compress(codec, self.records.as_slice())?
            }
        };
        let len = HEADER_LEN + body.len();
        let length = i32::try_from(len - LENGTH_PREFIX_LEN).map_err(|_| BuildError::TooLarge(len))?;
        let (producer_id, producer_epoch, base_sequence) = self.producer;
        let mut batch = Writer::new();
        batch.i64(self.base_offset.0);
        batch.i32(length);
        batch.i32(self.leader_epoch.0);
        batch.i8(2);
        batch.u32(0);
        batch.i16(self.flags | number(self.compression));
        batch.i32(self.count - 1);
        batch.i64(self.base_timestamp);
        batch.i64(self.max_timestamp);
        batch.i64(producer_id.0);
        batch.i16(producer_epoch);
        batch.i32(base_sequence);
        batch.i32(self.count);
        batch.raw(&body);
        let crc = crc32c(&batch.as_slice()[21..]);
        batch.patch(17, &crc.to_be_bytes());
        Ok(batch.into_bytes())
    }
}

fn nullable(record: &mut Writer, bytes: Option<&[u8]>) {
    match bytes {
        None => record.ivarint(-1),
        Some(bytes) => {
            record.ivarint(bytes.len() as i64);
            record.raw(bytes);
        }
    }
}

fn number(codec: Compression) -> i16 {
    match codec {
        Compression::None => 0,
        Compression::Gzip => 1,
        Compression::Snappy => 2,
        Compression::Lz4 => 3,
        Compression::Zstd => 4,
    }
}
