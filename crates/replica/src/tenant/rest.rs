use std::collections::BTreeMap;

use super::Tenant;
use crate::event::Event;

/// What a partition gives back that is not written to: with very many of them, it is most of their memory.
impl Tenant {
    /// True if it holds what only a partition that is written needs.
    pub(crate) fn is_awake(&self) -> bool {
        self.log.is_awake() && self.core.failure().is_none()
    }

    /// Gives that back if nothing was written since it was last asked, or if it must.
    pub(crate) fn rest(&mut self, must: bool) {
        let idle = self.log.end() == std::mem::replace(&mut self.idle_since, self.log.end());
        if self.site.condition.failure().is_some() {
            return;
        }
        if !(idle || must) || !self.is_awake() || !self.queue.is_empty() || self.core.is_syncing() {
            return;
        }
        match self.log.rest() {
            Ok(()) => self.step(Event::Durable { upto: self.log.durable_end() }),
            Err(error) => {
                self.fault(&error);
            }
        }
        // Empty ones may hold as much memory as all the rest of the partition.
        (self.queue, self.stamped, self.effects) = Default::default();
        self.answers.shrink_to_fit();
        if self.appends.is_empty() {
            self.appends = BTreeMap::new();
        }
        if self.deletions.is_empty() {
            self.deletions = BTreeMap::new();
        }
        self.core.shrink();
    }
}
