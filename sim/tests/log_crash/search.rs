//! The log as a program for the crash search.

use std::path::PathBuf;

use forebay_records::BatchHeader;
use forebay_sim::SimDisk;
use forebay_sim::crash::{Program, Verdict};

use crate::oracle::{Oracle, Written, demand};
use crate::workload::{Process, Step, Stopped, open};

/// One sequence of steps; the seed draws sizes and bytes.
#[derive(Debug)]
pub(crate) struct LogProgram<'a> {
    pub(crate) steps: &'a [Step],
    pub(crate) seed: u64,
}

impl Program for LogProgram<'_> {
    type Oracle = Oracle;

    fn oracle(&self) -> Oracle {
        Oracle::new()
    }

    fn run(&self, disk: &SimDisk, oracle: &mut Oracle) -> Verdict<()> {
        self.process(disk, oracle, self.seed, self.steps)
    }

    fn recover(&self, disk: &SimDisk, oracle: &mut Oracle) -> Verdict<()> {
        let (_dir, log) = open(disk, oracle).map_err(|stopped| stopped.0)?;
        let seen = oracle.check(&log)?;
        oracle.adopt(&seen);
        Ok(())
    }

    fn go_on(&self, disk: &SimDisk, oracle: &mut Oracle) -> Verdict<()> {
        self.process(disk, oracle, self.seed ^ 1, &[Step::Append(2), Step::Sync])
    }

    /// One bit below the recovery point turned around: found by who reads that batch, and nothing is cut off.
    fn inspect(&self, disk: &SimDisk, mut oracle: Oracle) -> Verdict<()> {
        let believed = |batch: &&Written| batch.next <= oracle.believed && batch.next > oracle.start;
        let Some(rotten) = oracle.current.iter().rfind(believed).cloned() else { return Ok(()) };
        flip_last_bit(disk, &rotten)?;
        let stopped = |stopped: Stopped| format!("rot at {}: {}", rotten.base, stopped.0);
        let (_dir, log) = open(disk, &mut oracle).map_err(stopped)?;
        let (start, end) = (log.start().0, log.end().0);
        demand!(end >= oracle.durable, "one rotten batch below the recovery point cut the log at {end}");
        for batch in oracle.current.iter().filter(|batch| batch.next > start && batch.next <= oracle.durable)
        {
            let read = oracle.read(&log, batch.base.max(start), end);
            let sound = read.is_ok_and(|bytes| bytes == batch.bytes);
            demand!(
                sound == (batch.base != rotten.base),
                "rot at {}, {} sound: {sound}",
                rotten.base,
                batch.base
            );
        }
        Ok(())
    }
}

impl LogProgram<'_> {
    fn process(&self, disk: &SimDisk, oracle: &mut Oracle, seed: u64, steps: &[Step]) -> Verdict<()> {
        let run = Process::start(disk, oracle, seed).and_then(|mut process| process.run(steps));
        run.map_err(|stopped| stopped.0)
    }
}

/// Turns around a bit of the last byte of a batch.
fn flip_last_bit(disk: &SimDisk, batch: &Written) -> Verdict<()> {
    let logs = disk.files().into_iter().map(|(path, _)| path).filter(|path| path.ends_with(".log"));
    for path in logs.map(PathBuf::from) {
        let contents = disk.contents(&path).map_err(|error| error.to_string())?;
        let mut at = 0;
        while let Ok(header) = BatchHeader::parse(&contents[at..]) {
            let end = at + header.len;
            if contents.get(at..end).is_some_and(|bytes| *bytes == batch.bytes) {
                return disk.flip_bit(&path, end as u64 - 1).map_err(|error| error.to_string());
            }
            at = end.min(contents.len());
        }
    }
    Err(format!("the durable batch {} is nowhere", batch.base))
}
