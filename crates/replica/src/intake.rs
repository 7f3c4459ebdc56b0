//! What a client's batch must be before it is queued: decided from its 61-byte header and its checksum, pure, on the
//! connection's own task. Records are inflated only to look for missing keys, or to name the ones at fault.

use bytes::Bytes;
use forebay_base::WallTime;
use forebay_records::{
    BatchError, BatchHeader, Compression, HEADER_LEN, Seen, TimestampType, scan, verify_crc,
};

use crate::Refused;
use crate::refused::RecordError;

/// A refusal names at most this many records; a client shows one.
const ERRORS_MAX: usize = 100;

/// A topic's rules for batches, from its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntakeRules {
    /// `max.message.bytes`: longest batch, as sent.
    pub max_message_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far timestamps may lie in the past.
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far they may lie ahead.
    pub after_max_ms: i64,
    /// True if `cleanup.policy` has `compact`: each record needs a key.
    pub compacted: bool,
}

impl IntakeRules {
    /// The timestamps that are taken at `now`.
    fn bounds(&self, now: WallTime) -> Bounds {
        match self.timestamp_type {
            TimestampType::LogAppendTime => Bounds { earliest: i64::MIN, latest: i64::MAX },
            TimestampType::CreateTime => Bounds {
                earliest: now.0.saturating_sub(self.before_max_ms),
                latest: now.0.saturating_add(self.after_max_ms),
            },
        }
    }
}

/// Timestamps between which a record's must lie, in ms; -1, which means none, always fits.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    earliest: i64,
    latest: i64,
}

impl Bounds {
    fn take(&self, timestamp: i64) -> bool {
        timestamp == -1 || (self.earliest..=self.latest).contains(&timestamp)
    }

    fn fits(&self, header: &BatchHeader) -> bool {
        self.take(header.base_timestamp) && self.take(header.max_timestamp)
    }
}

/// One checked batch, as sent.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Its header.
    pub header: BatchHeader,
    /// All of it, header included.
    pub bytes: Bytes,
    /// The topic's `message.timestamp.type`: whether the leader stamps its time.
    pub timestamp_type: TimestampType,
}

impl Batch {
    /// How many records it announces; at least one.
    pub fn record_count(&self) -> u32 {
        self.header.record_count.unsigned_abs()
    }

    /// True if its records are compressed with zstd, which old protocol versions must not carry (KIP-110).
    pub fn is_zstd(&self) -> bool {
        self.header.compression() == Ok(Compression::Zstd)
    }
}

/// True if [`check`] must inflate the records: `limits::INFLATE_MEMORY_BYTES`, and much time for an event loop.
pub fn inflates(records: &[u8], rules: &IntakeRules, now: WallTime) -> bool {
    let looks_into = |header: BatchHeader| rules.compacted || !rules.bounds(now).fits(&header);
    BatchHeader::parse(records)
        .is_ok_and(|header| header.compression() != Ok(Compression::None) && looks_into(header))
}

/// Checks the records of one partition in a produce request: exactly one sound v2 batch that the topic takes.
///
/// Cheap checks come first: size and counts, then the checksum, then what needs inflating (rule R7).
pub fn check(records: Bytes, rules: &IntakeRules, now: WallTime) -> Result<Batch, Refused> {
    if records.is_empty() {
        return Err(invalid("a produce request must hold exactly one record batch per partition"));
    }
    let header = BatchHeader::parse(&records).map_err(refuse)?;
    if records.len() < header.len {
        return Err(refuse(BatchError::Short));
    }
    if records.len() > header.len {
        return Err(invalid("a produce request must hold exactly one record batch per partition"));
    }
    if header.len > rules.max_message_bytes {
        return Err(Refused::TooLarge { bytes: header.len, bytes_max: rules.max_message_bytes });
    }
    check_counts(&header)?;
    header.compression().map_err(refuse)?;
    verify_crc(&records).map_err(refuse)?;
    check_origin(&header)?;
    check_timestamps(&records, &header, rules, now)?;
    if rules.compacted {
        check_keys(&records)?;
    }
    Ok(Batch { header, bytes: records, timestamp_type: rules.timestamp_type })
}

fn refuse(error: BatchError) -> Refused {
    match error {
        BatchError::Codec(codec) => Refused::UnsupportedCompression(codec),
        BatchError::Magic(_) => Refused::InvalidRecord { reason: error.to_string(), errors: Vec::new() },
        BatchError::Short
        | BatchError::Length
        | BatchError::Crc
        | BatchError::Inconsistent(_)
        | BatchError::Inflate(_) => Refused::Corrupt(error.to_string()),
    }
}

fn invalid(reason: impl Into<String>) -> Refused {
    Refused::InvalidRecord { reason: reason.into(), errors: Vec::new() }
}

fn check_counts(header: &BatchHeader) -> Result<(), Refused> {
    if header.record_count <= 0 {
        return Err(invalid("a record batch must hold a record"));
    }
    if header.last_offset_delta != header.record_count - 1 {
        return Err(invalid("the batch's last offset does not fit its number of records"));
    }
    // A record takes 7 bytes at least; compressed ones may take any number.
    if header.attributes & 7 == 0 && (header.len - HEADER_LEN) / 7 < header.record_count as usize {
        return Err(invalid("the batch announces more records than its bytes can hold"));
    }
    Ok(())
}

fn check_origin(header: &BatchHeader) -> Result<(), Refused> {
    if header.is_control() {
        return Err(invalid("clients may not write control batches"));
    }
    if header.is_transactional() {
        return Err(Refused::InvalidTransaction);
    }
    if header.is_idempotent()
        && (header.producer_id.0 < 0 || header.producer_epoch < 0 || header.base_sequence < 0)
    {
        return Err(invalid("a batch with a producer id needs an epoch and a sequence number"));
    }
    Ok(())
}

fn check_timestamps(
    bytes: &Bytes,
    header: &BatchHeader,
    rules: &IntakeRules,
    now: WallTime,
) -> Result<(), Refused> {
    match (rules.timestamp_type, header.timestamp_type()) {
        (TimestampType::LogAppendTime, _) => return Ok(()),
        (TimestampType::CreateTime, TimestampType::CreateTime) => {}
        (TimestampType::CreateTime, TimestampType::LogAppendTime) => {
            let reason = "the batch claims log append time, the topic has message.timestamp.type=CreateTime"
                .to_owned();
            return Err(Refused::InvalidTimestamp { reason, errors: Vec::new() });
        }
    }
    let bounds = rules.bounds(now);
    if bounds.fits(header) {
        return Ok(());
    }
    let Bounds { earliest, latest } = bounds;
    let errors = at_fault(bytes, |seen| {
        let timestamp = seen.timestamp;
        (!bounds.take(timestamp))
            .then(|| format!("timestamp {timestamp} is not within {earliest} to {latest}"))
    });
    Err(Refused::InvalidTimestamp {
        reason: format!(
            "a timestamp lies outside the topic's bounds: {earliest} to {latest} (ms since 1970)"
        ),
        errors: errors.unwrap_or_default(),
    })
}

fn check_keys(bytes: &Bytes) -> Result<(), Refused> {
    let errors = at_fault(bytes, |seen| {
        (!seen.has_key).then(|| "a record of a compacted topic needs a key".to_owned())
    })
    .map_err(refuse)?;
    if errors.is_empty() {
        return Ok(());
    }
    Err(Refused::InvalidRecord { reason: "records of a compacted topic need a key".to_owned(), errors })
}

/// The records that `fault` has a sentence for.
fn at_fault(bytes: &Bytes, fault: impl Fn(Seen) -> Option<String>) -> Result<Vec<RecordError>, BatchError> {
    let mut errors = Vec::new();
    scan(bytes, |seen| {
        if let Some(sentence) = fault(seen)
            && errors.len() < ERRORS_MAX
        {
            errors.push((seen.index, sentence));
        }
    })?;
    Ok(errors)
}

#[cfg(test)]
mod tests;
