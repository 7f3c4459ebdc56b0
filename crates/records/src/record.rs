use bytes::Bytes;
use forebay_base::{Offset, Reader, Short, limits};

use crate::{BatchError, BatchHeader, HEADER_LEN, TimestampType, decompress};

/// One record of a batch. Its bytes are shared with the batch, or with what it inflated to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Position in the partition.
    pub offset: Offset,
    /// Milliseconds since the Unix epoch; the batch's log append time where it has one. -1 if the producer set none.
    pub timestamp: i64,
    /// The key, or none.
    pub key: Option<Bytes>,
    /// The value, or none (a tombstone).
    pub value: Option<Bytes>,
    /// Headers in the order sent; a name may occur more than once.
    pub headers: Vec<RecordHeader>,
}

/// One header of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    /// The name: UTF-8 by Kafka's rule, which is not enforced here.
    pub name: Bytes,
    /// The value, or none.
    pub value: Option<Bytes>,
}

impl RecordHeader {
    /// A header with a value.
    pub fn new(name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { name: name.into(), value: Some(value.into()) }
    }
}

/// The records of one batch, in order. Ends after the first error.
#[derive(Debug)]
pub struct Records {
    header: BatchHeader,
    body: Reader,
    left: i32,
    last_delta: i64,
}

impl Records {
    /// Reads one whole batch: inflates it, to at most [`limits::INFLATED_BYTES_MAX`], and yields its records.
    /// The checksum is not looked at.
    pub fn of(batch: &Bytes) -> Result<Self, BatchError> {
        Self::capped(batch, limits::INFLATED_BYTES_MAX)
    }

    /// As [`Records::of`], inflating to at most `bytes_max`.
    pub fn capped(batch: &Bytes, bytes_max: usize) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(batch)?;
        if batch.len() < header.len {
            return Err(BatchError::Short);
        }
        if header.record_count < 0 {
            return Err(BatchError::Inconsistent("a negative number of records"));
        }
        let body = decompress(header.compression()?, &batch.slice(HEADER_LEN..header.len), bytes_max)?;
        Ok(Self { header, body: Reader::new(body), left: header.record_count, last_delta: -1 })
    }

    /// The batch's header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    fn read(&mut self) -> Result<Record, BatchError> {
        let len = usize::try_from(varint(&mut self.body)?)
            .map_err(|_| BatchError::Inconsistent("a record's length"))?;
        let mut body = Reader::new(self.body.bytes(len).map_err(cut)?);
        body.i8().map_err(cut)?;
        let timestamp_delta = body.ivarint().map_err(cut)?;
        let offset_delta = i64::from(varint(&mut body)?);
        let key = nullable(&mut body)?;
        let value = nullable(&mut body)?;
        let headers = headers(&mut body)?;
        if body.remaining() != 0 {
            return Err(BatchError::Inconsistent("a record is longer than its fields"));
        }
        // Compaction leaves gaps, so offsets need only rise.
        if offset_delta <= self.last_delta || offset_delta > i64::from(self.header.last_offset_delta) {
            return Err(BatchError::Inconsistent("a record's offset"));
        }
        self.last_delta = offset_delta;
        let timestamp = match self.header.timestamp_type() {
            TimestampType::LogAppendTime => self.header.max_timestamp,
            TimestampType::CreateTime => self.header.base_timestamp.saturating_add(timestamp_delta),
        };
        Ok(Record { offset: self.header.base_offset.plus(offset_delta), timestamp, key, value, headers })
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let surplus = self.body.remaining() != 0;
            self.body = Reader::new(Bytes::new());
            return surplus.then_some(Err(BatchError::Inconsistent("bytes follow the last record")));
        }
        self.left -= 1;
        let record = self.read();
        if record.is_err() {
            (self.left, self.body) = (0, Reader::new(Bytes::new()));
        }
        Some(record)
    }
}

fn cut(_: Short) -> BatchError {
    BatchError::Inconsistent("fewer or shorter records than announced")
}

/// Kafka's `varint`: a zigzag number that fits 32 bits.
fn varint(reader: &mut Reader) -> Result<i32, BatchError> {
    let wide = reader.ivarint().map_err(cut)?;
    i32::try_from(wide).map_err(|_| BatchError::Inconsistent("a number is too large"))
}

fn nullable(reader: &mut Reader) -> Result<Option<Bytes>, BatchError> {
    match varint(reader)? {
        -1 => Ok(None),
        len => {
            let len = usize::try_from(len).map_err(|_| BatchError::Inconsistent("a negative length"))?;
            reader.bytes(len).map(Some).map_err(cut)
        }
    }
}

fn headers(reader: &mut Reader) -> Result<Vec<RecordHeader>, BatchError> {
    let count =
        usize::try_from(varint(reader)?).map_err(|_| BatchError::Inconsistent("a negative header count"))?;
    // A header takes two bytes at least, so a count that the bytes can not hold is refused before anything is reserved.
    if count > reader.remaining() / 2 {
        return Err(cut(Short));
    }
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let name = nullable(reader)?.ok_or(BatchError::Inconsistent("a header without a name"))?;
        headers.push(RecordHeader { name, value: nullable(reader)? });
    }
    Ok(headers)
}

/// Splits bytes that hold batches one after the other (the records of a fetch answer) into whole batches, shared and
/// not copied. A batch that is cut short is an error and the last item. Checksums are not looked at.
pub fn batches(bytes: Bytes) -> Batches {
    Batches(bytes)
}

/// See [`batches`].
#[derive(Debug)]
pub struct Batches(Bytes);

impl Iterator for Batches {
    type Item = Result<(BatchHeader, Bytes), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let parsed = BatchHeader::parse(&self.0)
            .and_then(|header| if header.len > self.0.len() { Err(BatchError::Short) } else { Ok(header) });
        match parsed {
            Ok(header) => Some(Ok((header, self.0.split_to(header.len)))),
            Err(error) => {
                self.0.clear();
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests;
