//! A small log on a simulated disk that is damaged and then opened.
//!
//! ```text
//! Start (a log made once, see `start`) ── damages ──> disk ── Log::open ──> refused with a sentence, or a log
//!                                                                                │
//!              what was written, what the damaged files still hold ──> oracle ── what it shows
//! ```
//! Checksums are believed: a damage that makes a checksum fit again ([`Damage::Reseal`]) is a lie that no log can see
//! through, so after one only panics and unsound reads count.

mod damage;
mod oracle;
mod start;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::Arbitrary;
use forebay_base::{Id128, LeaderEpoch, Offset, PartitionId, TopicId, WallTime};
use forebay_log::{Log, LogConfig, LogError, Stamped, verify};
use forebay_records::{BatchBuilder, BatchHeader, HEADER_LEN};
use forebay_sim::SimDisk;
use forebay_sim::disk::Survivors;

use damage::Damage;
use oracle::{Expected, View};
use start::{Kind, Start};

/// Where the log lies.
const DIR: &str = "/log";

/// More damages than this are not done.
const DAMAGES_MAX: usize = 12;

const NOW: WallTime = WallTime(1_700_000_000_000);

/// One input.
#[derive(Debug, Arbitrary)]
pub struct Case {
    /// The log that is damaged.
    kind: Kind,
    /// Open it as after a clean stop, if it was stopped cleanly.
    clean: bool,
    /// What happens to its files, in this order.
    damages: Vec<Damage>,
}

/// Damages a log, opens it and looks at what it shows; goes on with it, and opens it again.
pub fn check(case: &Case) {
    let start = Start::of(case.kind);
    let (disk, mut written) = (start.disk(), start.written.clone());
    for damage in case.damages.iter().take(DAMAGES_MAX) {
        damage.strike(&disk, &mut written);
    }
    // The damaged bytes are what the device holds, and nothing of them is in memory.
    let disk = disk.restart_with(Survivors::Everything);
    let lies = case.damages.iter().take(DAMAGES_MAX).any(|damage| matches!(damage, Damage::Reseal { .. }));
    let clean = case.clean && start.is_closed;
    let expected = (!lies).then(|| Expected::new(start, &disk, written));
    let sound = verified(&disk);
    let log = match open(&disk, clean) {
        Ok(log) => log,
        Err(error) => {
            refused(&error);
            if let Some(expected) = &expected {
                expected.may_refuse(&error);
            }
            return;
        }
    };
    let view = View::of(&log, lies);
    if let Some(expected) = &expected {
        expected.check(&disk, &log, &view);
        assert!(!sound || view.damage.is_empty(), "verify finds nothing, a reader finds {:?}", view.damage);
    }
    drop(log);
    let disk = open_again(&disk, clean, &view, lies);
    if let (Some(disk), false) = (disk, lies) {
        go_on(&disk, &view);
    }
}

fn open(disk: &SimDisk, clean: bool) -> Result<Log, LogError> {
    Log::open(Arc::new(disk.clone()), Path::new(DIR), config(), clean)
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes_max: 1_200,
        segment_age_max: Duration::from_secs(3_600),
        index_interval_bytes: 200,
        retention_bytes: None,
        retention_age: None,
    }
}

fn refused(error: &LogError) {
    let sentence = error.to_string();
    assert!(sentence.len() > 10 && !sentence.contains('\n'), "not a sentence: {sentence:?}");
    match error {
        LogError::Corrupt { .. } | LogError::Newer { .. } => {}
        LogError::Io { .. }
        | LogError::OutOfRange { .. }
        | LogError::Poisoned { .. }
        | LogError::Misplaced { .. } => {
            panic!("not an answer to damage: {sentence}")
        }
    }
}

/// Checks the directory as `forebay log verify` does; true if nothing is wrong with what is durable.
fn verified(disk: &SimDisk) -> bool {
    let id = PartitionId { topic: TopicId(Id128([3; 16])), index: 0 };
    let (before, mut report) = (disk.files(), verify::Report::default());
    let mut pace = |_| std::ops::ControlFlow::Continue(());
    let outcome = verify::partition(disk, Path::new(DIR), id, &mut pace, &mut report);
    if let Err(error) = &outcome {
        refused(error);
    }
    assert_eq!(disk.files(), before, "verify changed files");
    outcome.is_ok() && report.bad_count == 0
}

/// What recovery made of the log is durable: after a power cut, opening it again shows the same. Gives the disk with
/// that log on it, if it opens. After an open that believed the mark of a clean stop nothing was made durable anew,
/// and an unclean one looks closer: it may refuse what the first did not look at.
fn open_again(disk: &SimDisk, clean: bool, view: &View, lies: bool) -> Option<SimDisk> {
    let disk = disk.restart_with(if clean { Survivors::Everything } else { Survivors::Nothing });
    let log = match open(&disk, false) {
        Ok(log) => log,
        Err(error) if clean || lies => {
            refused(&error);
            return None;
        }
        Err(error) => panic!("opened once, and then: {error}"),
    };
    if !lies {
        assert_eq!(View::of(&log, lies), *view, "opened again it shows something else");
    }
    Some(disk)
}

/// The log takes more, keeps it over a power cut, and stops cleanly.
fn go_on(disk: &SimDisk, view: &View) {
    let mut log = open(disk, false).expect("it was just opened");
    let next = batch(view.end, 2, 9);
    log.append(&[stamped(&next)], NOW).expect("a recovered log takes batches at its end");
    if let Some(target) = log.unsynced() {
        target.file.sync().expect("this disk has no faults");
        log.synced(target.upto);
    }
    drop(log);
    let disk = disk.restart_with(Survivors::Nothing);
    let mut log = open(&disk, false).expect("a log that was appended to opens again");
    let again = View::of(&log, false);
    assert_eq!((again.start, again.end), (view.start, view.end + 2));
    assert_eq!(again.batches.last(), Some(&next), "what was synced is there");
    assert_eq!((&again.batches[..view.batches.len()], &again.damage), (&view.batches[..], &view.damage));
    log.close(b"producers at the end").expect("this disk has no faults");
    drop(log);
    let disk = disk.restart_with(Survivors::Everything);
    let log = open(&disk, true).expect("a log that was closed opens again");
    assert_eq!(View::of(&log, false), again);
    let snapshot = log.producer_snapshot().expect("the snapshot of the clean stop");
    assert_eq!((snapshot.0.0, &snapshot.1[..]), (again.end, &b"producers at the end"[..]));
}

/// A batch of `records` records whose bytes tell it from all others.
fn batch(base: i64, records: u8, mark: u8) -> bytes::Bytes {
    let mut builder = BatchBuilder::new().stamped(Offset(base), LeaderEpoch(i32::from(mark)));
    for number in 0..records {
        let value = [mark, number, base as u8].repeat(20 + usize::from(records));
        builder = builder.record(NOW.0 + base * 10, Some(&[number]), Some(&value));
    }
    builder.build().expect("a small batch")
}

fn stamped(bytes: &bytes::Bytes) -> Stamped {
    Stamped {
        header: bytes[..HEADER_LEN].try_into().expect("a batch has a header"),
        rest: bytes.slice(HEADER_LEN..),
        info: BatchHeader::parse(bytes).expect("a batch of our own"),
    }
}
