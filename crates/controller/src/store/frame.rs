use bytes::Bytes;
use forebay_base::{Crc32c, Reader, Short, Writer};

/// Name of a log entry: the leader that made it, and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryId {
    /// Term of the leader.
    pub term: u64,
    /// The leader.
    pub node: u64,
    /// Place in the log, from 0 without gaps.
    pub index: u64,
}

/// One entry of the Raft log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub id: EntryId,
    /// What it carries.
    pub payload: Payload,
}

/// What an entry carries. The bytes mean nothing to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: a leader's first entry.
    Blank,
    /// A batch of metadata records.
    Batch(Bytes),
    /// The members of the quorum.
    Membership(Bytes),
}

impl Payload {
    fn kind(&self) -> u8 {
        match self {
            Self::Blank => 0,
            Self::Batch(_) => 1,
            Self::Membership(_) => 2,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Blank => &[],
            Self::Batch(bytes) | Self::Membership(bytes) => bytes,
        }
    }
}

pub(super) const MAGIC: &[u8; 4] = b"FBRE";
pub(super) const HEADER_LEN: u64 = 64;
pub(super) const ALIGN: u64 = 8;
const VERSION: u8 = 1;
const CRC_AT: usize = 12;

/// What the log adds to an entry so that recovery knows where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Use of the segment; higher for every segment begun.
    pub(super) sequence: u64,
    /// Raised by every truncation and every start.
    pub(super) generation: u64,
    /// Entries below this index were durable when the frame was written.
    pub(super) durable: u64,
}

/// A frame found at some place of the log.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) stamp: Stamp,
    pub(super) entry: Entry,
    /// Bytes it fills, padding included.
    pub(super) len: u64,
}

/// What lies at some place of the log.
#[derive(Debug)]
pub(super) enum Found {
    /// No sound frame.
    Nothing,
    /// A sound frame of a version that this release does not read.
    Newer(u16),
    /// A sound frame.
    Frame(Frame),
}

/// Bytes that `entry` fills in the log, padding included.
pub(super) fn frame_len(entry: &Entry) -> u64 {
    (HEADER_LEN + entry.payload.bytes().len() as u64).next_multiple_of(ALIGN)
}

/// Appends the frame of `entry` to `out`, whose length is a multiple of [`ALIGN`].
pub(super) fn encode(entry: &Entry, stamp: Stamp, out: &mut Vec<u8>) {
    let mut frame = Writer::new();
    frame.raw(MAGIC);
    frame.u8(VERSION);
    frame.u8(entry.payload.kind());
    frame.u16(0);
    frame.u32(entry.payload.bytes().len() as u32);
    frame.u32(0);
    frame.u64(stamp.sequence);
    frame.u64(stamp.generation);
    frame.u64(entry.id.index);
    frame.u64(entry.id.term);
    frame.u64(entry.id.node);
    frame.u64(stamp.durable);
    frame.raw(entry.payload.bytes());
    let sum = checksum(frame.as_slice());
    frame.patch(CRC_AT, &sum.to_be_bytes());
    out.extend_from_slice(frame.as_slice());
    out.resize(out.len().next_multiple_of(ALIGN as usize), 0);
}

/// What lies at the start of `bytes`.
pub(super) fn parse(bytes: &Bytes) -> Found {
    read(bytes).unwrap_or(Found::Nothing)
}

fn read(bytes: &Bytes) -> Result<Found, Short> {
    let mut reader = Reader::new(bytes.clone());
    if reader.bytes(4)? != MAGIC.as_slice() {
        return Ok(Found::Nothing);
    }
    let (version, kind, _) = (reader.u8()?, reader.u8()?, reader.u16()?);
    let (payload_len, sum) = (reader.u32()? as usize, reader.u32()?);
    let whole = bytes.get(..HEADER_LEN as usize + payload_len).ok_or(Short)?;
    if checksum(whole) != sum {
        return Ok(Found::Nothing);
    }
    if version != VERSION {
        return Ok(Found::Newer(u16::from(version)));
    }
    let (sequence, generation, index) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let (term, node, durable) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let body = reader.bytes(payload_len)?;
    let payload = match kind {
        0 => Payload::Blank,
        1 => Payload::Batch(body),
        2 => Payload::Membership(body),
        // The version says which kinds there are, so this is none of ours.
        _ => return Ok(Found::Nothing),
    };
    let entry = Entry { id: EntryId { term, node, index }, payload };
    let len = frame_len(&entry);
    Ok(Found::Frame(Frame { stamp: Stamp { sequence, generation, durable }, entry, len }))
}

fn checksum(frame: &[u8]) -> u32 {
    let mut sum = Crc32c::default();
    sum.update(frame.get(..CRC_AT).unwrap_or_default());
    sum.update(frame.get(CRC_AT + 4..).unwrap_or_default());
    sum.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_round_trip_and_any_flipped_bit_is_noticed() {
        let stamp = Stamp { sequence: 3, generation: 2, durable: 8 };
        for payload in [Payload::Blank, Payload::Batch("records".into()), Payload::Membership("{}".into())] {
            let entry = Entry { id: EntryId { term: 1, node: 7, index: 9 }, payload };
            let mut bytes = Vec::new();
            encode(&entry, stamp, &mut bytes);
            assert_eq!(bytes.len() as u64, frame_len(&entry));
            let Found::Frame(frame) = parse(&bytes.clone().into()) else { panic!("not found") };
            assert_eq!((frame.entry, frame.stamp, frame.len), (entry.clone(), stamp, bytes.len() as u64));
            let unpadded = HEADER_LEN as usize + entry.payload.bytes().len();
            for at in 0..unpadded {
                let mut bad = bytes.clone();
                bad[at] ^= 0x10;
                assert!(matches!(parse(&bad.into()), Found::Nothing), "byte {at}");
            }
            assert!(matches!(parse(&Bytes::copy_from_slice(&bytes[..unpadded - 1])), Found::Nothing));
        }
    }
}
