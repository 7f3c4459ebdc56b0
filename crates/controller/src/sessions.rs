use std::sync::Arc;

use forebay_base::{BrokerEpoch, NodeId, WallTime, limits};
use forebay_meta::NodeReport;
use forebay_meta::liveness::{Effect, Event, Heartbeat, Liveness, SessionId, Stale};
use tokio::sync::{mpsc, oneshot, watch};

use crate::controller::Shared;

/// Why a node was not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// What it said does not count (any more).
    #[error(transparent)]
    Stale(#[from] Stale),
    /// The controller is stopping. While it is only slow, whoever speaks waits.
    #[error("the controller does not listen")]
    Deaf,
}

/// What a node asks of the controller, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    event: Event,
    answer: Option<oneshot::Sender<Result<SessionId, Stale>>>,
}

/// The controller's ear: how events reach the task that owns the sessions, and what that task shows.
#[derive(Debug)]
pub(crate) struct Ear {
    asked: mpsc::Sender<Asked>,
    shown: watch::Receiver<Arc<Liveness>>,
}

impl Ear {
    async fn ask(&self, event: Event) -> Result<SessionId, SessionError> {
        let (reply, answer) = oneshot::channel();
        let asked = Asked { event, answer: Some(reply) };
        self.asked.send(asked).await.map_err(|_| SessionError::Deaf)?;
        Ok(answer.await.map_err(|_| SessionError::Deaf)??)
    }

    /// Opens a session of a node.
    pub(crate) async fn open(
        self: &Arc<Self>,
        node: NodeId,
        epoch: BrokerEpoch,
    ) -> Result<Session, SessionError> {
        let id = self.ask(Event::Opened { node, epoch }).await?;
        Ok(Session { id, epoch, ear: Arc::clone(self) })
    }

    /// What the task has shown last.
    pub(crate) fn shown(&self) -> watch::Receiver<Arc<Liveness>> {
        self.shown.clone()
    }

    /// Breaks all sessions; the number of those there were.
    pub(crate) async fn reset(&self) -> usize {
        let sessions = self.shown.borrow().sessions();
        // A controller that is stopping has none left to break.
        let _ = self.asked.send(Asked { event: Event::Reset, answer: None }).await;
        sessions
    }
}

/// A node's session with its controller. It may break at any time: what is said in it is refused then.
///
/// Dropping it says nothing, as a process that dies says nothing; the controller learns from the silence.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    epoch: BrokerEpoch,
    ear: Arc<Ear>,
}

impl Session {
    /// Which one it is.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Reports, as things were at `made_at` by the node's wall clock. `sequence` grows with each heartbeat of this
    /// registration of the node, over all of its sessions.
    pub async fn heartbeat(
        &self,
        sequence: u64,
        made_at: WallTime,
        report: NodeReport,
    ) -> Result<(), SessionError> {
        let (session, epoch) = (self.id, self.epoch);
        let heartbeat = Heartbeat { session, epoch, sequence, made_at, report: Arc::new(report) };
        self.ear.ask(Event::Heard(heartbeat)).await.map(drop)
    }

    /// Ends when the session has broken.
    pub async fn broken(&self) {
        let gone = |liveness: &Arc<Liveness>| !liveness.holds(self.id);
        // A controller that is gone has broken it, too.
        let _ = self.ear.shown().wait_for(gone).await;
    }

    /// Says that the node stops.
    pub async fn close(self) -> Result<(), SessionError> {
        self.ear.ask(Event::Closed(self.id)).await.map(drop)
    }
}

/// The task that owns the sessions: takes in what nodes say, and shows what is known of them.
///
/// It does not ask whether the quorum works: what a node says of its disks stays true while the metadata log, which may
/// lie on one of them, is down. A quorum of one has no other leader that could know better.
#[derive(Debug)]
pub(crate) struct Listener {
    shared: Arc<Shared>,
    asked: mpsc::Receiver<Asked>,
    liveness: Liveness,
    show: watch::Sender<Arc<Liveness>>,
}

/// The ear, and what the task will listen with.
pub(crate) fn ear() -> (Arc<Ear>, mpsc::Receiver<Asked>, watch::Sender<Arc<Liveness>>) {
    let (asking, asked) = mpsc::channel(limits::SESSION_EVENTS_MAX);
    let (show, shown) = watch::channel(Arc::default());
    (Arc::new(Ear { asked: asking, shown }), asked, show)
}

impl Listener {
    pub(crate) fn new(
        shared: Arc<Shared>,
        asked: mpsc::Receiver<Asked>,
        show: watch::Sender<Arc<Liveness>>,
    ) -> Self {
        Self { shared, asked, liveness: Liveness::default(), show }
    }

    /// Listens until shutdown.
    pub(crate) async fn run(mut self) {
        let mut stop = self.shared.stop.subscribe();
        loop {
            let now = self.shared.env.clock.now();
            let timeout = self.liveness.next_timeout().map(|at| at.since(now));
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                asked = self.asked.recv() => match asked {
                    Some(asked) => self.take(asked),
                    None => return,
                },
                () = tokio::time::sleep(timeout.unwrap_or_default()), if timeout.is_some() => {
                    let _ = self.step(Event::Passed);
                }
            }
        }
    }

    /// Answers after what is shown has changed: who was told that it was heard can see it.
    fn take(&mut self, asked: Asked) {
        if let Some(term) = self.shared.leads_in() {
            let _ = self.step(Event::Led { term });
        }
        let outcome = self.step(asked.event);
        if let (Some(answer), Some(outcome)) = (asked.answer, outcome) {
            // Whoever asked may have gone.
            let _ = answer.send(outcome);
        }
    }

    /// Steps the core and does what it wants; what is to be answered is handed back.
    fn step(&mut self, event: Event) -> Option<Result<SessionId, Stale>> {
        let (mut effects, mut outcome) = (Vec::new(), None);
        self.liveness.step(self.shared.env.clock.now(), event, &mut effects);
        self.show.send_replace(Arc::new(self.liveness.clone()));
        for effect in effects {
            match effect {
                Effect::Answer(answer) => outcome = Some(answer),
                Effect::FellSilent(node) => {
                    tracing::warn!(%node, transition = true, "the node is not heard of any more: the status of what it leads is Unknown");
                }
                Effect::CameBack(node) => {
                    tracing::warn!(%node, transition = true, "the node is heard of again");
                }
            }
        }
        outcome
    }
}
