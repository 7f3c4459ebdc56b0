use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::File;
use crate::error::LogError;
use crate::files::Files;
use crate::index::Index;

/// File and index of one segment, as far as they are at hand. Both are pinned while a log writes the segment; else
/// they are there until the ring of [`Files`] wants their place, and are opened and read again when asked for.
pub(crate) struct Handles {
    files: Arc<Files>,
    /// Since the hand of the ring last passed.
    used: AtomicBool,
    held: Mutex<Held>,
}

/// What is held open of a segment.
#[derive(Default)]
pub(crate) struct Held {
    file: Option<Arc<dyn File>>,
    known: Option<Arc<Known>>,
    /// A log writes it: never closed from here.
    pinned: bool,
}

/// The index of a segment, as far as the segment can be read.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) index: Arc<Index>,
    /// Why it does not cover the whole segment, if it does not.
    pub(crate) broken: Option<LogError>,
}

impl Known {
    pub(crate) fn whole(index: Arc<Index>) -> Self {
        Self { index, broken: None }
    }
}

impl fmt::Debug for Handles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.lock();
        write!(f, "Handles(file {}, index {})", held.file.is_some(), held.known.is_some())
    }
}

impl Handles {
    pub(crate) fn new(files: Arc<Files>) -> Arc<Self> {
        Arc::new(Self { files, used: AtomicBool::new(false), held: Mutex::default() })
    }

    pub(crate) fn files(&self) -> &Arc<Files> {
        &self.files
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn file(&self) -> Option<Arc<dyn File>> {
        self.lock().file.clone()
    }

    pub(crate) fn known(&self) -> Option<Arc<Known>> {
        self.lock().known.clone()
    }

    /// True if nothing needs to be opened or read. Who asks is about to use it: it stays a while longer.
    pub(crate) fn is_open(&self) -> bool {
        let held = self.lock();
        let open = held.file.is_some() && held.known.is_some();
        if open && !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        open
    }

    /// Keeps a file that was opened for reading, unless another was quicker; the one that is kept.
    pub(crate) fn keep_file(self: &Arc<Self>, file: Arc<dyn File>) -> Arc<dyn File> {
        let mut held = self.lock();
        if let Some(file) = &held.file {
            return file.clone();
        }
        let fresh = held.known.is_none();
        held.file = Some(file.clone());
        drop(held);
        if fresh {
            self.files.admit(self);
        }
        file
    }

    /// Keeps an index that was read, unless another was quicker; the one that is kept. `None` if there is none and the
    /// one offered does not hold any more, as `holds` says under the lock.
    pub(crate) fn keep_known(
        self: &Arc<Self>,
        known: Arc<Known>,
        holds: impl FnOnce() -> bool,
    ) -> Option<Arc<Known>> {
        let mut held = self.lock();
        if let Some(known) = &held.known {
            return Some(known.clone());
        }
        if !holds() {
            return None;
        }
        let fresh = held.file.is_none();
        self.files.index_kept(known.index.bytes());
        held.known = Some(known.clone());
        drop(held);
        if fresh {
            self.files.admit(self);
        }
        Some(known)
    }

    /// A log writes the segment from now on, through this file and into this index, whatever readers had opened.
    pub(crate) fn pin(&self, file: Arc<dyn File>, index: Arc<Index>) {
        let mut held = self.lock();
        let before = std::mem::take(&mut *held);
        *held = Held { file: Some(file), known: Some(Arc::new(Known::whole(index))), pinned: true };
        drop(held);
        self.forget(&before);
        self.files.pinned();
    }

    /// Nobody writes it any more, and everything that was written is synced, or nothing of it is believed. What is open
    /// stays open for readers, for a while.
    pub(crate) fn unpin(self: &Arc<Self>) {
        let mut held = self.lock();
        if !std::mem::take(&mut held.pinned) {
            return;
        }
        if let Some(known) = &held.known {
            self.files.index_kept(known.index.bytes());
        }
        drop(held);
        self.files.unpinned();
        self.files.admit(self);
    }

    /// Closes what is not pinned.
    pub(crate) fn close(&self) {
        let mut held = self.lock();
        if !held.pinned {
            let before = std::mem::take(&mut *held);
            drop(held);
            self.forget(&before);
        }
    }

    /// Gives up its place in the ring, with what it held; `None` if it was used lately. A file that a slice in flight
    /// owns is closed when that has been sent.
    pub(crate) fn evict(&self) -> Option<Held> {
        let mut held = self.lock();
        if held.pinned {
            // Its log puts it back.
            return Some(Held::default());
        }
        if self.used.swap(false, Ordering::Relaxed) {
            return None;
        }
        let before = std::mem::take(&mut *held);
        self.forget(&before);
        Some(before)
    }

    fn forget(&self, held: &Held) {
        match &held.known {
            Some(_) if held.pinned => self.files.unpinned(),
            Some(known) => self.files.index_dropped(known.index.bytes()),
            None => {}
        }
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        let held = std::mem::take(&mut *self.lock());
        self.forget(&held);
    }
}
