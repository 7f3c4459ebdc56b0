use bytes::Bytes;
use forebay_base::{Rng, SeededRng, crc32c};
use forebay_client::{BatchBuilder, Compression};

use crate::failure::{Exit, Failure};

/// Length of a mark, in bytes: the shortest value.
const MARK_BYTES: usize = 16;

/// Where a batch's checksum lies, and where what it covers begins.
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;

/// A batch built once and sent many times: as it is, or each time with another mark at the beginning of its first
/// value, so that reading can tell whether this very batch lies where it was acknowledged to be.
#[derive(Debug, Clone)]
pub(super) struct Template {
    batch: Bytes,
    records: i32,
    /// Where the mark lies; compressed batches have none.
    mark_at: Option<usize>,
}

impl Template {
    /// A batch of about `batch_bytes` before compression, with values of `record_bytes`.
    pub(super) fn build(
        batch_bytes: u64,
        record_bytes: u64,
        codec: Compression,
        now_ms: i64,
    ) -> Result<Self, Failure> {
        let (batch_bytes, record_bytes) = (to_len(batch_bytes)?, to_len(record_bytes)?.max(MARK_BYTES));
        let mut value = text(record_bytes);
        let pattern = [0xA5; MARK_BYTES];
        value[..MARK_BYTES].copy_from_slice(&pattern);
        let mut builder = BatchBuilder::new().compression(codec);
        loop {
            let before = builder.plain_len();
            builder.push(now_ms, None, Some(&value), &[]);
            // One more of the same would be too many.
            if 2 * builder.plain_len() - before > batch_bytes {
                break;
            }
        }
        let records = builder.count();
        let batch = builder.build().map_err(|error| Failure::usage(error.to_string()))?;
        let mark_at = match codec {
            Compression::None => batch.windows(MARK_BYTES).position(|window| window == pattern),
            Compression::Gzip | Compression::Snappy | Compression::Lz4 | Compression::Zstd => None,
        };
        Ok(Self { batch, records, mark_at })
    }

    /// How many records it holds.
    pub(super) fn records(&self) -> u64 {
        u64::from(self.records.unsigned_abs())
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.batch.len() as u64
    }

    /// The batch without a mark.
    pub(super) fn batch(&self) -> &[u8] {
        &self.batch
    }

    /// Gives `batch`, a copy of this one, a mark.
    pub(super) fn mark(&self, batch: &mut [u8], mark: u128) {
        let Some(at) = self.mark_at else { return };
        batch[at..at + MARK_BYTES].copy_from_slice(&mark.to_be_bytes());
        let crc = crc32c(&batch[CRC_FROM..]);
        batch[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    }

    /// The mark of a whole batch of this kind; `None` where there are none.
    pub(super) fn mark_of(&self, batch: &[u8]) -> Option<u128> {
        let at = self.mark_at?;
        batch.get(at..at + MARK_BYTES)?.try_into().ok().map(u128::from_be_bytes)
    }

    /// True if `batch` has this mark, or if there are no marks.
    pub(super) fn is_marked(&self, batch: &[u8], mark: u128) -> bool {
        self.mark_at.is_none() || self.mark_of(batch) == Some(mark)
    }
}

fn to_len(bytes: u64) -> Result<usize, Failure> {
    usize::try_from(bytes).map_err(|_| Failure::new(Exit::Usage, format!("{bytes} bytes are too many")))
}

/// Text that compresses about as well as log lines do not: letters without order.
fn text(len: usize) -> Vec<u8> {
    let rng = SeededRng::new(7);
    let letters =
        std::iter::repeat_with(|| rng.next_u64().to_le_bytes()).flatten().map(|byte| b'a' + (byte & 15));
    letters.take(len).collect()
}

#[cfg(test)]
mod tests {
    use forebay_client::verify_crc;

    use super::*;

    #[test]
    fn marks_can_be_read_back() {
        let template = Template::build(64 * 1024, 1000, Compression::None, 5).unwrap();
        assert!(template.len() <= 64 * 1024 && template.len() > 62 * 1024, "{}", template.len());
        assert_eq!(template.records(), 64);
        let mut batch = template.batch().to_vec();
        template.mark(&mut batch, 77);
        verify_crc(&batch).unwrap();
        assert!(template.is_marked(&batch, 77) && !template.is_marked(&batch, 78));
        assert_eq!(template.mark_of(&batch), Some(77));
        let first = forebay_client::Records::of(&batch.into()).unwrap().next().unwrap().unwrap();
        assert_eq!(&first.value.unwrap()[..MARK_BYTES], 77u128.to_be_bytes());
    }

    #[test]
    fn the_smallest_batch_has_one_record() {
        let template = Template::build(1, 1, Compression::Zstd, 5).unwrap();
        assert_eq!(template.records(), 1);
        let mut batch = template.batch().to_vec();
        template.mark(&mut batch, 1);
        verify_crc(&batch).unwrap();
        assert!(template.is_marked(&batch, 2));
    }
}
