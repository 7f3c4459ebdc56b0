use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, LogId, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError, Vote};

use super::{Group, RaftEntry, entry_id, log_id, raft_entry, store_entry};
use tokio::sync::watch;

use crate::storage::{Seated, StorageThread};
use crate::store::{self, LogSpace, LogStore, StoreError};

type Failure = StorageError<u64>;

/// The log as openraft's tasks share it: called on its storage thread. How full it is is published, so that asking for
/// it never waits for the disk.
#[derive(Debug, Clone)]
pub(crate) struct SharedLog {
    store: Seated<LogStore>,
    space: watch::Sender<LogSpace>,
    payload_bytes_max: u64,
}

impl SharedLog {
    pub(crate) fn new(store: LogStore, thread: Arc<StorageThread>) -> Self {
        let space = watch::Sender::new(store.space());
        let payload_bytes_max = store.payload_bytes_max();
        Self { store: Seated::new(store, thread), space, payload_bytes_max }
    }

    /// Calls the store, after the calls made before.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut LogStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let space = self.space.clone();
        let told = move |store: &mut LogStore| {
            let done = work(store);
            space.send_replace(store.space());
            done
        };
        self.store.call(told).await
    }

    /// How full the log was after the last call.
    pub(crate) fn space(&self) -> LogSpace {
        *self.space.borrow()
    }

    /// Largest payload that one entry may carry, in bytes.
    pub(crate) fn payload_bytes_max(&self) -> u64 {
        self.payload_bytes_max
    }
}

/// openraft's log storage: durable when a call returns.
#[derive(Debug, Clone)]
pub(crate) struct RaftLog(pub(crate) SharedLog);

fn read_error(error: impl std::error::Error + 'static) -> Failure {
    StorageIOError::read_logs(AnyError::new(&error)).into()
}

fn write_error(error: impl std::error::Error + 'static) -> Failure {
    StorageIOError::write_logs(AnyError::new(&error)).into()
}

impl RaftLogReader<Group> for RaftLog {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<RaftEntry>, Failure> {
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(to) => *to,
            Bound::Unbounded => u64::MAX,
        };
        let entries = self.0.call(move |store| store.read(from, to)).await.map_err(read_error)?;
        let entries: Result<_, _> = entries.into_iter().map(raft_entry).collect();
        entries.map_err(read_error)
    }
}

impl RaftLogStorage<Group> for RaftLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Group>, Failure> {
        let ends = self.0.call(|store| Ok((store.purged(), store.last()))).await;
        let (purged, last) = ends.map_err(read_error)?;
        Ok(LogState { last_purged_log_id: purged.map(log_id), last_log_id: last.map(log_id) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), Failure> {
        let vote = store::Vote {
            term: vote.leader_id.term,
            node: vote.leader_id.node_id,
            committed: vote.committed,
        };
        let saved = self.0.call(move |store| store.save_vote(vote)).await;
        saved.map_err(|error| StorageIOError::write_vote(AnyError::new(&error)).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, Failure> {
        let as_raft = |vote: store::Vote| {
            if vote.committed {
                Vote::new_committed(vote.term, vote.node)
            } else {
                Vote::new(vote.term, vote.node)
            }
        };
        let vote = self.0.call(|store| Ok(store.vote())).await;
        Ok(vote.map_err(read_error)?.map(as_raft))
    }

    async fn save_committed(&mut self, committed: Option<LogId<u64>>) -> Result<(), Failure> {
        let committed = committed.as_ref().map(entry_id);
        let saved = self.0.call(move |store| {
            store.set_committed(committed);
            Ok(())
        });
        saved.await.map_err(write_error)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<u64>>, Failure> {
        let committed = self.0.call(|store| Ok(store.committed())).await;
        Ok(committed.map_err(read_error)?.map(log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Group>) -> Result<(), Failure>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Result<Vec<_>, _> = entries.into_iter().map(|entry| store_entry(&entry)).collect();
        let entries = entries.map_err(write_error)?;
        let appended = self.0.call(move |store| store.append(&entries)).await;
        match appended {
            Ok(()) => {
                callback.log_io_completed(Ok(()));
                Ok(())
            }
            Err(error) => {
                callback.log_io_completed(Err(io::Error::other(error.to_string())));
                Err(write_error(error))
            }
        }
    }

    async fn truncate(&mut self, from: LogId<u64>) -> Result<(), Failure> {
        self.0.call(move |store| store.truncate(from.index)).await.map_err(write_error)
    }

    async fn purge(&mut self, upto: LogId<u64>) -> Result<(), Failure> {
        self.0.call(move |store| store.purge(entry_id(&upto))).await.map_err(write_error)
    }
}
