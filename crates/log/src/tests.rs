//! The log as its owner and its readers see it, on the real file system.

mod append;
mod cut;
mod fault;
mod files;
mod reading;
mod recovery;
mod rest;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_base::{LeaderEpoch, Offset, WallTime, crc32c};
use forebay_records::{BatchHeader, HEADER_LEN};
use tempfile::TempDir;

use crate::names::Kind;
use crate::sealed::write_all;
use crate::{Disk, Files, Log, LogConfig, Open, RealDisk, Segments, Slice, Stamped};

const NOW: WallTime = WallTime(1_000_000);
const ALL: Offset = Offset(i64::MAX);

/// A partition's directory that is removed after the test.
struct Place {
    _tmp: TempDir,
    dir: PathBuf,
}

impl Place {
    fn new() -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("partitions/p");
        Self { _tmp: tmp, dir }
    }

    fn open(&self, clean: bool) -> Log {
        Log::open(Arc::new(RealDisk), &self.dir, config(), clean).unwrap()
    }

    /// A log of three segments: 0..10, 10..20, 20..30, of batches of 5 records, all synced.
    fn three_segments(&self) -> Log {
        let mut log = self.open(true);
        for round in 0..3 {
            log.append(&[batch(&log, 5, 1_000 + round * 100, 1)], NOW).unwrap();
            log.append(&[batch(&log, 5, 1_050 + round * 100, 1)], NOW).unwrap();
            if round < 2 {
                log.roll(b"producers", NOW).unwrap();
            }
        }
        sync(&mut log);
        log
    }

    fn path(&self, kind: Kind, base: i64) -> PathBuf {
        kind.path(&self.dir, Offset(base))
    }

    fn names(&self) -> Vec<String> {
        RealDisk.list(&self.dir).unwrap().into_iter().map(|entry| entry.name).collect()
    }
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes_max: 1 << 20,
        segment_age_max: Duration::from_secs(3_600),
        index_interval_bytes: 200,
        retention_bytes: None,
        retention_age: None,
    }
}

/// A batch at `base`, its payload made of its timestamp.
fn batch_at(base: i64, records: i32, timestamp: i64, epoch: i32) -> Stamped {
    let rest = Bytes::from(vec![timestamp as u8; 60 + records as usize]);
    let mut header = [0u8; HEADER_LEN];
    header[0..8].copy_from_slice(&base.to_be_bytes());
    header[8..12].copy_from_slice(&((HEADER_LEN - 12 + rest.len()) as i32).to_be_bytes());
    header[12..16].copy_from_slice(&epoch.to_be_bytes());
    header[16] = 2;
    header[23..27].copy_from_slice(&(records - 1).to_be_bytes());
    header[27..35].copy_from_slice(&timestamp.to_be_bytes());
    header[35..43].copy_from_slice(&timestamp.to_be_bytes());
    header[43..57].copy_from_slice(&[0xFF; 14]);
    header[57..61].copy_from_slice(&records.to_be_bytes());
    let crc = crc32c(&[&header[21..], &rest[..]].concat());
    header[17..21].copy_from_slice(&crc.to_be_bytes());
    let info = BatchHeader::parse(&header).unwrap();
    Stamped { header, rest, info }
}

/// A batch that follows the end of `log`.
fn batch(log: &Log, records: i32, timestamp: i64, epoch: i32) -> Stamped {
    batch_at(log.end().0, records, timestamp, epoch)
}

fn raw(batch: &Stamped) -> Vec<u8> {
    [&batch.header[..], &batch.rest[..]].concat()
}

fn sync(log: &mut Log) {
    if let Some(target) = log.unsynced() {
        target.file.sync().unwrap();
        log.synced(target.upto);
    }
}

/// Base offsets of the batches in a slice, each checked.
fn bases(slice: &Slice) -> Vec<i64> {
    let (bytes, mut at, mut found) = (slice.read_checked().unwrap(), 0, Vec::new());
    assert_eq!(bytes.len() as u64, slice.len());
    while at < bytes.len() {
        let header = BatchHeader::parse(&bytes[at..]).unwrap();
        found.push(header.base_offset.0);
        at += header.len;
    }
    found
}

/// Base offsets of all batches, by reading on and on.
fn read_all(segments: &Segments, from: i64) -> Vec<i64> {
    let (mut next, mut found) = (Offset(from), Vec::new());
    while let Some(slice) = segments.read(next, ALL, 300).unwrap() {
        found.extend(bases(&slice));
        let last = slice.read_checked().unwrap();
        let mut at = 0;
        while at < last.len() {
            let header = BatchHeader::parse(&last[at..]).unwrap();
            next = header.next_offset();
            at += header.len;
        }
    }
    found
}

/// Cuts a segment file of two batches of the same length to the first of them.
fn lose_second_batch(path: &Path) {
    let file = RealDisk.open(path, Open::Write).unwrap();
    file.truncate(file.len().unwrap() / 2).unwrap();
}

/// Turns one byte of a file over.
fn damage(path: &Path, at: u64) {
    let file = RealDisk.open(path, Open::Write).unwrap();
    let mut byte = [0];
    file.read_at(at, &mut byte).unwrap();
    write_all(file.as_ref(), at, &[!byte[0]]).unwrap();
}

fn headers(log: &Log, from: i64) -> Vec<i64> {
    log.headers(Offset(from)).map(|header| header.unwrap().base_offset.0).collect()
}

fn epochs(log: &Log) -> Vec<(i32, i64)> {
    log.epochs().entries().iter().map(|(LeaderEpoch(epoch), Offset(offset))| (*epoch, *offset)).collect()
}
