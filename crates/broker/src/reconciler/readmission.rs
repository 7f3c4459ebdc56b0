use std::future::Future;
use std::pin::Pin;

use forebay_base::{DirectoryId, PartitionId};
use forebay_log::volume::VolumeState;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use super::{Hosting, Reconciler};

/// Ends with the next readmission of a volume; `None` once the volume is gone.
pub(super) type Next = Pin<Box<dyn Future<Output = Option<(DirectoryId, watch::Receiver<u64>)>> + Send>>;

/// Follows the readmissions of a volume.
pub(super) fn next(directory: DirectoryId, mut news: watch::Receiver<u64>) -> Next {
    Box::pin(async move { news.changed().await.is_ok().then_some((directory, news)) })
}

impl Reconciler {
    /// Ends for each volume when it is readmitted.
    pub(super) fn readmissions(&self) -> FuturesUnordered<Next> {
        let of =
            |(id, hosting): (&DirectoryId, &Hosting)| next(*id, hosting.volume.condition().readmissions());
        self.volumes.iter().map(of).collect()
    }

    /// A partition that was just opened only to be read, because its volume had failed, is opened anew if that has been
    /// readmitted meanwhile: the news came before it was there.
    pub(super) fn open_if_readmitted(&mut self, id: PartitionId) {
        let has_failed = self.map.get(id).is_some_and(|hosted| hosted.has_failed());
        let hosting = self.have.get(&id).and_then(|have| self.volumes.get(&have.directory));
        let is_well =
            hosting.is_some_and(|hosting| hosting.volume.condition().report().state != VolumeState::Failed);
        if has_failed && is_well && self.is_open(id) {
            self.open(id);
        }
    }

    /// A volume was readmitted: what has failed on it is opened anew, and what could not be opened is tried again.
    pub(super) fn readmitted(&mut self, directory: DirectoryId) {
        let here = self.have.iter().filter(|(_, have)| have.directory == directory).map(|(id, _)| *id);
        let failed: Vec<_> =
            here.filter(|id| self.map.get(*id).is_some_and(|hosted| hosted.has_failed())).collect();
        self.retry = true;
        for id in failed {
            if self.openings.room() > 0 {
                self.open(id);
            } else {
                self.openings.add(id);
            }
        }
    }
}
