//! Programs that drive one data directory with one partition, telling the oracle before and after each call.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_base::{Id128, LeaderEpoch, Offset, PartitionId, Rng, SeededRng, TopicId, WallTime, crc32c};
use forebay_log::{DataDir, Log, LogConfig, Stamped};
use forebay_records::{BatchBuilder, BatchHeader, HEADER_LEN};
use forebay_sim::SimDisk;
use forebay_sim::disk::{Call, Fault, Planned};

use crate::oracle::{Oracle, Progress, Written};

pub(crate) const DIR: &str = "/srv/forebay";

/// One thing the owner of a log does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Appends so many batches in one call.
    Append(usize),
    /// An append that finds the disk full halfway.
    FullAppend,
    Sync,
    Roll,
    /// Deletes records up to so many batches before the end.
    AdvanceStart(usize),
    /// Deletes all records that are durable, and the segments if there are no others.
    DropAll,
    /// Retention by size: keeps about so many bytes.
    RetainBytes(u64),
    /// Retention by age: everything that is old enough goes.
    RetainAge,
    /// Cuts off so many batches, then starts a new epoch.
    Truncate(usize),
    Checkpoint,
    /// Stops cleanly and starts again.
    Restart,
    /// A call in which one sync fails, then the log is opened again.
    FailSync(Failing),
}

/// The call in which a sync fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failing {
    Sync,
    Roll,
    AdvanceStart,
    Truncate,
    Checkpoint,
}

const FAILING: &[Failing] =
    &[Failing::Sync, Failing::Roll, Failing::AdvanceStart, Failing::Truncate, Failing::Checkpoint];

/// Covers every call of a log at least twice, with rolls, deletions and cuts on both sides of segment borders.
#[rustfmt::skip]
pub(crate) const EVERYTHING: &[Step] = {
    use Step::*;
    &[
        Append(1), Append(2), Sync, Append(3), Roll, Append(2), Sync, Truncate(1), Append(2), Sync, Checkpoint,
        Append(4), Sync, Roll, Append(1), AdvanceStart(5), Append(2), FullAppend, Append(1), Sync, Truncate(5),
        Append(2), Restart, Append(3), Sync, Roll, Append(5), Roll, RetainBytes(500), Append(1), Sync, Roll,
        Append(2), AdvanceStart(1), Truncate(1), Sync, Append(1), RetainAge, Append(2), Sync, Checkpoint, Restart,
        Append(2), Sync, AdvanceStart(0), Append(1), FailSync(Failing::Sync), Append(2), Sync,
        FailSync(Failing::AdvanceStart), Append(1), Sync, Append(1), Sync, DropAll, Append(2), Sync,
        DropAll, Restart, Append(1), Sync,
    ]
};

/// Cuts off what producer state and index were written for, and puts others in its place.
pub(crate) const REPLACING: &[Step] = &[
    Step::Append(2),
    Step::Sync,
    Step::Restart,
    Step::Truncate(1),
    Step::Append(1),
    Step::Sync,
    Step::Append(1),
];

/// The call under test failed: because the power is gone, or for a reason that is a violation.
#[derive(Debug)]
pub(crate) struct Stopped(pub String);

fn stopped(error: impl std::fmt::Display) -> Stopped {
    Stopped(error.to_string())
}

pub(crate) fn log_config() -> LogConfig {
    LogConfig {
        segment_bytes_max: 4_000,
        segment_age_max: Duration::from_secs(3600),
        index_interval_bytes: 512,
        retention_bytes: None,
        retention_age: None,
    }
}

pub(crate) fn partition() -> PartitionId {
    PartitionId { topic: TopicId(Id128([3; 16])), index: 0 }
}

/// A process that owns the directory.
pub(crate) struct Process<'a> {
    disk: &'a SimDisk,
    oracle: &'a mut Oracle,
    /// Gone only between two processes: its lock is.
    dir: Option<DataDir>,
    log: Log,
    now: i64,
    rng: SeededRng,
}

impl<'a> Process<'a> {
    /// Starts on whatever the disk holds; formats a fresh one.
    pub(crate) fn start(disk: &'a SimDisk, oracle: &'a mut Oracle, seed: u64) -> Result<Self, Stopped> {
        let (dir, log) = open(disk, oracle)?;
        oracle.epoch += 1;
        Ok(Self { disk, oracle, dir: Some(dir), log, now: 1_000_000, rng: SeededRng::new(seed) })
    }

    /// Runs the steps; an error is the first call that failed without being told to.
    pub(crate) fn run(&mut self, steps: &[Step]) -> Result<(), Stopped> {
        for step in steps {
            self.now += 1_000;
            self.step(*step)?;
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<(), Stopped> {
        match step {
            Step::Append(count) => self.append(count).map_err(stopped),
            Step::FullAppend => self.full_append(),
            Step::Sync => self.sync(),
            Step::Roll => self.roll(),
            Step::AdvanceStart(batches) => self.advance_start(batches),
            Step::DropAll => self.drop_all(),
            Step::RetainBytes(bytes) => {
                self.retain(LogConfig { retention_bytes: Some(bytes), ..log_config() }, self.now)
            }
            Step::RetainAge => {
                let config = LogConfig { retention_age: Some(Duration::from_secs(60)), ..log_config() };
                self.retain(config, self.now + 120_000)
            }
            Step::Truncate(batches) => self.truncate(batches),
            Step::Checkpoint => self.checkpoint(),
            Step::Restart => self.restart(),
            Step::FailSync(failing) => self.fail_sync(failing),
        }
    }

    /// A batch of one to three records whose bytes are unlike any other batch's.
    fn batch(&mut self, base: i64) -> Written {
        // Few lengths, so that after a truncation other batches end where the old ones did.
        let (records, len) = (1 + self.rng.next_u64() % 2, 48 + 240 * (self.rng.next_u64() % 4));
        // Wavering timestamps: the largest of a segment is not always its last.
        let timestamp = self.now + (self.rng.next_u64() % 5_000) as i64;
        let mut builder = BatchBuilder::new().stamped(Offset(base), LeaderEpoch(self.oracle.epoch));
        for _ in 0..records {
            let value: Vec<u8> =
                (0..len / records / 8).flat_map(|_| self.rng.next_u64().to_le_bytes()).collect();
            builder = builder.record(timestamp, None, Some(&value));
        }
        let bytes = builder.build().unwrap();
        let next = BatchHeader::parse(&bytes).unwrap().next_offset().0;
        let mut chain = self.oracle.chain().to_be_bytes().to_vec();
        chain.extend_from_slice(&bytes);
        Written { base, next, chain: crc32c(&chain), bytes }
    }

    fn append(&mut self, count: usize) -> Result<(), forebay_log::LogError> {
        self.disk.phase("append");
        let first = self.oracle.current.len();
        let mut next = self.log.end().0;
        for _ in 0..count {
            let batch = self.batch(next);
            next = batch.next;
            self.oracle.current.push(batch);
        }
        let stamped: Vec<Stamped> =
            self.oracle.current[first..].iter().map(|batch| stamp(&batch.bytes)).collect();
        let result = self.log.append(&stamped, WallTime(self.now));
        if result.is_err() {
            // Not answered as written; until its rollback is durable it may be there or not.
            let unanswered = self.oracle.current.split_off(first);
            self.oracle.ghosts.extend(unanswered);
        }
        result
    }

    fn full_append(&mut self) -> Result<(), Stopped> {
        let plan = |fault| Planned { call: Call::Write, path: ".log".into(), skip: 0, times: 1, fault };
        self.disk.plan(plan(Fault::ShortWrite(200)));
        self.disk.plan(Planned { skip: 1, ..plan(Fault::NO_SPACE) });
        let (before, result) = (self.log.end(), self.append(3));
        self.disk.heal();
        match result {
            Err(error) if error.is_full() && self.log.end() == before => Ok(()),
            Err(error) => Err(stopped(error)),
            Ok(()) => Err(stopped("an append to a full disk went well")),
        }
    }

    fn sync(&mut self) -> Result<(), Stopped> {
        self.disk.phase("sync");
        if let Some(target) = self.log.unsynced() {
            target.file.sync().map_err(stopped)?;
            self.log.synced(target.upto);
        }
        if self.log.durable_end() != self.log.end() {
            return Err(stopped("a sync left something unsynced"));
        }
        self.oracle.synced(self.log.durable_end().0);
        Ok(())
    }

    /// What the failed call wanted is half done, as after a kill; the log is opened again as after an unclean stop.
    fn fail_sync(&mut self, failing: Failing) -> Result<(), Stopped> {
        let skip = self.rng.next_u64() % 2;
        for call in [Call::Sync, Call::SyncDir] {
            self.disk.plan(Planned { call, path: String::new(), skip, times: 1, fault: Fault::DEVICE });
        }
        let failed = match failing {
            Failing::Sync => self.sync(),
            Failing::Roll => self.roll(),
            Failing::AdvanceStart => self.advance_start(2),
            Failing::Truncate => self.truncate(2),
            Failing::Checkpoint => self.checkpoint(),
        };
        self.disk.heal();
        if self.disk.is_cut() {
            return failed;
        }
        self.disk.phase("open the log");
        let Some(path) = self.dir.as_ref().map(log_path) else { return failed };
        self.log = Log::open(Arc::new(self.disk.clone()), &path, log_config(), false).map_err(stopped)?;
        let seen =
            self.oracle.check(&self.log).map_err(|why| Stopped(format!("after a failed sync: {why}")))?;
        self.oracle.adopt(&seen);
        Ok(())
    }

    fn roll(&mut self) -> Result<(), Stopped> {
        self.disk.phase("roll");
        let producers = self.oracle.producers();
        self.log.roll(&producers, WallTime(self.now)).map_err(stopped)?;
        self.oracle.synced(self.log.durable_end().0);
        Ok(())
    }

    fn advance_start(&mut self, batches: usize) -> Result<(), Stopped> {
        self.disk.phase("advance start");
        // As the high watermark allows: nothing that is not durable is deleted. Now and then within a batch.
        let durable = self.oracle.current.partition_point(|batch| batch.next <= self.oracle.durable);
        let last = durable.min(self.oracle.current.len().saturating_sub(batches)).checked_sub(1);
        let inside = (self.rng.next_u64() % 2) as i64;
        let to = last.map_or(0, |last| self.oracle.current[last].next - inside).max(self.oracle.start);
        self.oracle.start_tried = to;
        self.log.advance_start(Offset(to)).map_err(stopped)?;
        self.oracle.started_at(to);
        Ok(())
    }

    fn drop_all(&mut self) -> Result<(), Stopped> {
        self.disk.phase("drop all");
        let to = self.log.durable_end().0;
        self.oracle.start_tried = to;
        self.log.advance_start(Offset(to)).map_err(stopped)?;
        self.oracle.started_at(to);
        self.log.drop_deleted().map_err(stopped)
    }

    fn retain(&mut self, config: LogConfig, now: i64) -> Result<(), Stopped> {
        self.disk.phase("retain");
        self.log.configure(config);
        self.oracle.start_tried = self.log.durable_end().0;
        let moved = self.log.retain(WallTime(now), self.log.durable_end()).map_err(stopped)?;
        self.oracle.started_at(moved.map_or(self.oracle.start, |start| start.0));
        self.log.configure(log_config());
        Ok(())
    }

    fn truncate(&mut self, batches: usize) -> Result<(), Stopped> {
        self.disk.phase("truncate");
        // A batch that holds the log's start cannot be cut off, only those after it.
        let held =
            usize::from(self.oracle.current.first().is_some_and(|first| first.base < self.oracle.start));
        let kept = self.oracle.current.len().saturating_sub(batches).max(held);
        let to = kept.checked_sub(1).map_or(self.oracle.start, |last| self.oracle.current[last].next);
        self.oracle.truncating(to);
        self.log.truncate(Offset(to)).map_err(stopped)?;
        self.oracle.ghosts.clear();
        self.oracle.epoch += 1;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), Stopped> {
        self.disk.phase("checkpoint");
        self.log.checkpoint().map_err(stopped)?;
        self.oracle.believed = self.log.durable_end().0;
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Stopped> {
        self.disk.phase("close");
        self.log.close(&self.oracle.producers()).map_err(stopped)?;
        self.oracle.synced(self.log.end().0);
        self.oracle.believed = self.log.end().0;
        self.disk.phase("leave the clean mark");
        self.oracle.clean = Progress::Trying;
        self.dir.take().map_or(Ok(()), |dir| dir.leave_clean_mark()).map_err(stopped)?;
        self.oracle.clean = Progress::Done;
        let (dir, log) = open(self.disk, self.oracle)?;
        (self.dir, self.log) = (Some(dir), log);
        if self.log.end().0 != self.oracle.end() {
            return Err(stopped("a clean restart changed the end of the log"));
        }
        Ok(())
    }
}

/// What a node does with a data directory when it starts.
pub(crate) fn open(disk: &SimDisk, oracle: &mut Oracle) -> Result<(DataDir, Log), Stopped> {
    let shared = Arc::new(disk.clone());
    disk.phase("lock");
    let dir = DataDir::lock(shared.clone(), Path::new(DIR), 4711).map_err(stopped)?;
    match (dir.identity().map_err(stopped)?, oracle.formatted) {
        (Some(found), Progress::Trying | Progress::Done) if found == oracle.identity => {}
        (None, Progress::No | Progress::Trying) => {
            disk.phase("format");
            oracle.formatted = Progress::Trying;
            dir.format(&oracle.identity).map_err(stopped)?;
        }
        (found, formatted) => {
            return Err(stopped(format!("identity {found:?} when formatted: {formatted:?}")));
        }
    }
    oracle.formatted = Progress::Done;
    disk.phase("take the clean mark");
    let left = oracle.clean;
    if left == Progress::Done {
        oracle.clean = Progress::Trying;
    }
    let clean = dir.take_clean_mark().map_err(stopped)?;
    oracle.clean = Progress::No;
    match (left, clean) {
        (Progress::No, true) => return Err(stopped("a clean mark that nobody left")),
        (Progress::Done, false) => return Err(stopped("the clean mark is gone")),
        (Progress::No, false) | (Progress::Trying, _) | (Progress::Done, true) => {}
    }
    disk.phase("open the log");
    let log = Log::open(shared, &log_path(&dir), log_config(), clean).map_err(stopped)?;
    Ok((dir, log))
}

fn log_path(dir: &DataDir) -> PathBuf {
    dir.partitions_path().join(partition().to_string())
}

pub(crate) fn stamp(bytes: &Bytes) -> Stamped {
    Stamped {
        header: bytes[..HEADER_LEN].try_into().unwrap(),
        rest: bytes.slice(HEADER_LEN..),
        info: BatchHeader::parse(bytes).unwrap(),
    }
}

/// A program drawn from a seed, mostly appends and syncs.
pub(crate) fn drawn(seed: u64, len: usize) -> Vec<Step> {
    let rng = SeededRng::new(seed);
    let small = |bound: u64| (rng.next_u64() % bound) as usize;
    let mut steps = vec![Step::Append(1)];
    while steps.len() < len {
        steps.push(match rng.next_u64() % 23 {
            0..7 => Step::Append(1 + small(4)),
            7..11 => Step::Sync,
            11..13 => Step::Roll,
            13 => Step::AdvanceStart(small(6)),
            14 => Step::RetainBytes(2_000 + rng.next_u64() % 6_000),
            15 => Step::RetainAge,
            16 => Step::Truncate(small(6)),
            17 => Step::Checkpoint,
            18 => Step::Restart,
            19 => Step::FullAppend,
            20 => Step::DropAll,
            _ => Step::FailSync(FAILING[small(FAILING.len() as u64)]),
        });
    }
    steps
}
