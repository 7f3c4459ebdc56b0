//! The controller's side of the sessions in which nodes report.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod quorum;

use std::sync::Arc;
use std::time::Duration;

use forebay_base::{BrokerEpoch, Clock, Instant, NodeId, WallTime};
use forebay_controller::{Controller, Session, SessionError};
use forebay_meta::liveness::Stale;
use forebay_meta::{Contact, NodeReport};

const NODE: NodeId = NodeId(1);
const EPOCH: BrokerEpoch = BrokerEpoch(7);

#[derive(Debug)]
struct TokioClock(tokio::time::Instant);

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        Instant(self.0.elapsed().as_nanos() as u64)
    }
    fn wall(&self) -> WallTime {
        quorum::WALL
    }
}

struct Site {
    controller: Controller,
    clock: Arc<TokioClock>,
    _home: tempfile::TempDir,
}

impl Site {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let clock = Arc::new(TokioClock(tokio::time::Instant::now()));
        let controller = Controller::start(quorum::env(clock.clone()), quorum::config(home.path()));
        let site = Self { controller: controller.await.unwrap(), clock, _home: home };
        site.led().await;
        site
    }

    fn contact(&self) -> Contact {
        self.controller.liveness().borrow().view(self.clock.now(), NODE).contact
    }

    async fn beat(&self, session: &Session, sequence: u64) -> Result<(), SessionError> {
        session.heartbeat(sequence, self.clock.wall(), NodeReport::default()).await
    }

    /// Waits until the quorum is led.
    async fn led(&self) {
        while self.controller.status().leader.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.unwrap()
}

#[tokio::test]
async fn a_session_that_is_reset_hears_of_it_and_the_next_one_is_heard() {
    let site = Site::start().await;
    assert_eq!(site.contact(), Contact::Unheard);
    let session = site.controller.open_session(NODE, EPOCH).await.unwrap();
    site.beat(&session, 1).await.unwrap();
    assert_eq!(site.contact(), Contact::Reachable);
    assert_eq!(site.beat(&session, 1).await, Err(SessionError::Stale(Stale::Sequence(1))));
    let old = site.controller.open_session(NODE, BrokerEpoch(6)).await;
    assert!(matches!(old, Err(SessionError::Stale(Stale::Epoch(EPOCH)))), "{old:?}");

    assert_eq!(site.controller.reset_sessions().await, 1);
    within(session.broken()).await;
    assert_eq!(site.contact(), Contact::Broken);
    assert_eq!(site.beat(&session, 2).await, Err(SessionError::Stale(Stale::Session(session.id()))));

    let session = site.controller.open_session(NODE, EPOCH).await.unwrap();
    assert_eq!(site.contact(), Contact::Awaited);
    site.beat(&session, 3).await.unwrap();
    assert_eq!(site.contact(), Contact::Reachable);
    session.close().await.unwrap();
    assert_eq!(site.contact(), Contact::Left);
    site.controller.shutdown().await;
    let deaf = site.controller.open_session(NODE, EPOCH).await;
    assert!(matches!(deaf, Err(SessionError::Deaf)), "{deaf:?}");
}

#[tokio::test]
async fn nodes_are_heard_while_the_quorum_is_down() {
    let site = Site::start().await;
    let session = site.controller.open_session(NODE, EPOCH).await.unwrap();
    site.controller.kill_raft();
    let down = async {
        while site.controller.status().raft_alive {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within(down).await;
    site.beat(&session, 1).await.unwrap();
    assert_eq!(site.contact(), Contact::Reachable);
    site.controller.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_says_nothing_falls_silent() {
    let site = Site::start().await;
    let session = site.controller.open_session(NODE, EPOCH).await.unwrap();
    site.beat(&session, 1).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_900)).await;
    assert_eq!(site.contact(), Contact::Reachable);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(site.contact(), Contact::Silent);
    site.beat(&session, 2).await.unwrap();
    assert_eq!(site.contact(), Contact::Reachable);
    site.controller.shutdown().await;
}
