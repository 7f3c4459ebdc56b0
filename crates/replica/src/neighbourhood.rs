use std::path::Path;

use forebay_log::Disk;
use forebay_log::volume::{Neighbour, Neighbours};

/// Keeps what a data directory remembers of its neighbours in line with what it is told of them.
#[derive(Debug, Default)]
pub(crate) struct Neighbourhood {
    /// `None` until it could be opened.
    file: Option<Neighbours>,
    /// What the file says.
    kept: Vec<Neighbour>,
    /// What it is to say; `None` while nothing was told, for a directory without neighbours has no file.
    told: Option<Vec<Neighbour>>,
}

impl Neighbourhood {
    /// Takes in all neighbours that have failed.
    pub(crate) fn tell(&mut self, failed: Vec<Neighbour>) {
        self.told = Some(failed);
    }

    /// True if there is something to remember.
    pub(crate) fn is_troubled(&self) -> bool {
        self.told.as_ref().is_some_and(|failed| !failed.is_empty())
    }

    /// Writes what was told, if it is not written. To be called again and again: what fails is done by a later call.
    pub(crate) fn keep(&mut self, disk: &dyn Disk, dir: &Path) {
        let Some(told) = &self.told else { return };
        if self.file.is_none() {
            match Neighbours::open(disk, dir) {
                Ok((file, kept)) => (self.file, self.kept) = (Some(file), kept),
                Err(error) => tracing::debug!(dir = %dir.display(), %error, "neighbours are not remembered"),
            }
        }
        let Some(file) = self.file.as_mut().filter(|_| self.kept != *told) else { return };
        match file.write(told) {
            Ok(()) => self.kept.clone_from(told),
            Err(error) => tracing::debug!(dir = %dir.display(), %error, "neighbours are not remembered"),
        }
    }
}
