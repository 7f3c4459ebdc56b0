use forebay_base::Offset;

use super::{Positions, Replica};
use crate::Refused;
use crate::event::{Effect, Ticket};

/// Deleting records: the start of the log moves.
impl Replica {
    pub(super) fn delete_records(&mut self, ticket: Ticket, to: Option<Offset>, effects: &mut Vec<Effect>) {
        let Positions { start, high_watermark, .. } = self.positions;
        let to = to.unwrap_or(high_watermark);
        let result = if let Some(refused) = self.refusal() {
            Err(refused)
        } else if to.0 < 0 || to > high_watermark {
            Err(Refused::OffsetOutOfRange { got: to, start, high_watermark })
        } else if to <= start {
            Ok(start)
        } else {
            self.deleting.push((ticket, to));
            effects.push(Effect::AdvanceStart { to });
            return;
        };
        effects.push(Effect::Deleted { ticket, result });
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
