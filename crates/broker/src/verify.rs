use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forebay_base::Clock;
use forebay_log::verify::{Bad, data_dir};
use forebay_log::{DirError, RealDisk};

use crate::real::SystemClock;

/// What `forebay log verify` found in all data directories together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Partitions gone through.
    pub partitions: u64,
    /// Sound batches.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first damages found.
    pub bad: Vec<Damage>,
    /// How many damages there are in all.
    pub bad_count: u64,
}

/// One damaged place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The partition, as its directory is named: topic id and index.
    pub partition: String,
    /// First offset that is damaged.
    pub offset: i64,
    /// The file.
    pub file: PathBuf,
    /// Where in the file.
    pub at: u64,
    /// What is wrong.
    pub reason: String,
}

impl From<Bad> for Damage {
    fn from(bad: Bad) -> Self {
        let Bad { partition, offset, file, at, reason } = bad;
        Self { partition: partition.to_string(), offset: offset.0, file, at, reason }
    }
}

/// A data directory cannot be read at all.
pub type VerifyError = DirError;

/// Reads every batch of the data directories and checks it, changing nothing; a server may run on them. At most
/// `bytes_per_second` are read, so that the server keeps the disk. `progress` is called with the bytes read since it
/// was called last.
pub fn verify(
    data_dirs: &[PathBuf],
    bytes_per_second: u64,
    mut progress: impl FnMut(u64),
) -> Result<Verified, VerifyError> {
    let clock = SystemClock::new();
    let started = clock.now();
    let mut read = 0u64;
    let mut pace = |bytes: u64| {
        progress(bytes);
        read = read.saturating_add(bytes);
        let due = Duration::from_secs_f64(read as f64 / bytes_per_second.max(1) as f64);
        std::thread::sleep(due.saturating_sub(clock.now().since(started)));
        ControlFlow::Continue(())
    };
    let mut all = Verified::default();
    for path in data_dirs {
        let report = data_dir(&RealDisk, Path::new(path), &mut pace)?;
        all.partitions += report.partitions;
        all.batches += report.batches;
        all.bytes += report.bytes;
        all.bad_count += report.bad_count;
        all.bad.extend(report.bad.into_iter().map(Damage::from));
    }
    Ok(all)
}
