use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::{DirectoryId, LeaderEpoch, NodeId, PartitionId, TopicId};
use forebay_controller::Controller;
use forebay_log::{DirError, Files};
use forebay_meta::topic_config::TopicSettings;
use forebay_meta::{Action, Have, Image, Leading, changed_topics, reconcile_topics};
use forebay_replica::{Condition, Flush, OpenError, Partition, PartitionConfig, Refused, Threads, Volume};
use futures_util::StreamExt;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::directories::Directory;
use crate::opening::{Opened, Openings};
use crate::partitions::{Hosted, PartitionMap, Place};
use crate::settings::{log_config, server_defaults};
use crate::{Config, Env};

mod readmission;

/// Threads of each volume for reads that must wait for its device, and for opening logs.
const READERS: usize = 4;

/// How long a partition that could not be opened or deleted is left alone before the next try.
const RETRY_AFTER: Duration = Duration::from_secs(10);

type Configs = Arc<BTreeMap<String, String>>;
type Deleted = oneshot::Receiver<Result<(), Refused>>;

/// Brings what this node has in line with the Image, again and again. Level-triggered: a restart is the same work
/// with nothing running, and a step that failed is simply still wanted.
///
/// To start a partition is to put it on the map, which touches no disk: a node with very many serves at once. Its log is
/// opened when somebody wants it, or a little later: see `opening.rs`.
pub(crate) struct Reconciler {
    me: NodeId,
    volumes: BTreeMap<DirectoryId, Hosting>,
    openings: Openings,
    /// Settings of topics with a log that was opened.
    settings: BTreeMap<TopicId, (Configs, Arc<TopicSettings>)>,
    have: BTreeMap<PartitionId, Have>,
    /// The Image of the last round; before the first one, the empty Image.
    seen: Image,
    /// Topics that the last round could not finish.
    unsettled: BTreeSet<TopicId>,
    /// The time has come to try those again.
    retry: bool,
    retry_at: Option<Instant>,
    map: Arc<PartitionMap>,
    controller: Controller,
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
        controller: Controller,
    ) -> Result<Self, DirError> {
        let (mut volumes, mut have) = (BTreeMap::new(), BTreeMap::new());
        let threads =
            Threads { writers: config.writer_threads, sync_helpers: config.sync_threads, readers: READERS };
        let files = Files::new(env.disk.clone(), env.descriptors_max);
        for directory in directories {
            // Before anything is written: whether that may be is seen from it.
            let clean = directory.take_clean()?;
            let found = directory.partitions()?;
            let volume = Volume::start_as(
                &files,
                &*env.workers,
                env.clock.clone(),
                directory.data.partitions_path(),
                threads,
                directory.found(),
            );
            have.extend(found.iter().map(|id| (*id, Have { directory: directory.id, running: None })));
            let unopened = found.into_iter().collect();
            volumes.insert(directory.id, Hosting { volume, clean, unopened });
        }
        Ok(Self {
            me: config.node_id,
            volumes,
            openings: Openings::new(),
            settings: BTreeMap::new(),
            have,
            seen: Image::default(),
            unsettled: BTreeSet::new(),
            retry: false,
            retry_at: None,
            map,
            controller,
            defaults: server_defaults(config),
            producer_expiry: Duration::from_millis(config.producer_id_expiration_ms),
            retention_check: Duration::from_millis(config.log_retention_check_interval_ms),
        })
    }

    /// What is known of the volume of each data directory.
    pub(crate) fn volumes(&self) -> BTreeMap<DirectoryId, Arc<Condition>> {
        let condition = |hosting: &Hosting| Arc::clone(hosting.volume.condition());
        self.volumes.iter().map(|(id, hosting)| (*id, condition(hosting))).collect()
    }

    /// Follows the Image, and opens what is wanted, until the node stops; hands itself back to be closed.
    pub(crate) async fn run(
        mut self,
        mut image: watch::Receiver<Arc<Image>>,
        mut stopping: watch::Receiver<bool>,
    ) -> Self {
        let mut current = image.borrow_and_update().clone();
        let mut readmissions = self.readmissions();
        self.apply(&current).await;
        let map = Arc::clone(&self.map);
        loop {
            self.open_wanted();
            let now = Instant::now();
            let (retry_at, spare_at) = (self.retry_at, self.openings.spare_at());
            tokio::select! {
                biased;
                () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => break,
                changed = image.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    current = image.borrow_and_update().clone();
                    self.apply(&current).await;
                }
                opened = self.openings.next(), if !self.openings.is_idle() => self.opened(opened),
                () = map.asked() => {}
                Some(Some((directory, news))) = readmissions.next() => {
                    readmissions.push(readmission::next(directory, news));
                    self.readmitted(directory);
                    self.apply(&current).await;
                }
                () = tokio::time::sleep_until(retry_at.unwrap_or(now)), if retry_at.is_some() => {
                    (self.retry, self.retry_at) = (true, None);
                    self.apply(&current).await;
                }
                () = tokio::time::sleep_until(spare_at.unwrap_or(now)), if spare_at.is_some() => {
                    self.open_spare();
                }
            }
        }
        // A log that is being opened must reach its writer before that one closes.
        while !self.openings.is_idle() {
            let opened = self.openings.next().await;
            self.opened(opened);
        }
        self
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
        let (mut fresh, mut deleting) = (Vec::new(), Vec::new());
        for action in reconcile_topics(&topics, image, &self.have, self.me, &mine) {
            match action {
                Action::Start { id, directory, leads, configs, .. } => {
                    let running = Some(Leading { epoch: leads, configs });
                    self.have.insert(id, Have { directory, running });
                    if self.map.get(id).is_some() {
                        // It failed, and stays so for all to see until it is open.
                        self.open(id);
                    } else {
                        self.openings.add(id);
                        fresh.push((id, Place::Unopened));
                    }
                }
                Action::Lead { id, epoch } => self.lead(id, epoch),
                Action::Configure { id, configs } => self.configure(id, configs),
                Action::Stop { id } => self.stop(id).await,
                // What an Image does not know that was only read from a disk may be in what could not be read.
                Action::Delete { id, .. } if !self.controller.is_caught_up() => {
                    self.unsettled.insert(id.topic);
                }
                Action::Delete { id, directory } => deleting.extend(self.delete(id, directory).await),
            }
        }
        self.map.publish(|places| places.extend(fresh));
        for (id, answer) in deleting {
            self.deleted(id, answer.await.ok());
        }
        if image.is_formatted() {
            self.seen = image.clone();
        }
        self.retry_later();
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

    /// Begins to open a partition, unless that is under way or it is not to be here.
    fn open(&mut self, id: PartitionId) {
        if self.openings.is_under_way(id) {
            return;
        }
        let Some(Have { directory, running: Some(Leading { epoch, configs }) }) = self.have.get(&id).cloned()
        else {
            return;
        };
        let settings = self.settings(id.topic, &configs);
        let Some(hosting) = self.volumes.get(&directory) else { return };
        let clean = hosting.clean && hosting.unopened.contains(&id);
        let (config, leads) = (self.partition_config(&settings), epoch.unwrap_or(LeaderEpoch(-1)));
        let answer = match self.map.get(id) {
            Some(Hosted::Open { partition, .. }) => hosting.volume.reopen(&partition, config, leads),
            Some(Hosted::Failed(_)) | None => hosting.volume.open(id, config, leads, clean),
        };
        self.openings.begin(id, Leading { epoch, configs }, answer);
    }

    /// Opens what somebody waits for, as far as there is room.
    fn open_wanted(&mut self) {
        for id in self.map.take_wanted(self.openings.room()) {
            if self.openings.waits(id) {
                self.open(id);
            }
        }
    }

    /// Opens one that nobody has asked for.
    fn open_spare(&mut self) {
        if let Some(id) = self.openings.take_spare() {
            self.open(id);
            self.openings.note_spare(id);
        }
    }

    /// Publishes what came of an opening.
    fn opened(&mut self, opened: Opened) {
        let Opened { id, asked, outcome } = opened;
        let place = match outcome {
            Some(Ok(partition)) => {
                self.settled(id);
                self.catch_up(partition, &asked)
            }
            Some(Err(OpenError::Log(error))) if error.is_out_of_descriptors() => {
                // That is not the partition's fault: its turn comes again.
                tracing::warn!(partition = %id, %error, "cannot open a partition yet");
                return self.openings.add(id);
            }
            Some(Err(OpenError::AlreadyOpen)) if self.is_open(id) => return,
            Some(Err(error)) if self.is_open(id) => {
                tracing::error!(partition = %id, %error, "cannot open a failed partition anew; what it last showed is served");
                return;
            }
            Some(Err(error)) => {
                self.unsettled.insert(id.topic);
                self.retry_later();
                if let Some(have) = self.have.get_mut(&id) {
                    have.running = None;
                }
                let sentence = error.to_string();
                tracing::error!(partition = %id, %error, "cannot open a partition; trying again");
                Hosted::Failed(sentence.into())
            }
            // Too much waits for the disk, or the node is stopping.
            None => return self.openings.add(id),
        };
        self.map.publish(|places| drop(places.insert(id, Place::Tried(place))));
        self.open_if_readmitted(id);
    }

    /// True if there is something to be read of it.
    fn is_open(&self, id: PartitionId) -> bool {
        matches!(self.map.get(id), Some(Hosted::Open { .. }))
    }

    /// A partition that was just opened, with what the Image has told since that was begun.
    fn catch_up(&mut self, partition: Arc<Partition>, asked: &Leading) -> Hosted {
        let id = partition.id();
        let running = self.have.get(&id).and_then(|have| have.running.clone());
        let Leading { epoch, configs } = running.unwrap_or_else(|| asked.clone());
        let settings = self.settings(id.topic, &configs);
        if epoch != asked.epoch {
            partition.lead(epoch.unwrap_or(LeaderEpoch(-1)));
        }
        if !Arc::ptr_eq(&configs, &asked.configs) {
            partition.configure(self.partition_config(&settings));
        }
        Hosted::Open { partition, settings }
    }

    fn retry_later(&mut self) {
        if self.retry_at.is_none() && !self.unsettled.is_empty() {
            self.retry_at = Some(Instant::now() + RETRY_AFTER);
        }
    }

    /// Waits until an opening of this partition that is under way has ended, and takes it off the list of those to come.
    async fn quiesce(&mut self, id: PartitionId) {
        while self.openings.is_under_way(id) {
            let opened = self.openings.next().await;
            self.opened(opened);
        }
        self.openings.remove(id);
    }

    /// The settings of a topic, which all its partitions share.
    fn settings(&mut self, topic: TopicId, configs: &Configs) -> Arc<TopicSettings> {
        if let Some((known, settings)) = self.settings.get(&topic)
            && Arc::ptr_eq(known, configs)
        {
            return Arc::clone(settings);
        }
        let settings = Arc::new(TopicSettings::from_configs(configs, &self.defaults));
        self.settings.insert(topic, (Arc::clone(configs), Arc::clone(&settings)));
        settings
    }

    /// What was found of a partition at the start is open or gone.
    fn settled(&mut self, id: PartitionId) {
        for hosting in self.volumes.values_mut() {
            hosting.unopened.remove(&id);
        }
    }

    fn lead(&mut self, id: PartitionId, epoch: Option<LeaderEpoch>) {
        if let Some(Hosted::Open { partition, .. }) = self.map.get(id) {
            partition.lead(epoch.unwrap_or(LeaderEpoch(-1)));
        }
        if let Some(Have { running: Some(running), .. }) = self.have.get_mut(&id) {
            running.epoch = epoch;
        }
    }

    fn configure(&mut self, id: PartitionId, configs: Configs) {
        if let Some(Hosted::Open { partition, .. }) = self.map.get(id) {
            let settings = self.settings(id.topic, &configs);
            partition.configure(self.partition_config(&settings));
            let open = Place::Tried(Hosted::Open { partition, settings });
            self.map.publish(|places| drop(places.insert(id, open)));
        }
        if let Some(Have { running: Some(running), .. }) = self.have.get_mut(&id) {
            running.configs = configs;
        }
    }

    async fn stop(&mut self, id: PartitionId) {
        self.quiesce(id).await;
        if let Some(partition) = self.withdraw(id) {
            // A writer that is gone has closed it.
            let _ = partition.close().await;
        }
        if let Some(have) = self.have.get_mut(&id) {
            have.running = None;
        }
    }

    async fn delete(&mut self, id: PartitionId, directory: DirectoryId) -> Option<(PartitionId, Deleted)> {
        self.quiesce(id).await;
        self.settings.remove(&id.topic);
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
        let place = self.map.place(id)?;
        self.map.publish(|places| drop(places.remove(&id)));
        match place {
            Place::Tried(Hosted::Open { partition, .. }) => Some(partition),
            Place::Tried(Hosted::Failed(_)) | Place::Unopened => None,
        }
    }

    fn partition_config(&self, settings: &TopicSettings) -> PartitionConfig {
        PartitionConfig {
            log: log_config(settings),
            producer_expiry: self.producer_expiry,
            flush: if settings.flush_async { Flush::Async } else { Flush::Sync },
            retention_check: self.retention_check,
            delete_oldest: settings.delete_oldest_when_full,
        }
    }
}
