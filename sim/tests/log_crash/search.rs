//! Looks for a power cut after which the log breaks a promise.

use std::path::PathBuf;

use forebay_base::{Offset, Rng, SeededRng};
use forebay_records::BatchHeader;
use forebay_sim::SimDisk;
use forebay_sim::disk::{Call, Survivors, SyncSite};

use crate::oracle::{Oracle, Seen, Verdict, Written, demand};
use crate::workload::{Process, Step, open};

/// One program and the syncs that are left out of it.
pub(crate) struct Search<'a> {
    pub(crate) steps: &'a [Step],
    pub(crate) seed: u64,
    pub(crate) ignored: Option<SyncSite>,
}

/// A found violation, with all that is needed to see it again.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) cut: u64,
    pub(crate) survivors: Survivors,
    pub(crate) why: String,
}

impl Search<'_> {
    fn disk(&self) -> SimDisk {
        let disk = SimDisk::default();
        self.ignore(&disk);
        disk
    }

    /// The code without that sync runs on every disk, after a restart too.
    fn ignore(&self, disk: &SimDisk) {
        if let Some(site) = &self.ignored {
            disk.ignore_sync(site.clone());
        }
    }

    /// Runs the program, to its end or to the cut.
    fn play(&self, cut: Option<u64>) -> (SimDisk, Oracle, Verdict<()>) {
        let (disk, mut oracle) = (self.disk(), Oracle::new());
        if let Some(cut) = cut {
            disk.cut_at(cut);
        }
        let result =
            Process::start(&disk, &mut oracle, self.seed).and_then(|mut process| process.run(self.steps));
        let verdict = if disk.is_cut() { Ok(()) } else { result.map_err(|stopped| stopped.0) };
        (disk, oracle, verdict)
    }

    /// The calls of the whole program: a cut makes sense at those that change something.
    pub(crate) fn calls(&self) -> Verdict<Vec<Call>> {
        let (disk, _, verdict) = self.play(None);
        verdict.map(|()| disk.calls())
    }

    /// The sites that sync in the whole program.
    pub(crate) fn sites(&self) -> Verdict<Vec<SyncSite>> {
        let (disk, _, verdict) = self.play(None);
        verdict.map(|()| disk.sync_sites().into_iter().collect())
    }

    /// Cuts at every change, and looks at the survivors that `choose` names for that cut.
    pub(crate) fn every_cut(
        &self,
        choose: impl Fn(&SimDisk, u64) -> Vec<Survivors>,
    ) -> Result<u64, Violation> {
        let lost = |why| Violation { cut: u64::MAX, survivors: Survivors::Everything, why };
        let calls = self.calls().map_err(lost)?;
        let mut outcomes = 0;
        for cut in (0u64..).zip(&calls).filter(|(_, call)| call.changes()).map(|(cut, _)| cut) {
            let (disk, oracle, _) = self.play(Some(cut));
            for survivors in choose(&disk, cut) {
                self.outcome(&disk, &oracle, survivors).map_err(|why| Violation { cut, survivors, why })?;
                outcomes += 1;
            }
            self.killed(&disk, oracle).map_err(|why| Violation {
                cut,
                survivors: Survivors::Everything,
                why: format!("killed, power on: {why}"),
            })?;
        }
        Ok(outcomes)
    }

    /// One cut and one outcome.
    fn outcome(&self, disk: &SimDisk, oracle: &Oracle, survivors: Survivors) -> Verdict<()> {
        let after = disk.restart_with(survivors);
        self.ignore(&after);
        let mut oracle = oracle.clone();
        let before_recovery = oracle.clone();
        let seen = self.recover(&after, &mut oracle)?;
        if survivors == Survivors::Nothing {
            self.rotten(disk, before_recovery.clone())?;
        }
        self.cut_in_recovery(disk, before_recovery, survivors)?;
        self.goes_on(&after, oracle, seen)
    }

    /// Opens the directory and checks the log.
    fn recover(&self, disk: &SimDisk, oracle: &mut Oracle) -> Verdict<Seen> {
        let (_dir, log) = open(disk, oracle).map_err(|stopped| stopped.0)?;
        oracle.check(&log)
    }

    /// One bit below the recovery point turned around: found by who reads that batch, and nothing is cut off.
    fn rotten(&self, disk: &SimDisk, mut oracle: Oracle) -> Verdict<()> {
        let believed = |batch: &&Written| batch.next <= oracle.believed && batch.next > oracle.start;
        let Some(rotten) = oracle.current.iter().rfind(believed).cloned() else { return Ok(()) };
        let after = disk.restart_with(Survivors::Nothing);
        self.ignore(&after);
        flip_last_bit(&after, &rotten)?;
        let (_dir, log) =
            open(&after, &mut oracle).map_err(|stopped| format!("rot at {}: {}", rotten.base, stopped.0))?;
        demand!(
            log.end().0 >= oracle.durable,
            "one rotten batch below the recovery point cut the log at {}",
            log.end()
        );
        for batch in
            oracle.current.iter().filter(|batch| batch.next > log.start().0 && batch.next <= oracle.durable)
        {
            let read = oracle.read(&log, batch.base.max(log.start().0), log.end().0);
            let sound = read.is_ok_and(|bytes| bytes == batch.bytes);
            demand!(
                sound == (batch.base != rotten.base),
                "rot at {}, batch {} sound: {sound}",
                rotten.base,
                batch.base
            );
        }
        Ok(())
    }

    /// The power goes again while the log recovers.
    fn cut_in_recovery(&self, disk: &SimDisk, mut oracle: Oracle, survivors: Survivors) -> Verdict<()> {
        let seed = match survivors {
            Survivors::Random(seed) => seed,
            Survivors::Nothing | Survivors::Everything | Survivors::AllBut(_) | Survivors::Only(_) => {
                return Ok(());
            }
        };
        let again = disk.restart_with(survivors);
        self.ignore(&again);
        again.cut_at(SeededRng::new(seed).next_u64() % 40);
        if open(&again, &mut oracle).is_ok() {
            return Ok(());
        }
        demand!(again.is_cut(), "recovery failed without a cut");
        let last = again.restart(seed);
        self.ignore(&last);
        self.recover(&last, &mut oracle).map(drop).map_err(|why| format!("cut again in recovery: {why}"))
    }

    /// What the recovered log calls durable is durable; it takes appends, and those last too.
    fn goes_on(&self, disk: &SimDisk, mut oracle: Oracle, seen: Seen) -> Verdict<()> {
        oracle.adopt(&seen);
        let second = self.reopened(disk, oracle.clone()).map_err(|why| format!("power lost again: {why}"))?;
        let kept = seen.batches.iter().filter(|bytes| base(bytes) < seen.durable).count();
        demand!(
            second.batches.len() >= kept && second.start == seen.start,
            "a second power cut took something away"
        );
        let mut process = Process::start(disk, &mut oracle, self.seed ^ 1).map_err(|stopped| stopped.0)?;
        let more = [Step::Append(2), Step::Sync];
        process.run(&more).map_err(|stopped| format!("after recovery: {}", stopped.0))?;
        drop(process);
        self.reopened(disk, oracle).map(drop).map_err(|why| format!("appended after recovery: {why}"))
    }

    /// The disk with nothing but what is durable now, opened.
    fn reopened(&self, disk: &SimDisk, mut oracle: Oracle) -> Verdict<Seen> {
        let bare = disk.restart_with(Survivors::Nothing);
        self.ignore(&bare);
        self.recover(&bare, &mut oracle)
    }

    /// The process is killed at the cut and the machine lives: the next process sees all that was written, and
    /// nothing that it calls durable may rest on the page cache.
    fn killed(&self, disk: &SimDisk, mut oracle: Oracle) -> Verdict<()> {
        disk.revive();
        let seen = self.recover(disk, &mut oracle)?;
        demand!(seen.end >= oracle.durable, "records were lost by a kill");
        self.goes_on(disk, oracle, seen)
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

fn base(bytes: &bytes::Bytes) -> i64 {
    BatchHeader::parse(bytes).map_or(Offset::default().0, |header| header.base_offset.0)
}
