use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::WallTime;
use forebay_meta::{Command, Image, Record, Reply};
use openraft::error::{CheckIsLeaderError, ClientWriteError, RaftError};
use tokio::sync::{mpsc, oneshot};

use crate::controller::Shared;
use crate::raft::{Batch, Newest, Outcome};
use crate::store::LogSpace;
use crate::supervise::Running;

/// Why a proposal has no [`Reply`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Another node leads. Nothing has happened; ask that one.
    #[error("this node does not lead the metadata quorum, node {leader} does")]
    NotLeader {
        /// Who leads.
        leader: u64,
    },
    /// The metadata log is short of space. Nothing has happened; try again after the next snapshot.
    #[error(
        "the metadata log is {percent} % full ({used} of {total} bytes): changes wait for the next snapshot"
    )]
    Full {
        /// Share of the log in use.
        percent: u64,
        /// Bytes in use.
        used: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The command makes more records than fit into one entry of the log. Nothing has happened; split it.
    #[error(
        "the command makes {len} bytes of metadata at once, more than the {max} that one log entry takes"
    )]
    TooLarge {
        /// Bytes of its records.
        len: u64,
        /// The most that fit.
        max: u64,
    },
    /// The leadership moved on, or the metadata log failed, while the command was being committed. It may have been
    /// carried out.
    #[error("the metadata quorum was lost meanwhile; the outcome is not known")]
    OutcomeUnknown,
    /// The controller was shut down. The command may have been carried out.
    #[error("the controller has stopped")]
    Stopped,
    /// There is no working metadata log. Nothing has happened; ask again when that has been mended.
    #[error("{reason}")]
    Down {
        /// A sentence.
        reason: Arc<str>,
    },
    /// No outcome in time. The command may yet be carried out.
    #[error("the metadata quorum has not answered within {} ms; the outcome is not known", limit.as_millis())]
    Timeout {
        /// How long it was waited for.
        limit: Duration,
    },
}

/// A command on its way.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) command: Command,
    pub(crate) reply: oneshot::Sender<Result<Reply, ProposeError>>,
}

/// Share of the log, in percent, from which commands are refused.
const FULL_PERCENT: u64 = 80;
/// The same for what a node needs to start and to keep serving, so that a full log cannot keep it down.
const FULL_PERCENT_VITAL: u64 = 95;
/// A batch is closed when its records reach this many bytes.
const BATCH_BYTES: u64 = 256 * 1024;
/// The pause before a quorum without a leader is asked again.
const LEADERLESS_PAUSE: Duration = Duration::from_millis(20);

/// The serial task that decides: takes what is queued, decides it on a working copy of the newest Image, commits the
/// records as one entry, answers. The next batch is decided only after the last one is applied or known to be lost,
/// so a batch is stale only when the leader has changed.
#[derive(Debug)]
pub(crate) struct Decider {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Proposal>,
    /// Taken from the queue, in its order, and not answered.
    pending: VecDeque<Proposal>,
}

/// A batch as decided.
struct Plan {
    batch: Batch,
    answers: Vec<(Proposal, Reply)>,
}

/// What has become of a batch.
enum Fate {
    Applied,
    /// Not part of the Image, and never will be.
    Lost,
    /// The Raft task died over it.
    Unknown,
}

/// The quorum as this task may use it.
enum Quorum {
    Ready(Running),
    Elsewhere(u64),
    /// There is an outage, because of this.
    Down(Arc<str>),
}

impl Decider {
    pub(crate) fn new(shared: Arc<Shared>, queue: mpsc::Receiver<Proposal>) -> Self {
        Self { shared, queue, pending: VecDeque::new() }
    }

    /// Decides until shutdown; what is queued then is dropped, which its proposers read as `Stopped`.
    pub(crate) async fn run(mut self) {
        let mut stop = self.shared.stop.subscribe();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.decide_all() => {}
        }
    }

    async fn decide_all(&mut self) {
        while self.take().await {
            let running = match self.quorum().await {
                Quorum::Ready(running) => running,
                Quorum::Elsewhere(leader) => {
                    self.answer_pending(&ProposeError::NotLeader { leader });
                    continue;
                }
                Quorum::Down(reason) => {
                    self.answer_pending(&ProposeError::Down { reason });
                    continue;
                }
            };
            let now = self.shared.env.clock.wall();
            let plan = self.plan(now, &running);
            self.carry_out(running, plan).await;
        }
    }

    /// Waits for proposals and takes all there are; false once no more can come. Those that nobody waits for any more
    /// are dropped: their proposers were told that the outcome is not known.
    async fn take(&mut self) -> bool {
        loop {
            self.pending.retain(|proposal| !proposal.reply.is_closed());
            while self.pending.len() < forebay_base::limits::PROPOSALS_MAX
                && let Ok(proposal) = self.queue.try_recv()
            {
                self.pending.push_back(proposal);
            }
            if !self.pending.is_empty() {
                return true;
            }
            match self.queue.recv().await {
                Some(proposal) => self.pending.push_back(proposal),
                None => return false,
            }
        }
    }

    fn answer_pending(&mut self, error: &ProposeError) {
        for proposal in self.pending.drain(..) {
            // A proposer that has gone wants no answer.
            let _ = proposal.reply.send(Err(error.clone()));
        }
    }

    /// Waits until this node leads and its machine has all that is committed. A refusal decided after that is as good
    /// as one that was committed itself. An outage is not waited for.
    async fn quorum(&self) -> Quorum {
        let mut outage = self.shared.outage.subscribe();
        tokio::select! {
            biased;
            Ok(reason) = outage.wait_for(Option::is_some) => {
                Quorum::Down(Option::clone(&reason).unwrap_or_default())
            }
            quorum = self.working_quorum() => quorum,
        }
    }

    async fn working_quorum(&self) -> Quorum {
        let mut running = self.shared.running.subscribe();
        loop {
            let current = running.borrow_and_update().clone();
            if let Some(current) = current {
                match current.raft.ensure_linearizable().await {
                    Ok(_) => return Quorum::Ready(current),
                    Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward))) => {
                        if let Some(leader) = forward.leader_id.filter(|leader| !self.is_me(*leader)) {
                            return Quorum::Elsewhere(leader);
                        }
                    }
                    Err(
                        RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_)) | RaftError::Fatal(_),
                    ) => {}
                }
                tokio::time::sleep(LEADERLESS_PAUSE).await;
            } else if running.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn is_me(&self, node: u64) -> bool {
        u64::try_from(self.shared.config.node.0) == Ok(node)
    }

    /// Decides as many of the pending proposals as one entry takes; answers those at once that cannot be carried out.
    fn plan(&mut self, now: WallTime, running: &Running) -> Plan {
        let (space, len_max) =
            (running.log.space(), running.log.payload_bytes_max().saturating_sub(Batch::HEADER_LEN));
        let Newest { image, .. } = self.shared.publisher.newest();
        let mut working = Image::clone(&image);
        let batch =
            Batch { proposal: self.shared.env.rng.next_u64(), decided_on: image.index, records: Vec::new() };
        let mut plan = Plan { batch, answers: Vec::new() };
        while let Some(proposal) = self.pending.pop_front() {
            let (records, reply) = working.decide(now, &proposal.command);
            let bytes = Record::encode_all(&records);
            let (len, before) = (bytes.len() as u64, plan.batch.records.len() as u64);
            if before > 0 && before + len > BATCH_BYTES.min(len_max) {
                self.pending.push_front(proposal);
                break;
            }
            if let Err(error) = admit(&proposal.command, len, before, len_max, space) {
                let _ = proposal.reply.send(Err(error));
                continue;
            }
            for record in &records {
                working.replay(working.index + 1, record);
            }
            plan.batch.records.extend_from_slice(&bytes);
            plan.answers.push((proposal, reply));
        }
        plan
    }

    /// Commits the batch and answers; proposals of a lost batch are decided anew, in their order.
    async fn carry_out(&mut self, running: Running, plan: Plan) {
        let proposal = plan.batch.proposal;
        let fate =
            if plan.batch.records.is_empty() { Fate::Applied } else { submit(running, plan.batch).await };
        let fate = match fate {
            Fate::Unknown => self.find_out(proposal).await,
            known @ (Fate::Applied | Fate::Lost) => known,
        };
        match fate {
            Fate::Applied => {
                for (proposal, reply) in plan.answers {
                    let _ = proposal.reply.send(Ok(reply));
                }
            }
            Fate::Lost => {
                for (proposal, _) in plan.answers.into_iter().rev() {
                    self.pending.push_front(proposal);
                }
            }
            Fate::Unknown => {
                for (proposal, _) in plan.answers {
                    let _ = proposal.reply.send(Err(ProposeError::OutcomeUnknown));
                }
            }
        }
    }

    /// What became of a batch whose answer was lost: once this node leads again, whatever survived is applied, and
    /// this task is the only one to propose.
    async fn find_out(&self, proposal: u64) -> Fate {
        match self.quorum().await {
            Quorum::Ready(_) if self.shared.publisher.newest().proposal == proposal => Fate::Applied,
            Quorum::Ready(_) => Fate::Lost,
            Quorum::Elsewhere(_) | Quorum::Down(_) => Fate::Unknown,
        }
    }
}

async fn submit(running: Running, batch: Batch) -> Fate {
    match running.raft.client_write(batch).await {
        Ok(written) => match written.data {
            Outcome::Applied => Fate::Applied,
            Outcome::Stale | Outcome::Internal => Fate::Lost,
        },
        Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Fate::Lost,
        Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(_)) | RaftError::Fatal(_)) => {
            Fate::Unknown
        }
    }
}

/// Whether records of `len` bytes may be added to a batch that has `before`.
fn admit(
    command: &Command,
    len: u64,
    before: u64,
    len_max: u64,
    space: LogSpace,
) -> Result<(), ProposeError> {
    if len == 0 {
        return Ok(());
    }
    if len > len_max {
        return Err(ProposeError::TooLarge { len, max: len_max });
    }
    let vital = match command {
        Command::Format { .. } | Command::RegisterBroker { .. } | Command::AllocateProducerIds { .. } => true,
        Command::CreateTopics { .. }
        | Command::DeleteTopics { .. }
        | Command::CreatePartitions { .. }
        | Command::AlterConfigs { .. } => false,
    };
    let percent_max = if vital { FULL_PERCENT_VITAL } else { FULL_PERCENT };
    if space.used + before + len > space.total / 100 * percent_max {
        let percent = space.used * 100 / space.total.max(1);
        return Err(ProposeError::Full { percent, used: space.used, total: space.total });
    }
    Ok(())
}
