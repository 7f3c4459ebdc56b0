use std::io::IoSlice;
use std::path::Path;

use arbitrary::Arbitrary;
use forebay_log::{Disk, Open};
use forebay_records::batches;
use forebay_sim::SimDisk;

use super::batch;
use super::start::Written;

/// A small file ends with its checksum; a slot of the state file is this long.
const CRC_LEN: usize = 4;
const SLOT_LEN: usize = 512;
const SLOTS: [usize; 2] = [0, 4_096];

/// Longest run of bytes that one damage changes.
const RUN_MAX: usize = 600;

/// Something that happens to one file. Files are counted in the order of their names, positions from the file's start,
/// or from its end where they are negative; both wrap.
#[derive(Debug, Clone, Arbitrary)]
pub(super) enum Damage {
    /// Bits of one byte turn around.
    Flip { file: u8, at: i16, bits: u8 },
    /// Bytes are replaced, beyond the end too.
    Overwrite { file: u8, at: i16, with: Vec<u8> },
    /// A sector, or any other run, becomes zeros.
    Zero { file: u8, at: i16, len: u16 },
    /// The end is lost.
    Cut { file: u8, at: i16 },
    /// The file is longer than it was, with zeros.
    Extend { file: u8, by: u16 },
    /// The name is lost.
    Remove { file: u8 },
    /// Bytes appear at a wrong place: those of a file `from` there over those of another.
    Misdirect { from: u8, from_at: i16, len: u16, file: u8, at: i16 },
    /// A segment goes on with a sound batch that follows the last one that was written.
    Append { records: u8, mark: u8 },
    /// The checksum of a small file, a state slot or a batch is made to fit what is there now.
    Reseal { file: u8, part: u8 },
}

/// A place in a file of `len` bytes.
fn place(at: i16, len: usize) -> usize {
    match usize::try_from(at) {
        Ok(at) => at % (len + 1),
        Err(_) => len - usize::from(at.unsigned_abs()) % (len + 1),
    }
}

fn pick(disk: &SimDisk, file: u8) -> Option<(String, usize)> {
    let files = disk.files();
    let (path, len) = files.get(usize::from(file) % files.len().max(1))?;
    Some((path.clone(), *len as usize))
}

fn write(disk: &SimDisk, path: &str, at: usize, bytes: &[u8]) {
    let file = disk.open(Path::new(path), Open::Write).expect("a file that was listed");
    file.write_at(at as u64, &[IoSlice::new(bytes)]).expect("this disk has no faults");
}

fn set_len(disk: &SimDisk, path: &str, len: usize) {
    let file = disk.open(Path::new(path), Open::Write).expect("a file that was listed");
    file.truncate(len as u64).expect("this disk has no faults");
}

fn read(disk: &SimDisk, path: &str) -> Vec<u8> {
    disk.contents(Path::new(path)).expect("a file that was listed")
}

impl Damage {
    /// Does it to the files on `disk`. A batch that it writes is added to `written`.
    pub(super) fn strike(&self, disk: &SimDisk, written: &mut Vec<Written>) {
        match self {
            Self::Append { records, mark } => append(disk, written, *records, *mark),
            Self::Misdirect { from, from_at, len, file, at } => {
                let Some((source, source_len)) = pick(disk, *from) else { return };
                let Some((target, target_len)) = pick(disk, *file) else { return };
                let from = place(*from_at, source_len);
                let upto = source_len.min(from + usize::from(*len) % RUN_MAX);
                write(disk, &target, place(*at, target_len), &read(disk, &source)[from..upto]);
            }
            Self::Flip { file, .. }
            | Self::Overwrite { file, .. }
            | Self::Zero { file, .. }
            | Self::Cut { file, .. }
            | Self::Extend { file, .. }
            | Self::Remove { file }
            | Self::Reseal { file, .. } => {
                if let Some((path, len)) = pick(disk, *file) {
                    self.strike_file(disk, &path, len);
                }
            }
        }
    }

    fn strike_file(&self, disk: &SimDisk, path: &str, len: usize) {
        match self {
            Self::Flip { at, bits, .. } => {
                let at = place(*at, len.saturating_sub(1));
                if let Some(byte) = read(disk, path).get(at) {
                    write(disk, path, at, &[byte ^ bits]);
                }
            }
            Self::Overwrite { at, with, .. } => {
                write(disk, path, place(*at, len), &with[..with.len().min(RUN_MAX)]);
            }
            Self::Zero { at, len: run, .. } => {
                let at = place(*at, len);
                write(disk, path, at, &vec![0; (usize::from(*run) % RUN_MAX).min(len - at)]);
            }
            Self::Cut { at, .. } => set_len(disk, path, place(*at, len)),
            Self::Extend { by, .. } => set_len(disk, path, len + usize::from(*by)),
            Self::Remove { .. } => disk.remove_file(Path::new(path)).expect("a file that was listed"),
            Self::Reseal { part, .. } => reseal(disk, path, usize::from(*part)),
            Self::Misdirect { .. } | Self::Append { .. } => {}
        }
    }
}

fn append(disk: &SimDisk, written: &mut Vec<Written>, records: u8, mark: u8) {
    let Some(last) = written.last() else { return };
    let (path, base) = (last.path.clone(), last.next);
    let Some((_, len)) = disk.files().into_iter().find(|(name, _)| *name == path) else { return };
    let bytes = batch(base, 1 + records % 4, mark % 16);
    write(disk, &path, len as usize, &bytes);
    let next = base + i64::from(1 + records % 4);
    written.push(Written { path, at: len as usize, base, next, bytes });
}

fn reseal(disk: &SimDisk, path: &str, part: usize) {
    let bytes = read(disk, path);
    if path.ends_with("state") {
        let at = SLOTS[part % 2];
        if let Some(slot) = bytes.get(at..at + SLOT_LEN - CRC_LEN) {
            write(disk, path, at + SLOT_LEN - CRC_LEN, &forebay_base::crc32c(slot).to_be_bytes());
        }
    } else if path.ends_with(".log") {
        let mut at = 0;
        for (number, item) in batches(bytes.into()).enumerate() {
            let Ok((_, batch)) = item else { return };
            if number == part % 8 {
                write(disk, path, at + 17, &forebay_base::crc32c(&batch[21..]).to_be_bytes());
            }
            at += batch.len();
        }
    } else if let Some(body) = bytes.len().checked_sub(CRC_LEN) {
        write(disk, path, body, &forebay_base::crc32c(&bytes[..body]).to_be_bytes());
    }
}
