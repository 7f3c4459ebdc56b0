//! What idempotent producers (KIP-98) have written to one partition, so that a batch sent twice is stored once.
//!
//! Pure. Per producer: its epoch and its last five batches; a client keeps no more in flight. The table is bounded
//! and forgets: producers silent for a day, and the longest silent one when it is full. A producer that is not
//! known may start with any sequence (KIP-360).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use forebay_base::{Offset, ProducerId, WallTime, limits};
use forebay_records::BatchHeader;

use crate::Refused;

mod snapshot;

pub use snapshot::SnapshotError;

/// One remembered batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// Sequence of its first record.
    pub first_sequence: i32,
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Its largest timestamp, as stored.
    pub max_timestamp: i64,
}

/// What is known of one producer. Never without a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    /// Oldest first, at most [`limits::PRODUCER_BATCHES`], all of this epoch.
    batches: VecDeque<Remembered>,
    /// When it last wrote, by this node's clock.
    seen: WallTime,
}

/// What to do with a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is new and in order: append it.
    Fresh,
    /// It is stored already: answer with the original's place.
    Duplicate(Remembered),
    /// It must not be stored.
    Refuse(Refused),
}

/// The producers of one partition. Changes are tentative until [`Producers::settle`].
#[derive(Debug, Default)]
pub struct Producers {
    known: HashMap<ProducerId, Producer>,
    /// Last offset -> producer: the first entry is the longest silent one.
    by_age: BTreeMap<Offset, ProducerId>,
    /// Producers as they will be once the write in work is in the file.
    tentative: HashMap<ProducerId, Producer>,
}

impl Producers {
    /// Judges a batch of an idempotent producer, tentative state included. Codes as Kafka's `ProducerAppendInfo`.
    pub fn judge(&self, batch: &BatchHeader) -> Verdict {
        let id = batch.producer_id;
        let Some(producer) = self.tentative.get(&id).or_else(|| self.known.get(&id)) else {
            return Verdict::Fresh;
        };
        let (first, last) = (batch.base_sequence, batch.last_sequence());
        if batch.producer_epoch < producer.epoch {
            let (got, current) = (batch.producer_epoch, producer.epoch);
            return Verdict::Refuse(Refused::InvalidProducerEpoch { producer: id, got, current });
        }
        if batch.producer_epoch > producer.epoch {
            return match first {
                0 => Verdict::Fresh,
                got => Verdict::Refuse(Refused::OutOfOrderSequence { producer: id, got, wanted: 0 }),
            };
        }
        let same = |known: &&Remembered| (known.first_sequence, known.last_sequence) == (first, last);
        if let Some(original) = producer.batches.iter().find(same) {
            return Verdict::Duplicate(*original);
        }
        let wanted = producer.batches.back().map_or(0, |newest| next_sequence(newest.last_sequence));
        if first == wanted {
            Verdict::Fresh
        } else if producer.forgot(last) {
            Verdict::Refuse(Refused::DuplicateSequence { producer: id, got: first })
        } else {
            Verdict::Refuse(Refused::OutOfOrderSequence { producer: id, got: first, wanted })
        }
    }

    /// Takes note of a batch that is about to be written. `batch` is as stamped.
    pub fn note(&mut self, batch: &BatchHeader, at: WallTime) {
        let id = batch.producer_id;
        let known = &self.known;
        let fresh = || Producer { epoch: batch.producer_epoch, batches: VecDeque::new(), seen: at };
        let producer =
            self.tentative.entry(id).or_insert_with(|| known.get(&id).cloned().unwrap_or_else(fresh));
        producer.note(batch, at);
    }

    /// The write is in the file: what was noted holds.
    pub fn settle(&mut self) {
        for (id, producer) in std::mem::take(&mut self.tentative) {
            self.insert(id, producer);
        }
        self.shrink(limits::PARTITION_PRODUCERS_MAX);
    }

    /// The write failed: what was noted never was.
    pub fn discard(&mut self) {
        self.tentative.clear();
    }

    /// Takes in a batch found in the log. `at` is the time of the recovery: timestamps are the clients' and may lie
    /// decades back, and a producer forgotten too early could write twice.
    pub fn recover(&mut self, batch: &BatchHeader, at: WallTime) {
        if batch.is_idempotent() && !batch.is_control() {
            self.note(batch, at);
            self.settle();
        }
    }

    /// Forgets producers that have written nothing for `expiry` (`producer.id.expiration.ms`).
    pub fn expire(&mut self, now: WallTime, expiry: Duration) {
        let expiry_ms = i64::try_from(expiry.as_millis()).unwrap_or(i64::MAX);
        let by_age = &mut self.by_age;
        self.known.retain(|_, producer| {
            let keep = now.0.saturating_sub(producer.seen.0) < expiry_ms;
            if !keep {
                by_age.remove(&producer.last_offset());
            }
            keep
        });
    }

    /// How many producers are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// True if none is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn insert(&mut self, id: ProducerId, producer: Producer) {
        let age = producer.last_offset();
        if let Some(before) = self.known.insert(id, producer) {
            self.by_age.remove(&before.last_offset());
        }
        self.by_age.insert(age, id);
    }

    fn shrink(&mut self, producers_max: usize) {
        while self.known.len() > producers_max
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.known.remove(&oldest);
        }
    }
}

impl Producer {
    fn note(&mut self, batch: &BatchHeader, at: WallTime) {
        if batch.producer_epoch != self.epoch {
            self.epoch = batch.producer_epoch;
            self.batches.clear();
        }
        if self.batches.len() == limits::PRODUCER_BATCHES {
            self.batches.pop_front();
        }
        self.batches.push_back(Remembered {
            first_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset: batch.base_offset,
            last_offset: batch.last_offset(),
            max_timestamp: batch.max_timestamp,
        });
        self.seen = at;
    }

    fn last_offset(&self) -> Offset {
        self.batches.back().map_or(Offset(-1), |newest| newest.last_offset)
    }

    /// True if a batch that ends with `last` was stored, but has left the window. Only a full window proves that:
    /// a client keeps five batches in flight, so one that five others overtook was answered. "Duplicate" reads as
    /// success to clients, so it must never be said of a batch that may not be stored.
    fn forgot(&self, last: i32) -> bool {
        let Some(oldest) = self.batches.front().filter(|_| self.batches.len() == limits::PRODUCER_BATCHES)
        else {
            return false;
        };
        let distance = oldest.first_sequence.wrapping_sub(last) & i32::MAX;
        (1..=i32::MAX / 2).contains(&distance)
    }
}

/// Sequences run from 0 to 2^31-1 and start over.
fn next_sequence(sequence: i32) -> i32 {
    sequence.wrapping_add(1) & i32::MAX
}

#[cfg(test)]
mod tests;
