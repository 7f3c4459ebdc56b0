use std::io;
use std::path::Path;

use forebay_log::Disk;
use forebay_log::volume::{Call, Meaning, Neighbour, Neighbours, meaning};

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

    /// Writes what was told, if it is not written. To be called again and again: where there is no room it is done later. A
    /// fault of the device is told, and it is not tried again before [`Neighbourhood::try_again`].
    pub(crate) fn keep(&mut self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        if !self.due {
            return Ok(());
        }
        if self.file.is_none() {
            match Neighbours::open(disk, dir) {
                Ok((file, kept)) => (self.file, self.kept) = (Some(file), kept),
                Err(error) => return self.failed(error),
            }
        }
        if let Some(file) = &mut self.file
            && self.kept != self.told
        {
            if let Err(error) = file.write(&self.told) {
                return self.failed(error);
            }
            self.kept.clone_from(&self.told);
        }
        self.due = false;
        Ok(())
    }

    /// What is no fault of the device may be over soon.
    fn failed(&mut self, error: io::Error) -> io::Result<()> {
        match meaning(Call::Write, &error) {
            Meaning::ReadOnly | Meaning::Fault => {
                self.due = false;
                Err(error)
            }
            Meaning::Full | Meaning::TooLarge | Meaning::Descriptors | Meaning::Unrelated => Ok(()),
        }
    }
}
