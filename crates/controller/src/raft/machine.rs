use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use forebay_base::{Reader, Writer};
use forebay_meta::{Image, Record};
use openraft::storage::RaftStateMachine;
use openraft::{
    AnyError, EntryPayload, LogId, OptionalSend, RaftSnapshotBuilder, Snapshot, SnapshotMeta, StorageError,
    StorageIOError, StoredMembership,
};
use tokio::sync::watch;

use super::{Batch, Group, Outcome, RaftEntry, entry_id, log_id};
use crate::storage::Seated;
use crate::store::{self, SnapshotStore, StoreError};

type Failure = StorageError<u64>;
type Members = StoredMembership<u64, openraft::BasicNode>;

/// The snapshots as openraft's tasks share them, called on their storage thread.
pub(crate) type SharedSnapshots = Seated<SnapshotStore>;

/// The newest state of the machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Newest {
    pub(crate) image: Arc<Image>,
    /// The proposal applied last; 0 if there was none.
    pub(crate) proposal: u64,
}

/// Hands Images out. What is published never goes back, neither on a restart of the Raft task nor before the first
/// catch-up: an old Image would make a node delete what it does not know.
#[derive(Debug)]
pub(crate) struct Publisher {
    published: watch::Sender<Arc<Image>>,
    stage: Mutex<Stage>,
}

/// Which Images are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// None yet.
    #[default]
    Closed,
    /// The one that was read where no quorum could be had; none of the machines.
    Provisional,
    /// Those of the machine, which has caught up.
    Open,
}

#[derive(Debug, Default)]
struct Stage {
    newest: Newest,
    phase: Phase,
    /// Counts the machines; only the last one is heard.
    machine: u64,
}

impl Publisher {
    pub(crate) fn new() -> Self {
        Self { published: watch::channel(Arc::default()).0, stage: Mutex::default() }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Image>> {
        self.published.subscribe()
    }

    /// What the machine has now, published or not.
    pub(crate) fn newest(&self) -> Newest {
        self.stage().newest.clone()
    }

    /// True once Images are handed out.
    pub(crate) fn is_open(&self) -> bool {
        self.stage().phase == Phase::Open
    }

    /// True while no Image has been handed out, not even one that was read without a quorum.
    pub(crate) fn is_closed(&self) -> bool {
        self.stage().phase == Phase::Closed
    }

    /// From now on Images are handed out: the machine has caught up with the quorum.
    pub(crate) fn open(&self) {
        let mut stage = self.stage();
        if stage.phase == Phase::Provisional {
            // What was read without a quorum may hold more than was committed: what is committed counts.
            self.published.send_replace(stage.newest.image.clone());
        }
        stage.phase = Phase::Open;
        self.publish(&stage);
    }

    /// Hands out what was read from a disk that takes no writes, until a machine has caught up.
    pub(crate) fn make_do(&self, newest: Newest) {
        let mut stage = self.stage();
        self.published.send_replace(newest.image.clone());
        (stage.phase, stage.newest) = (Phase::Provisional, newest);
    }

    /// A new machine takes over; the number it must say.
    fn take_over(&self) -> u64 {
        let mut stage = self.stage();
        stage.machine += 1;
        stage.machine
    }

    fn put(&self, machine: u64, newest: &Newest) {
        let mut stage = self.stage();
        if stage.machine == machine {
            stage.newest.clone_from(newest);
            self.publish(&stage);
        }
    }

    fn publish(&self, stage: &Stage) {
        self.published.send_if_modified(|published| {
            let newer = stage.phase == Phase::Open && stage.newest.image.index > published.index;
            if newer {
                published.clone_from(&stage.newest.image);
            }
            newer
        });
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// openraft's state machine: the Image, in memory, durable as snapshots and the log behind them.
#[derive(Debug)]
pub(crate) struct Machine {
    snapshots: SharedSnapshots,
    publisher: Arc<Publisher>,
    number: u64,
    state: State,
}

#[derive(Debug, Clone, Default)]
struct State {
    applied: Option<LogId<u64>>,
    members: Members,
    newest: Newest,
}

/// A snapshot or an entry that the machine cannot read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MachineError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Entry(#[from] super::EntryError),
    #[error(transparent)]
    Image(#[from] forebay_meta::SnapshotError),
    #[error(transparent)]
    Record(#[from] forebay_meta::RecordError),
    #[error("the members in a metadata snapshot cannot be read: {0}")]
    Members(#[from] serde_json::Error),
    #[error("a metadata snapshot ends too early")]
    Short(#[from] forebay_base::Short),
    #[error("applying a metadata record panicked; this is a bug")]
    Panicked,
}

impl Machine {
    /// The machine as of the newest snapshot.
    pub(crate) async fn open(
        snapshots: SharedSnapshots,
        publisher: Arc<Publisher>,
    ) -> Result<Self, MachineError> {
        let snapshot = snapshots.call(|store| store.read()).await?;
        let state =
            snapshot.map_or_else(|| Ok(State::default()), |(meta, data)| State::decode(&meta, data))?;
        let number = publisher.take_over();
        publisher.put(number, &state.newest);
        Ok(Self { snapshots, publisher, number, state })
    }
}

impl State {
    fn apply(&mut self, entry: RaftEntry) -> Result<Outcome, MachineError> {
        self.applied = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => Ok(Outcome::Internal),
            EntryPayload::Membership(members) => {
                self.members = StoredMembership::new(Some(entry.log_id), members);
                Ok(Outcome::Internal)
            }
            EntryPayload::Normal(batch) => self.apply_batch(batch),
        }
    }

    fn apply_batch(&mut self, batch: Batch) -> Result<Outcome, MachineError> {
        let newest = &mut self.newest;
        if batch.decided_on != newest.image.index {
            return Ok(Outcome::Stale);
        }
        let records = Record::decode_all(batch.records.into())?;
        let image = Arc::make_mut(&mut newest.image);
        for record in &records {
            image.replay(image.index + 1, record);
        }
        newest.proposal = batch.proposal;
        Ok(Outcome::Applied)
    }

    /// `proposal u64 | Image`, with the members beside it.
    fn encode(&self) -> Result<(store::SnapshotMeta, Vec<u8>), MachineError> {
        let mut out = Writer::new();
        out.u64(self.newest.proposal);
        out.raw(&self.newest.image.encode());
        let meta = store::SnapshotMeta {
            last: self.applied.as_ref().map(entry_id),
            membership: serde_json::to_vec(&self.members)?.into(),
        };
        Ok((meta, out.as_slice().to_vec()))
    }

    fn decode(meta: &store::SnapshotMeta, data: Bytes) -> Result<Self, MachineError> {
        let mut reader = Reader::new(data);
        let proposal = reader.u64()?;
        let image = Arc::new(Image::decode(reader.rest().clone())?);
        Ok(Self {
            applied: meta.last.map(log_id),
            members: serde_json::from_slice(&meta.membership)?,
            newest: Newest { image, proposal },
        })
    }
}

/// What lies on a disk that takes no writes, replayed: all that is known to be committed, which in a quorum of `me` alone
/// is all there is.
pub(crate) fn replay(seen: store::Seen, me: u64) -> Result<Newest, MachineError> {
    let mut state =
        seen.snapshot.map_or_else(|| Ok(State::default()), |(meta, data)| State::decode(&meta, data))?;
    let committed = seen.committed.map(|id| id.index);
    let only_me = |members: &openraft::Membership<u64, openraft::BasicNode>| members.voter_ids().eq([me]);
    for entry in seen.entries {
        let entry = super::raft_entry(entry)?;
        if state.applied.is_some_and(|applied| entry.log_id.index <= applied.index) {
            continue;
        }
        let alone = match &entry.payload {
            EntryPayload::Membership(members) => only_me(members),
            EntryPayload::Blank | EntryPayload::Normal(_) => only_me(state.members.membership()),
        };
        if !alone && committed.is_none_or(|committed| entry.log_id.index > committed) {
            break;
        }
        state.apply(entry)?;
    }
    Ok(state.newest)
}

fn raft_snapshot(applied: Option<LogId<u64>>, members: Members, data: Vec<u8>) -> Snapshot<Group> {
    let snapshot_id = applied.map_or_else(|| "empty".to_owned(), |id| id.to_string());
    let meta = SnapshotMeta { last_log_id: applied, last_membership: members, snapshot_id };
    Snapshot { meta, snapshot: Box::new(Cursor::new(data)) }
}

fn read_error(error: MachineError) -> Failure {
    StorageIOError::read_snapshot(None, AnyError::new(&error)).into()
}

impl RaftStateMachine<Group> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId<u64>>, Members), Failure> {
        Ok((self.state.applied, self.state.members.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Outcome>, Failure>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut outcomes = Vec::new();
        for entry in entries {
            let id = entry.log_id;
            // A panic would end the task that applies, and nobody would notice: as an error, it is supervised.
            let outcome = catch_unwind(AssertUnwindSafe(|| self.state.apply(entry)))
                .unwrap_or(Err(MachineError::Panicked))
                .map_err(|error| StorageIOError::apply(id, AnyError::new(&error)))?;
            outcomes.push(outcome);
        }
        self.publisher.put(self.number, &self.state.newest);
        Ok(outcomes)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { snapshots: self.snapshots.clone(), state: self.state.clone() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, Failure> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, openraft::BasicNode>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), Failure> {
        let data = snapshot.into_inner();
        let install = async {
            let membership = serde_json::to_vec(&meta.last_membership)?.into();
            let meta = store::SnapshotMeta { last: meta.last_log_id.as_ref().map(entry_id), membership };
            let data = Bytes::from(data);
            let state = State::decode(&meta, data.clone())?;
            self.snapshots.call(move |store| store.save(&meta, &data)).await?;
            Ok(state)
        };
        self.state = install
            .await
            .map_err(|error: MachineError| StorageIOError::write_snapshot(None, AnyError::new(&error)))?;
        self.publisher.put(self.number, &self.state.newest);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Group>>, Failure> {
        current(&self.snapshots).await.map_err(read_error)
    }
}

async fn current(snapshots: &SharedSnapshots) -> Result<Option<Snapshot<Group>>, MachineError> {
    let Some((meta, data)) = snapshots.call(|store| store.read()).await? else { return Ok(None) };
    let members = serde_json::from_slice(&meta.membership)?;
    Ok(Some(raft_snapshot(meta.last.map(log_id), members, data.to_vec())))
}

/// Writes a snapshot of the state it was made with.
#[derive(Debug)]
pub(crate) struct Builder {
    snapshots: SharedSnapshots,
    state: State,
}

impl RaftSnapshotBuilder<Group> for Builder {
    /// A snapshot that cannot be written is skipped, since openraft would stop over it: the one before stays, and the
    /// log is kept instead until the next attempt.
    async fn build_snapshot(&mut self) -> Result<Snapshot<Group>, Failure> {
        let (meta, data) = self.state.encode().map_err(read_error)?;
        let (last, data) = (meta.last, Bytes::from(data));
        let written = data.clone();
        let saved = self.snapshots.call(move |store| {
            store.save(&meta, &written)?;
            Ok(store.last())
        });
        let saved = saved.await;
        if saved.as_ref().is_ok_and(|newest| *newest == last) {
            return Ok(raft_snapshot(self.state.applied, self.state.members.clone(), data.to_vec()));
        }
        let Err(error) = saved else {
            // A newer one was installed meanwhile.
            let installed = current(&self.snapshots).await.map_err(read_error)?;
            return Ok(installed.unwrap_or_else(|| raft_snapshot(None, Members::default(), Vec::new())));
        };
        tracing::warn!(%error, bytes = data.len(), "metadata snapshot skipped; the metadata log is kept instead");
        let before = current(&self.snapshots).await.map_err(read_error)?;
        Ok(before.unwrap_or_else(|| raft_snapshot(None, Members::default(), Vec::new())))
    }
}
