//! Programs that drive the metadata store as Raft does, telling the oracle before and after each call.

use std::path::Path;

use bytes::Bytes;
use forebay_base::{Rng, SeededRng};
use forebay_controller::store::{
    Entry, EntryId, LogConfig, LogStore, Payload, SnapshotMeta, SnapshotStore, StoreError, Vote,
};
use forebay_log::Disk;
use forebay_sim::SimDisk;
use forebay_sim::crash::{Program, Verdict};
use forebay_sim::disk::{Call, Fault, Planned};

use crate::oracle::Oracle;

const OUTER: &str = "/srv/forebay";
const DIR: &str = "/srv/forebay/metadata";

/// The phase whose syncs are not the store's.
pub(crate) const PREPARE: &str = "prepare";

/// One thing Raft asks of its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Vote,
    /// Appends so many entries in one call; a full log is purged first.
    Append(usize),
    /// A conflict: so many of the last entries go, a new term begins.
    Truncate(usize),
    /// Tells that everything is committed.
    Commit,
    /// A snapshot of everything.
    Snapshot,
    /// Purges all but so many entries.
    Purge(usize),
    /// A leader's snapshot replaces the log: purges past its end.
    Install,
    /// Opens the store again.
    Reopen,
    /// The given call with a sync that fails, then the store is opened again.
    FailSync(Failing),
}

/// The call in which a sync fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failing {
    Vote,
    Append,
    Truncate,
    Snapshot,
    Purge,
}

/// Covers every call at least twice; the ring of segments goes round more than once.
#[rustfmt::skip]
pub(crate) const EVERYTHING: &[Step] = {
    use Step::*;
    &[
        Vote, Append(1), Append(3), Commit, Vote, Append(4), Truncate(2), Append(3), Snapshot, Purge(3), Append(5),
        Truncate(6), Append(2), Vote, Append(8), Commit, Snapshot, Purge(2), Reopen, Append(6), Append(6), Truncate(9),
        FailSync(Failing::Vote), Append(3), FailSync(Failing::Append), Append(2), Commit, Snapshot, Purge(0), Append(9),
        Install, Append(2), Vote, Append(7), FailSync(Failing::Snapshot), Snapshot, Purge(4), Append(7), Commit,
        FailSync(Failing::Truncate), Append(3), Reopen, Append(1), FailSync(Failing::Purge), Append(2), Vote,
    ]
};

/// One sequence of steps; the seed draws sizes and bytes.
#[derive(Debug)]
pub(crate) struct StoreProgram<'a> {
    pub(crate) steps: &'a [Step],
    pub(crate) seed: u64,
}

impl Program for StoreProgram<'_> {
    type Oracle = Oracle;

    fn oracle(&self) -> Oracle {
        Oracle::new()
    }

    fn run(&self, disk: &SimDisk, oracle: &mut Oracle) -> Verdict<()> {
        Raft::start(disk, oracle, self.seed)?.run(self.steps)
    }

    fn recover(&self, disk: &SimDisk, oracle: &mut Oracle) -> Verdict<()> {
        open(disk, oracle).map(drop)
    }

    fn go_on(&self, disk: &SimDisk, oracle: &mut Oracle) -> Verdict<()> {
        Raft::start(disk, oracle, self.seed ^ 1)?.run(&[Step::Vote, Step::Append(2), Step::Snapshot])
    }
}

/// Makes the directory above durable, as formatting a data directory does: not the store's own work.
fn prepare(disk: &SimDisk) -> std::io::Result<()> {
    disk.phase(PREPARE);
    for (dir, parent) in [("/srv", "/"), (OUTER, "/srv")] {
        if !disk.exists(Path::new(dir))? {
            disk.create_dir(Path::new(dir))?;
        }
        disk.sync_dir(Path::new(parent))?;
    }
    Ok(())
}

/// Opens the store and checks it.
fn open(disk: &SimDisk, oracle: &mut Oracle) -> Verdict<(LogStore, SnapshotStore)> {
    prepare(disk).map_err(|error| error.to_string())?;
    disk.phase("open");
    let opened = LogStore::open(disk, Path::new(DIR), LogConfig { log_bytes: 32 * 1024 })
        .and_then(|log| Ok((log, SnapshotStore::open(disk, Path::new(DIR), 2_048)?)));
    let (log, snapshots) = opened.map_err(|error| error.to_string())?;
    oracle.adopt(&log, &snapshots)?;
    Ok((log, snapshots))
}

/// A process that owns the store.
struct Raft<'a> {
    disk: &'a SimDisk,
    oracle: &'a mut Oracle,
    log: LogStore,
    snapshots: SnapshotStore,
    rng: SeededRng,
}

fn text(error: StoreError) -> String {
    error.to_string()
}

impl<'a> Raft<'a> {
    fn start(disk: &'a SimDisk, oracle: &'a mut Oracle, seed: u64) -> Verdict<Self> {
        let (log, snapshots) = open(disk, oracle)?;
        oracle.term += 1;
        Ok(Self { disk, oracle, log, snapshots, rng: SeededRng::new(seed) })
    }

    fn run(&mut self, steps: &[Step]) -> Verdict<()> {
        steps.iter().try_for_each(|step| self.step(*step))
    }

    fn step(&mut self, step: Step) -> Verdict<()> {
        match step {
            Step::Vote => self.vote(),
            Step::Append(count) => self.append(count),
            Step::Truncate(count) => self.truncate(count),
            Step::Commit => {
                self.oracle.committed.extend(self.log.last());
                self.log.set_committed(self.log.last());
                Ok(())
            }
            Step::Snapshot => self.snapshot(),
            Step::Purge(keep) => self.purge(keep),
            Step::Install => self.install(),
            Step::Reopen => {
                (self.log, self.snapshots) = open(self.disk, self.oracle)?;
                Ok(())
            }
            Step::FailSync(failing) => self.fail_sync(failing),
        }
    }

    fn vote(&mut self) -> Verdict<()> {
        self.disk.phase("vote");
        self.oracle.term += 1;
        let vote = Vote { term: self.oracle.term, node: 1, committed: self.rng.next_u64().is_multiple_of(2) };
        self.oracle.vote.trying(vote);
        self.log.save_vote(vote).map_err(text)?;
        self.oracle.vote.done();
        Ok(())
    }

    fn entry(&self, index: u64) -> Entry {
        // Up to six sectors; few lengths, so that new entries end where truncated ones did.
        let len = [8, 200, 700, 2_900][(self.rng.next_u64() % 4) as usize];
        let bytes: Vec<u8> = (0..len / 8).flat_map(|_| self.rng.next_u64().to_le_bytes()).collect();
        let payload = match self.rng.next_u64() % 8 {
            0 => Payload::Blank,
            1 => Payload::Membership(bytes.into()),
            _ => Payload::Batch(bytes.into()),
        };
        Entry { id: EntryId { term: self.oracle.term, node: 1, index }, payload }
    }

    fn append(&mut self, count: usize) -> Verdict<()> {
        let space = self.log.space();
        if space.used * 2 > space.total {
            self.snapshot()?;
            self.purge(1)?;
        }
        self.disk.phase("append");
        // The very first entry a follower gets may have any index.
        let next = if self.log.last().is_none() { 3 } else { self.log.next_index() };
        let entries: Vec<Entry> = (next..).take(count).map(|index| self.entry(index)).collect();
        self.oracle.appending(&entries);
        match self.log.append(&entries) {
            Ok(()) => self.oracle.appended(),
            Err(StoreError::Full { .. }) => self.oracle.appending(&[]),
            Err(error) => return Err(text(error)),
        }
        Ok(())
    }

    fn truncate(&mut self, count: usize) -> Verdict<()> {
        self.disk.phase("truncate");
        // Raft never truncates what is committed, nor what a snapshot holds.
        let committed = self.log.committed().map_or(0, |committed| committed.index + 1);
        let held = self.snapshots.last().map_or(0, |last| last.index + 1);
        let index = self.log.next_index().saturating_sub(count as u64).max(committed).max(held);
        self.oracle.truncating(index);
        self.log.truncate(index).map_err(text)?;
        self.oracle.maybe.clear();
        self.oracle.term += 1;
        Ok(())
    }

    fn snapshot(&mut self) -> Verdict<()> {
        self.disk.phase("snapshot");
        let membership = Bytes::from_static(b"{\"members\":[1]}");
        let len = self.rng.next_u64() % 4_000;
        let data: Vec<u8> = (0..len / 8).flat_map(|_| self.rng.next_u64().to_le_bytes()).collect();
        let meta = SnapshotMeta { last: self.log.last(), membership };
        self.oracle.snapshot.trying((meta.last, meta.membership.clone(), data.clone().into()));
        self.snapshots.save(&meta, &data).map_err(text)?;
        self.oracle.snapshot.done();
        Ok(())
    }

    fn purge(&mut self, keep: usize) -> Verdict<()> {
        let entries = self
            .oracle
            .current
            .iter()
            .filter(|entry| self.snapshots.last().is_some_and(|last| entry.id.index <= last.index));
        match entries.rev().nth(keep).map(|entry| entry.id) {
            Some(upto) => self.purge_to(upto),
            None => Ok(()),
        }
    }

    fn install(&mut self) -> Verdict<()> {
        self.purge_to(EntryId { term: self.oracle.term, node: 1, index: self.log.next_index() + 3 })
    }

    fn purge_to(&mut self, upto: EntryId) -> Verdict<()> {
        self.disk.phase("purge");
        self.oracle.purged.trying(upto);
        self.log.purge(upto).map_err(text)?;
        self.oracle.purged_to(upto);
        Ok(())
    }

    /// What the failed call wanted is half done, as after a kill.
    fn fail_sync(&mut self, failing: Failing) -> Verdict<()> {
        let skip = self.rng.next_u64() % 2;
        self.disk.plan(Planned { call: Call::Sync, path: DIR.into(), skip, times: 1, fault: Fault::DEVICE });
        let failed = match failing {
            Failing::Vote => self.vote(),
            Failing::Append => self.append(3),
            Failing::Truncate => self.truncate(2),
            Failing::Snapshot => self.snapshot(),
            Failing::Purge => self.purge(2),
        };
        self.disk.heal();
        if self.disk.is_cut() {
            return failed;
        }
        (self.log, self.snapshots) =
            open(self.disk, self.oracle).map_err(|why| format!("after a failed sync: {why}"))?;
        Ok(())
    }
}

/// A program drawn from a seed.
pub(crate) fn drawn(seed: u64, len: usize) -> Vec<Step> {
    let rng = SeededRng::new(seed);
    let small = |bound: u64| (rng.next_u64() % bound) as usize;
    let failing = [Failing::Vote, Failing::Append, Failing::Truncate, Failing::Snapshot, Failing::Purge];
    (0..len)
        .map(|_| match rng.next_u64() % 20 {
            0..8 => Step::Append(1 + small(6)),
            8..10 => Step::Vote,
            10..13 => Step::Truncate(small(8)),
            13 => Step::Commit,
            14 => Step::Snapshot,
            15 => Step::Purge(small(5)),
            16 => Step::Install,
            17 => Step::Reopen,
            _ => Step::FailSync(failing[small(5)]),
        })
        .collect()
}
