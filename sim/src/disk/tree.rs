use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::cell::FileCell;
use super::errno;
use super::survivors::Chooser;

pub(super) const ROOT: u64 = 0;

/// What a name stands for.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// A directory, by number.
    Dir(u64),
    /// A file.
    File(Arc<FileCell>),
}

impl Entry {
    fn is(&self, other: &Entry) -> bool {
        match (self, other) {
            (Entry::Dir(one), Entry::Dir(two)) => one == two,
            (Entry::File(one), Entry::File(two)) => Arc::ptr_eq(one, two),
            (Entry::Dir(_), Entry::File(_)) | (Entry::File(_), Entry::Dir(_)) => false,
        }
    }
}

/// One name of one directory changes.
#[derive(Debug)]
struct Change {
    dir: u64,
    name: String,
    before: Option<Entry>,
    after: Option<Entry>,
}

impl Change {
    /// A name that is taken away while it already stands for something else stays.
    fn apply(&self, names: &mut BTreeMap<String, Entry>) {
        match (&self.after, &self.before) {
            (Some(entry), _) => drop(names.insert(self.name.clone(), entry.clone())),
            (None, Some(before)) if names.get(&self.name).is_some_and(|entry| entry.is(before)) => {
                names.remove(&self.name);
            }
            (None, _) => {}
        }
    }
}

/// One directory operation that is not durable yet. It survives a power cut as a whole or not at all; a rename
/// between two directories becomes durable in each of them by its own sync.
#[derive(Debug)]
struct Operation(Vec<Change>);

#[derive(Debug, Default)]
struct Dir {
    now: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
}

/// The directories: names as programs see them, and as they are on the device.
#[derive(Debug)]
pub(super) struct Tree {
    dirs: BTreeMap<u64, Dir>,
    unsynced: Vec<Operation>,
    next: u64,
}

/// A directory and a name in it that may or may not be taken.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) dir: u64,
    pub(super) name: String,
}

impl Default for Tree {
    fn default() -> Self {
        Self { dirs: BTreeMap::from([(ROOT, Dir::default())]), unsynced: Vec::new(), next: ROOT + 1 }
    }
}

impl Tree {
    fn names(&self, dir: u64) -> io::Result<&BTreeMap<String, Entry>> {
        self.dirs.get(&dir).map(|dir| &dir.now).ok_or_else(|| errno::NOT_FOUND.into())
    }

    /// The directory that holds `path`, and the path's last name.
    pub(super) fn place(&self, path: &Path) -> io::Result<Place> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(errno::INVALID)?;
        Ok(Place { dir: self.dir(path.parent().unwrap_or(Path::new("/")))?, name: name.to_owned() })
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<Entry> {
        let mut entry = Entry::Dir(ROOT);
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            let Entry::Dir(dir) = entry else { return Err(errno::NOT_A_DIRECTORY.into()) };
            let name = name.to_str().ok_or(errno::INVALID)?;
            entry = self.names(dir)?.get(name).cloned().ok_or(errno::NOT_FOUND)?;
        }
        Ok(entry)
    }

    pub(super) fn dir(&self, path: &Path) -> io::Result<u64> {
        match self.find(path)? {
            Entry::Dir(dir) => Ok(dir),
            Entry::File(_) => Err(errno::NOT_A_DIRECTORY.into()),
        }
    }

    pub(super) fn get(&self, place: &Place) -> Option<Entry> {
        self.dirs.get(&place.dir)?.now.get(&place.name).cloned()
    }

    /// Names and entries of a directory, sorted.
    pub(super) fn list(&self, dir: u64) -> io::Result<Vec<(String, Entry)>> {
        Ok(self.names(dir)?.iter().map(|(name, entry)| (name.clone(), entry.clone())).collect())
    }

    pub(super) fn add_file(&mut self, place: Place, cell: Arc<FileCell>) {
        cell.hold();
        self.perform(vec![(place, Some(Entry::File(cell)))]);
    }

    pub(super) fn add_dir(&mut self, place: Place) {
        let number = self.next;
        self.next += 1;
        self.dirs.insert(number, Dir::default());
        self.perform(vec![(place, Some(Entry::Dir(number)))]);
    }

    pub(super) fn remove(&mut self, place: Place) {
        if let Some(Entry::File(cell)) = self.get(&place) {
            cell.release();
        }
        self.perform(vec![(place, None)]);
    }

    pub(super) fn rename(&mut self, from: Place, to: Place) {
        let entry = self.get(&from);
        if let Some(Entry::File(replaced)) = self.get(&to) {
            replaced.release();
        }
        self.perform(vec![(to, entry), (from, None)]);
    }

    fn perform(&mut self, wanted: Vec<(Place, Option<Entry>)>) {
        let mut changes = Vec::with_capacity(wanted.len());
        for (place, after) in wanted {
            let change = Change { before: self.get(&place), dir: place.dir, name: place.name, after };
            if let Some(dir) = self.dirs.get_mut(&change.dir) {
                change.apply(&mut dir.now);
            }
            changes.push(change);
        }
        self.unsynced.push(Operation(changes));
    }

    /// Makes the names in `dir` durable.
    pub(super) fn sync(&mut self, dir: u64) {
        for operation in &mut self.unsynced {
            operation.0.retain(|change| change.dir != dir);
        }
        self.unsynced.retain(|operation| !operation.0.is_empty());
        if let Some(dir) = self.dirs.get_mut(&dir) {
            dir.durable = dir.now.clone();
        }
    }

    /// The tree after a power cut: the durable names and those operations that the chooser lets survive. What no
    /// name leads to is gone.
    pub(super) fn survive(&self, chooser: &mut Chooser, used: &Arc<AtomicU64>) -> Tree {
        let mut names: BTreeMap<u64, BTreeMap<String, Entry>> =
            self.dirs.iter().map(|(number, dir)| (*number, dir.durable.clone())).collect();
        chooser.group();
        for operation in &self.unsynced {
            if chooser.pick(2) == 1 {
                for change in &operation.0 {
                    change.apply(names.entry(change.dir).or_default());
                }
            }
        }
        let mut after = Tree { next: self.next, ..Tree::default() };
        let (mut copies, mut open): (BTreeMap<u64, Arc<FileCell>>, Vec<u64>) = (BTreeMap::new(), vec![ROOT]);
        while let Some(number) = open.pop() {
            let mut dir = Dir::default();
            for (name, entry) in names.remove(&number).unwrap_or_default() {
                let entry = match entry {
                    Entry::Dir(child) => {
                        open.push(child);
                        Entry::Dir(child)
                    }
                    Entry::File(cell) => {
                        let copy = copies
                            .entry(cell.number)
                            .or_insert_with(|| cell.survive(chooser, used.clone()))
                            .clone();
                        copy.hold();
                        Entry::File(copy)
                    }
                };
                dir.durable.insert(name.clone(), entry.clone());
                dir.now.insert(name, entry);
            }
            after.dirs.insert(number, dir);
        }
        after
    }

    /// Every file by its full path, in order.
    pub(super) fn files(&self) -> Vec<(String, Arc<FileCell>)> {
        let (mut found, mut open) = (Vec::new(), vec![(String::new(), ROOT)]);
        while let Some((prefix, dir)) = open.pop() {
            for (name, entry) in self.list(dir).unwrap_or_default() {
                match entry {
                    Entry::Dir(child) => open.push((format!("{prefix}/{name}"), child)),
                    Entry::File(cell) => found.push((format!("{prefix}/{name}"), cell)),
                }
            }
        }
        found.sort_by(|one, two| one.0.cmp(&two.0));
        found
    }
}
