use std::time::Duration;

use bytes::Bytes;
use forebay_client::{
    BatchError, BatchHeader, Client, ClientError, FetchFrom, FetchOptions, Records, batches, verify_crc,
};
use tokio::time::Instant;

use super::figures::{Checked, Samples};

/// A stretch of one partition to be read and checked.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// The first offset.
    pub(super) from: i64,
    /// The offset after the last.
    pub(super) upto: i64,
}

/// What reading a stretch took and found.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) checked: Checked,
    pub(super) answers: Samples,
}

impl Stretch {
    /// Reads it all, checking each batch's checksum and each record's offset. `batch` is shown every batch, and says
    /// whether its content is right; `progress` is told the bytes of each answer.
    pub(super) async fn read(
        &self,
        client: &Client,
        answer_bytes: i32,
        mut batch: impl FnMut(&BatchHeader, &Bytes) -> bool,
        progress: impl Fn(u64),
    ) -> Result<Read, ClientError> {
        let options = FetchOptions {
            max_wait: Duration::from_millis(500),
            max_bytes: answer_bytes,
            partition_max_bytes: answer_bytes,
            ..FetchOptions::default()
        };
        let mut read = Read::default();
        let mut next = self.from;
        while next < self.upto {
            let leader = client.leader_addr(&self.topic, self.partition).await?;
            let from = FetchFrom { topic: self.topic.clone(), partition: self.partition, offset: next };
            let asked = Instant::now();
            let answered = client.fetch_raw(&leader, &[from], &options).await?;
            read.answers.add(asked.elapsed());
            for part in answered {
                if let Some(refused) = part.refused {
                    return Err(refused);
                }
                progress(part.batches.len() as u64);
                self.check(part.batches, &mut next, &mut read.checked, &mut batch);
            }
            // Others may read the same partition with this thread.
            tokio::task::yield_now().await;
        }
        Ok(read)
    }

    fn check(
        &self,
        answer: Bytes,
        next: &mut i64,
        checked: &mut Checked,
        batch: &mut impl FnMut(&BatchHeader, &Bytes) -> bool,
    ) {
        for found in batches(answer) {
            let Ok((header, bytes)) = found else {
                // Cut at the size limit: it is asked for again.
                return;
            };
            if header.base_offset.0 >= self.upto {
                *next = self.upto;
                return;
            }
            let expected = i64::from(header.record_count);
            let gap = header.base_offset.0.saturating_sub(*next).max(0);
            checked.lost += gap.unsigned_abs();
            match verify_crc(&bytes).and_then(|()| count(&header, &bytes)) {
                Ok(records) if records == expected && batch(&header, &bytes) => {
                    checked.records += records.unsigned_abs();
                    checked.bytes += bytes.len() as u64;
                }
                Ok(_) | Err(_) => checked.damaged += 1,
            }
            *next = header.next_offset().0;
        }
    }
}

/// Counts the records whose offsets follow each other from the base offset on.
fn count(header: &BatchHeader, batch: &Bytes) -> Result<i64, BatchError> {
    let mut count = 0;
    for record in Records::of(batch)? {
        if record?.offset.0 != header.base_offset.0 + count {
            return Ok(-1);
        }
        count += 1;
    }
    Ok(count)
}
