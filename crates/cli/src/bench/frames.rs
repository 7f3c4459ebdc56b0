//! The two requests that the load client sends, byte by byte: Produce 7 and Fetch 10, the oldest versions that carry
//! every codec, each for one partition. Their fields lie at offsets that depend on two names only, so that a request is
//! written once and then patched, and an answer is read where it matters.
//!
//! ```text
//! Produce 7   len key=0 ver=7 id | client id | -1 acks timeout | 1 topic | 1 index len | batch
//!   answer    len id | 1 topic | 1 index error base time start | throttle
//! Fetch 10    len key=1 ver=10 id | client id | -1 wait min max isolation | session 0 -1
//!                 | 1 topic | 1 index -1 offset -1 max | 0
//!   answer    len id throttle error session | 1 topic | 1 index error hw lso start aborted len | batches
//! ```

use std::ops::Range;

/// The name that the load client gives itself.
const CLIENT_ID: &str = "forebay-bench";

/// Length of a frame's length.
const PREFIX_LEN: usize = 4;

const PRODUCE: (i16, i16) = (0, 7);
const FETCH: (i16, i16) = (1, 10);

/// Where a request's correlation id lies, its length included.
const CORRELATION_AT: usize = 8;

/// How long a server may wait for `acks`, in ms.
const ACKS_TIMEOUT_MS: i32 = 30_000;

/// Bytes of a Produce answer after its topic's name: count, index, error, base offset, time, log start, throttle.
const PRODUCED_TAIL: usize = 4 + 4 + 2 + 8 + 8 + 8 + 4;

/// The big-endian number of `N` bytes at `at`.
fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn i16_at(bytes: &[u8], at: usize) -> Option<i16> {
    field(bytes, at).map(i16::from_be_bytes)
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    field(bytes, at).map(i32::from_be_bytes)
}

fn i64_at(bytes: &[u8], at: usize) -> Option<i64> {
    field(bytes, at).map(i64::from_be_bytes)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn put_name(bytes: &mut Vec<u8>, name: &[u8]) {
    bytes.extend((name.len() as i16).to_be_bytes());
    bytes.extend(name);
}

fn put_i32s(bytes: &mut Vec<u8>, values: &[i32]) {
    values.iter().for_each(|value| bytes.extend(value.to_be_bytes()));
}

/// A header of version 1 with room for the frame's length.
fn header((key, version): (i16, i16)) -> Vec<u8> {
    let mut bytes = vec![0; PREFIX_LEN];
    bytes.extend(key.to_be_bytes());
    bytes.extend(version.to_be_bytes());
    put_i32s(&mut bytes, &[0]);
    put_name(&mut bytes, CLIENT_ID.as_bytes());
    bytes
}

fn set_len(bytes: &mut [u8], more: usize) {
    let len = (bytes.len() - PREFIX_LEN + more) as i32;
    put(bytes, 0, &len.to_be_bytes());
}

/// Where the first frame in `bytes` ends, by its own word.
pub(super) fn claimed_end(bytes: &[u8]) -> Option<usize> {
    let len = usize::try_from(i32_at(bytes, 0)?).unwrap_or(usize::MAX);
    Some(len.saturating_add(PREFIX_LEN))
}

/// The end of the first whole frame in `bytes`, or `None` if it is not all there.
pub(super) fn frame_end(bytes: &[u8]) -> Option<usize> {
    claimed_end(bytes).filter(|end| *end <= bytes.len())
}

/// A Produce request up to its batch, which follows it on the wire.
#[derive(Debug, Clone)]
pub(super) struct ProduceHead(Vec<u8>);

impl ProduceHead {
    /// For batches of `batch_len` bytes. `topic` is at most 249 bytes long.
    pub(super) fn new(topic: &str, acks: i16, batch_len: usize) -> Self {
        let mut bytes = header(PRODUCE);
        bytes.extend((-1i16).to_be_bytes());
        bytes.extend(acks.to_be_bytes());
        put_i32s(&mut bytes, &[ACKS_TIMEOUT_MS, 1]);
        put_name(&mut bytes, topic.as_bytes());
        put_i32s(&mut bytes, &[1, 0, batch_len as i32]);
        set_len(&mut bytes, batch_len);
        Self(bytes)
    }

    /// Makes it the next request.
    pub(super) fn patch(&mut self, correlation: i32, partition: i32) {
        let partition_at = self.0.len() - 8;
        put(&mut self.0, CORRELATION_AT, &correlation.to_be_bytes());
        put(&mut self.0, partition_at, &partition.to_be_bytes());
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a Produce answer says of its one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Produced {
    pub(super) correlation: i32,
    /// Kafka's error number, or 0.
    pub(super) error: i16,
    /// Offset of the batch's first record.
    pub(super) base: i64,
}

impl Produced {
    /// Reads a whole frame. `None` if it cannot be the answer to one batch.
    pub(super) fn parse(frame: &[u8]) -> Option<Self> {
        let tail = frame.len().checked_sub(PRODUCED_TAIL)?;
        let alone = i32_at(frame, PREFIX_LEN + 4)? == 1 && i32_at(frame, tail)? == 1;
        if !alone || frame_end(frame) != Some(frame.len()) {
            return None;
        }
        Some(Self {
            correlation: i32_at(frame, PREFIX_LEN)?,
            error: i16_at(frame, tail + 8)?,
            base: i64_at(frame, tail + 10)?,
        })
    }

    /// Appends the answer's frame for a partition of `topic`.
    pub(super) fn write(self, topic: &[u8], partition: i32, out: &mut Vec<u8>) {
        let len = 4 + 4 + 2 + topic.len() + PRODUCED_TAIL;
        put_i32s(out, &[len as i32, self.correlation, 1]);
        put_name(out, topic);
        put_i32s(out, &[1, partition]);
        out.extend(self.error.to_be_bytes());
        out.extend(self.base.to_be_bytes());
        out.extend([(-1i64).to_be_bytes(); 2].as_flattened());
        put_i32s(out, &[0]);
    }
}

/// A whole Fetch request.
#[derive(Debug, Clone)]
pub(super) struct FetchFrame(Vec<u8>);

impl FetchFrame {
    /// Asks for up to `max_bytes`, waiting up to `wait_ms` for the first of them.
    pub(super) fn new(topic: &str, wait_ms: i32, max_bytes: i32) -> Self {
        let mut bytes = header(FETCH);
        put_i32s(&mut bytes, &[-1, wait_ms, 1, max_bytes]);
        bytes.push(0);
        put_i32s(&mut bytes, &[0, -1, 1]);
        put_name(&mut bytes, topic.as_bytes());
        put_i32s(&mut bytes, &[1, 0, -1]);
        bytes.extend([0i64.to_be_bytes(), (-1i64).to_be_bytes()].as_flattened());
        put_i32s(&mut bytes, &[max_bytes, 0]);
        set_len(&mut bytes, 0);
        Self(bytes)
    }

    /// Makes it the next request.
    pub(super) fn patch(&mut self, correlation: i32, partition: i32, offset: i64) {
        let end = self.0.len();
        put(&mut self.0, CORRELATION_AT, &correlation.to_be_bytes());
        put(&mut self.0, end - 32, &partition.to_be_bytes());
        put(&mut self.0, end - 24, &offset.to_be_bytes());
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A Fetch answer up to its batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fetched {
    pub(super) correlation: i32,
    /// Kafka's error number, or 0.
    pub(super) error: i16,
    pub(super) high_watermark: i64,
    /// First offset of the partition's log.
    pub(super) log_start: i64,
    /// Bytes of the batches that follow.
    pub(super) len: usize,
}

impl Fetched {
    /// Length of the head for a topic's name of that length, the frame's length included.
    pub(super) fn head_len(topic_len: usize) -> usize {
        PREFIX_LEN + 4 + 4 + 2 + 4 + 4 + 2 + topic_len + 4 + 4 + 2 + 8 + 8 + 8 + 4 + 4
    }

    /// Reads a head of exactly that length. `None` if it is not the answer for one partition, or of a transaction.
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        if head.len() < Self::head_len(0) {
            return None;
        }
        let part = head.len() - 38;
        let len = usize::try_from(i32_at(head, head.len() - 4)?).unwrap_or(0);
        let framed = usize::try_from(i32_at(head, 0)?).ok()?;
        let alone = i32_at(head, PREFIX_LEN + 14)? == 1 && i32_at(head, part - 4)? == 1;
        let plain = i32_at(head, head.len() - 8)? <= 0;
        let whole = i16_at(head, PREFIX_LEN + 8)?;
        if !alone || !plain || framed != head.len() - PREFIX_LEN + len {
            return None;
        }
        Some(Self {
            correlation: i32_at(head, PREFIX_LEN)?,
            error: if whole == 0 { i16_at(head, part + 4)? } else { whole },
            high_watermark: i64_at(head, part + 6)?,
            log_start: i64_at(head, part + 22)?,
            len,
        })
    }

    /// Appends the head for a partition of `topic`.
    pub(super) fn write(self, topic: &[u8], partition: i32, out: &mut Vec<u8>) {
        let framed = Self::head_len(topic.len()) - PREFIX_LEN + self.len;
        put_i32s(out, &[framed as i32, self.correlation, 0]);
        out.extend(0i16.to_be_bytes());
        put_i32s(out, &[0, 1]);
        put_name(out, topic);
        put_i32s(out, &[1, partition]);
        out.extend(self.error.to_be_bytes());
        out.extend(self.high_watermark.to_be_bytes());
        out.extend(self.high_watermark.to_be_bytes());
        out.extend(self.log_start.to_be_bytes());
        put_i32s(out, &[-1, self.len as i32]);
    }
}

/// A request as the yardstick reads it; ranges lie in the frame, its length included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// A batch for a partition.
    Produce { correlation: i32, acks: i16, topic: Range<usize>, partition: i32, batch: Range<usize> },
    /// A partition's batches from an offset on.
    Fetch { correlation: i32, topic: Range<usize>, partition: i32, offset: i64, max_bytes: i32 },
}

impl Asked {
    /// Reads a whole frame. `None` for anything that the load client does not send.
    pub(super) fn parse(frame: &[u8]) -> Option<Self> {
        let correlation = i32_at(frame, CORRELATION_AT)?;
        let client = name(frame, CORRELATION_AT + 4)?;
        match (i16_at(frame, PREFIX_LEN)?, i16_at(frame, PREFIX_LEN + 2)?) {
            PRODUCE => {
                // No transactional id.
                let topic = name(frame, client.end + 2 + 2 + 4 + 4)?;
                let batch = topic.end + 12..frame.len();
                let alone = i32_at(frame, topic.end)? == 1 && i16_at(frame, client.end)? == -1;
                let whole = usize::try_from(i32_at(frame, topic.end + 8)?) == Ok(batch.len());
                let (acks, partition) = (i16_at(frame, client.end + 2)?, i32_at(frame, topic.end + 4)?);
                (alone && whole).then_some(Self::Produce { correlation, acks, topic, partition, batch })
            }
            FETCH => {
                let topic = name(frame, client.end + 17 + 8 + 4)?;
                let alone = i32_at(frame, topic.end)? == 1 && topic.end + 36 == frame.len();
                let (partition, offset) = (i32_at(frame, topic.end + 4)?, i64_at(frame, topic.end + 12)?);
                let max_bytes = i32_at(frame, topic.end + 28)?;
                alone.then_some(Self::Fetch { correlation, topic, partition, offset, max_bytes })
            }
            _ => None,
        }
    }
}

/// Where the bytes of the name at `at` lie; of null, nowhere.
fn name(frame: &[u8], at: usize) -> Option<Range<usize>> {
    let len = usize::try_from(i16_at(frame, at)?).unwrap_or(0);
    (at + 2 + len <= frame.len()).then_some(at + 2..at + 2 + len)
}

#[cfg(test)]
mod tests;
