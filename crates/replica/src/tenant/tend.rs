use forebay_base::{Instant, Offset};
use forebay_log::LogError;

use super::{Tenant, view};
use crate::Refused;
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
        if self.core.failure().is_some() || self.site.condition.failure().is_some() {
            return;
        }
        self.tick();
        let now = self.site.age_time();
        let wants_roll = self.log.wants_roll(0, now) && !self.core.is_syncing();
        let rolled = if wants_roll { self.roll() } else { Ok(()) };
        if self.core.failure().is_some() {
            return;
        }
        let upto = self.core.positions().high_watermark;
        let retained = self.log.retain(now, upto);
        self.started_at(retained);
        if matches!(rolled, Err(Refused::OutOfSpace(_))) {
            // It is retention that must make room again, and a segment that cannot be sealed would never go.
            let expired = self.log.expire_active(now, upto);
            self.started_at(expired);
        }
        self.give_up_oldest();
        if self.unkept {
            // The reserve has been asked already, and must not be used up by trying.
            self.unkept = !self.log.keep_producers(&self.core.producers().encode());
        }
        self.drop_deleted();
    }

    /// Where retention, or what stands in for it, has moved the log's start.
    fn started_at(&mut self, moved: Result<Option<Offset>, LogError>) {
        match moved {
            Ok(Some(to)) => self.step(Event::StartMoved { to }),
            Ok(None) => {}
            Err(error) => {
                self.fault(&error);
            }
        }
    }

    /// `disk.full.policy=delete-oldest`: while the volume is full, one segment goes each time; if there is but the one
    /// that is written to, all its records do.
    fn give_up_oldest(&mut self) {
        if !self.config.delete_oldest || !self.site.condition.is_full() || self.core.failure().is_some() {
            return;
        }
        let upto = self.core.positions().high_watermark;
        let dropped = match self.log.drop_oldest(upto) {
            Ok(None) if upto == self.log.end() && upto > self.log.start() && !self.core.is_syncing() => {
                self.log.advance_start(upto).map(|()| Some(upto))
            }
            dropped => dropped,
        };
        self.started_at(dropped);
    }

    /// Gives back the segments if all records are deleted. Not while the last one is being synced: of two syncs at once
    /// only one is told of an error.
    pub(super) fn drop_deleted(&mut self) {
        if !self.log.holds_only_deleted() || self.core.is_syncing() || self.core.failure().is_some() {
            return;
        }
        match self.log.drop_deleted() {
            Ok(()) => {
                // Readers' view would keep the files, and their space, for as long as nothing is written.
                self.partition.publish(view(&self.core, &self.log));
                self.keep_producers();
            }
            Err(error) => drop(self.fault(&error)),
        }
    }

    /// What is known of producers has no batch left that tells it. If it must, it takes from the reserve; where somebody
    /// else has that room at once, it is tried again by and by, and when the log is closed.
    pub(super) fn keep_producers(&mut self) {
        if self.core.producers().is_empty() {
            return;
        }
        let producers = self.core.producers().encode();
        let keep = || self.log.keep_producers(&producers);
        let is_kept = keep() || (self.site.condition.spend(producers.len() as u64) && keep());
        self.unkept = !is_kept;
    }

    /// The volume has another state: what takes up space and is not needed is given back.
    pub(crate) fn volume_moved(&mut self) {
        if self.site.condition.failure().is_none() {
            self.log.reserve_ahead(self.site.condition.ahead_bytes());
        }
    }

    /// Persists where the log starts and how far it is durable, if that changed.
    pub(crate) fn checkpoint(&mut self) {
        let now = (self.log.start(), self.log.durable_end());
        let let_alone = self.core.failure().is_some() || self.site.condition.failure().is_some();
        if let_alone || now == self.checkpointed {
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
