//! What the benchmarks know of the machine they run on: its clock, its processes, its page cache.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{Advice, fadvise, fdatasync};

use crate::failure::Failure;

/// Clock ticks of `/proc/PID/stat` in a second: 100 on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// The monotonic clock.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures this machine's own time")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// What a process has used since it started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    /// User and system time of all its threads, in seconds.
    pub(super) cpu_seconds: f64,
    /// The most memory it ever had resident, in bytes.
    pub(super) peak_rss_bytes: u64,
}

impl Usage {
    /// Asks the kernel about the process `pid`.
    pub(super) fn of(pid: u32) -> Result<Self, Failure> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}"));
        let told = read("stat").and_then(|stat| Ok((stat, read("status")?)));
        let (stat, status) = told.map_err(|error| Failure::usage(format!("--server-pid {pid}: {error}")))?;
        Self::parse(&stat, &status)
            .ok_or_else(|| Failure::usage(format!("--server-pid {pid}: its /proc files cannot be read")))
    }

    /// `utime` and `stime` are fields 14 and 15 of `stat`; the second, a name, may hold anything, blanks too.
    fn parse(stat: &str, status: &str) -> Option<Self> {
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        let cpu_seconds = (ticks()? + ticks()?) / TICKS_PER_SECOND;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = peak.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(Self { cpu_seconds, peak_rss_bytes: kib * 1024 })
    }
}

/// Drops the page cache of every file below `dir`, which is brought to the disk first: dirty pages stay.
pub(super) fn drop_cache(dir: &Path) -> Result<(), Failure> {
    let told = |path: &Path, error: io::Error| Failure::usage(format!("{}: {error}", path.display()));
    let mut open: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).map_err(|error| told(&path, error))? {
            let (entry, path) = entry.and_then(|entry| Ok((entry.file_type()?, entry.path())))?;
            if entry.is_dir() {
                open.push(path);
            } else if entry.is_file() {
                match File::open(&path) {
                    Ok(file) => drop_file(&file).map_err(|error| told(&path, error))?,
                    // Deleted meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(told(&path, error)),
                }
            }
        }
    }
    Ok(())
}

/// Drops the page cache of one file.
pub(super) fn drop_file(file: &File) -> io::Result<()> {
    fdatasync(file)?;
    Ok(fadvise(file, 0, None, Advice::DontNeed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        let stat = "12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 150 0 0 20";
        let usage = Usage::parse(stat, "VmPeak: 9 kB\nVmHWM:\t    2048 kB\n");
        assert_eq!(usage, Some(Usage { cpu_seconds: 4.0, peak_rss_bytes: 2 << 20 }));
        assert_eq!(Usage::parse("12 (a) S 1", "VmHWM: 1 kB"), None);
        assert!(Usage::of(std::process::id()).unwrap().peak_rss_bytes > 100_000);
        assert!(Usage::of(u32::MAX).is_err());
    }
}
