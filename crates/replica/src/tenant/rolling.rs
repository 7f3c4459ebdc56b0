use forebay_base::Offset;

use super::Tenant;
use crate::Refused;
use crate::event::Event;

/// A roll may come early if it has no more than this to sync.
const EARLY_ROLL_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// May a gathered write go to the active segment?
pub(super) enum Room {
    Ready,
    /// After the sync in flight, which the next roll must not race.
    Later,
    Refused(Refused),
}

/// When a new segment is begun.
impl Tenant {
    /// Rolls the log if `bytes` more, in `count` batches, want a new segment. While the volume takes no records nothing is
    /// done; what was stored before is still known for what it is, for the core is asked all the same.
    pub(super) fn make_room(&mut self, count: usize, bytes: u64) -> Room {
        if let Some(refused) = self.site.condition.refuse(count) {
            return Room::Refused(refused);
        }
        if self.core.failure().is_some() || !self.log.wants_roll(bytes, self.site.age_time()) {
            return Room::Ready;
        }
        // A roll syncs the same file. Of two syncs at once only one is told of an error, and the other's success
        // would be believed.
        if self.core.is_syncing() {
            return Room::Later;
        }
        match self.roll() {
            Ok(()) => Room::Ready,
            // Its age wants a new segment, which cannot be made; this one still has room.
            Err(_) if self.core.failure().is_none() && self.log.fits(bytes) => Room::Ready,
            Err(refused) => Room::Refused(refused),
        }
    }

    /// Rolls the log before the rest of a sync that has just ended is taken in, if no later moment is better: appends go on,
    /// and the segment is nearly full. With no room left they would wait for the sync in flight by then, and for the
    /// roll's own.
    pub(super) fn roll_early(&mut self, upto: Offset) {
        if !self.is_roll_cheap() {
            return;
        }
        // Who waited for this sync does not wait for the roll.
        self.step(Event::Durable { upto });
        self.answer();
        // One that fails is told to the volume, and not tried again before the segment is full.
        self.early_roll_failed = self.roll().is_err();
    }

    fn is_roll_cheap(&self) -> bool {
        self.log.is_nearly_full()
            && (1..=EARLY_ROLL_BYTES_MAX).contains(&self.core.unsynced_bytes())
            && !self.early_roll_failed
            && self.closing.is_empty()
            && self.core.failure().is_none()
            && self.site.condition.report().state.takes_writes()
    }

    pub(super) fn roll(&mut self) -> Result<(), Refused> {
        let rolled = self.log.roll(&self.core.producers().encode(), self.site.age_time());
        match rolled {
            Ok(()) => {
                self.early_roll_failed = false;
                self.step(Event::Durable { upto: self.log.durable_end() });
                Ok(())
            }
            Err(error) => Err(self.fault(&error)),
        }
    }
}
