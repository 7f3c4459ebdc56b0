use bytes::Bytes;
use forebay_base::{
    BrokerEpoch, ClusterId, DirectoryId, Id128, LeaderEpoch, NodeId, PartitionId, Reader, Short, TopicId,
    Writer,
};

use crate::{Assignment, Broker, Endpoint};

/// One change of the [`Image`](crate::Image), as it lies in the metadata log and in snapshots.
///
/// ```text
/// record:  kind u16 | version u8 | length u32 | fields (length bytes)
/// ```
/// Numbers are big-endian, strings and lists carry a uvarint count. A kind or a version that this release does not
/// know is an error and never skipped: half an Image is not an Image. A kind is written only when the cluster's
/// feature level has reached the kind's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Kind 1, level 1. The cluster's identity and feature level: `cluster 16 | level u16`.
    Cluster {
        /// Identity.
        cluster: ClusterId,
        /// Feature level from here on.
        feature_level: u16,
    },
    /// Kind 2, level 1. A node as it registered: `node i32 | epoch i64 | endpoints (listener, host, port u16) |
    /// directories 16 each | has_rack u8 [rack]`.
    Broker {
        /// The node.
        node: NodeId,
        /// What it said.
        broker: Broker,
    },
    /// Kind 3, level 1. A topic without partitions yet: `id 16 | name`.
    Topic {
        /// Identity.
        id: TopicId,
        /// Name.
        name: String,
    },
    /// Kind 4, level 1. One partition as it is from here on: `topic 16 | index i32 | replicas (node i32, directory 16)
    /// | isr i32 each | leader i32 (-1: none) | leader epoch i32 | partition epoch i32`.
    Partition {
        /// Which one; an index one past the topic's last adds a partition.
        id: PartitionId,
        /// What it is now.
        assignment: Assignment,
    },
    /// Kind 5, level 1. One setting of one topic: `topic 16 | name | has_value u8 [value]`.
    Config {
        /// The topic.
        topic: TopicId,
        /// The setting.
        name: String,
        /// Its value; `None`: back to the default.
        value: Option<String>,
    },
    /// Kind 6, level 1. The topic and its partitions are gone: `id 16`.
    TopicRemoved {
        /// Which one.
        id: TopicId,
    },
    /// Kind 7, level 1. Producer ids below this one are handed out: `next i64`.
    ProducerIds {
        /// The first id not handed out.
        next: i64,
    },
}

/// A record that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer release.
    #[error("metadata record kind {0} is not known to this release; it was written by a newer one")]
    UnknownKind(u16),
    /// Written by a newer release.
    #[error("metadata record kind {kind} has version {version}, newer than this release reads")]
    NewerVersion {
        /// The kind.
        kind: u16,
        /// Its version.
        version: u8,
    },
    /// The fields do not fill the record's length exactly, or hold an impossible value.
    #[error("metadata record kind {0} is malformed")]
    Malformed(u16),
    /// The bytes end inside a record.
    #[error("the metadata ends inside a record")]
    Short,
}

impl From<Short> for RecordError {
    fn from(_: Short) -> Self {
        Self::Short
    }
}

const VERSION: u8 = 0;
const HEADER_LEN: usize = 7;

impl Record {
    /// The kind as written.
    pub fn kind(&self) -> u16 {
        match self {
            Self::Cluster { .. } => 1,
            Self::Broker { .. } => 2,
            Self::Topic { .. } => 3,
            Self::Partition { .. } => 4,
            Self::Config { .. } => 5,
            Self::TopicRemoved { .. } => 6,
            Self::ProducerIds { .. } => 7,
        }
    }

    /// Appends the record's bytes.
    pub fn encode(&self, out: &mut Writer) {
        out.u16(self.kind());
        out.u8(VERSION);
        let length_at = out.len();
        out.u32(0);
        let fields_at = out.len();
        self.encode_fields(out);
        let length = (out.len() - fields_at) as u32;
        out.patch(length_at, &length.to_be_bytes());
    }

    fn encode_fields(&self, out: &mut Writer) {
        match self {
            Self::Cluster { cluster, feature_level } => {
                out.raw(&cluster.0.0);
                out.u16(*feature_level);
            }
            Self::Broker { node, broker } => encode_broker(*node, broker, out),
            Self::Topic { id, name } => {
                out.raw(&id.0.0);
                out.string(name);
            }
            Self::Partition { id, assignment } => encode_partition(*id, assignment, out),
            Self::Config { topic, name, value } => {
                out.raw(&topic.0.0);
                out.string(name);
                encode_optional(value.as_deref(), out);
            }
            Self::TopicRemoved { id } => out.raw(&id.0.0),
            Self::ProducerIds { next } => out.i64(*next),
        }
    }

    /// Reads one record.
    pub fn decode(reader: &mut Reader) -> Result<Self, RecordError> {
        let (kind, version, length) = (reader.u16()?, reader.u8()?, reader.u32()?);
        let fields = reader.bytes(usize::try_from(length).map_err(|_| RecordError::Short)?)?;
        if version > VERSION && (1..=7).contains(&kind) {
            return Err(RecordError::NewerVersion { kind, version });
        }
        let mut fields = Reader::new(fields);
        let malformed = |_| RecordError::Malformed(kind);
        let record = match kind {
            1 => decode_cluster(&mut fields).map_err(malformed)?,
            2 => decode_broker(&mut fields).map_err(malformed)?,
            3 => decode_topic(&mut fields).map_err(malformed)?,
            4 => decode_partition(&mut fields).map_err(malformed)?,
            5 => decode_config(&mut fields).map_err(malformed)?,
            6 => Self::TopicRemoved { id: TopicId(decode_id(&mut fields).map_err(malformed)?) },
            7 => Self::ProducerIds { next: fields.i64().map_err(malformed)? },
            unknown => return Err(RecordError::UnknownKind(unknown)),
        };
        if fields.remaining() == 0 { Ok(record) } else { Err(RecordError::Malformed(kind)) }
    }

    /// Bytes of `records`, one after the other.
    pub fn encode_all(records: &[Record]) -> Bytes {
        let mut out = Writer::new();
        records.iter().for_each(|record| record.encode(&mut out));
        out.into_bytes()
    }

    /// Reads records until the bytes end.
    pub fn decode_all(bytes: Bytes) -> Result<Vec<Record>, RecordError> {
        let mut reader = Reader::new(bytes);
        let mut records = Vec::with_capacity(reader.remaining() / (HEADER_LEN * 8));
        while reader.remaining() > 0 {
            records.push(Self::decode(&mut reader)?);
        }
        Ok(records)
    }
}

fn encode_optional(text: Option<&str>, out: &mut Writer) {
    out.u8(u8::from(text.is_some()));
    if let Some(text) = text {
        out.string(text);
    }
}

fn encode_broker(node: NodeId, broker: &Broker, out: &mut Writer) {
    out.i32(node.0);
    out.i64(broker.epoch.0);
    out.uvarint(broker.endpoints.len() as u64);
    for endpoint in &broker.endpoints {
        out.string(&endpoint.listener);
        out.string(&endpoint.host);
        out.u16(endpoint.port);
    }
    out.uvarint(broker.directories.len() as u64);
    broker.directories.iter().for_each(|directory| out.raw(&directory.0.0));
    encode_optional(broker.rack.as_deref(), out);
}

fn encode_partition(id: PartitionId, assignment: &Assignment, out: &mut Writer) {
    out.raw(&id.topic.0.0);
    out.i32(id.index);
    out.uvarint(assignment.replicas.len() as u64);
    for (replica, directory) in assignment.replicas.iter().zip(&assignment.directories) {
        out.i32(replica.0);
        out.raw(&directory.0.0);
    }
    out.uvarint(assignment.isr.len() as u64);
    assignment.isr.iter().for_each(|node| out.i32(node.0));
    out.i32(assignment.leader.map_or(-1, |node| node.0));
    out.i32(assignment.leader_epoch.0);
    out.i32(assignment.partition_epoch);
}

fn decode_id(fields: &mut Reader) -> Result<Id128, Short> {
    Ok(Id128(fields.u128()?.to_be_bytes()))
}

fn decode_optional(fields: &mut Reader) -> Result<Option<String>, Short> {
    match fields.u8()? {
        0 => Ok(None),
        1 => Ok(Some(fields.string()?)),
        _ => Err(Short),
    }
}

fn decode_cluster(fields: &mut Reader) -> Result<Record, Short> {
    Ok(Record::Cluster { cluster: ClusterId(decode_id(fields)?), feature_level: fields.u16()? })
}

fn decode_broker(fields: &mut Reader) -> Result<Record, Short> {
    let (node, epoch) = (NodeId(fields.i32()?), BrokerEpoch(fields.i64()?));
    let mut endpoints = Vec::new();
    for _ in 0..fields.count(4)? {
        endpoints.push(Endpoint { listener: fields.string()?, host: fields.string()?, port: fields.u16()? });
    }
    let mut directories = Vec::new();
    for _ in 0..fields.count(16)? {
        directories.push(DirectoryId(decode_id(fields)?));
    }
    let rack = decode_optional(fields)?;
    Ok(Record::Broker { node, broker: Broker { epoch, endpoints, directories, rack } })
}

fn decode_topic(fields: &mut Reader) -> Result<Record, Short> {
    Ok(Record::Topic { id: TopicId(decode_id(fields)?), name: fields.string()? })
}

fn decode_partition(fields: &mut Reader) -> Result<Record, Short> {
    let id = PartitionId { topic: TopicId(decode_id(fields)?), index: fields.i32()? };
    let (mut replicas, mut directories, mut isr) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..fields.count(20)? {
        replicas.push(NodeId(fields.i32()?));
        directories.push(DirectoryId(decode_id(fields)?));
    }
    for _ in 0..fields.count(4)? {
        isr.push(NodeId(fields.i32()?));
    }
    let leader = Some(NodeId(fields.i32()?)).filter(|node| node.0 >= 0);
    let leader_epoch = LeaderEpoch(fields.i32()?);
    let partition_epoch = fields.i32()?;
    let assignment = Assignment { replicas, directories, isr, leader, leader_epoch, partition_epoch };
    Ok(Record::Partition { id, assignment })
}

fn decode_config(fields: &mut Reader) -> Result<Record, Short> {
    Ok(Record::Config {
        topic: TopicId(decode_id(fields)?),
        name: fields.string()?,
        value: decode_optional(fields)?,
    })
}
