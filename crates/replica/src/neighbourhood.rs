use std::io;
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
    /// What it is to say; a directory without neighbours is told nothing, and has no file.
    told: Vec<Neighbour>,
    /// It may have to be written.
    due: bool,
}

impl Neighbourhood {
    /// Takes in all neighbours that have failed.
    pub(crate) fn tell(&mut self, failed: Vec<Neighbour>) {
        (self.told, self.due) = (failed, true);
    }

    /// What could not be written may be now.
    pub(crate) fn try_again(&mut self) {
        self.due = true;
    }

    /// True if there is something to remember.
    pub(crate) fn is_troubled(&self) -> bool {
        !self.told.is_empty()
    }

    /// Writes what was told, if it is not written. To be called again and again: the file is made as soon as there is room
    /// for it. An error of a write or its sync is told, and it is not tried again before [`Neighbourhood::try_again`].
    pub(crate) fn keep(&mut self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        if !self.due {
            return Ok(());
        }
        if self.file.is_none() {
            match Neighbours::open(disk, dir) {
                Ok((file, kept)) => (self.file, self.kept) = (Some(file), kept),
                Err(error) => tracing::debug!(dir = %dir.display(), %error, "neighbours are not remembered"),
            }
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        self.due = false;
        if self.kept != self.told {
            file.write(&self.told)?;
            self.kept.clone_from(&self.told);
        }
        Ok(())
    }
}
