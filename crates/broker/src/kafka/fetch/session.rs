//! What a client reads and what it was last told: the state of one fetch session (KIP-227), decided without waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use forebay_base::{LeaderEpoch, Offset, TopicId};

/// A topic as the client names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TopicKey {
    /// By its name: up to version 12.
    Name(Arc<str>),
    /// By its id: from version 13 on (KIP-516).
    Id(TopicId),
}

/// A topic of a session, shared by those of its partitions that came in one request.
#[derive(Debug)]
pub(super) struct AskedTopic {
    pub(super) key: TopicKey,
    /// The name it was first found under. A topic id that is gone while its name lives on was made anew.
    pub(super) name: OnceLock<Arc<str>>,
}

impl AskedTopic {
    pub(super) fn new(key: TopicKey) -> Arc<Self> {
        Arc::new(Self { key, name: OnceLock::new() })
    }
}

/// What a client wants of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    /// From which offset.
    pub(super) from: Offset,
    /// Most bytes of it.
    pub(super) bytes_max: u32,
    /// The leader epoch the client knows, or -1.
    pub(super) epoch: LeaderEpoch,
    /// Epoch of the record before `from`, where the client tells it (version 12), or -1.
    pub(super) last_epoch: LeaderEpoch,
}

/// What an answer tells of a partition beside records and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) high_watermark: Offset,
    pub(super) stable: Offset,
    pub(super) start: Offset,
}

impl Told {
    /// Nothing yet, or an error. An error is always told, and so is whatever comes after it.
    pub(super) const NOTHING: Told =
        Told { high_watermark: Offset(-1), stable: Offset(-1), start: Offset(-1) };
}

/// One partition of a session. There are many of these: they are kept small.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) topic: Arc<AskedTopic>,
    pub(super) index: i32,
    pub(super) ask: Ask,
    told: Told,
}

impl Asked {
    pub(super) fn new(topic: Arc<AskedTopic>, index: i32, ask: Ask) -> Self {
        Self { topic, index, ask, told: Told::NOTHING }
    }

    fn key(&self) -> (&TopicKey, i32) {
        (&self.topic.key, self.index)
    }

    /// True if the client must hear of this. What it knows from then on is kept.
    fn tell(&mut self, outcome: &Outcome) -> bool {
        let news = self.told != outcome.told || outcome.told == Told::NOTHING;
        self.told = outcome.told;
        news || outcome.records || outcome.diverging
    }
}

/// The partitions that a client reads, in the order in which they are looked at: those that gave records last come
/// last, so that all have their turn when the bytes of an answer do not suffice for all.
#[derive(Debug, Default)]
pub(super) struct FetchSession {
    partitions: Vec<Asked>,
}

impl FetchSession {
    pub(super) fn partitions(&self) -> &[Asked] {
        &self.partitions
    }

    pub(super) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Takes in what a request says: partitions asked for anew or otherwise than before, and then partitions that are
    /// forgotten. Of a partition that is asked for twice the last word counts.
    pub(super) fn merge(&mut self, asked: Vec<Asked>, forgotten: &BTreeSet<(TopicKey, i32)>) {
        if !asked.is_empty() {
            self.take_in(asked);
        }
        if !forgotten.is_empty() {
            self.partitions.retain(|known| !forgotten.contains(&(known.topic.key.clone(), known.index)));
        }
    }

    fn take_in(&mut self, asked: Vec<Asked>) {
        let mut places: BTreeMap<(&TopicKey, i32), usize> = BTreeMap::new();
        for (place, partition) in asked.iter().enumerate() {
            places.insert(partition.key(), place);
        }
        let mut new: BTreeSet<usize> = places.values().copied().collect();
        for known in &mut self.partitions {
            if let Some(place) = places.get(&known.key()).copied() {
                known.ask = asked[place].ask;
                new.remove(&place);
            }
        }
        self.partitions.reserve_exact(new.len());
        let partitions = asked.into_iter().enumerate();
        self.partitions
            .extend(partitions.filter(|(place, _)| new.contains(place)).map(|(_, partition)| partition));
    }

    /// Remembers what is told of each partition, in their order, and says of which the client must hear: in a full
    /// answer of all, else of those with records, errors or news.
    pub(super) fn tell(&mut self, outcomes: &[Outcome], full: bool) -> Vec<bool> {
        let pairs = self.partitions.iter_mut().zip(outcomes);
        pairs.map(|(partition, outcome)| partition.tell(outcome) || full).collect()
    }

    /// Moves the partitions that gave records to the end.
    pub(super) fn rotate(&mut self, outcomes: &[Outcome]) {
        if !outcomes.iter().any(|outcome| outcome.records) {
            return;
        }
        let (mut rest, mut served) = (Vec::with_capacity(self.partitions.len()), Vec::new());
        for (partition, outcome) in self.partitions.drain(..).zip(outcomes) {
            if outcome.records { served.push(partition) } else { rest.push(partition) }
        }
        rest.append(&mut served);
        self.partitions = rest;
    }
}

/// What became of one partition in one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    /// [`Told::NOTHING`] stands for an error.
    pub(super) told: Told,
    /// Records are sent.
    pub(super) records: bool,
    /// The client is told where its log parts from this one (KIP-595).
    pub(super) diverging: bool,
}

#[cfg(test)]
mod tests;
