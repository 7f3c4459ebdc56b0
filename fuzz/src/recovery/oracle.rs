use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use forebay_base::Offset;
use forebay_log::{Log, LogError, Slice};
use forebay_records::{BatchHeader, batches, verify_crc};
use forebay_sim::SimDisk;

use super::start::{Start, Written};
use super::{DIR, refused};

/// Bytes asked for at a time: a few batches.
const READ_BYTES_MAX: u64 = 700;

/// A log that was lied to may claim any number of offsets; this many are asked for.
const READS_MAX: usize = 400;

/// What is behind the fields that a leader stamps, which no checksum covers.
const STAMPED_LEN: usize = 16;

/// What a log shows to who reads all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) start: i64,
    pub(super) end: i64,
    /// Every batch that can be read, whole and sound.
    pub(super) batches: Vec<Bytes>,
    /// The offsets that cannot be read, with what the log says of each.
    pub(super) damage: Vec<(i64, String)>,
    /// The offsets that a reader is led past without a word.
    pub(super) gaps: Vec<i64>,
}

impl View {
    /// Reads everything, checked. With `lies`, what is found need not make sense, but must still be sound.
    pub(super) fn of(log: &Log, lies: bool) -> Self {
        let (start, end) = (log.start().0, log.end().0);
        assert!(lies || (start <= end && log.durable_end().0 == end), "{log:?}");
        let mut view = Self { start, end, batches: Vec::new(), damage: Vec::new(), gaps: Vec::new() };
        let (mut at, mut reads) = (start, 0);
        while at < end && reads < READS_MAX {
            reads += 1;
            let next = match log.segments().read(Offset(at), Offset(end), READ_BYTES_MAX) {
                Ok(Some(slice)) => view.take(at, &slice),
                Ok(None) => {
                    assert!(lies, "nothing at {at} below the end {end}: its reader waits for ever");
                    view.damage.push((at, "nothing".to_owned()));
                    None
                }
                Err(error) => view.fail(at, &error),
            };
            at = next.filter(|next| *next > at).unwrap_or(at.saturating_add(1));
        }
        assert!(lies || at >= end, "{READS_MAX} reads do not reach the end");
        view.search(log);
        view
    }

    /// The batches of one slice; the offset after them.
    fn take(&mut self, at: i64, slice: &Slice) -> Option<i64> {
        let bytes = match slice.read_checked() {
            Ok(bytes) => bytes,
            Err(error) => return self.fail(at, &error),
        };
        assert!(!bytes.is_empty(), "a slice of nothing at {at}");
        let mut next = at;
        for item in batches(bytes) {
            let (header, batch) = item.expect("a checked read gives whole batches");
            assert_eq!(verify_crc(&batch), Ok(()), "a checked read at {at} is not sound");
            let first = next == self.start && header.base_offset.0 <= next;
            if header.base_offset.0 != next && !first {
                self.gaps.push(next);
            }
            next = header.next_offset().0;
            self.batches.push(batch);
        }
        Some(next)
    }

    fn fail(&mut self, at: i64, error: &LogError) -> Option<i64> {
        if !matches!(error, LogError::OutOfRange { .. }) {
            refused(error);
        }
        self.damage.push((at, error.to_string()));
        None
    }

    /// The other ways to look for batches end, whatever they find.
    fn search(&self, log: &Log) {
        let segments = log.segments();
        for target in [i64::MIN, 0, super::NOW.0 + 100, i64::MAX] {
            if let Ok(Some(slice)) = segments.find_timestamp(target, log.end()) {
                drop(slice.read_checked());
            }
        }
        drop(segments.max_timestamp(log.end()));
        log.headers(log.start()).take(READS_MAX).for_each(drop);
        drop(log.producer_snapshot());
    }
}

/// What must hold of a log, by what was written and what the files hold now.
#[derive(Debug)]
pub(super) struct Expected {
    /// All that was ever written.
    written: Vec<Written>,
    /// The files before they are opened.
    files: BTreeMap<String, Bytes>,
    /// Log start and recovery point, if there is a sound slot.
    state: Option<(i64, i64)>,
    /// The state is the one the log had.
    state_is_kept: bool,
}

impl Expected {
    pub(super) fn new(start: &Start, disk: &SimDisk, written: Vec<Written>) -> Self {
        let files = files(disk);
        let state = files.get(&state_path()).and_then(state_in);
        let before =
            start.files.iter().find(|(path, _)| *path == state_path()).and_then(|(_, bytes)| state_in(bytes));
        Self { written, files, state_is_kept: state == before, state }
    }

    /// The bytes of `written` are where they were written.
    fn in_place(files: &BTreeMap<String, Bytes>, written: &Written) -> bool {
        let range = written.at..written.at + written.bytes.len();
        files.get(&written.path).and_then(|bytes| bytes.get(range)) == Some(&written.bytes[..])
    }

    /// The batches that were written to a segment, and not a byte else, are in it.
    fn is_sound(&self, path: &str) -> bool {
        let Some(bytes) = self.files.get(path) else { return false };
        let (mut left, mut written) = (&bytes[..], self.written.iter().filter(|batch| batch.path == path));
        let all = written.all(|batch| match left.strip_prefix(&batch.bytes[..]) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        });
        all && left.is_empty()
    }

    /// The segments that were written and hold something from `from` on, by their paths, oldest first.
    fn segments(&self, from: i64) -> Vec<&str> {
        let mut paths: Vec<&str> =
            self.written.iter().filter(|batch| batch.next > from).map(|batch| batch.path.as_str()).collect();
        paths.dedup();
        paths
    }

    /// Only damage to what was durable makes a log refuse.
    pub(super) fn may_refuse(&self, error: &LogError) {
        let Some((start, recovery)) = self.state.filter(|_| self.state_is_kept) else { return };
        let segments = self.segments(start);
        let Some((_, sealed)) = segments.split_last() else { return };
        let mut durable = self.written.iter().filter(|batch| batch.next > start && batch.base < recovery);
        let sound = sealed.iter().all(|path| self.is_sound(path))
            && durable.all(|batch| Self::in_place(&self.files, batch))
            && segments.iter().all(|path| self.files.contains_key(*path));
        assert!(!sound, "nothing durable was damaged, and: {error}");
    }

    /// Holds `log`, that was opened, and what it shows against what was written.
    pub(super) fn check(&self, disk: &SimDisk, log: &Log, view: &View) {
        let Some((start, recovery)) = self.state else {
            assert_eq!((view.start, view.end), (0, 0), "a log without a state");
            let mut logs = self.files.iter().filter(|(path, _)| path.ends_with(".log"));
            assert!(logs.all(|(_, bytes)| bytes.is_empty()), "batches without a state are passed over");
            return;
        };
        assert_eq!(view.start, start, "the log start is what the state says");
        assert!(view.end >= recovery, "{log:?}: everything below {recovery} was durable");
        self.check_batches(view);
        self.check_kept(disk, view, recovery);
        if self.segments(start).iter().all(|path| self.is_sound(path)) {
            assert!(view.damage.is_empty() && view.gaps.is_empty(), "no segment is damaged, and: {view:?}");
            check_searches(log, view);
        }
        if let Some((offset, bytes)) = log.producer_snapshot() {
            assert_eq!(bytes, format!("producers before {offset}"), "a producer snapshot of another log");
        }
    }

    /// Nothing is made up: every batch was written, and the end is not beyond the last.
    fn check_batches(&self, view: &View) {
        let mut restamped = !view.gaps.is_empty();
        for batch in &view.batches {
            if self.written.iter().any(|written| written.bytes == *batch) {
                continue;
            }
            let body = &batch[STAMPED_LEN..];
            let known = self.written.iter().any(|written| written.bytes[STAMPED_LEN..] == *body);
            assert!(known, "a batch that was never written: {:?}", BatchHeader::parse(batch));
            restamped = true;
        }
        let last = self.written.last().map_or(0, |last| last.next);
        assert!(restamped || view.end <= last, "the end {} is beyond what was written, {last}", view.end);
    }

    /// Nothing durable is cut away or passed over, and neither is what follows it without damage in between.
    fn check_kept(&self, disk: &SimDisk, view: &View, recovery: i64) {
        let now = files(disk);
        for batch in self.written.iter().filter(|batch| Self::in_place(&self.files, batch)) {
            if batch.next > view.start && batch.next <= recovery {
                assert!(Self::in_place(&now, batch), "batch {} was durable and is cut away", batch.base);
            }
            if batch.next > view.start && self.is_sound(&batch.path) {
                assert!(
                    view.batches.contains(&batch.bytes),
                    "batch {} of a sound segment is gone",
                    batch.base
                );
            }
        }
        let last = self.files.keys().rfind(|path| path.ends_with(".log"));
        let mut at = 0;
        for batch in self.written.iter().filter(|batch| Some(&batch.path) == last) {
            if batch.at != at || !Self::in_place(&self.files, batch) {
                break;
            }
            at += batch.bytes.len();
            assert!(view.end >= batch.next, "batch {} follows without damage and is cut away", batch.base);
        }
    }
}

/// Headers, timestamps and batches agree with one another where nothing is damaged.
fn check_searches(log: &Log, view: &View) {
    let headers: Vec<BatchHeader> =
        view.batches.iter().map(|batch| BatchHeader::parse(batch).expect("a sound batch")).collect();
    let found: Vec<BatchHeader> =
        log.headers(log.start()).map(|header| header.expect("no segment is damaged")).collect();
    assert_eq!(found, headers);
    let targets = headers.iter().map(|header| header.max_timestamp).chain([0, i64::MAX]);
    for target in targets {
        let slice = log.segments().find_timestamp(target, log.end()).expect("no segment is damaged");
        let wanted = headers.iter().find(|header| header.max_timestamp >= target);
        assert_eq!(
            slice.map(|slice| slice.base_offset()),
            wanted.map(|header| header.base_offset),
            "at {target}"
        );
    }
    let largest = log.segments().max_timestamp(log.end()).expect("no segment is damaged");
    let wanted = headers.iter().map(|header| header.max_timestamp).max();
    assert_eq!(largest.map(|(_, timestamp)| timestamp), wanted);
}

fn files(disk: &SimDisk) -> BTreeMap<String, Bytes> {
    let read = |(path, _): (String, u64)| {
        let bytes = disk.contents(Path::new(&path)).expect("a file that was listed");
        (path, bytes.into())
    };
    disk.files().into_iter().map(read).collect()
}

fn state_path() -> String {
    format!("{DIR}/state")
}

/// Log start and recovery point in the sound slot that counts, read as `docs/formats.md` has it.
fn state_in(file: &Bytes) -> Option<(i64, i64)> {
    let slots = [file.get(..512)?, file.get(4_096..4_608)?];
    let number = |slot: &[u8], at: usize| slot[at..at + 8].try_into().map_or(0, i64::from_be_bytes);
    let sound = slots.into_iter().filter(|slot| {
        slot.starts_with(b"FBST\0\x01") && slot[508..] == forebay_base::crc32c(&slot[..508]).to_be_bytes()
    });
    let newest = sound.max_by_key(|slot| number(slot, 8))?;
    Some((number(newest, 16), number(newest, 24)))
}
