use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, LogId, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError, Vote};

use super::{Group, RaftEntry, entry_id, log_id, raft_entry, store_entry};
use crate::store::{self, LogStore};

type Failure = StorageError<u64>;

/// The log as openraft's tasks share it. The lock is held for one synchronous call at a time.
#[derive(Debug, Clone)]
pub(crate) struct SharedLog(Arc<Mutex<LogStore>>);

impl SharedLog {
    pub(crate) fn new(store: LogStore) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    /// The store. A panic while it was locked has fenced nothing, but what it holds is checked on every read.
    pub(crate) fn lock(&self) -> MutexGuard<'_, LogStore> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// openraft's log storage: small synchronous writes on the control runtime, durable when a call returns.
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
        let entries = self.0.lock().read(from, to).map_err(read_error)?;
        let entries: Result<_, _> = entries.into_iter().map(raft_entry).collect();
        entries.map_err(read_error)
    }
}

impl RaftLogStorage<Group> for RaftLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Group>, Failure> {
        let store = self.0.lock();
        Ok(LogState { last_purged_log_id: store.purged().map(log_id), last_log_id: store.last().map(log_id) })
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
        let saved = self.0.lock().save_vote(vote);
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
        Ok(self.0.lock().vote().map(as_raft))
    }

    async fn save_committed(&mut self, committed: Option<LogId<u64>>) -> Result<(), Failure> {
        self.0.lock().set_committed(committed.as_ref().map(entry_id));
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<u64>>, Failure> {
        Ok(self.0.lock().committed().map(log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Group>) -> Result<(), Failure>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Result<Vec<_>, _> = entries.into_iter().map(|entry| store_entry(&entry)).collect();
        let appended = self.0.lock().append(&entries.map_err(write_error)?);
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
        self.0.lock().truncate(from.index).map_err(write_error)
    }

    async fn purge(&mut self, upto: LogId<u64>) -> Result<(), Failure> {
        self.0.lock().purge(entry_id(&upto)).map_err(write_error)
    }
}
