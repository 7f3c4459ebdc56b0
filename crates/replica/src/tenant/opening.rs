use forebay_base::Clock;
use forebay_log::volume::{Meaning, VolumeState};
use forebay_log::{Log, LogError};

use super::Site;
use crate::inbox::Opening;
use crate::producers::Producers;

/// Opens the log, on a volume that has failed only to be read. Where that shows while it is opened, the monitor is told;
/// a partition that has failed before goes on with what it has instead.
pub(super) fn open_log(site: &Site, opening: &Opening) -> Result<Log, LogError> {
    let (files, config) = (&site.files, &opening.config.log);
    let dir = site.partitions_path.join(opening.id.to_string());
    let report = site.condition.report();
    if report.state == VolumeState::Failed {
        let sentence = report.sentence().unwrap_or_default();
        if opening.failed.is_some() {
            // It failed again meanwhile. What readers have is not replaced by what this disk says now.
            return Err(LogError::Poisoned { reason: sentence.into() });
        }
        return Log::open_read_only(files, &dir, config.clone(), &sentence);
    }
    let opened = Log::open_among(files, &dir, config.clone(), opening.left);
    let Err(error) = &opened else { return opened };
    match error.meaning() {
        Some(Meaning::ReadOnly | Meaning::Fault) => {
            site.condition.note(error);
            if opening.failed.is_some() {
                return opened;
            }
            Log::open_read_only(files, &dir, config.clone(), &error.to_string()).or(opened)
        }
        Some(Meaning::Full | Meaning::TooLarge | Meaning::Descriptors | Meaning::Unrelated) | None => opened,
    }
}

/// The producers' state at the end of the log: the newest snapshot, and the batches after it. A snapshot that is
/// missing or bad costs reading all headers (rule R10).
pub(super) fn recover_producers(log: &Log, clock: &dyn Clock) -> Result<Producers, LogError> {
    let snapshot = log.producer_snapshot().and_then(|(at, bytes)| match Producers::decode(bytes) {
        Ok(producers) => Some((at, producers)),
        Err(error) => {
            tracing::warn!(%error, "rebuilding the producers' state from the log");
            None
        }
    });
    let (from, mut producers) = snapshot.unwrap_or_else(|| (log.start(), Producers::default()));
    let now = clock.wall();
    for header in log.headers(from) {
        producers.recover(&header?, now);
    }
    Ok(producers)
}
