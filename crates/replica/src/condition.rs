use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use forebay_base::{Doorbell, Instant, WallTime};
use forebay_log::volume::{
    ByteCount, Cause, Fact, Marks, Meaning, Neighbour, Reserve, ReserveFile, VolumeState,
};
use forebay_log::{Disk, LogError, Space};
use tokio::sync::{oneshot, watch};

use crate::Refused;
use crate::inbox::{Inbox, Message};

const MIB: u128 = 1024 * 1024;

/// What a file takes beside its contents: its inode, its name.
const SPENT_BESIDE_BYTES: u64 = 64 * 1024;

/// What a start has found out about a volume before anybody watches over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing but what it remembers itself.
    Nothing,
    /// It has failed and was not let in again, as its data directory or another one of the node remembers.
    Failed {
        /// Since when.
        since: WallTime,
    },
    /// Its data directory was refused what every start does.
    Refused,
}

/// What is known of a volume at one moment: told in full each time, by its monitor alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The data directory.
    pub path: PathBuf,
    /// What it can take.
    pub state: VolumeState,
    /// Why.
    pub cause: Cause,
    /// Since when, by the wall clock; a restart does not change it.
    pub since: WallTime,
    /// The last sample of its space; `None` if there has been none.
    pub space: Option<Space>,
    /// When that was.
    pub sampled_at: Instant,
    /// Where its state changes.
    pub marks: Marks,
    /// Bytes left in both reserves.
    pub reserve_left_bytes: u64,
    /// When it will be full if it goes on filling as it does.
    pub full_in: Option<Duration>,
    /// How often its `volume.state` has been written, for those who remember its state beside it; the largest number
    /// while that is not known.
    pub writes: u64,
}

impl Report {
    /// Before the first look: a volume that was found to have failed is so from the first moment.
    pub(crate) fn begun(path: PathBuf, found: Found, wall: WallTime, now: Instant) -> Self {
        let (state, cause, since) = match found {
            Found::Nothing => (VolumeState::Probing, Cause::Started, wall),
            Found::Failed { since } => (VolumeState::Failed, Cause::HadFailed, since),
            Found::Refused => (VolumeState::Failed, Cause::Refused, wall),
        };
        Self {
            path,
            state,
            cause,
            since,
            space: None,
            sampled_at: now,
            marks: Marks::of(0),
            reserve_left_bytes: 0,
            full_in: None,
            writes: u64::MAX,
        }
    }

    /// What is wrong and what to do, as a sentence; `None` if nothing is.
    pub fn sentence(&self) -> Option<String> {
        let path = self.path.display();
        let free = self.space.map_or_else(
            || "its free space is not known".to_owned(),
            |space| format!("{} of {} are free", ByteCount(space.free_bytes), ByteCount(space.total_bytes)),
        );
        let (resume, cause) = (ByteCount(self.marks.resume_bytes), self.cause);
        match self.state {
            VolumeState::Normal => None,
            VolumeState::Low => Some(format!(
                "space is short on the disk of {path} ({free}): producers are slowed down, and writes will be refused below \
                 {}; free some space",
                ByteCount(self.marks.full_bytes)
            )),
            VolumeState::Full | VolumeState::HardFull if self.is_short_of_files() => Some(format!(
                "the disk of {path} has no inodes left: reads go on, writes go on by themselves when some files are \
                 removed from it"
            )),
            VolumeState::Full | VolumeState::HardFull => Some(format!(
                "the disk of {path} is full ({free}): reads go on, writes go on by themselves when {resume} are free; \
                 delete topics or records, or free space on it"
            )),
            VolumeState::Failed => Some(format!(
                "the disk of {path} has failed ({cause}): it takes no writes, what can be read is served; repair it, then \
                 let it in again with `forebay cluster readmit`"
            )),
            VolumeState::Probing => {
                Some(format!("the disk of {path} is being looked at ({free}): writes go on when it has been"))
            }
        }
    }

    fn is_short_of_files(&self) -> bool {
        self.space.is_some_and(|space| self.marks.is_short_of_files(space))
    }
}

/// What is counted of a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeCounts {
    /// Batches refused because of its state, by the state.
    pub refused: BTreeMap<VolumeState, u64>,
    /// Calls that found no room, by what was tried.
    pub no_room: BTreeMap<&'static str, u64>,
    /// Faults: syncs that failed, and writes that failed for another reason than space.
    pub faults: u64,
    /// Changes of its state.
    pub transitions: u64,
}

/// How a volume was let in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readmission {
    /// Bytes that were written, synced, and read back from the device.
    pub tested_bytes: u64,
}

/// Who wants a volume let in again, and is told why it was not.
pub(crate) type Readmit = oneshot::Sender<Result<Readmission, String>>;

/// Requests of that kind that may wait; more are refused.
const READMITS_MAX: usize = 8;

/// What writers and operators have told the monitor and it has not taken in.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) facts: Vec<Fact>,
    pub(crate) readmits: Vec<Readmit>,
    /// The neighbours that have failed, if that was told anew.
    pub(crate) neighbours: Option<Vec<Neighbour>>,
    pub(crate) stopped: bool,
}

/// The condition of a volume: what its monitor knows of it, for everybody to read, and what everybody has to tell the
/// monitor. Reading takes no lock.
pub struct Condition {
    disk: Arc<dyn Disk>,
    bell: Arc<dyn Doorbell>,
    told: Mutex<Told>,
    /// Why records are refused, if they are.
    refusal: ArcSwapOption<(VolumeState, String)>,
    report: watch::Sender<Arc<Report>>,
    /// How often it was let in again.
    readmissions: watch::Sender<u64>,
    counts: Mutex<VolumeCounts>,
    ahead_bytes: AtomicU64,
    /// In microseconds a MiB.
    throttle: AtomicU32,
    writers: Mutex<Vec<Arc<Inbox>>>,
    reserve: Mutex<Option<Reserve>>,
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report();
        write!(f, "Condition({}: {})", report.path.display(), report.state)
    }
}

impl Condition {
    /// A volume that nothing is known of: it takes no records.
    pub(crate) fn new(disk: Arc<dyn Disk>, bell: Arc<dyn Doorbell>, report: Report) -> Self {
        let condition = Self {
            disk,
            bell,
            told: Mutex::default(),
            refusal: ArcSwapOption::empty(),
            report: watch::Sender::new(Arc::new(report.clone())),
            readmissions: watch::Sender::new(0),
            counts: Mutex::default(),
            ahead_bytes: AtomicU64::new(0),
            throttle: AtomicU32::new(0),
            writers: Mutex::default(),
            reserve: Mutex::default(),
        };
        condition.publish(report);
        condition
    }

    /// The newest report.
    pub fn report(&self) -> Arc<Report> {
        self.report.borrow().clone()
    }

    /// Follows the reports.
    pub fn watch(&self) -> watch::Receiver<Arc<Report>> {
        self.report.subscribe()
    }

    /// Has the volume tested, and lets it in again if its device keeps what it is given: a volume that has failed takes
    /// writes again, and the partitions that have failed on it are to be opened anew, which [`Condition::readmissions`]
    /// tells. Nothing ends the test early: a disk that does not answer keeps it waiting.
    ///
    /// # Errors
    /// A sentence: what did not work. The volume is as it was.
    pub async fn readmit(&self) -> Result<Readmission, String> {
        let (reply, answer) = oneshot::channel();
        if !self.ask(reply) {
            return Err("others wait already for this volume to be tested".to_owned());
        }
        self.bell.ring();
        answer.await.unwrap_or_else(|_| Err("the server is stopping".to_owned()))
    }

    /// False if too many ask already.
    fn ask(&self, reply: Readmit) -> bool {
        let mut told = lock(&self.told);
        let room = told.readmits.len() < READMITS_MAX;
        if room {
            told.readmits.push(reply);
        }
        room
    }

    /// Has the data directory remember which others of its node have `failed`: all of them, each time. It does so as soon
    /// as it can; while it has failed itself it cannot.
    pub fn remember(&self, failed: Vec<Neighbour>) {
        lock(&self.told).neighbours = Some(failed);
        self.bell.ring();
    }

    /// How often it was let in again since the start.
    pub fn readmissions(&self) -> watch::Receiver<u64> {
        self.readmissions.subscribe()
    }

    /// To be called when the report of it is out.
    pub(crate) fn note_readmission(&self) {
        self.readmissions.send_modify(|count| *count += 1);
    }

    /// What was counted so far.
    pub fn counts(&self) -> VolumeCounts {
        lock(&self.counts).clone()
    }

    /// True while what may be deleted is to be deleted soon.
    pub(crate) fn is_pressed(&self) -> bool {
        self.report.borrow().state.is_pressed()
    }

    /// Why nothing on it may be changed, if it has failed.
    pub(crate) fn failure(&self) -> Option<String> {
        let report = self.report.borrow();
        if report.state == VolumeState::Failed { report.sentence() } else { None }
    }

    /// True while there is no room for records.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self.report.borrow().state, VolumeState::Full | VolumeState::HardFull)
    }

    /// Why no record may be written now, if so. Counts one refusal for each of `batches`.
    pub(crate) fn refuse(&self, batches: usize) -> Option<Refused> {
        let refusal = self.refusal.load();
        let (state, sentence) = refusal.as_deref()?;
        *lock(&self.counts).refused.entry(*state).or_default() += batches as u64;
        Some(match state {
            VolumeState::Failed => Refused::Storage(sentence.clone()),
            VolumeState::Normal
            | VolumeState::Low
            | VolumeState::Full
            | VolumeState::HardFull
            | VolumeState::Probing => Refused::OutOfSpace(sentence.clone()),
        })
    }

    /// A log operation failed: tells the monitor what that says of the volume. The refusal for whoever asked for it.
    pub(crate) fn note(&self, error: &LogError) -> Refused {
        match (error.meaning(), error) {
            (Some(Meaning::Full), LogError::Io { op, .. }) => {
                *lock(&self.counts).no_room.entry(op).or_default() += 1;
                self.tell(Fact::NoRoom);
                let report = Report::clone(&self.report());
                let space = self.disk.space(&report.path).ok().or(report.space);
                let full = Report { state: VolumeState::Full, cause: Cause::NoRoom, space, ..report };
                return Refused::OutOfSpace(full.sentence().unwrap_or_default());
            }
            (Some(Meaning::ReadOnly), _) => self.tell(Fact::ReadOnly),
            (Some(Meaning::Fault), _) => self.note_fault(),
            // A poisoned log is told of when its partition fails, once.
            (
                Some(Meaning::Full | Meaning::TooLarge | Meaning::Descriptors | Meaning::Unrelated) | None,
                _,
            ) => {}
        }
        Refused::Storage(error.to_string())
    }

    /// A sync failed, or what was written could not be undone.
    pub fn note_fault(&self) {
        lock(&self.counts).faults += 1;
        self.tell(Fact::Fault);
    }

    /// Blocks that may be reserved ahead of a segment that grows: none while space is short.
    pub(crate) fn ahead_bytes(&self) -> u64 {
        self.ahead_bytes.load(Ordering::Relaxed)
    }

    /// What records of `bytes` bytes cost the connection that sends them: for so long it is not to be heard.
    pub(crate) fn throttle(&self, bytes: usize) -> Duration {
        let micros = u128::from(self.throttle.load(Ordering::Relaxed)) * bytes as u128 / MIB;
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// Gives some of a reserve back to the file system, for internal state that is written next; false if there is none.
    pub(crate) fn spend(&self, bytes: u64) -> bool {
        let mut reserve = lock(&self.reserve);
        let mut spent = |file| {
            let spent = reserve.as_mut().map(|reserve| reserve.spend(file, bytes + SPENT_BESIDE_BYTES));
            matches!(spent, Some(Ok(true)))
        };
        let spent = spent(ReserveFile::Internal) || spent(ReserveFile::Last);
        drop(reserve);
        if spent {
            self.tell(Fact::ReserveSpent);
        }
        spent
    }

    /// Tells the monitor, which acts at once. More of the same, before it has, says nothing new but for faults.
    fn tell(&self, fact: Fact) {
        let mut told = lock(&self.told);
        if fact == Fact::Fault || !told.facts.contains(&fact) {
            told.facts.push(fact);
            // One fault more than two says nothing new.
            told.facts.truncate(8);
        }
        drop(told);
        self.bell.ring();
    }

    /// Has a writer told of changes from now on.
    pub(crate) fn add_writer(&self, inbox: Arc<Inbox>) {
        lock(&self.writers).push(inbox);
    }

    /// Ends the monitor.
    pub(crate) fn stop(&self) {
        lock(&self.told).stopped = true;
        self.bell.ring();
    }

    pub(crate) fn take(&self) -> Told {
        let mut told = lock(&self.told);
        let stopped = told.stopped;
        Told { stopped, ..std::mem::take(&mut *told) }
    }

    pub(crate) fn reserve(&self) -> MutexGuard<'_, Option<Reserve>> {
        lock(&self.reserve)
    }

    pub(crate) fn note_transition(&self) {
        lock(&self.counts).transitions += 1;
    }

    /// Shows a new report to everybody, and has the writers act on a new state.
    pub(crate) fn publish(&self, report: Report) {
        let moved = self.report.borrow().state != report.state;
        let refusal = (!report.state.takes_writes())
            .then(|| Arc::new((report.state, report.sentence().unwrap_or_default())));
        self.refusal.store(refusal);
        let total = report.space.map_or(0, |space| space.total_bytes);
        let ahead = if report.state == VolumeState::Normal { Marks::ahead_bytes_max(total) } else { 0 };
        self.ahead_bytes.store(ahead, Ordering::Relaxed);
        let throttle = report.marks.throttle_per_mib(report.state, report.space).as_micros();
        self.throttle.store(u32::try_from(throttle).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.report.send_replace(Arc::new(report));
        if moved {
            for inbox in lock(&self.writers).iter() {
                inbox.post(Message::VolumeMoved);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a volume's data directory is: its partitions lie in a folder of it.
pub(crate) fn directory_of(partitions_path: &Path) -> PathBuf {
    partitions_path.parent().unwrap_or(partitions_path).to_path_buf()
}
