//! A file system in memory that can lose power.
//!
//! It keeps two views: what programs see, and what the device holds. Contents and lengths pass from the first to
//! the second by [`File::sync`], names by [`Disk::sync_dir`]; a power cut keeps any subset of what had not passed
//! (see [`Survivors`]). That is POSIX's weakest reading: no file system in use is as bad, and code that is right
//! here is right on all of them.
//!
//! A device that fails while the system writes back loses the bytes, whatever is read from then on. Each handle that was
//! open is told by its next sync, once; one that is opened later is not.

mod cell;
mod content;
mod errno;
mod faults;
mod file;
mod site;
mod survivors;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_log::{DirEntry, Disk, File, Lock, Open, Space};

use crate::trace::Trace;
use cell::FileCell;
use faults::{Plan, refuse};
use file::{SimFile, SimLock};
use survivors::Chooser;
use tree::{Entry, Tree};

pub use faults::{Call, Fault, Planned};
pub use site::{PathKind, SyncSite};
pub use survivors::Survivors;

/// Space of a disk that was not given a bound, in bytes.
const CAPACITY_BYTES: u64 = 1 << 40;

/// A simulated disk; clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    used: Arc<AtomicU64>,
    trace: Arc<Trace>,
}

struct State {
    tree: Tree,
    next_file: u64,
    capacity: u64,
    /// Every call so far; the place of a call here is its number.
    calls: Vec<Call>,
    /// The power goes with the call of this number.
    cut_at: Option<u64>,
    dead: bool,
    /// From the call of this number on, nothing that changes something succeeds.
    refusing_from: Option<u64>,
    /// From the call of this number on, nothing succeeds below that directory.
    lost: Option<(PathBuf, u64)>,
    plan: Plan,
    phase: String,
    /// Syncs of each kind since the phase began.
    synced: BTreeMap<PathKind, u32>,
    sites: BTreeSet<SyncSite>,
    /// Syncs that report success and do nothing.
    ignored: BTreeSet<SyncSite>,
}

/// One call that has begun.
struct Begun {
    fault: Option<Fault>,
    /// The power goes before the caller hears the answer; the change itself is made, unsynced.
    cut: bool,
}

fn power_cut() -> io::Error {
    io::Error::other("the power was cut")
}

impl State {
    fn end<T>(&mut self, begun: &Begun, result: io::Result<T>) -> io::Result<T> {
        if begun.cut {
            self.dead = true;
            return Err(power_cut());
        }
        result
    }

    /// Notes a sync; true if it is to be carried out.
    fn at_site(&mut self, kind: PathKind) -> bool {
        let nth = self.synced.entry(kind).or_default();
        *nth += 1;
        let site = SyncSite { phase: self.phase.clone(), kind, nth: *nth };
        let ignored = self.ignored.contains(&site);
        self.sites.insert(site);
        !ignored
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers and traces a call, and says what is to go wrong with it.
    fn begin(
        &self,
        call: Call,
        path: &Path,
        detail: fmt::Arguments<'_>,
    ) -> io::Result<(MutexGuard<'_, State>, Begun)> {
        let mut state = self.lock();
        if state.dead {
            return Err(power_cut());
        }
        let number = state.calls.len() as u64;
        state.calls.push(call);
        self.trace
            .event(format_args!("disk {number} {call:?} {} {detail}", path.to_str().unwrap_or_default()));
        let refused = state.refusing_from.is_some_and(|from| from <= number) && call.is_write();
        let lost = state.lost.as_ref().is_some_and(|(dir, from)| *from <= number && path.starts_with(dir));
        // Linux answers for the space from memory.
        let lost = lost && call != Call::Space;
        let fault = state.plan.strike(call, path).or((refused || lost).then_some(Fault::DEVICE));
        let begun = Begun { fault, cut: state.cut_at == Some(number) };
        Ok((state, begun))
    }

    /// A call on a path: the work may be refused by a fault, and by a cut is done but not answered.
    fn call<T>(
        &self,
        call: Call,
        path: &Path,
        detail: fmt::Arguments<'_>,
        work: impl FnOnce(&mut State, &Begun) -> io::Result<T>,
    ) -> io::Result<T> {
        let (mut state, begun) = self.begin(call, path, detail)?;
        let result = refuse(begun.fault).and_then(|()| work(&mut state, &begun));
        state.end(&begun, result)
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl SimDisk {
    /// An empty disk that writes its calls to `trace`.
    pub fn new(trace: Arc<Trace>) -> Self {
        Self::from_tree(Tree::default(), 0, CAPACITY_BYTES, Arc::default(), trace)
    }

    fn from_tree(tree: Tree, next_file: u64, capacity: u64, used: Arc<AtomicU64>, trace: Arc<Trace>) -> Self {
        let state = State {
            tree,
            next_file,
            capacity,
            calls: Vec::new(),
            cut_at: None,
            dead: false,
            refusing_from: None,
            lost: None,
            plan: Plan::default(),
            phase: String::new(),
            synced: BTreeMap::new(),
            sites: BTreeSet::new(),
            ignored: BTreeSet::new(),
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), used, trace }) }
    }

    /// Every call so far, in order; the place of a call in the list is its number.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().calls.clone()
    }

    /// Cuts the power at the call of this number (counted from 0 over the disk's life): it takes effect unsynced,
    /// and it and all later ones answer with an error.
    pub fn cut_at(&self, number: u64) {
        self.shared.lock().cut_at = Some(number);
    }

    /// Cuts the power now.
    pub fn cut(&self) {
        self.shared.lock().dead = true;
    }

    /// Goes on after a cut as if only the process had died and not the machine: nothing is lost, nothing unsynced
    /// has become durable.
    pub fn revive(&self) {
        let mut state = self.shared.lock();
        (state.dead, state.cut_at) = (false, None);
    }

    /// True once the power is cut.
    pub fn is_cut(&self) -> bool {
        self.shared.lock().dead
    }

    /// The disk as the machine finds it when power is back: some subset of the unsynced changes, drawn from
    /// `seed`, nothing cached, no lock held. This disk is not changed, so many outcomes can be drawn.
    pub fn restart(&self, seed: u64) -> SimDisk {
        self.restart_with(Survivors::Random(seed))
    }

    /// As [`SimDisk::restart`], with the survivors told.
    pub fn restart_with(&self, survivors: Survivors) -> SimDisk {
        let state = self.shared.lock();
        let used = Arc::new(AtomicU64::new(0));
        let tree = state.tree.survive(&mut Chooser::new(survivors), &used);
        Self::from_tree(tree, state.next_file, state.capacity, used, self.shared.trace.clone())
    }

    /// How many items a power cut would choose over now: the bound of [`Survivors::AllBut`].
    pub fn unsynced_items(&self) -> usize {
        let mut chooser = Chooser::new(Survivors::Everything);
        self.shared.lock().tree.survive(&mut chooser, &Arc::default());
        chooser.items()
    }

    /// Bounds the space, in bytes. Files already there stay.
    pub fn set_capacity(&self, bytes: u64) {
        self.shared.lock().capacity = bytes;
    }

    /// Plans a fault.
    pub fn plan(&self, planned: Planned) {
        self.shared.lock().plan.add(planned);
    }

    /// From the call of this number on (counted as in [`SimDisk::cut_at`]) the device takes nothing: every call that
    /// must write to it fails, and what it holds can be read.
    pub fn refuse_from(&self, number: u64) {
        self.shared.lock().refusing_from = Some(number);
    }

    /// From the call of this number on the device that `dir` lies on is gone: every call there fails.
    pub fn lose_from(&self, dir: &Path, number: u64) {
        self.shared.lock().lost = Some((dir.to_path_buf(), number));
    }

    /// Forgets all planned faults: the disk is healthy again.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        state.plan.clear();
        (state.refusing_from, state.lost) = (None, None);
    }

    /// Names what the code under test is asked to do next, for [`SyncSite`].
    pub fn phase(&self, name: &str) {
        let mut state = self.shared.lock();
        name.clone_into(&mut state.phase);
        state.synced.clear();
    }

    /// Makes every sync at `site` report success without doing anything, as if its line were not in the code.
    pub fn ignore_sync(&self, site: SyncSite) {
        self.shared.lock().ignored.insert(site);
    }

    /// The sites that were synced so far.
    pub fn sync_sites(&self) -> BTreeSet<SyncSite> {
        self.shared.lock().sites.clone()
    }

    /// The system writes back what it holds of a file, unasked, and the device fails: as after a failed sync, but the
    /// error waits for whoever has the file open now and syncs it. False if nothing was to be written.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn fail_write_back(&self, path: &Path) -> io::Result<bool> {
        Ok(self.cell(path)?.fail_write_back())
    }

    /// Turns around one bit of the byte `at` of a file, on the device and in memory: bit rot.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn flip_bit(&self, path: &Path, at: u64) -> io::Result<()> {
        self.cell(path)?.with(|content| content.flip_bit(at));
        Ok(())
    }

    /// The bytes of a file as programs see them. Not a numbered call.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn contents(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.cell(path)?.with(|content| {
            let mut bytes = vec![0; content.len() as usize];
            content.read(0, &mut bytes);
            bytes
        }))
    }

    /// Every file's path and length, sorted. Not a numbered call.
    pub fn files(&self) -> Vec<(String, u64)> {
        let files = self.shared.lock().tree.files();
        files.into_iter().map(|(path, cell)| (path, cell.with(|content| content.len()))).collect()
    }

    fn cell(&self, path: &Path) -> io::Result<Arc<FileCell>> {
        match self.shared.lock().tree.find(path)? {
            Entry::File(cell) => Ok(cell),
            Entry::Dir(_) => Err(errno::IS_A_DIRECTORY.into()),
        }
    }

    fn handle(&self, cell: Arc<FileCell>, path: &Path, writable: bool) -> Arc<dyn File> {
        Arc::new(SimFile::new(cell, self.shared.clone(), path.to_owned(), writable))
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").field("calls", &self.shared.lock().calls.len()).finish_non_exhaustive()
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let cell = self.shared.call(Call::Open, path, format_args!("{how:?}"), |state, _| {
            let place = state.tree.place(path)?;
            match (state.tree.get(&place), how) {
                (Some(Entry::Dir(_)), _) => Err(errno::IS_A_DIRECTORY.into()),
                (Some(Entry::File(_)), Open::Create) => Err(errno::EXISTS.into()),
                (Some(Entry::File(cell)), Open::Read | Open::Write | Open::CreateOrWrite) => Ok(cell),
                (None, Open::Read | Open::Write) => Err(errno::NOT_FOUND.into()),
                (None, Open::Create | Open::CreateOrWrite) => {
                    let cell = FileCell::new(state.next_file, self.shared.used.clone());
                    state.next_file += 1;
                    state.tree.add_file(place, cell.clone());
                    Ok(cell)
                }
            }
        })?;
        Ok(self.handle(cell, path, how != Open::Read))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.shared.call(Call::CreateDir, path, format_args!(""), |state, _| {
            let place = state.tree.place(path)?;
            if state.tree.get(&place).is_some() {
                return Err(errno::EXISTS.into());
            }
            state.tree.add_dir(place);
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.shared.call(Call::RemoveFile, path, format_args!(""), |state, _| {
            let place = state.tree.place(path)?;
            match state.tree.get(&place) {
                None => Err(errno::NOT_FOUND.into()),
                Some(Entry::Dir(_)) => Err(errno::IS_A_DIRECTORY.into()),
                Some(Entry::File(_)) => {
                    state.tree.remove(place);
                    Ok(())
                }
            }
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.shared.call(Call::RemoveDir, path, format_args!(""), |state, _| {
            let number = state.tree.dir(path)?;
            if !state.tree.list(number)?.is_empty() {
                return Err(errno::NOT_EMPTY.into());
            }
            let place = state.tree.place(path)?;
            state.tree.remove(place);
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.shared.call(Call::Rename, from, format_args!("to {}", to.display()), |state, _| {
            let (from, to) = (state.tree.place(from)?, state.tree.place(to)?);
            match (state.tree.get(&from), state.tree.get(&to)) {
                (None, _) => Err(errno::NOT_FOUND.into()),
                (Some(_), Some(Entry::Dir(_))) => Err(errno::EXISTS.into()),
                (Some(Entry::Dir(_)), Some(Entry::File(_))) => Err(errno::NOT_A_DIRECTORY.into()),
                (Some(_), Some(Entry::File(_)) | None) => {
                    state.tree.rename(from, to);
                    Ok(())
                }
            }
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.shared.call(Call::List, path, format_args!(""), |state, _| {
            let names = state.tree.list(state.tree.dir(path)?)?;
            let entry = |(name, entry)| DirEntry { name, is_dir: matches!(entry, Entry::Dir(_)) };
            Ok(names.into_iter().map(entry).collect())
        })
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.shared.call(Call::Exists, path, format_args!(""), |state, _| match state.tree.find(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.shared.call(Call::SyncDir, path, format_args!(""), |state, begun| {
            let number = state.tree.dir(path)?;
            let names: Vec<String> = state.tree.list(number)?.into_iter().map(|(name, _)| name).collect();
            if state.at_site(PathKind::of_dir(path, &names)) && !begun.cut {
                state.tree.sync(number);
            }
            Ok(())
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.shared.call(Call::Lock, path, format_args!(""), |state, _| match state.tree.find(path)? {
            Entry::Dir(_) => Err(errno::IS_A_DIRECTORY.into()),
            Entry::File(cell) if cell.locked.swap(true, Ordering::Relaxed) => Err(errno::WOULD_BLOCK.into()),
            Entry::File(cell) => Ok(Box::new(SimLock(cell)) as Box<dyn Lock>),
        })
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.shared.call(Call::Space, path, format_args!(""), |state, _| {
            let free_bytes = state.capacity.saturating_sub(self.shared.used.load(Ordering::Relaxed));
            Ok(Space { total_bytes: state.capacity, free_bytes, free_files: u64::MAX })
        })
    }
}
