use std::future::Future;
use std::pin::Pin;

use forebay_base::DirectoryId;
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
