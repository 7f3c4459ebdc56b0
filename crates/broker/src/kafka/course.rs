use std::time::Duration;

use forebay_replica::Passage;
use tokio::time::Instant;

use crate::metrics::Stages;
use crate::shared::SameMoment;

/// What a handler tells of how its request went, for the request's [`Stages`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// Nothing but that it is done.
    Plain,
    /// A fetch spent so long in its long poll.
    Parked(Duration),
    /// Batches were stored; this one last.
    Stored(Passage),
}

impl Course {
    /// The stages of a request that came at `began`, whose handler started at `started`, and whose answer was ready at
    /// `ready`. Together they are never longer than the request took.
    pub(super) fn stages(
        self,
        began: Instant,
        started: Instant,
        ready: Instant,
        clocks: &SameMoment,
    ) -> Stages {
        let total = ready.saturating_duration_since(began);
        match self {
            Self::Plain | Self::Parked(_) => {
                let queue = started.saturating_duration_since(began).min(total);
                let wait = total - queue;
                let parked = if let Self::Parked(parked) = self { parked.min(wait) } else { Duration::ZERO };
                Stages { queue, wait, parked, ..Stages::default() }
            }
            Self::Stored(Passage { taken, written, committed }) => {
                let mut left = total;
                let mut spend = |took: Duration| {
                    let took = took.min(left);
                    left -= took;
                    took
                };
                let queue = spend(taken.since(clocks.on_node(began)));
                let write = Some(spend(written.since(taken)));
                let sync = committed.map(|committed| spend(committed.since(written)));
                Stages { queue, write, sync, wait: left, parked: Duration::ZERO }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use forebay_base::Instant as NodeInstant;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The clocks, and a request that began 100 ms after the moment they share.
    fn request() -> (SameMoment, Instant, impl Fn(u64) -> NodeInstant) {
        let start = NodeInstant(5_000_000_000);
        let clocks = SameMoment { reactor: Instant::now(), node: start };
        let began = clocks.reactor + ms(100);
        (clocks, began, move |after| start + ms(100 + after))
    }

    #[test]
    fn the_stages_of_an_append_are_those_of_its_batch() {
        let (clocks, began, at) = request();
        let passage = Passage { taken: at(3), written: at(5), committed: Some(at(25)) };
        let stages = Course::Stored(passage).stages(began, began, began + ms(26), &clocks);
        let expected = Stages {
            queue: ms(3),
            write: Some(ms(2)),
            sync: Some(ms(20)),
            wait: ms(1),
            parked: Duration::ZERO,
        };
        assert_eq!(stages, expected);
        assert_eq!(stages.total(), ms(26));
        let leader = Passage { committed: None, ..passage };
        let stages = Course::Stored(leader).stages(began, began, began + ms(6), &clocks);
        assert_eq!((stages.write, stages.sync, stages.wait), (Some(ms(2)), None, ms(1)));
    }

    #[test]
    fn stages_never_add_up_to_more_than_the_whole() {
        let (clocks, began, at) = request();
        // The connection's time is as of its last wake, and may be behind the writer's.
        let passage = Passage { taken: at(3), written: at(5), committed: Some(at(25)) };
        let stages = Course::Stored(passage).stages(began, began, began + ms(4), &clocks);
        assert_eq!((stages.total(), stages.queue, stages.wait), (ms(4), ms(3), ms(0)));
        let stages = Course::Stored(passage).stages(began, began, began - ms(1), &clocks);
        assert_eq!(stages.total(), Duration::ZERO);
    }

    #[test]
    fn a_long_poll_is_waiting_that_the_client_wished() {
        let (clocks, began, _) = request();
        let stages = Course::Parked(ms(500)).stages(began, began + ms(2), began + ms(510), &clocks);
        assert_eq!((stages.queue, stages.wait, stages.parked), (ms(2), ms(508), ms(500)));
        let stages = Course::Plain.stages(began, began + ms(2), began + ms(10), &clocks);
        assert_eq!((stages.queue, stages.wait, stages.parked), (ms(2), ms(8), ms(0)));
    }
}
