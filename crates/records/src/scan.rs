use std::io::{self, BufRead, BufReader, Read};

use bytes::Bytes;
use forebay_base::limits;

use crate::compress::inflating;
use crate::{BatchError, BatchHeader, HEADER_LEN, TimestampType};

/// Bytes inflated ahead of what is looked at.
const AHEAD_BYTES: usize = 32 * 1024;

/// Largest window or block of a codec; the decoder needs some memory beside it.
const WINDOW_BYTES_MAX: usize = limits::INFLATE_MEMORY_BYTES / 2;

/// What a look at a record tells without keeping it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Place in the batch, from 0.
    pub index: i32,
    /// False if the record has no key.
    pub has_key: bool,
    /// Milliseconds since the Unix epoch, as in [`crate::Record`].
    pub timestamp: i64,
}

/// Looks at each record of one whole batch, in order, while it is inflated: at no time is more of it in memory than
/// [`limits::INFLATE_MEMORY_BYTES`], however far it inflates. Where a codec needs more than that at once (a snappy
/// block, a zstd window) the batch is refused; so is one that inflates beyond [`limits::INFLATED_BYTES_MAX`].
///
/// Checks the records' shape as [`crate::Records`] does. The batch's checksum is not looked at.
pub fn scan(batch: &Bytes, mut seen: impl FnMut(Seen)) -> Result<(), BatchError> {
    let header = BatchHeader::parse(batch)?;
    let packed = batch.get(HEADER_LEN..header.len).ok_or(BatchError::Short)?;
    let plain = inflating(header.compression()?, packed, WINDOW_BYTES_MAX)?;
    let capped = plain.take(limits::INFLATED_BYTES_MAX as u64 + 1);
    let mut fields = Fields { plain: BufReader::with_capacity(AHEAD_BYTES, capped), left: u64::MAX };
    let mut last_delta = -1;
    for index in 0..header.record_count {
        let (offset_delta, record) = fields.record(&header, index)?;
        // As in `Records`: compaction leaves gaps, so offsets need only rise.
        if offset_delta <= last_delta || offset_delta > i64::from(header.last_offset_delta) {
            return Err(BatchError::Inconsistent("a record's offset"));
        }
        last_delta = offset_delta;
        seen(record);
    }
    fields.left = u64::MAX;
    match fields.plain.fill_buf() {
        Ok([]) => Ok(()),
        Ok(_) => Err(BatchError::Inconsistent("bytes follow the last record")),
        Err(error) => Err(broken(&error)),
    }
}

/// The fields of one record after another, of which `left` bytes remain.
struct Fields<R> {
    plain: BufReader<R>,
    left: u64,
}

impl<R: Read> Fields<R> {
    fn record(&mut self, header: &BatchHeader, index: i32) -> Result<(i64, Seen), BatchError> {
        self.left = u64::MAX;
        self.left = self.length()?.ok_or(BatchError::Inconsistent("a record's length"))?;
        self.byte()?;
        let timestamp_delta = self.number()?;
        let offset_delta = self.number()?;
        let key = self.length()?;
        self.skip(key.unwrap_or(0))?;
        let value = self.length()?;
        self.skip(value.unwrap_or(0))?;
        for _ in 0..self.length()?.ok_or(BatchError::Inconsistent("a negative header count"))? {
            let name = self.length()?.ok_or(BatchError::Inconsistent("a header without a name"))?;
            self.skip(name)?;
            let value = self.length()?;
            self.skip(value.unwrap_or(0))?;
        }
        if self.left != 0 {
            return Err(BatchError::Inconsistent("a record is longer than its fields"));
        }
        let timestamp = match header.timestamp_type() {
            TimestampType::LogAppendTime => header.max_timestamp,
            TimestampType::CreateTime => header.base_timestamp.saturating_add(timestamp_delta),
        };
        Ok((offset_delta, Seen { index, has_key: key.is_some(), timestamp }))
    }

    fn byte(&mut self) -> Result<u8, BatchError> {
        let mut byte = [0];
        self.left = self.left.checked_sub(1).ok_or(CUT)?;
        self.plain.read_exact(&mut byte).map_err(|error| broken(&error))?;
        Ok(byte[0])
    }

    /// A zigzag number of at most ten bytes.
    fn number(&mut self) -> Result<i64, BatchError> {
        let mut wide = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            wide |= u64::from(byte & 0x7F).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok((wide >> 1).cast_signed() ^ -(wide & 1).cast_signed());
            }
        }
        Err(BatchError::Inconsistent("a number is too large"))
    }

    /// A length, or none where it is -1.
    fn length(&mut self) -> Result<Option<u64>, BatchError> {
        match i32::try_from(self.number()?) {
            Ok(-1) => Ok(None),
            Ok(length) => {
                u64::try_from(length).map(Some).map_err(|_| BatchError::Inconsistent("a negative length"))
            }
            Err(_) => Err(BatchError::Inconsistent("a number is too large")),
        }
    }

    fn skip(&mut self, count: u64) -> Result<(), BatchError> {
        self.left = self.left.checked_sub(count).ok_or(CUT)?;
        let mut rest = count;
        while rest > 0 {
            let ready = self.plain.fill_buf().map_err(|error| broken(&error))?.len();
            if ready == 0 {
                return Err(CUT);
            }
            let step = ready.min(usize::try_from(rest).unwrap_or(usize::MAX));
            self.plain.consume(step);
            rest -= step as u64;
        }
        Ok(())
    }
}

const CUT: BatchError = BatchError::Inconsistent("fewer or shorter records than announced");

/// Why the stream ended: the codec's own reason where it gave one.
fn broken(error: &io::Error) -> BatchError {
    let known = error.get_ref().and_then(|inner| inner.downcast_ref::<BatchError>());
    match (known, error.kind()) {
        (Some(known), _) => *known,
        (None, io::ErrorKind::UnexpectedEof) => CUT,
        (None, _) => BatchError::Inflate("they are not a sound compressed stream"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{BatchBuilder, Compression, Record, RecordHeader, Records};

    const CODECS: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    fn scanned(batch: &Bytes) -> Result<Vec<Seen>, BatchError> {
        let mut all = Vec::new();
        scan(batch, |seen| all.push(seen)).map(|()| all)
    }

    /// The same, by way of the records themselves.
    fn expected(batch: &Bytes) -> Result<Vec<Seen>, BatchError> {
        let see = |(index, record): (i32, Result<Record, BatchError>)| {
            record.map(|record| Seen { index, has_key: record.key.is_some(), timestamp: record.timestamp })
        };
        (0i32..).zip(Records::of(batch)?).map(see).collect()
    }

    #[test]
    fn a_batch_that_inflates_far_is_looked_at_in_little_memory() {
        let zeros = vec![0; limits::INFLATE_MEMORY_BYTES];
        for codec in CODECS {
            let mut builder = BatchBuilder::new().compression(codec);
            builder.push(1, Some(&zeros), Some(&zeros), &[]);
            let seen = scanned(&builder.build().unwrap()).unwrap();
            assert_eq!(seen, [Seen { index: 0, has_key: true, timestamp: 1 }], "{codec:?}");
        }
        let raw = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
        let mut stream = inflating(Compression::Snappy, &raw, WINDOW_BYTES_MAX).unwrap();
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(broken(&error), crate::compress::TOO_LARGE, "one raw block needs it all at once");
    }

    #[test]
    fn more_than_the_cap_is_refused() {
        let zeros = vec![0; limits::INFLATED_BYTES_MAX];
        for codec in [Compression::Gzip, Compression::Zstd, Compression::Lz4, Compression::Snappy] {
            let batch = BatchBuilder::new().compression(codec).record(1, None, Some(&zeros)).build().unwrap();
            assert!(scanned(&batch).is_err(), "{codec:?}");
        }
    }

    proptest! {
        #[test]
        fn it_sees_what_the_records_are(
            records in proptest::collection::vec((any::<i32>(), any::<Option<Vec<u8>>>(), any::<Option<Vec<u8>>>()), 1..20),
            codec in 0usize..5, at in any::<prop::sample::Index>(), with in any::<u8>(),
        ) {
            let mut builder = BatchBuilder::new().compression(CODECS[codec]);
            let header = [RecordHeader::new("name", "value")];
            for (timestamp, key, value) in &records {
                builder.push(i64::from(*timestamp), key.as_deref(), value.as_deref(), &header);
            }
            let batch = builder.build().unwrap();
            prop_assert_eq!(scanned(&batch).unwrap(), expected(&batch).unwrap());
            let mut damaged = batch.to_vec();
            let place = HEADER_LEN + at.index(damaged.len() - HEADER_LEN);
            damaged[place] = with;
            let damaged = Bytes::from(damaged);
            prop_assert_eq!(scanned(&damaged).is_ok(), expected(&damaged).is_ok());
        }
    }
}
