use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_base::{LeaderEpoch, Offset, TopicId, limits};
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::fetch::{FetchPartition, FetchRequest};

use super::super::call::Call;
use super::TOPIC_IDS_FROM_VERSION;
use super::session::{Ask, Asked, AskedTopic, FetchSession, Outcome, TopicKey};
use super::slots::{EPOCH_FINAL, EPOCH_INITIAL, Owner, Slots, Ticket};

/// The fetch sessions of a node (KIP-227), behind a lock that is never held for longer than a look-up takes: a request
/// borrows its session as a whole, and works on it without the lock.
#[derive(Debug)]
pub(crate) struct FetchSessions(Mutex<Slots>);

/// How many sessions there are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FetchSessionCounts {
    /// Sessions that clients can go on with.
    pub(crate) sessions: usize,
    /// Partitions of all of them together.
    pub(crate) partitions: usize,
    /// Sessions that had to give way to others since the start.
    pub(crate) evictions: u64,
}

impl FetchSessions {
    /// Room for `slots_max` sessions (`max.incremental.fetch.session.cache.slots`).
    pub(crate) fn new(slots_max: usize) -> Self {
        Self(Mutex::new(Slots::new(slots_max, limits::FETCH_SESSION_PARTITIONS_MAX)))
    }

    /// The counts of the moment.
    pub(crate) fn counts(&self) -> FetchSessionCounts {
        let slots = self.lock();
        FetchSessionCounts {
            sessions: slots.len(),
            partitions: slots.partitions(),
            evictions: slots.evictions(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request's use of a session, or of what would become one.
pub(super) struct Turn<'a> {
    call: &'a Call,
    pub(super) session: FetchSession,
    kind: Kind,
}

enum Kind {
    /// A full fetch without a session.
    Without,
    /// A full fetch that opens a session.
    Opening,
    /// The next fetch of a session.
    Next(Ticket),
}

impl<'a> Turn<'a> {
    /// Finds out what the request reads. An error is one of the whole request.
    pub(super) fn begin(call: &'a Call, request: &FetchRequest) -> Result<Self, ErrorCode> {
        let (id, epoch) = (request.session_id, request.session_epoch);
        let sessions = &call.node.fetch_sessions;
        let (kind, session) = if epoch == EPOCH_INITIAL || epoch == EPOCH_FINAL {
            if id != 0 {
                sessions.lock().close(id, &owner(call));
            }
            let kind = if epoch == EPOCH_INITIAL { Kind::Opening } else { Kind::Without };
            (kind, FetchSession::default())
        } else {
            let now = call.node.clock.now();
            let (ticket, session) = sessions.lock().lend(now, id, epoch, &owner(call))?;
            (Kind::Next(ticket), session)
        };
        let mut turn = Self { call, session, kind };
        turn.session.merge(asked(call, request), &forgotten(call, request));
        if turn.session.len() == 0 {
            turn.leave();
        }
        Ok(turn)
    }

    /// Says of which partitions the answer must tell: a full one of all.
    pub(super) fn tell(&mut self, outcomes: &[Outcome]) -> Vec<bool> {
        let full = match self.kind {
            Kind::Without | Kind::Opening => true,
            Kind::Next(_) => false,
        };
        self.session.tell(outcomes, full)
    }

    /// The answer is made: keeps the session. The id tells the client what it can go on with; 0 is nothing.
    pub(super) fn end(mut self, outcomes: &[Outcome]) -> i32 {
        let (node, mut session) = (&self.call.node, std::mem::take(&mut self.session));
        match std::mem::replace(&mut self.kind, Kind::Without) {
            Kind::Without => 0,
            Kind::Opening => {
                let (now, owner) = (node.clock.now(), owner(self.call));
                let opened = node.fetch_sessions.lock().open(now, owner, session, || node.rng.next_u64());
                opened.unwrap_or(0)
            }
            Kind::Next(ticket) => {
                session.rotate(outcomes);
                node.fetch_sessions.lock().give_back(ticket, session);
                ticket.id
            }
        }
    }

    /// Gives the session up.
    fn leave(&mut self) {
        if let Kind::Next(ticket) = std::mem::replace(&mut self.kind, Kind::Without) {
            self.call.node.fetch_sessions.lock().lose(ticket);
        }
    }
}

/// A request that is cut off takes its session with it: nobody knows what its client has heard.
impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

fn owner(call: &Call) -> Owner {
    Owner {
        listener: call.session.listener.clone(),
        principal: call.session.principal.clone(),
        names_ids: call.version >= TOPIC_IDS_FROM_VERSION,
    }
}

/// Names are copied: a session must not keep the frame of a request.
fn key(call: &Call, name: &str, id: TopicId) -> TopicKey {
    if call.version >= TOPIC_IDS_FROM_VERSION { TopicKey::Id(id) } else { TopicKey::Name(name.into()) }
}

fn asked(call: &Call, request: &FetchRequest) -> Vec<Asked> {
    let mut asked = Vec::with_capacity(request.topics.iter().map(|topic| topic.partitions.len()).sum());
    for topic in &request.topics {
        let shared = AskedTopic::new(key(call, &topic.topic, TopicId(topic.topic_id)));
        asked.extend(
            topic
                .partitions
                .iter()
                .map(|partition| Asked::new(Arc::clone(&shared), partition.partition, ask(partition))),
        );
    }
    asked
}

fn ask(partition: &FetchPartition) -> Ask {
    Ask {
        from: Offset(partition.fetch_offset),
        bytes_max: u32::try_from(partition.partition_max_bytes).unwrap_or(0),
        epoch: LeaderEpoch(partition.current_leader_epoch),
        last_epoch: LeaderEpoch(partition.last_fetched_epoch),
    }
}

fn forgotten(call: &Call, request: &FetchRequest) -> BTreeSet<(TopicKey, i32)> {
    let topics = request.forgotten_topics_data.iter();
    let pairs = topics.flat_map(|topic| {
        let key = key(call, &topic.topic, TopicId(topic.topic_id));
        topic.partitions.iter().map(move |index| (key.clone(), *index))
    });
    pairs.collect()
}
