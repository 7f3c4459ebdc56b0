//! What the tests of a controller share: a quorum of one, and what is asked of it.
#![allow(dead_code, reason = "no test uses all of it")]

#[path = "../tasks/mod.rs"]
pub(crate) mod tasks;

use std::path::Path;
use std::sync::Arc;

use forebay_base::{Clock, ClusterId, DirectoryId, Id128, Instant, NodeId, SeededRng, TopicId, WallTime};
use forebay_controller::{Controller, ControllerConfig, ControllerEnv, StartError};
use forebay_log::RealDisk;
use forebay_meta::{Command, Endpoint, NewTopic, Reply, TopicDefaults};

/// The time of the wall clock in all of these tests.
pub(crate) const WALL: WallTime = WallTime(1_700_000_000_000);

#[derive(Debug)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Instant {
        Instant(0)
    }
    fn wall(&self) -> WallTime {
        WALL
    }
}

/// A small metadata log below `dir`.
pub(crate) fn config(dir: &Path) -> ControllerConfig {
    ControllerConfig {
        log_bytes: 1 << 20,
        snapshot_bytes: 1 << 16,
        ..ControllerConfig::new(dir.join("metadata"), NodeId(1))
    }
}

/// A real disk, and tasks instead of threads.
pub(crate) fn env(clock: Arc<dyn Clock>) -> ControllerEnv {
    ControllerEnv {
        disk: Arc::new(RealDisk),
        clock,
        rng: Arc::new(SeededRng::new(7)),
        workers: Arc::new(tasks::Tasks),
    }
}

/// Starts a controller for which no time passes.
pub(crate) async fn start(config: ControllerConfig) -> Result<Controller, StartError> {
    Controller::start(env(Arc::new(StoppedClock)), config).await
}

/// Makes the cluster, unless there is one.
pub(crate) async fn format(controller: &Controller) {
    let format = Command::Format { cluster: ClusterId(Id128([9; 16])), feature_level: 1 };
    assert_eq!(controller.propose(format).await, Ok(Reply::Format(Ok(()))));
}

/// Makes the node known.
pub(crate) async fn register(controller: &Controller) {
    let register = Command::RegisterBroker {
        node: NodeId(1),
        endpoints: vec![Endpoint { listener: "PLAINTEXT".into(), host: "127.0.0.1".into(), port: 9092 }],
        directories: vec![DirectoryId(Id128([3; 16]))],
        rack: None,
    };
    assert!(matches!(controller.propose(register).await, Ok(Reply::RegisterBroker(Ok(_)))));
}

/// A topic of the cluster's default size.
pub(crate) fn topic(id: [u8; 16], name: String) -> NewTopic {
    NewTopic { id: TopicId(Id128(id)), name, partitions: -1, replication_factor: -1, ..NewTopic::default() }
}

/// Has it made, or only asks whether it could be.
pub(crate) fn create(topic: NewTopic, validate_only: bool) -> Command {
    Command::CreateTopics {
        topics: vec![topic],
        defaults: TopicDefaults::default(),
        avoid: Default::default(),
        validate_only,
    }
}
