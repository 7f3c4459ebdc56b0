use forebay_base::Instant;

use super::Tenant;
use crate::event::Event;

/// What time brings.
impl Tenant {
    /// When a sync is due that nobody waits for.
    pub(crate) fn sync_due(&self) -> Option<Instant> {
        self.core.sync_due()
    }

    /// Steps the core if its time has come.
    pub(crate) fn tick(&mut self) {
        if self.core.next_timeout().is_some_and(|due| due <= self.site.clock.now()) {
            self.step(Event::Timeout { at: self.site.age_time() });
        }
    }

    /// Retention, and what else time brings.
    pub(crate) fn tend(&mut self) {
        if self.core.failure().is_some() {
            return;
        }
        self.tick();
        let now = self.site.age_time();
        if self.log.wants_roll(0, now) && !self.core.is_syncing() {
            // On a full disk the roll fails, and it is retention that makes room again.
            let rolled = self.roll();
            if rolled.is_err() && self.core.failure().is_some() {
                return;
            }
        }
        match self.log.retain(now, self.core.positions().high_watermark) {
            Ok(Some(to)) => self.step(Event::StartMoved { to }),
            Ok(None) => {}
            Err(error) => {
                self.fault(&error);
            }
        }
    }

    /// Persists where the log starts and how far it is durable, if that changed.
    pub(crate) fn checkpoint(&mut self) {
        let now = (self.log.start(), self.log.durable_end());
        if self.core.failure().is_some() || now == self.checkpointed {
            return;
        }
        match self.log.checkpoint() {
            Ok(()) => self.checkpointed = now,
            Err(error) => {
                self.fault(&error);
            }
        }
    }

    /// True if the last checkpoint is out of date.
    pub(crate) fn is_dirty(&self) -> bool {
        (self.log.start(), self.log.durable_end()) != self.checkpointed
    }
}
