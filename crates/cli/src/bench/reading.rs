use bytes::Bytes;
use forebay_client::{BatchError, BatchHeader, Records, batches, verify_crc};

use super::fetching::Fetcher;
use super::figures::{Checked, Samples};
use super::machine::now;
use crate::failure::{Exit, Failure};

/// How many answers in a row may bring nothing before the bytes count as gone. Each waits for some.
const EMPTY_MAX: u32 = 20;

/// A stretch of one partition to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) partition: i32,
    /// The first offset.
    pub(super) from: i64,
    /// The offset after the last.
    pub(super) upto: i64,
}

/// What reading took and found.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Records and bytes of whole batches within the stretch.
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Empty if nothing was checked.
    pub(super) checked: Checked,
    pub(super) answers: Samples,
}

impl Read {
    /// Adds another part's.
    pub(super) fn merge(&mut self, other: Read) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.checked.merge(other.checked);
        self.answers.merge(other.answers);
    }

    fn count(&mut self, header: &BatchHeader) {
        self.records += u64::from(header.record_count.unsigned_abs());
        self.bytes += header.len as u64;
    }
}

impl Stretch {
    /// Reads it all, looking at nothing but the batches' headers. `progress` is told the bytes of each answer.
    pub(super) fn skim(&self, fetcher: &mut Fetcher, progress: impl Fn(u64)) -> Result<Read, Failure> {
        let mut read = Read::default();
        self.each_answer(fetcher, |fetcher, len, next| {
            progress(len as u64);
            fetcher.skim(len, |header| {
                if header.base_offset.0 < self.upto {
                    read.count(header);
                }
                *next = header.next_offset().0;
            })
        })
        .map(|answers| Read { answers, ..read })
    }

    /// Reads it all, checking each batch's checksum and each record's offset. `batch` is shown every batch, and says
    /// whether its content is right; `progress` is told the bytes of each answer.
    pub(super) fn check(
        &self,
        fetcher: &mut Fetcher,
        mut batch: impl FnMut(&BatchHeader, &Bytes) -> bool,
        progress: impl Fn(u64),
    ) -> Result<Read, Failure> {
        let mut read = Read::default();
        self.each_answer(fetcher, |fetcher, len, next| {
            progress(len as u64);
            self.look(fetcher.take(len)?, next, &mut read, &mut batch);
            Ok(())
        })
        .map(|answers| Read { answers, ..read })
    }

    /// Asks until `handle`, which is given each answer's length and the next offset to move on, has reached the end.
    fn each_answer(
        &self,
        fetcher: &mut Fetcher,
        mut handle: impl FnMut(&mut Fetcher, usize, &mut i64) -> Result<(), Failure>,
    ) -> Result<Samples, Failure> {
        let (mut answers, mut next, mut empty) = (Samples::default(), self.from, 0);
        while next < self.upto {
            let (asked, before) = (now(), next);
            let answer = fetcher.ask_ok(self.partition, next)?;
            handle(fetcher, answer.len, &mut next)?;
            answers.add(asked.elapsed());
            empty = if next > before { 0 } else { empty + 1 };
            if empty > EMPTY_MAX {
                let (partition, upto) = (self.partition, self.upto);
                let sentence =
                    format!("partition {partition} has nothing at offset {next}, and ends at {upto}");
                return Err(Failure::new(Exit::Damaged, sentence));
            }
        }
        Ok(answers)
    }

    fn look(
        &self,
        answer: Bytes,
        next: &mut i64,
        read: &mut Read,
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
            let gap = header.base_offset.0.saturating_sub(*next).max(0);
            read.checked.lost += gap.unsigned_abs();
            read.count(&header);
            match verify_crc(&bytes).and_then(|()| count(&header, &bytes)) {
                Ok(records) if records == i64::from(header.record_count) && batch(&header, &bytes) => {
                    read.checked.records += records.unsigned_abs();
                    read.checked.bytes += bytes.len() as u64;
                }
                Ok(_) | Err(_) => read.checked.damaged += 1,
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
