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

    pub(super) fn roll(&mut self) -> Result<(), Refused> {
        let rolled = self.log.roll(&self.core.producers().encode(), self.site.age_time());
        match rolled {
            Ok(()) => {
                self.step(Event::RolledDurable { upto: self.log.durable_end() });
                Ok(())
            }
            Err(error) => Err(self.fault(&error)),
        }
    }

    /// A sync has just ended. If appends go on and the segment is nearly full, no later moment is better for a roll: with no
    /// room left, appends would wait for the sync that is in flight by then, and for the roll's own.
    pub(super) fn roll_early(&mut self) {
        let has_little_to_sync = (1..=EARLY_ROLL_BYTES_MAX).contains(&self.core.unsynced_bytes());
        if has_little_to_sync
            && self.log.is_nearly_full()
            && self.core.failure().is_none()
            && self.site.condition.report().state.takes_writes()
        {
            // Without room for a new segment, this one is filled up.
            let _ = self.roll();
        }
    }
}
