//! Producer snapshots: the idempotent producers' state before an offset, as the replica encodes it. Hints (rule R10):
//! without one, the state is rebuilt from all batch headers.
//!
//! `%020d.producers`, framed as every small file (magic "FBPR", version 1):
//! ```text
//! 8 offset i64 (that of the name) | 16 length u32 | 20 the replica's bytes | CRC-32C u32
//! ```

use std::io;
use std::path::Path;

use bytes::Bytes;
use forebay_base::Offset;

use crate::disk::Disk;
use crate::names::Kind;
use crate::sealed::{Format, read_file, remove_if_there, write_file, write_hint};
use crate::volume::{Call, Meaning, meaning};

const FORMAT: Format = Format { magic: *b"FBPR", version: 1 };

/// How many are kept: a spare, should the newest be bad.
const KEPT: usize = 2;
const BYTES_MAX: u64 = 1 << 30;

/// The offsets of all snapshots in `dir`, ascending.
fn offsets(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<Offset>> {
    let names = disk.list(dir)?;
    Ok(names
        .iter()
        .filter_map(|entry| Kind::parse(&entry.name))
        .filter_map(|(kind, offset)| (kind == Kind::Producers).then_some(offset))
        .collect())
}

/// Who writes a file of these bytes at this path.
type WriteFile = fn(&dyn Disk, &Path, &[u8]) -> io::Result<()>;

/// Writes the snapshot at `offset`, unsynced, and removes all but the newest two. A failure costs a longer start.
pub(crate) fn write(disk: &dyn Disk, dir: &Path, offset: Offset, producers: &[u8]) {
    write_by(write_hint, disk, dir, offset, producers);
}

/// As [`write`], also on a full volume; false if there is no room at all.
pub(crate) fn keep(disk: &dyn Disk, dir: &Path, offset: Offset, producers: &[u8]) -> bool {
    write_by(|disk, path, bytes| write_file(disk, path, bytes).map(drop), disk, dir, offset, producers)
}

fn write_by(write_file: WriteFile, disk: &dyn Disk, dir: &Path, offset: Offset, producers: &[u8]) -> bool {
    let write = || {
        let mut writer = FORMAT.writer();
        writer.i64(offset.0);
        writer.u32(u32::try_from(producers.len()).map_err(io::Error::other)?);
        writer.raw(producers);
        write_file(disk, &Kind::Producers.path(dir, offset), &Format::seal(writer))?;
        let all = offsets(disk, dir)?;
        for old in all.iter().take(all.len().saturating_sub(KEPT)) {
            remove_if_there(disk, &Kind::Producers.path(dir, *old))?;
        }
        Ok::<(), io::Error>(())
    };
    let Err(error) = write() else { return true };
    let dir = dir.display();
    // A full disk is told of once, by its monitor.
    let full = meaning(Call::Write, &error) == Meaning::Full;
    if full {
        tracing::debug!(%dir, %offset, %error, "producer snapshot not written");
    } else {
        tracing::warn!(%dir, %offset, %error, "producer snapshot not written; the next start takes longer");
    }
    !full
}

/// The newest sound snapshot from `start` to `end`.
pub(crate) fn newest(disk: &dyn Disk, dir: &Path, start: Offset, end: Offset) -> Option<(Offset, Bytes)> {
    let all = offsets(disk, dir).ok()?;
    all.into_iter().rev().filter(|offset| (start..=end).contains(offset)).find_map(|offset| {
        let bytes = read_file(disk, &Kind::Producers.path(dir, offset), BYTES_MAX).ok()??;
        let mut reader = FORMAT.open(bytes).ok()?;
        let (named, len) = (reader.i64().ok()?, reader.u32().ok()?);
        let producers = reader.bytes(usize::try_from(len).ok()?).ok()?;
        (named == offset.0 && reader.remaining() == 0).then_some((offset, producers))
    })
}

/// Removes the snapshots above `end`. The caller syncs the directory: one that came back would describe batches that
/// are not there any more.
pub(crate) fn remove_above(disk: &dyn Disk, dir: &Path, end: Offset) -> io::Result<()> {
    for offset in offsets(disk, dir)?.into_iter().filter(|offset| *offset > end) {
        remove_if_there(disk, &Kind::Producers.path(dir, offset))?;
    }
    Ok(())
}

/// Removes the snapshots below `start`, which can never be used again. Harmless if some come back.
pub(crate) fn remove_below(disk: &dyn Disk, dir: &Path, start: Offset) -> io::Result<()> {
    for offset in offsets(disk, dir)?.into_iter().filter(|offset| *offset < start) {
        remove_if_there(disk, &Kind::Producers.path(dir, offset))?;
    }
    Ok(())
}
