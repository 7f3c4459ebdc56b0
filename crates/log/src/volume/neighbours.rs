//! What a data directory remembers of the others of its node: which of them have failed. One that takes no writes cannot
//! remember it itself. A file of two slots (see `slots.rs`).
//!
//! ```text
//! slot (4,096 bytes): 0 magic "FBVN" | 4 version u16 | 6 reserved u16 | 8 sequence u64 | 16 count u16
//!   18 so many times: directory id [16], since i64 ms, writes u64 | zeros | 4092 CRC-32C of bytes 0 to 4091, u32
//! ```

use std::io;
use std::path::Path;

use forebay_base::{DirectoryId, Id128, Reader, Short, WallTime, Writer};

use super::slots::{Layout, Slots};
use crate::disk::Disk;
use crate::sealed::Format;

const FORMAT: Format = Format { magic: *b"FBVN", version: 1 };
const LAYOUT: Layout = Layout { name: "volume.neighbours", format: FORMAT, slot_len: 4_096 };

/// Failed neighbours that one directory remembers; they fit into a slot.
const NEIGHBOURS_MAX: usize = 127;

/// A data directory whose volume has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Which.
    pub directory: DirectoryId,
    /// Since when.
    pub since: WallTime,
    /// How often its own `volume.state` may have been written by then. If it was written more often it was let in again
    /// since, and remembers by itself what became of it. The largest number: that could not be read.
    pub writes: u64,
}

/// The memory of a directory's neighbours.
#[derive(Debug)]
pub struct Neighbours(Slots);

impl Neighbours {
    /// Opens the file in `dir`, making it if it is missing; what was remembered.
    ///
    /// # Errors
    /// What the file system says; with a full one, the file may be missing or half made, which the next call mends.
    pub fn open(disk: &dyn Disk, dir: &Path) -> io::Result<(Self, Vec<Neighbour>)> {
        let (slots, body) = Slots::open(disk, dir, LAYOUT)?;
        Ok((Self(slots), body.and_then(decode).unwrap_or_default()))
    }

    /// What is remembered in `dir`, with nothing made or written.
    ///
    /// # Errors
    /// What the file system says.
    pub fn peek(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<Neighbour>> {
        let (_, body) = LAYOUT.peek(disk, dir)?;
        Ok(body.and_then(decode).unwrap_or_default())
    }

    /// Makes `failed` durable, in place: the first 127 of them.
    ///
    /// # Errors
    /// What the file system says; what was remembered before may still count.
    pub fn write(&mut self, failed: &[Neighbour]) -> io::Result<()> {
        let failed = &failed[..failed.len().min(NEIGHBOURS_MAX)];
        let mut writer = Writer::new();
        writer.u16(failed.len() as u16);
        for neighbour in failed {
            writer.raw(&neighbour.directory.0.0);
            writer.i64(neighbour.since.0);
            writer.u64(neighbour.writes);
        }
        self.0.write(writer.as_slice())
    }
}

fn decode(mut body: Reader) -> Option<Vec<Neighbour>> {
    let count = usize::from(body.u16().ok()?);
    let all: Result<Vec<_>, Short> = (0..count).map(|_| neighbour(&mut body)).collect();
    all.ok()
}

fn neighbour(body: &mut Reader) -> Result<Neighbour, Short> {
    Ok(Neighbour {
        directory: DirectoryId(Id128(body.u128()?.to_be_bytes())),
        since: WallTime(body.i64()?),
        writes: body.u64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RealDisk;

    fn failed(number: u8) -> Neighbour {
        Neighbour {
            directory: DirectoryId(Id128([number; 16])),
            since: WallTime(i64::from(number)),
            writes: 3,
        }
    }

    #[test]
    fn those_that_failed_are_remembered_as_many_as_fit() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Neighbours::peek(&RealDisk, dir.path()).unwrap(), []);
        let (mut neighbours, known) = Neighbours::open(&RealDisk, dir.path()).unwrap();
        assert_eq!(known, []);
        let many: Vec<_> = (0..=255).map(failed).collect();
        for (written, kept) in [(&many[..1], 1), (&many[..], NEIGHBOURS_MAX), (&[], 0), (&many[7..9], 2)] {
            neighbours.write(written).unwrap();
            assert_eq!(Neighbours::peek(&RealDisk, dir.path()).unwrap(), written[..kept]);
        }
        assert_eq!(Neighbours::open(&RealDisk, dir.path()).unwrap().1, many[7..9]);
    }

    #[test]
    fn the_frozen_one_is_read() {
        let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/v3");
        let since = |neighbour, since| Neighbour { since: WallTime(since), ..neighbour };
        let first = Neighbour { writes: 7, ..since(failed(1), 1_700_000_000_000) };
        let second = Neighbour { writes: 1, ..since(failed(2), 1_700_000_001_000) };
        assert_eq!(Neighbours::peek(&RealDisk, &frozen).unwrap(), [first, second]);
    }
}
