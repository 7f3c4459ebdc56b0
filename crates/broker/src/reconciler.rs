use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::{DirectoryId, LeaderEpoch, NodeId, PartitionId, TopicId};
use forebay_log::DirError;
use forebay_meta::topic_config::TopicSettings;
use forebay_meta::{Action, Have, Image, Leading, changed_topics, reconcile_topics};
use forebay_replica::{Flush, Partition, PartitionConfig, Refused, Threads, Volume};
use tokio::sync::{oneshot, watch};

use crate::directories::Directory;
use crate::partitions::{Hosted, PartitionMap};
use crate::settings::{log_config, server_defaults};
use crate::{Config, Env};

/// Partitions being opened at the same time. Each takes a place in its writer's queue and some memory for recovery.
const OPENING_MAX: usize = 256;

/// Threads of each volume for reads that must wait for its device.
const READERS: usize = 2;

/// How long a partition that could not be opened or deleted is left alone before the next try.
const RETRY_AFTER: Duration = Duration::from_secs(10);

type Configs = Arc<BTreeMap<String, String>>;
type Deleted = oneshot::Receiver<Result<(), Refused>>;

/// Brings what this node has in line with the Image, again and again. Level-triggered: a restart is the same work
/// with nothing running, and a step that failed is simply still wanted.
pub(crate) struct Reconciler {
    me: NodeId,
    volumes: BTreeMap<DirectoryId, Hosting>,
    have: BTreeMap<PartitionId, Have>,
    /// The Image of the last round; before the first one, the empty Image.
    seen: Image,
    /// Topics that the last round could not finish.
    unsettled: BTreeSet<TopicId>,
    /// The time has come to try those again.
    retry: bool,
    map: Arc<PartitionMap>,
    defaults: BTreeMap<String, String>,
    producer_expiry: Duration,
    retention_check: Duration,
}

struct Hosting {
    volume: Volume,
    /// The last stop was clean.
    clean: bool,
    /// Partitions that were there at the start and were not opened yet. Only their first opening may rely on the clean
    /// stop; and while one is left after an unclean stop, the next one must not count as clean.
    unopened: BTreeSet<PartitionId>,
}

/// A partition being opened.
struct Opening {
    id: PartitionId,
    directory: DirectoryId,
    leads: Option<LeaderEpoch>,
    configs: Configs,
    settings: Arc<TopicSettings>,
    answer: oneshot::Receiver<Result<Arc<Partition>, forebay_replica::OpenError>>,
}

impl fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconciler").field("partitions", &self.have.len()).finish_non_exhaustive()
    }
}

impl Reconciler {
    /// Starts the volumes and lists what lies in them.
    pub(crate) fn new(
        config: &Config,
        env: &Env,
        directories: &[Arc<Directory>],
        map: Arc<PartitionMap>,
    ) -> Result<Self, DirError> {
        let (mut volumes, mut have) = (BTreeMap::new(), BTreeMap::new());
        let threads =
            Threads { writers: config.writer_threads, sync_helpers: config.sync_threads, readers: READERS };
        for directory in directories {
            let volume = Volume::start(
                env.disk.clone(),
                &*env.workers,
                env.clock.clone(),
                directory.data.partitions_path(),
                threads,
            );
            let found = directory.data.partitions()?;
            have.extend(found.iter().map(|id| (*id, Have { directory: directory.id, running: None })));
            let unopened = found.into_iter().collect();
            volumes.insert(directory.id, Hosting { volume, clean: directory.take_clean()?, unopened });
        }
        Ok(Self {
            me: config.node_id,
            volumes,
            have,
            seen: Image::default(),
            unsettled: BTreeSet::new(),
            retry: false,
            map,
            defaults: server_defaults(config),
            producer_expiry: Duration::from_millis(config.producer_id_expiration_ms),
            retention_check: Duration::from_millis(config.log_retention_check_interval_ms),
        })
    }

    /// Follows the Image until the node stops, and hands itself back to be closed.
    pub(crate) async fn run(
        mut self,
        mut image: watch::Receiver<Arc<Image>>,
        mut stopping: watch::Receiver<bool>,
    ) -> Self {
        loop {
            let current = image.borrow_and_update().clone();
            let settled = self.apply(&current).await;
            let patience = if settled { Duration::MAX } else { RETRY_AFTER };
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return self,
                changed = image.changed() => if changed.is_err() { return self },
                () = tokio::time::sleep(patience) => self.retry = true,
            }
        }
    }

    /// One round: the topics that changed since the last one, and those it could not finish. True if nothing is left
    /// to do for this Image.
    pub(crate) async fn apply(&mut self, image: &Image) -> bool {
        let mine: BTreeSet<_> = self.volumes.keys().copied().collect();
        // A partition that cannot be opened costs its writer a recovery at each try, so changes elsewhere are no reason.
        let mut topics = if std::mem::take(&mut self.retry) {
            std::mem::take(&mut self.unsettled)
        } else {
            BTreeSet::new()
        };
        topics.extend(changed_topics(&self.seen, image));
        if !self.seen.is_formatted() {
            // The first Image also decides about directories of topics that it does not know.
            topics.extend(self.have.keys().map(|id| id.topic));
        }
        let (mut opening, mut deleting) = (Vec::new(), Vec::new());
        for action in reconcile_topics(&topics, image, &self.have, self.me, &mine) {
            match action {
                Action::Start { id, directory, leads, configs, .. } => {
                    opening.extend(self.open(id, directory, leads, configs));
                    if opening.len() >= OPENING_MAX {
                        self.opened(std::mem::take(&mut opening)).await;
                    }
                }
                Action::Lead { id, epoch } => self.lead(id, epoch),
                Action::Configure { id, configs } => self.configure(id, configs),
                Action::Stop { id } => self.stop(id).await,
                Action::Delete { id, directory } => deleting.extend(self.delete(id, directory)),
            }
        }
        self.opened(opening).await;
        for (id, answer) in deleting {
            self.deleted(id, answer.await.ok());
        }
        if image.is_formatted() {
            self.seen = image.clone();
        }
        self.unsettled.is_empty()
    }

    /// Closes every log and ends the volumes' threads; true if all logs are sound on the disk.
    pub(crate) async fn close(self) -> bool {
        self.map.publish(imbl::HashMap::clear);
        let mut sound = true;
        // Every volume is closed, also after one that failed.
        for hosting in self.volumes.into_values() {
            sound &= hosting.volume.close().await;
            sound &= hosting.volume.stop(true);
            sound &= hosting.clean || hosting.unopened.is_empty();
        }
        sound
    }

    fn open(
        &self,
        id: PartitionId,
        directory: DirectoryId,
        leads: Option<LeaderEpoch>,
        configs: Configs,
    ) -> Option<Opening> {
        let hosting = self.volumes.get(&directory)?;
        let settings = Arc::new(TopicSettings::from_configs(&configs, &self.defaults));
        let clean = hosting.clean && hosting.unopened.contains(&id);
        let epoch = leads.unwrap_or(LeaderEpoch(-1));
        let answer = hosting.volume.open(id, self.partition_config(&settings), epoch, clean);
        Some(Opening { id, directory, leads, configs, settings, answer })
    }

    async fn opened(&mut self, opening: Vec<Opening>) {
        if opening.is_empty() {
            return;
        }
        let mut ready = Vec::with_capacity(opening.len());
        for one in opening {
            match one.answer.await {
                Ok(Ok(partition)) => {
                    let running = Some(Leading { epoch: one.leads, configs: one.configs });
                    self.have.insert(one.id, Have { directory: one.directory, running });
                    self.settled(one.id);
                    ready.push((one.id, Hosted::Open { partition, settings: one.settings }));
                }
                Ok(Err(error)) => {
                    self.unsettled.insert(one.id.topic);
                    let sentence = error.to_string();
                    if !matches!(self.map.get(one.id), Some(Hosted::Failed(known)) if *known == *sentence) {
                        tracing::error!(partition = %one.id, %error, "cannot open a partition");
                    }
                    ready.push((one.id, Hosted::Failed(sentence.into())));
                }
                // The writer is gone: the node is stopping.
                Err(_) => {
                    self.unsettled.insert(one.id.topic);
                }
            }
        }
        self.map.publish(|hosted| hosted.extend(ready));
    }

    /// What was found of a partition at the start is open or gone.
    fn settled(&mut self, id: PartitionId) {
        for hosting in self.volumes.values_mut() {
            hosting.unopened.remove(&id);
        }
    }

    fn lead(&mut self, id: PartitionId, epoch: Option<LeaderEpoch>) {
        let Some(Hosted::Open { partition, .. }) = self.map.get(id) else { return };
        partition.lead(epoch.unwrap_or(LeaderEpoch(-1)));
        if let Some(Have { running: Some(running), .. }) = self.have.get_mut(&id) {
            running.epoch = epoch;
        }
    }

    fn configure(&mut self, id: PartitionId, configs: Configs) {
        let Some(Hosted::Open { partition, .. }) = self.map.get(id) else { return };
        let settings = Arc::new(TopicSettings::from_configs(&configs, &self.defaults));
        partition.configure(self.partition_config(&settings));
        self.map.publish(|hosted| {
            hosted.insert(id, Hosted::Open { partition, settings });
        });
        if let Some(Have { running: Some(running), .. }) = self.have.get_mut(&id) {
            running.configs = configs;
        }
    }

    async fn stop(&mut self, id: PartitionId) {
        if let Some(partition) = self.withdraw(id) {
            // A writer that is gone has closed it.
            let _ = partition.close().await;
        }
        if let Some(have) = self.have.get_mut(&id) {
            have.running = None;
        }
    }

    fn delete(&self, id: PartitionId, directory: DirectoryId) -> Option<(PartitionId, Deleted)> {
        match (self.withdraw(id), self.volumes.get(&directory)) {
            (Some(partition), _) => Some((id, partition.delete())),
            (None, Some(hosting)) => Some((id, hosting.volume.delete_stray(id))),
            (None, None) => None,
        }
    }

    /// Notes how a deletion ended; without an outcome, the writer is gone: the node is stopping.
    fn deleted(&mut self, id: PartitionId, outcome: Option<Result<(), Refused>>) {
        match outcome {
            Some(Ok(())) => {
                self.have.remove(&id);
                self.settled(id);
                return;
            }
            Some(Err(error)) => {
                tracing::warn!(partition = %id, %error, "cannot remove the files of a deleted partition; trying again");
            }
            None => {}
        }
        if let Some(have) = self.have.get_mut(&id) {
            have.running = None;
        }
        self.unsettled.insert(id.topic);
    }

    /// Takes a partition off the map, so that nobody starts anything new with it.
    fn withdraw(&self, id: PartitionId) -> Option<Arc<Partition>> {
        let hosted = self.map.get(id)?;
        self.map.publish(|all| {
            all.remove(&id);
        });
        match hosted {
            Hosted::Open { partition, .. } => Some(partition),
            Hosted::Failed(_) => None,
        }
    }

    fn partition_config(&self, settings: &TopicSettings) -> PartitionConfig {
        PartitionConfig {
            log: log_config(settings),
            producer_expiry: self.producer_expiry,
            flush: if settings.flush_async { Flush::Async } else { Flush::Sync },
            retention_check: self.retention_check,
        }
    }
}
