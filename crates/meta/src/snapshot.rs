use bytes::Bytes;
use forebay_base::{PartitionId, Reader, Short, Writer, crc32c};

use crate::{Assignment, Image, Record, RecordError};

/// Version of the snapshot's frame; its records carry versions of their own.
pub const SNAPSHOT_VERSION: u16 = 1;

const MAGIC: &[u8; 4] = b"FBIM";
const HEADER_LEN: usize = 4 + 2 + 8 + 4;

/// A snapshot that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Not a snapshot at all, or cut short.
    #[error("this is not a metadata snapshot")]
    NotASnapshot,
    /// Written by a newer release.
    #[error("the metadata snapshot has format version {0}, newer than this release reads")]
    Newer(u16),
    /// The bytes have changed since they were written.
    #[error("the metadata snapshot's checksum does not match")]
    Checksum,
    /// A record in it cannot be read.
    #[error("the metadata snapshot: {0}")]
    Record(#[from] RecordError),
}

impl From<Short> for SnapshotError {
    fn from(_: Short) -> Self {
        Self::NotASnapshot
    }
}

impl Image {
    /// The Image as bytes: the fewest records that rebuild it.
    ///
    /// ```text
    /// snapshot:  "FBIM" | version u16 | index i64 | crc32c u32 of what follows | records
    /// ```
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::new();
        out.raw(MAGIC);
        out.u16(SNAPSHOT_VERSION);
        out.i64(self.index);
        out.u32(0);
        self.each_record(|record| record.encode(&mut out));
        let sum = crc32c(out.as_slice().get(HEADER_LEN..).unwrap_or_default());
        out.patch(HEADER_LEN - 4, &sum.to_be_bytes());
        out.into_bytes()
    }

    /// The Image that [`Image::encode`] wrote.
    pub fn decode(bytes: Bytes) -> Result<Self, SnapshotError> {
        let mut reader = Reader::new(bytes);
        if reader.bytes(4)? != MAGIC.as_slice() {
            return Err(SnapshotError::NotASnapshot);
        }
        let version = reader.u16()?;
        if version != SNAPSHOT_VERSION {
            return Err(SnapshotError::Newer(version));
        }
        let (index, sum) = (reader.i64()?, reader.u32()?);
        if crc32c(reader.rest()) != sum {
            return Err(SnapshotError::Checksum);
        }
        let mut image = Image::default();
        while reader.remaining() > 0 {
            image.put(&Record::decode(&mut reader)?);
        }
        image.index = index;
        Ok(image)
    }

    fn each_record(&self, mut emit: impl FnMut(Record)) {
        if self.is_formatted() {
            emit(Record::Cluster { cluster: self.cluster, feature_level: self.feature_level });
        }
        if self.next_producer_id > 0 {
            emit(Record::ProducerIds { next: self.next_producer_id });
        }
        for (node, broker) in &self.brokers {
            emit(Record::Broker { node: *node, broker: broker.clone() });
        }
        for topic in self.topics.values() {
            emit(Record::Topic { id: topic.id, name: topic.name.to_string() });
            for (index, assignment) in (0..).zip(&topic.partitions) {
                let id = PartitionId { topic: topic.id, index };
                emit(Record::Partition { id, assignment: Assignment::clone(assignment) });
            }
            for (name, value) in topic.configs.iter() {
                emit(Record::Config { topic: topic.id, name: name.clone(), value: Some(value.clone()) });
            }
        }
    }
}
