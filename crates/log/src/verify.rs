//! Checks what lies in a data directory without changing it, while a server may run on it.
//!
//! Everything below a partition's recovery point must be sound; what is not is reported and left alone. Above it a
//! server may be writing: batches there are checked as far as they are sound, and the rest is not reported.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use forebay_base::{Offset, PartitionId};

use crate::directory::{list_partitions, partitions_path, read_identity};
use crate::disk::{Disk, Open};
use crate::error::{DirError, LogError, failed};
use crate::names::Kind;
use crate::state::StateFile;
use crate::walk::{BatchWalk, LONG_WALK_BYTES, Step};

/// Damages listed in a [`Report`]; more are only counted.
pub const BAD_LISTED_MAX: usize = 1_000;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Partitions gone through.
    pub partitions: u64,
    /// Sound batches.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first damages found.
    pub bad: Vec<Bad>,
    /// How many damages there are in all.
    pub bad_count: u64,
}

/// One damage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// The partition.
    pub partition: PartitionId,
    /// First offset that is damaged.
    pub offset: Offset,
    /// The file.
    pub file: PathBuf,
    /// Where in the file.
    pub at: u64,
    /// What is wrong.
    pub reason: String,
}

impl Report {
    fn add(&mut self, bad: Bad) {
        self.bad_count += 1;
        if self.bad.len() < BAD_LISTED_MAX {
            self.bad.push(bad);
        }
    }
}

/// Called with the bytes read since the last call: waits as long as the reading shall be slowed down, or ends it.
pub type Pace<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

/// Checks all partitions of a data directory. Takes no lock.
pub fn data_dir(disk: &dyn Disk, path: &Path, pace: &mut Pace<'_>) -> Result<Report, DirError> {
    read_identity(disk, path)?;
    let mut report = Report::default();
    for id in list_partitions(disk, path)? {
        let dir = partitions_path(path).join(id.to_string());
        report.partitions += 1;
        match partition(disk, &dir, id, pace, &mut report) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => break,
            Err(error) => {
                let (file, reason) = (dir, error.to_string());
                report.add(Bad { partition: id, offset: Offset(0), file, at: 0, reason });
            }
        }
    }
    Ok(report)
}

/// Checks one partition, in `dir`, and adds what is found to `report`.
pub fn partition(
    disk: &dyn Disk,
    dir: &Path,
    id: PartitionId,
    pace: &mut Pace<'_>,
    report: &mut Report,
) -> Result<ControlFlow<()>, LogError> {
    // Read before the names: it can only be older than they are.
    let state = StateFile::read(disk, dir)?.map(|file| file.last());
    let names = match disk.list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ControlFlow::Continue(())),
        Err(error) => return Err(failed("list", dir)(error)),
    };
    let bases: Vec<Offset> = names
        .iter()
        .filter_map(|entry| Kind::parse(&entry.name))
        .filter_map(|(kind, base)| (kind == Kind::Log).then_some(base))
        .collect();
    let recovery_point = state.map_or(Offset(0), |state| state.recovery_point);
    for (place, base) in bases.iter().enumerate() {
        let next = bases.get(place + 1).copied();
        let must_reach = next.unwrap_or(recovery_point.max(*base));
        let check =
            SegmentCheck { disk, id, path: Kind::Log.path(dir, *base), base: *base, next, must_reach };
        if check.run(pace, report).map_err(failed("read", &check.path))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

struct SegmentCheck<'a> {
    disk: &'a dyn Disk,
    id: PartitionId,
    path: PathBuf,
    base: Offset,
    /// Where its successor begins.
    next: Option<Offset>,
    /// Up to here it must be sound.
    must_reach: Offset,
}

impl SegmentCheck<'_> {
    fn run(&self, pace: &mut Pace<'_>, report: &mut Report) -> io::Result<ControlFlow<()>> {
        let file = match self.disk.open(&self.path, Open::Read) {
            Ok(file) => file,
            // Deleted since the names were read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ControlFlow::Continue(())),
            Err(error) => return Err(error),
        };
        let len = file.len()?;
        let mut walk = BatchWalk::new(file, 0, len, LONG_WALK_BYTES);
        let (mut offset, mut paced) = (self.base, 0);
        let ended = loop {
            let (at, header) = match walk.step()? {
                Step::Batch(at, header) => (at, header),
                Step::End => break None,
                Step::Broken(at, error) => break Some((at, error.to_string())),
            };
            if header.base_offset != offset {
                break Some((at, format!("offset {} lies where {offset} should", header.base_offset)));
            }
            if walk.check_crc(at, &header)? {
                report.batches += 1;
                report.bytes += header.len as u64;
            } else if offset < self.must_reach {
                self.report(report, offset, at, "the batch fails its CRC-32C check");
            } else {
                break None;
            }
            offset = header.next_offset();
            if walk.position() - paced >= LONG_WALK_BYTES as u64 {
                if pace(walk.position() - paced).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                paced = walk.position();
            }
        };
        if offset < self.must_reach {
            let (at, reason) = ended.unwrap_or((walk.position(), "the segment ends too early".to_owned()));
            self.report(report, offset, at, &reason);
        } else if self.next.is_some_and(|next| offset > next) {
            self.report(report, offset, walk.position(), "the segment reaches into its successor");
        }
        Ok(pace(walk.position() - paced))
    }

    fn report(&self, report: &mut Report, offset: Offset, at: u64, reason: &str) {
        let (partition, file) = (self.id, self.path.clone());
        report.add(Bad { partition, offset, file, at, reason: reason.to_owned() });
    }
}
