//! What a data directory must remember of its volume's state: a file of two slots (see `slots.rs`).
//!
//! ```text
//! slot (512 bytes): 0 magic "FBVS" | 4 version u16 | 6 reserved u16 | 8 sequence u64
//!   16 state u8 (0 Normal, 1 Low, 2 Full, 3 HardFull, 4 Failed, 5 Probing) | 17 zeros | 24 since i64 ms
//!   32 cause length u16 | 34 cause, UTF-8 | zeros | 508 CRC-32C of bytes 0 to 507, u32
//! ```
//! Where it says nothing the volume is probed as after every start; where the device does not give it back, the volume has
//! failed. One that takes no writes cannot remember that it has: its neighbours do, see `neighbours.rs`.

use std::io;
use std::path::Path;

use forebay_base::{Reader, WallTime, Writer};

use super::VolumeState;
use super::slots::{Layout, Slots};
use crate::disk::Disk;
use crate::sealed::Format;

const FORMAT: Format = Format { magic: *b"FBVS", version: 1 };
const LAYOUT: Layout = Layout { name: "volume.state", format: FORMAT, slot_len: 512 };
/// A longer cause is cut.
const CAUSE_LEN_MAX: usize = 400;

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The state.
    pub state: VolumeState,
    /// When it began.
    pub since: WallTime,
    /// Why, as a sentence's end.
    pub cause: String,
}

/// The memory of a volume's state.
#[derive(Debug)]
pub struct Ledger(Slots);

impl Ledger {
    /// Opens the file in `dir`, making it if it is missing; what was remembered, if that is sound. A file of a newer
    /// version is written over: it is only a memory.
    ///
    /// # Errors
    /// What the file system says; with a full one, the file may be missing or half made, which the next call mends.
    pub fn open(disk: &dyn Disk, dir: &Path) -> io::Result<(Self, Option<Entry>)> {
        let (slots, body) = Slots::open(disk, dir, LAYOUT)?;
        Ok((Self(slots), body.and_then(decode)))
    }

    /// What is remembered in `dir`, and how often it was written, with nothing made or written: for a volume that takes no
    /// writes.
    ///
    /// # Errors
    /// What the file system says.
    pub fn peek(disk: &dyn Disk, dir: &Path) -> io::Result<(u64, Option<Entry>)> {
        let (writes, body) = LAYOUT.peek(disk, dir)?;
        Ok((writes, body.and_then(decode)))
    }

    /// How often it has been written.
    pub fn writes(&self) -> u64 {
        self.0.sequence()
    }

    /// Makes `entry` durable, in place.
    ///
    /// # Errors
    /// What the file system says; the entry before may still count.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        self.0.write(&encode(entry))
    }
}

fn number(state: VolumeState) -> u8 {
    match state {
        VolumeState::Normal => 0,
        VolumeState::Low => 1,
        VolumeState::Full => 2,
        VolumeState::HardFull => 3,
        VolumeState::Failed => 4,
        VolumeState::Probing => 5,
    }
}

fn encode(entry: &Entry) -> Vec<u8> {
    let mut cause_len = entry.cause.len().min(CAUSE_LEN_MAX);
    while !entry.cause.is_char_boundary(cause_len) {
        cause_len -= 1;
    }
    let mut writer = Writer::new();
    writer.raw(&[number(entry.state), 0, 0, 0, 0, 0, 0, 0]);
    writer.i64(entry.since.0);
    writer.u16(cause_len as u16);
    writer.raw(&entry.cause.as_bytes()[..cause_len]);
    writer.as_slice().to_vec()
}

fn decode(mut body: Reader) -> Option<Entry> {
    let state = body.bytes(8).ok()?[0];
    let state = VolumeState::ALL.into_iter().find(|known| number(*known) == state)?;
    let since = WallTime(body.i64().ok()?);
    let cause_len = usize::from(body.u16().ok()?);
    let cause = String::from_utf8_lossy(&body.bytes(cause_len).ok()?).into_owned();
    Some(Entry { state, since, cause })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RealDisk;

    #[test]
    fn what_is_written_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Ledger::peek(&RealDisk, dir.path()).unwrap(), (0, None));
        let (mut ledger, known) = Ledger::open(&RealDisk, dir.path()).unwrap();
        assert_eq!(known, None);
        let cause = "größer als nötig ".repeat(40);
        for state in VolumeState::ALL {
            ledger.write(&Entry { state, since: WallTime(9), cause: cause.clone() }).unwrap();
            let (writes, known) = Ledger::peek(&RealDisk, dir.path()).unwrap();
            let known = known.unwrap();
            assert_eq!((known.state, known.since, writes), (state, WallTime(9), ledger.writes()));
            assert!(known.cause.len() <= CAUSE_LEN_MAX && cause.starts_with(&known.cause), "it is cut");
        }
    }
}
