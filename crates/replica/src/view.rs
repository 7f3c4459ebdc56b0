use std::sync::Arc;

use forebay_base::{LeaderEpoch, Offset};
use forebay_log::{EpochCache, LogError, Segments};
use forebay_records::{Record, Records};

use crate::Refused;

/// What readers see of a partition: published by its writer, never changed. See
/// [`Positions`](crate::Positions) for the order of the offsets.
#[derive(Debug, Clone)]
pub struct View {
    /// First offset kept.
    pub start: Offset,
    /// First offset not written (LEO).
    pub end: Offset,
    /// First offset not committed: ordinary reads end here.
    pub high_watermark: Offset,
    /// First offset that may not be durable, as of the time of publication.
    pub durable: Offset,
    /// First offset of an open transaction (LSO): `read_committed` ends here.
    pub stable: Offset,
    /// The epoch this node leads in.
    pub leader_epoch: LeaderEpoch,
    /// The log's files.
    pub segments: Arc<Segments>,
    /// Where leader epochs begin, the current one included.
    pub epochs: EpochCache,
    /// Bytes of the log at the time of publication.
    pub size_bytes: u64,
    /// Why nothing can be written any more, if so. Reads below the high watermark go on.
    pub failed: Option<Arc<str>>,
}

impl View {
    /// First offset that may be missing when the log is opened anew after a storage fault. What lies below was committed
    /// and is durable. What was committed by a write alone may be lost, for the topic has agreed to that
    /// (`flush.mode=async`), and what was only found on a volume that had failed was never acknowledged by this process.
    pub(crate) fn promised(&self) -> Offset {
        self.high_watermark.min(self.durable)
    }

    /// The newest epoch at or below `epoch` with the offset after its last record; `None` if the log does not know
    /// (KIP-101, KIP-320).
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let (found, end) = self.epochs.end_offset_for(epoch, self.end);
        (end.0 >= 0).then_some((found, end))
    }

    /// Checks the leader epoch that a request names; a negative one means that it names none (KIP-320).
    pub fn check_epoch(&self, got: LeaderEpoch) -> Result<(), Refused> {
        let current = self.leader_epoch;
        if got.0 < 0 || got == current {
            Ok(())
        } else if got < current {
            Err(Refused::FencedEpoch { got, current })
        } else {
            Err(Refused::UnknownEpoch { got, current })
        }
    }
}

/// The first record below `upto` with a timestamp of `target` ms or later: its offset and timestamp. Decodes one
/// batch. Reads the log, perhaps from the device.
///
/// Where the batch cannot be decoded, or has no such record although its header says so, the answer is its first
/// offset: too early, but nothing is skipped.
pub fn offset_for_timestamp(
    segments: &Segments,
    target: i64,
    upto: Offset,
) -> Result<Option<(Offset, i64)>, LogError> {
    match segments.find_timestamp(target, upto)? {
        None => Ok(None),
        Some(slice) => locate(&slice, |record| record.timestamp >= target).map(Some),
    }
}

/// The first record with the largest timestamp below `upto`: its offset and timestamp (KIP-734). Decodes one batch.
pub fn max_timestamp(segments: &Segments, upto: Offset) -> Result<Option<(Offset, i64)>, LogError> {
    let Some((base, timestamp)) = segments.max_timestamp(upto)? else { return Ok(None) };
    // The batch may begin before the log start; any of its records that are left name it just as well.
    match segments.read(base, upto, 1) {
        Ok(Some(slice)) => locate(&slice, |record| record.timestamp >= timestamp).map(Some),
        Ok(None) | Err(LogError::OutOfRange { .. }) => Ok(Some((base, timestamp))),
        Err(error) => Err(error),
    }
}

fn locate(slice: &forebay_log::Slice, wanted: impl Fn(&Record) -> bool) -> Result<(Offset, i64), LogError> {
    let bytes = slice.read_checked()?;
    let Ok(records) = Records::of(&bytes) else { return Ok((slice.base_offset(), -1)) };
    let header = *records.header();
    let found = records.map_while(Result::ok).find(wanted);
    Ok(found.map_or((header.base_offset, header.max_timestamp), |record| (record.offset, record.timestamp)))
}
