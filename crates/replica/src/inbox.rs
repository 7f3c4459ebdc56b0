use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use forebay_base::{Clock, Doorbell, Instant, LeaderEpoch, Offset, PartitionId, limits};
use forebay_log::Left;
use tokio::sync::oneshot;

use crate::Refused;
use crate::event::{Acks, Appended};
use crate::intake::Batch;
use crate::partition::{OpenError, Partition, PartitionConfig};
use crate::tenant::Tenant;

/// Names an open partition to its writer. Drawn once per opening and never used again, so that what is on its way to
/// a partition that was closed cannot reach its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u64);

pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refused>>;

/// What a writer is asked or told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Append a batch.
    Append(Slot, Append),
    /// Delete the records below an offset; `None`: below the high watermark.
    DeleteRecords(Slot, Option<Offset>, Reply<Offset>),
    /// Use new settings.
    Configure(Slot, PartitionConfig),
    /// The metadata says that this node leads in this epoch.
    Lead(Slot, LeaderEpoch),
    /// A fetch waits for what is written and not committed.
    Watched(Slot),
    /// Make everything durable and close the log.
    Close(Slot, Reply<()>),
    /// Remove the log.
    Delete(Slot, Reply<()>),
    /// A sync ended: everything below the offset is durable, or a sentence says why not.
    Synced(Slot, Offset, Result<(), String>),
    /// Own a partition that was opened elsewhere.
    Adopt(Box<Tenant>),
    /// Open a partition that has failed anew, in place of what is left of it.
    Reopen(Slot, Box<Opening>, oneshot::Sender<Result<Arc<Partition>, OpenError>>),
    /// Remove what lies on the disk of a partition that is not open.
    DeleteStray(PartitionId, Reply<()>),
    /// The volume has another state.
    VolumeMoved,
    /// Finish: close every log (`true`), or leave them as they are. Then tell, if asked, whether all are sound.
    Stop(bool, Option<oneshot::Sender<bool>>),
}

/// A queued append.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) batch: Batch,
    pub(crate) acks: Acks,
    pub(crate) reply: Reply<Appended>,
}

/// A log to be opened.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) id: PartitionId,
    pub(crate) slot: Slot,
    pub(crate) config: PartitionConfig,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) left: Left,
    /// What it takes the place of.
    pub(crate) failed: Option<Arc<Partition>>,
}

/// The way into a writer. Appends are bounded ([`limits::WRITER_QUEUE_MAX`]); everything else is bounded by the
/// partitions there are, and never refused.
#[derive(Debug)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// Appends came to an empty queue, and the bell was not rung for them.
    unheard: AtomicBool,
    bell: Arc<dyn Doorbell>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    /// When the first append of `messages` came.
    since: Option<Instant>,
    /// Appends in `messages`, or taken and not stepped yet.
    appends: usize,
    closed: bool,
}

impl Inbox {
    pub(crate) fn new(bell: Arc<dyn Doorbell>, clock: Arc<dyn Clock>) -> Self {
        Self { state: Mutex::default(), unheard: AtomicBool::new(false), bell, clock }
    }

    pub(crate) fn bell(&self) -> &Arc<dyn Doorbell> {
        &self.bell
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an append, or answers it with a refusal. The writer may not hear of it before [`Inbox::nudge`].
    pub(crate) fn append(&self, slot: Slot, append: Append) {
        let mut state = self.lock();
        let refused = if state.closed {
            Refused::NotLeader
        } else if state.appends >= limits::WRITER_QUEUE_MAX {
            Refused::Busy
        } else {
            state.appends += 1;
            state.since.get_or_insert_with(|| self.clock.now());
            if state.messages.is_empty() {
                self.unheard.store(true, Ordering::Release);
            }
            state.messages.push_back(Message::Append(slot, append));
            return;
        };
        drop(state);
        let _ = append.reply.send(Err(refused));
    }

    /// Queues anything else. After the writer has finished it is dropped, which its receiver sees.
    pub(crate) fn post(&self, message: Message) {
        let state = self.lock();
        if !state.closed {
            self.push(state, message);
        }
    }

    fn push(&self, mut state: MutexGuard<'_, State>, message: Message) {
        // The writer takes all there is, so only the first message needs the bell.
        let first = state.messages.is_empty();
        state.messages.push_back(message);
        drop(state);
        if first {
            self.bell.ring();
        }
        self.nudge();
    }

    /// Tells the writer of appends it has not heard of. Whoever queued one must call this soon; waiting a moment lets
    /// others queue theirs, which are then written together.
    pub(crate) fn nudge(&self) {
        if self.unheard.swap(false, Ordering::AcqRel) {
            self.bell.ring();
        }
    }

    /// Puts all that is queued into `taken`, which must be empty: its memory is used for what comes next. For how long the
    /// first append of it has waited.
    pub(crate) fn take(&self, taken: &mut VecDeque<Message>) -> Option<Duration> {
        let mut state = self.lock();
        std::mem::swap(&mut state.messages, taken);
        let since = state.since.take();
        drop(state);
        since.map(|since| self.clock.now().since(since))
    }

    /// The moment, by the writer's clock.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Makes room for `count` appends that were taken earlier.
    pub(crate) fn release(&self, count: usize) {
        let mut state = self.lock();
        state.appends = state.appends.saturating_sub(count);
    }

    /// Takes nothing more, and drops what is queued.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let messages = std::mem::take(&mut state.messages);
        drop(state);
        drop(messages);
    }
}
