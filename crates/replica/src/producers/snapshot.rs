use bytes::Bytes;
use forebay_base::{Offset, ProducerId, Reader, Short, WallTime, Writer, crc32c, limits};

use super::{Producer, Producers, Remembered};

/// "FBps": producer snapshot.
const MAGIC: u32 = 0x4642_7073;
const VERSION: u16 = 1;

/// A producer and a batch take at least this many bytes each.
const PRODUCER_LEN_MIN: usize = 8 + 2 + 8 + 1;
const BATCH_LEN: usize = 4 + 4 + 8 + 8 + 8;

/// Why a producer snapshot is not used. It is a hint: the state is rebuilt from the log instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Cut, damaged or not a snapshot.
    #[error("the producer snapshot is damaged")]
    Damaged,
    /// Written by a newer release.
    #[error("the producer snapshot has version {0}, this release reads {VERSION}")]
    Newer(u16),
}

impl From<Short> for SnapshotError {
    fn from(_: Short) -> Self {
        Self::Damaged
    }
}

impl Producers {
    /// The settled state as bytes.
    ///
    /// ```text
    /// magic u32 "FBps" | version u16 | crc-32c u32 of the rest | producers uvarint
    /// each: id i64 | epoch i16 | seen i64 ms | batches uvarint
    ///       each: first sequence i32 | last sequence i32 | base offset i64 | last offset i64 | max timestamp i64
    /// ```
    /// Producers stand in the order of their last offsets, so equal states give equal bytes.
    pub fn encode(&self) -> Bytes {
        let mut body = Writer::new();
        body.uvarint(self.known.len() as u64);
        for (id, producer) in
            self.by_age.values().filter_map(|id| self.known.get(id).map(|known| (id, known)))
        {
            body.i64(id.0);
            body.i16(producer.epoch);
            body.i64(producer.seen.0);
            body.uvarint(producer.batches.len() as u64);
            for batch in &producer.batches {
                body.i32(batch.first_sequence);
                body.i32(batch.last_sequence);
                body.i64(batch.base_offset.0);
                body.i64(batch.last_offset.0);
                body.i64(batch.max_timestamp);
            }
        }
        let mut snapshot = Writer::new();
        snapshot.u32(MAGIC);
        snapshot.u16(VERSION);
        snapshot.u32(crc32c(body.as_slice()));
        snapshot.raw(body.as_slice());
        snapshot.into_bytes()
    }

    /// Reads what [`Producers::encode`] wrote.
    pub fn decode(snapshot: Bytes) -> Result<Self, SnapshotError> {
        let mut reader = Reader::new(snapshot);
        if reader.u32()? != MAGIC {
            return Err(SnapshotError::Damaged);
        }
        match reader.u16()? {
            VERSION => {}
            newer => return Err(SnapshotError::Newer(newer)),
        }
        if reader.u32()? != crc32c(reader.rest()) {
            return Err(SnapshotError::Damaged);
        }
        let mut producers = Self::default();
        for _ in 0..reader.count(PRODUCER_LEN_MIN)? {
            let id = ProducerId(reader.i64()?);
            let producer = read_producer(&mut reader)?;
            producers.insert(id, producer);
        }
        if reader.remaining() != 0 {
            return Err(SnapshotError::Damaged);
        }
        producers.shrink(limits::PARTITION_PRODUCERS_MAX);
        Ok(producers)
    }
}

fn read_producer(reader: &mut Reader) -> Result<Producer, SnapshotError> {
    let (epoch, seen) = (reader.i16()?, WallTime(reader.i64()?));
    let count = reader.count(BATCH_LEN)?;
    if count == 0 || count > limits::PRODUCER_BATCHES {
        return Err(SnapshotError::Damaged);
    }
    let read = |_| {
        Ok(Remembered {
            first_sequence: reader.i32()?,
            last_sequence: reader.i32()?,
            base_offset: Offset(reader.i64()?),
            last_offset: Offset(reader.i64()?),
            max_timestamp: reader.i64()?,
        })
    };
    let batches = (0..count).map(read).collect::<Result<_, SnapshotError>>()?;
    Ok(Producer { epoch, batches, seen })
}
