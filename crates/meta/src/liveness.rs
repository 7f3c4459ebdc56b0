//! Which nodes the controller hears of, and what each of them last said: a pure core that the controller's leader owns.
//!
//! ```text
//!              Opened                   Heartbeat
//!   Unheard ───────────> Awaited ───────────────────────> Reachable <──> Silent   (nothing for 3 s)
//!                          ^  ^                               │
//!                   Opened │  └───────── Opened ────┐         │ Reset, Led
//!                          └── Left <── Closed      └─ Broken <┘
//! ```
//! Only a whole report in the session of the moment makes a node Reachable. Whatever else happens, its last report stays
//! what it was: it is shown as the last that is known, never as the present and never as better.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::{BrokerEpoch, Instant, Mutant, NodeId, WallTime};

use crate::{NodeReport, VolumeState};

/// A node that is not heard of for this long is not reachable any more.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(3);

/// Names one session; never used twice by one controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What a node says at least every so often: all of its state, whether or not it has changed.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// The session it is said in.
    pub session: SessionId,
    /// The registration it belongs to.
    pub epoch: BrokerEpoch,
    /// Grows with each heartbeat of one registration, over all of its sessions.
    pub sequence: u64,
    /// The node's wall clock when the report was made.
    pub made_at: WallTime,
    /// The report, in full.
    pub report: Arc<NodeReport>,
}

/// What happens to the controller's sessions.
#[derive(Debug, Clone)]
pub enum Event {
    /// A node opens a session. It ends the one that the node had.
    Opened {
        /// Which node.
        node: NodeId,
        /// Its registration.
        epoch: BrokerEpoch,
    },
    /// A node reports.
    Heard(Heartbeat),
    /// A node says that it stops.
    Closed(SessionId),
    /// All sessions break: the network's doing, or a drill.
    Reset,
    /// This controller leads the quorum in `term`. In a new term, nothing that was said in another counts as present.
    Led {
        /// The term.
        term: u64,
    },
    /// Time has passed: [`Liveness::next_timeout`] came.
    Passed,
}

/// What is to be done about an [`Event`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Tell the node what became of what it asked: the session that it has.
    Answer(Result<SessionId, Stale>),
    /// Tell people that a node has fallen silent.
    FellSilent(NodeId),
    /// Tell people that a node that had fallen silent is heard of again.
    CameBack(NodeId),
}

/// Why something that a node said does not count. Whoever gets it opens a new session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// The node has registered again since.
    #[error("the node has registered again since, with broker epoch {0}")]
    Epoch(BrokerEpoch),
    /// It was overtaken by a later one.
    #[error("heartbeat {0} was heard before")]
    Sequence(u64),
    /// There is no such session (any more).
    #[error("there is no session {0}")]
    Session(SessionId),
}

/// How a node and the controller stand. See the module's drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// It reports in time.
    Reachable,
    /// It has a session, and has not reported in it yet.
    Awaited,
    /// It reported, and then nothing came for [`SESSION_TIMEOUT`] or longer.
    Silent,
    /// Its session broke, and it has not opened another.
    Broken,
    /// It said that it stops.
    Left,
    /// This controller has never heard of it.
    Unheard,
}

/// What the controller knows of a node at one moment.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// How they stand.
    pub contact: Contact,
    /// The last report; the present only while the node is reachable.
    pub last: Option<Arc<NodeReport>>,
    /// How long ago that came; zero without one.
    pub heard_ago: Duration,
    /// When that was made, by the node's wall clock.
    pub heard_at: Option<WallTime>,
}

/// All nodes' sessions with this controller.
#[derive(Debug, Clone, Default)]
pub struct Liveness {
    term: u64,
    sessions_opened: u64,
    nodes: BTreeMap<NodeId, Known>,
}

#[derive(Debug, Clone)]
struct Known {
    epoch: BrokerEpoch,
    /// Of the last heartbeat of this epoch; 0 before the first.
    sequence: u64,
    session: Session,
    last: Option<Last>,
    /// [`Effect::FellSilent`] was given, and [`Effect::CameBack`] not yet.
    is_silent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    Open { id: SessionId, reported: bool },
    Broken,
    Left,
}

#[derive(Debug, Clone)]
struct Last {
    report: Arc<NodeReport>,
    at: Instant,
    made_at: WallTime,
}

impl Liveness {
    /// Takes in one event.
    pub fn step(&mut self, now: Instant, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Opened { node, epoch } => effects.push(Effect::Answer(self.open(node, epoch))),
            Event::Heard(heartbeat) => self.heard(now, heartbeat, effects),
            Event::Closed(session) => {
                let closed = self.holder(session).map(|(_, known)| known.session = Session::Left);
                effects.push(Effect::Answer(closed.map(|()| session).ok_or(Stale::Session(session))));
            }
            Event::Reset => self.break_all(),
            Event::Led { term } if term != self.term => {
                self.term = term;
                self.break_all();
            }
            Event::Led { .. } => {}
            Event::Passed => self.passed(now, effects),
        }
    }

    /// When a node that is heard of now will have fallen silent.
    pub fn next_timeout(&self) -> Option<Instant> {
        let speaking = self.nodes.values().filter(|known| !known.is_silent && known.has_reported());
        speaking.filter_map(|known| Some(known.last.as_ref()?.at + SESSION_TIMEOUT)).min()
    }

    /// What is known of a node at `now`. Time alone makes it worse, whether or not [`Event::Passed`] came.
    pub fn view(&self, now: Instant, node: NodeId) -> NodeView {
        let Some(known) = self.nodes.get(&node) else {
            return NodeView {
                contact: Contact::Unheard,
                last: None,
                heard_ago: Duration::ZERO,
                heard_at: None,
            };
        };
        let heard_ago = known.last.as_ref().map_or(Duration::ZERO, |last| now.since(last.at));
        let contact = match known.session {
            Session::Left => Contact::Left,
            Session::Broken => Contact::Broken,
            Session::Open { reported: false, .. } => Contact::Awaited,
            Session::Open { reported: true, .. } if heard_ago >= SESSION_TIMEOUT => Contact::Silent,
            Session::Open { reported: true, .. } => Contact::Reachable,
        };
        let last = known.last.as_ref().map(|last| last.report.clone());
        let heard_at = known.last.as_ref().map(|last| last.made_at);
        let planted = Mutant::StatusClearedBySessionReset.is_planted();
        if planted && self.sessions_opened > self.nodes.len() as u64 {
            return NodeView { contact: Contact::Reachable, last: last.map(all_well), heard_ago, heard_at };
        }
        NodeView { contact, last, heard_ago, heard_at }
    }

    /// True while the session is the one its node has.
    pub fn holds(&self, session: SessionId) -> bool {
        self.nodes.values().any(|known| known.is_in(session))
    }

    /// Nodes with a session.
    pub fn sessions(&self) -> usize {
        self.nodes.values().filter(|known| matches!(known.session, Session::Open { .. })).count()
    }

    fn open(&mut self, node: NodeId, epoch: BrokerEpoch) -> Result<SessionId, Stale> {
        let known = self.nodes.entry(node).or_insert_with(|| Known {
            epoch,
            sequence: 0,
            session: Session::Broken,
            last: None,
            is_silent: false,
        });
        if known.epoch > epoch {
            return Err(Stale::Epoch(known.epoch));
        }
        if known.epoch < epoch {
            (known.epoch, known.sequence) = (epoch, 0);
        }
        self.sessions_opened += 1;
        let id = SessionId(self.sessions_opened);
        known.session = Session::Open { id, reported: false };
        Ok(id)
    }

    fn heard(&mut self, now: Instant, heartbeat: Heartbeat, effects: &mut Vec<Effect>) {
        let answer = match self.holder(heartbeat.session) {
            None => Err(Stale::Session(heartbeat.session)),
            Some((_, known)) if known.epoch != heartbeat.epoch => Err(Stale::Epoch(known.epoch)),
            Some((_, known)) if known.sequence >= heartbeat.sequence => {
                Err(Stale::Sequence(heartbeat.sequence))
            }
            Some((node, known)) => {
                known.sequence = heartbeat.sequence;
                known.session = Session::Open { id: heartbeat.session, reported: true };
                known.last = Some(Last { report: heartbeat.report, at: now, made_at: heartbeat.made_at });
                if std::mem::take(&mut known.is_silent) {
                    effects.push(Effect::CameBack(node));
                }
                Ok(heartbeat.session)
            }
        };
        effects.push(Effect::Answer(answer));
    }

    fn passed(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        for (node, known) in &mut self.nodes {
            let is_late = known.last.as_ref().is_some_and(|last| now.since(last.at) >= SESSION_TIMEOUT);
            if is_late && known.has_reported() && !known.is_silent {
                known.is_silent = true;
                effects.push(Effect::FellSilent(*node));
            }
        }
    }

    fn break_all(&mut self) {
        for known in self.nodes.values_mut() {
            if matches!(known.session, Session::Open { .. }) {
                known.session = Session::Broken;
            }
        }
    }

    fn holder(&mut self, session: SessionId) -> Option<(NodeId, &mut Known)> {
        let mut nodes = self.nodes.iter_mut();
        nodes.find(|(_, known)| known.is_in(session)).map(|(node, known)| (*node, known))
    }
}

impl Known {
    fn is_in(&self, session: SessionId) -> bool {
        matches!(self.session, Session::Open { id, .. } if id == session)
    }

    fn has_reported(&self) -> bool {
        matches!(self.session, Session::Open { reported: true, .. })
    }
}

impl NodeView {
    /// True if what it last said is the present.
    pub fn is_reachable(&self) -> bool {
        self.contact == Contact::Reachable
    }

    /// How the controller and the node stand, as the rest of a sentence about the node.
    pub fn sentence(&self) -> String {
        match self.contact {
            Contact::Reachable => "it reports in time".to_owned(),
            Contact::Awaited => "it has opened a session and not reported in it yet".to_owned(),
            Contact::Silent => format!("it has not been heard of for {} s", self.heard_ago.as_secs()),
            Contact::Broken => "its session broke, and it has not opened another yet".to_owned(),
            Contact::Left => "it said that it stops".to_owned(),
            Contact::Unheard => "it has not reported since the controller started".to_owned(),
        }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reachable => "Reachable",
            Self::Awaited => "Awaited",
            Self::Silent => "Silent",
            Self::Broken => "Broken",
            Self::Left => "Left",
            Self::Unheard => "Unheard",
        })
    }
}

/// The planted bug's idea of a node that is heard of again.
fn all_well(report: Arc<NodeReport>) -> Arc<NodeReport> {
    let mut report = NodeReport::clone(&report);
    report.volumes.values_mut().for_each(|volume| volume.state = VolumeState::Normal);
    Arc::new(report)
}

#[cfg(test)]
mod tests;
