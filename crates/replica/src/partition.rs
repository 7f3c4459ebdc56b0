use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use forebay_base::{LeaderEpoch, Offset, PartitionId};
use forebay_log::{LogConfig, LogError};
use tokio::sync::oneshot;

use crate::Refused;
use crate::condition::Condition;
use crate::event::{Acks, Appended, Flush};
use crate::inbox::{Append, Inbox, Message, Slot};
use crate::intake::Batch;
use crate::readers::Readers;
use crate::tenant::Site;
use crate::view::View;
use crate::waiter::{Waiter, Waiters, WatchGuard};

/// Settings of one partition; each may change while it is open.
#[derive(Debug, Clone)]
pub struct PartitionConfig {
    /// How the log is cut into segments and when they go.
    pub log: LogConfig,
    /// `producer.id.expiration.ms`: how long the sequences of a silent producer are remembered.
    pub producer_expiry: Duration,
    /// `flush.mode`: what commits a batch.
    pub flush: Flush,
    /// `log.retention.check.interval.ms`: how often retention is applied.
    pub retention_check: Duration,
    /// `disk.full.policy=delete-oldest`: on a full volume the oldest records go, whatever retention says.
    pub delete_oldest: bool,
}

/// Why a partition could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its log cannot be read or recovered.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It is open already; close it first.
    #[error("the partition is open already")]
    AlreadyOpen,
    /// Opening it broke an invariant. The partition is left alone; the log has the details.
    #[error("opening the partition failed: {0}")]
    Panicked(String),
}

/// The handle of an open partition, shared by everyone but its writer, who owns the log.
///
/// Requests are queued to the writer and answered through the receiver; a receiver whose sender is gone means that
/// the writer has stopped.
#[derive(Debug)]
pub struct Partition {
    id: PartitionId,
    slot: Slot,
    inbox: Arc<Inbox>,
    readers: Readers,
    condition: Arc<Condition>,
    view: ArcSwap<View>,
    waiters: Arc<Waiters>,
}

impl Partition {
    pub(crate) fn new(id: PartitionId, slot: Slot, site: &Site, view: View) -> Self {
        Self {
            id,
            slot,
            inbox: Arc::clone(&site.inbox),
            readers: site.readers.clone(),
            condition: Arc::clone(&site.condition),
            view: ArcSwap::from_pointee(view),
            waiters: Arc::default(),
        }
    }

    /// Which partition it is.
    pub fn id(&self) -> PartitionId {
        self.id
    }

    /// Its place on its writer.
    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    /// The newest view.
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Runs `read`, which may wait for the partition's device, on a thread that may. `None` if it was not run to its
    /// end: too many reads wait, the volume has stopped, or it panicked.
    pub async fn off_reactor<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.readers.run(read).await
    }

    /// Queues a checked batch. With `acks=0` use [`Acks::Leader`] and drop the receiver.
    ///
    /// The caller has admitted the bytes; [`Refused::Busy`] comes back at once if the writer's queue is full.
    pub fn append(&self, batch: Batch, acks: Acks) -> oneshot::Receiver<Result<Appended, Refused>> {
        let answer = self.queue(batch, acks);
        self.nudge();
        answer
    }

    /// As [`Partition::append`], but the writer may not hear of it before [`Partition::nudge`], so that what comes in the
    /// same moment is written together.
    pub fn queue(&self, batch: Batch, acks: Acks) -> oneshot::Receiver<Result<Appended, Refused>> {
        let (reply, answer) = oneshot::channel();
        self.inbox.append(self.slot, Append { batch, acks, reply });
        answer
    }

    /// For how long a connection that appends a batch of `bytes` bytes is not to be heard afterwards, because its volume has
    /// little space: a second for each MiB at most.
    pub fn throttle(&self, bytes: usize) -> Duration {
        self.condition.throttle(bytes)
    }

    /// For how long a connection is not to be heard that has got `bytes` of records and lags behind, because appends to the
    /// same volume come first: a few seconds at most. All such connections together get `rate_min` bytes a second at least.
    pub fn give_way(&self, bytes: u64, rate_min: u64) -> Duration {
        self.readers.pace().charge(self.inbox.now(), bytes, rate_min)
    }

    /// True if one writer writes both.
    pub fn shares_writer(&self, other: &Partition) -> bool {
        Arc::ptr_eq(&self.inbox, &other.inbox)
    }

    /// Has the writer begin with what was queued. Whoever queues must call this, even if it gives up meanwhile.
    pub fn nudge(&self) {
        self.inbox.nudge();
    }

    /// Deletes the records below `to`; -1 means the high watermark. Durable when answered with the log start.
    pub fn delete_records(&self, to: Offset) -> oneshot::Receiver<Result<Offset, Refused>> {
        let to = (to != Offset(-1)).then_some(to);
        self.ask(|reply| Message::DeleteRecords(self.slot, to, reply))
    }

    /// Uses new settings from now on.
    pub fn configure(&self, config: PartitionConfig) {
        self.inbox.post(Message::Configure(self.slot, config));
    }

    /// Leads in `epoch` from now on. An epoch that is not newer changes nothing.
    pub fn lead(&self, epoch: LeaderEpoch) {
        self.inbox.post(Message::Lead(self.slot, epoch));
    }

    /// Takes no more appends, makes everything durable and closes the log; an error says that it is not sound.
    pub fn close(&self) -> oneshot::Receiver<Result<(), Refused>> {
        self.ask(|reply| Message::Close(self.slot, reply))
    }

    /// Removes the log from the disk, durably. Slices in flight stay readable.
    pub fn delete(&self) -> oneshot::Receiver<Result<(), Refused>> {
        self.ask(|reply| Message::Delete(self.slot, reply))
    }

    /// Has `waiter` woken by every publication that lets a reader see more, until the guard is dropped. What is written
    /// and not committed is synced at once: somebody waits for it now.
    pub fn watch(&self, waiter: &Arc<Waiter>) -> WatchGuard {
        let guard = self.waiters.watch(waiter);
        let view = self.view.load();
        if view.high_watermark < view.end {
            self.inbox.post(Message::Watched(self.slot));
        }
        guard
    }

    fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> oneshot::Receiver<T> {
        let (reply, answer) = oneshot::channel();
        self.inbox.post(message(reply));
        answer
    }

    /// Shows readers a new view and wakes those who may see more in it.
    pub(crate) fn publish(&self, view: View) {
        let before = self.view.load();
        let news = (view.high_watermark, view.stable, view.start, view.leader_epoch, view.failed.is_some())
            != (
                before.high_watermark,
                before.stable,
                before.start,
                before.leader_epoch,
                before.failed.is_some(),
            );
        drop(before);
        self.view.store(Arc::new(view));
        if news {
            self.waiters.wake();
        }
    }

    /// Shows readers that nothing can be written any more.
    pub(crate) fn publish_failure(&self, reason: &Arc<str>) {
        let view = View { failed: Some(Arc::clone(reason)), ..View::clone(&self.view.load()) };
        self.publish(view);
    }

    /// True if a fetch waits for the high watermark to move.
    pub(crate) fn is_watched(&self) -> bool {
        self.waiters.any()
    }

    /// Wakes every waiter: the partition goes.
    pub(crate) fn wake(&self) {
        self.waiters.wake();
    }
}
