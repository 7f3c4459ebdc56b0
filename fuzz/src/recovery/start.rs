use std::sync::{Arc, LazyLock};

use arbitrary::Arbitrary;
use bytes::Bytes;
use forebay_base::Offset;
use forebay_log::Log;
use forebay_records::batches;
use forebay_sim::SimDisk;
use forebay_sim::disk::Survivors;

use super::{NOW, batch, open, stamped};

/// How the log came to be that is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(super) enum Kind {
    /// Three segments; the last one holds batches above the recovery point.
    Running,
    /// The same, stopped cleanly.
    Closed,
    /// Its start lies inside a segment, and others were deleted; stopped cleanly.
    Trimmed,
    /// Cut back into its second segment, then appended to.
    Truncated,
    /// One segment, never checkpointed.
    Fresh,
}

const KINDS: [Kind; 5] = [Kind::Running, Kind::Closed, Kind::Trimmed, Kind::Truncated, Kind::Fresh];

/// A batch that was written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) path: String,
    pub(super) at: usize,
    pub(super) base: i64,
    pub(super) next: i64,
    pub(super) bytes: Bytes,
}

/// A log as it was before any damage.
#[derive(Debug)]
pub(super) struct Start {
    disk: SimDisk,
    pub(super) is_closed: bool,
    /// Every batch in its segments, by offset.
    pub(super) written: Vec<Written>,
    /// Its files and what is in them.
    pub(super) files: Vec<(String, Bytes)>,
}

static STARTS: LazyLock<[Start; 5]> = LazyLock::new(|| KINDS.map(Start::make));

impl Start {
    /// The one of this kind; made once.
    pub(super) fn of(kind: Kind) -> &'static Self {
        &STARTS[kind as usize]
    }

    /// A copy of its disk, all of it durable.
    pub(super) fn disk(&self) -> SimDisk {
        self.disk.restart_with(Survivors::Everything)
    }

    fn make(kind: Kind) -> Self {
        let disk = SimDisk::new(Arc::default());
        let mut log = open(&disk, true).expect("a new log");
        let segments = if kind == Kind::Fresh { 1 } else { 3 };
        for segment in 0..segments {
            if segment > 0 {
                log.roll(&producers(&log), NOW).expect("this disk has no faults");
            }
            append(&mut log, 5, segment);
        }
        sync(&mut log);
        match kind {
            Kind::Fresh => {}
            Kind::Running => checkpoint_and_append(&mut log),
            Kind::Closed => close(&mut log),
            Kind::Trimmed => {
                let inside = Offset(log.end().0 / 2 + 1);
                log.advance_start(inside).expect("this disk has no faults");
                close(&mut log);
            }
            Kind::Truncated => {
                log.truncate(Offset(log.end().0 / 2 + 1)).expect("this disk has no faults");
                append(&mut log, 2, 7);
                sync(&mut log);
                checkpoint_and_append(&mut log);
            }
        }
        drop(log);
        let files: Vec<(String, Bytes)> =
            disk.files().into_iter().map(|(path, _)| contents(&disk, path)).collect();
        let written = files.iter().filter(|(path, _)| path.ends_with(".log")).flat_map(written_in).collect();
        Self { disk, is_closed: matches!(kind, Kind::Closed | Kind::Trimmed), written, files }
    }
}

fn contents(disk: &SimDisk, path: String) -> (String, Bytes) {
    let bytes = disk.contents(path.as_ref()).expect("a file that was listed");
    (path, bytes.into())
}

fn written_in((path, bytes): &(String, Bytes)) -> Vec<Written> {
    let mut at = 0;
    let mut all = Vec::new();
    for item in batches(bytes.clone()) {
        let (header, bytes) = item.expect("a log without damage");
        let (base, next) = (header.base_offset.0, header.next_offset().0);
        all.push(Written { path: path.clone(), at, base, next, bytes });
        at += header.len;
    }
    all
}

fn append(log: &mut Log, count: u8, mark: u8) {
    for number in 0..count {
        let batch = batch(log.end().0, 1 + number % 3, mark + number % 2);
        log.append(&[stamped(&batch)], NOW).expect("this disk has no faults");
    }
}

fn sync(log: &mut Log) {
    if let Some(target) = log.unsynced() {
        target.file.sync().expect("this disk has no faults");
        log.synced(target.upto);
    }
}

fn checkpoint_and_append(log: &mut Log) {
    log.checkpoint().expect("this disk has no faults");
    append(log, 2, 5);
}

fn close(log: &mut Log) {
    let producers = producers(log);
    log.close(&producers).expect("this disk has no faults");
}

/// Stands for the state of the idempotent producers at the end of the log.
fn producers(log: &Log) -> Vec<u8> {
    format!("producers before {}", log.end()).into_bytes()
}
