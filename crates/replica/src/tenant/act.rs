use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use forebay_base::{Instant, LeaderEpoch, Mutant, Offset};
use forebay_log::{Stamped, SyncJob};
use forebay_records::{BatchHeader, HEADER_LEN, stamp, stamp_log_append_time};

use super::{Tenant, is_storage_fault, view};
use crate::event::{Effect, Event, Ticket};
use crate::inbox::Message;

/// The core's effects, done.
impl Tenant {
    /// Steps the core and does what it wants, until it wants nothing more.
    pub(super) fn step(&mut self, event: Event) {
        self.step_at(self.site.clock.now(), event);
    }

    /// As [`Tenant::step`], with the time at hand.
    pub(super) fn step_at(&mut self, now: Instant, event: Event) {
        let mut effects = std::mem::take(&mut self.effects);
        let (mut next, mut events) = (Some(event), VecDeque::new());
        while let Some(event) = next {
            self.core.step(now, event, &mut effects);
            assert!(self.core.positions().hold(), "positions out of order: {:?}", self.core.positions());
            for effect in effects.drain(..) {
                self.act(effect, &mut events);
            }
            next = events.pop_front();
        }
        self.effects = effects;
    }

    /// Does one effect. What reports on it at once is added to `events`.
    fn act(&mut self, effect: Effect, events: &mut VecDeque<Event>) {
        match effect {
            Effect::Write { ticket, base, epoch, append_time } => {
                self.stamp(ticket, base, epoch, append_time)
            }
            Effect::Sync => self.sync(),
            Effect::AdvanceStart { to } => match self.log.advance_start(to) {
                Ok(()) => events.push_back(Event::StartMoved { to }),
                Err(error) => {
                    let reason = error.to_string();
                    self.site.condition.note(&error);
                    events.push_back(Event::StartStuck { reason: reason.clone() });
                    events.extend(is_storage_fault(&error).then_some(Event::SyncFailed { reason }));
                }
            },
            Effect::Publish => self.partition.publish(view(&self.core, &self.log)),
            Effect::Answer { ticket, result } => {
                if let Some((_, reply)) = self.appends.remove(&ticket) {
                    self.answers.push((reply, result));
                }
            }
            Effect::Deleted { ticket, result } => {
                if let Some(reply) = self.deletions.remove(&ticket) {
                    let _ = reply.send(result);
                }
            }
            Effect::Fail { reason } => {
                self.log.poison(&reason);
                self.site.condition.note_fault();
                tracing::error!(
                    partition = %self.partition.id(), %reason,
                    "storage fault: the partition takes no writes until it is opened again; reads go on"
                );
            }
        }
    }

    fn stamp(&mut self, ticket: Ticket, base: Offset, epoch: LeaderEpoch, append_time: Option<i64>) {
        let stamped = self.appends.get_mut(&ticket).and_then(|(bytes, _)| {
            // From here on the log has the bytes; who waits for a commit must not hold them.
            let batch = std::mem::take(bytes);
            let mut header: [u8; HEADER_LEN] = *batch.first_chunk()?;
            let rest = batch.slice(HEADER_LEN..);
            stamp(&mut header, base, epoch);
            if let Some(timestamp) = append_time {
                stamp_log_append_time(&mut header, &rest, timestamp);
            }
            let info = BatchHeader::parse(&header).ok()?;
            Some(Stamped { header, rest, info })
        });
        match stamped {
            Some(stamped) => self.stamped.push(stamped),
            None => panic!("a batch that passed the intake has no header"),
        }
    }

    fn sync(&mut self) {
        let Some(target) = self.log.unsynced() else {
            // Nothing to wait for: the log is durable already.
            self.site.inbox.post(Message::Synced(self.slot, self.log.durable_end(), Ok(())));
            return;
        };
        let (inbox, slot, upto) = (Arc::clone(&self.site.inbox), self.slot, target.upto);
        if Mutant::AckBeforeSync.is_planted() {
            inbox.post(Message::Synced(slot, upto, Ok(())));
        }
        let done = move |outcome: io::Result<()>| {
            let outcome = outcome.map_err(|error| format!("the volume failed to sync: {error}"));
            inbox.post(Message::Synced(slot, upto, outcome));
        };
        self.site.pool.submit(SyncJob { file: target.file, done: Box::new(done) });
    }
}
