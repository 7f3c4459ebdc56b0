use forebay_base::{Instant, Offset};

use super::{Positions, Replica};
use crate::Refused;
use crate::event::{Effect, Ticket};

/// Deleting records: the start of the log moves.
impl Replica {
    /// The start never lies above what is durable: with `flush.mode=async` it may have to wait for a sync.
    pub(super) fn delete_records(
        &mut self,
        now: Instant,
        ticket: Ticket,
        to: Option<Offset>,
        effects: &mut Vec<Effect>,
    ) {
        let Positions { start, high_watermark, durable, .. } = self.positions;
        let to = to.unwrap_or(high_watermark);
        let result = if let Some(refused) = self.refusal() {
            Err(refused)
        } else if to.0 < 0 || to > high_watermark {
            Err(Refused::OffsetOutOfRange { got: to, start, high_watermark })
        } else if to <= start {
            Ok(start)
        } else {
            self.deleting.push((ticket, to));
            if to <= durable {
                effects.push(Effect::AdvanceStart { to });
            } else {
                self.sync(now, false, effects);
            }
            return;
        };
        effects.push(Effect::Deleted { ticket, result });
    }

    /// True if a deletion waits for a sync.
    pub(super) fn deletion_waits(&self) -> bool {
        self.deleting.iter().any(|(_, to)| *to > self.positions.durable)
    }

    /// Goes on with the deletions that waited for what lies between `before` and the durable end.
    pub(super) fn delete_durable(&self, before: Offset, effects: &mut Vec<Effect>) {
        let made_durable = |to: &Offset| (before < *to) && (*to <= self.positions.durable);
        let ready = self.deleting.iter().map(|(_, to)| *to).filter(made_durable);
        effects.extend(ready.map(|to| Effect::AdvanceStart { to }));
    }

    pub(super) fn start_moved(&mut self, to: Offset, effects: &mut Vec<Effect>) {
        let start = self.positions.start.max(to.min(self.positions.high_watermark));
        self.positions.start = start;
        self.deleting.retain(|(ticket, to)| {
            let done = *to <= start;
            if done {
                effects.push(Effect::Deleted { ticket: *ticket, result: Ok(start) });
            }
            !done
        });
    }

    pub(super) fn start_stuck(&mut self, reason: &str, effects: &mut Vec<Effect>) {
        for (ticket, _) in self.deleting.drain(..) {
            effects.push(Effect::Deleted { ticket, result: Err(Refused::Storage(reason.to_owned())) });
        }
    }
}
