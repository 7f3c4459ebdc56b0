use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::session::Session;
use crate::facts::ConnectionFacts;
use crate::shared::Shared;

/// The Kafka connections that are open, at most `max.connections`. Touched when one opens or closes, and to list them.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    opened: u64,
    by_id: BTreeMap<u64, Arc<Session>>,
}

/// A connection in the list, until this is dropped.
pub(super) struct Listed {
    node: Arc<Shared>,
    pub(super) session: Arc<Session>,
}

impl Listed {
    /// Lists a connection that was just opened.
    pub(super) fn new(node: &Arc<Shared>, listener: Arc<str>, peer: SocketAddr) -> Self {
        let opened_at = node.clock.wall();
        let session = node.connections.insert(|id| Session::new(id, peer, listener, opened_at));
        Self { node: node.clone(), session }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.node.connections.lock().by_id.remove(&self.session.id);
        if let Some(software) = self.session.software() {
            self.node.metrics.client_gone(software);
        }
    }
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, session: impl FnOnce(u64) -> Session) -> Arc<Session> {
        let mut open = self.lock();
        open.opened += 1;
        let id = open.opened;
        let session = Arc::new(session(id));
        open.by_id.insert(id, session.clone());
        session
    }

    /// At most `limit` connections with ids above `after`, in the order of opening, and whether there are more.
    pub(crate) fn page(&self, after: u64, limit: usize) -> (Vec<ConnectionFacts>, bool) {
        let open = self.lock();
        let mut behind =
            open.by_id.range((Bound::Excluded(after), Bound::Unbounded)).map(|(_, of)| of.clone());
        let sessions: Vec<_> = behind.by_ref().take(limit).collect();
        let more = behind.next().is_some();
        drop(behind);
        drop(open);
        let now = Instant::now();
        (sessions.iter().map(|session| session.facts(now)).collect(), more)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use forebay_base::WallTime;

    use super::*;
    use crate::metrics::Metrics;

    fn open(connections: &Connections) -> Arc<Session> {
        let peer = SocketAddr::from(([127, 0, 0, 1], 4000));
        connections.insert(|id| Session::new(id, peer, "INSIDE".into(), WallTime(7)))
    }

    #[test]
    fn the_list_comes_in_parts_without_those_that_have_closed() {
        let connections = Connections::default();
        for _ in 0..5 {
            open(&connections);
        }
        connections.lock().by_id.remove(&2);
        let ids = |after, limit| {
            let (page, more) = connections.page(after, limit);
            (page.iter().map(|facts| facts.id).collect::<Vec<_>>(), more)
        };
        assert_eq!(ids(0, 2), (vec![1, 3], true));
        assert_eq!(ids(3, 2), (vec![4, 5], false));
        assert_eq!(ids(5, 2), (vec![], false));
    }

    #[test]
    fn a_connection_tells_who_it_is_and_what_passed_through() {
        let (connections, metrics) = (Connections::default(), Metrics::of_no_log());
        let session = open(&connections);
        let after = |seconds| Instant::now() + Duration::from_secs(seconds);
        let (came, looked) = (after(10), after(13));
        session.name_client(&"c".repeat(1000));
        session.name_client("another");
        session.name_software(&metrics, "librdkafka", "2.15");
        session.name_software(&metrics, "another", "1");
        session.received(came, 100);
        session.received(came, 100);
        session.working_on(2);
        let facts = session.facts(looked);
        assert_eq!((facts.requests, facts.requests_in_work, facts.received_bytes), (2, 2, 200));
        assert!((2_999..=3_001).contains(&facts.idle_ms), "{} ms", facts.idle_ms);
        assert_eq!((facts.opened_at, facts.principal.as_str()), (WallTime(7), "User:ANONYMOUS"));
        assert_eq!(facts.client_id.unwrap(), "c".repeat(64));
        assert_eq!(&*facts.software.unwrap().name, "librdkafka");
        session.sent(looked, 30);
        let facts = session.facts(looked);
        assert_eq!((facts.idle_ms, facts.sent_bytes), (0, 30));
    }
}
