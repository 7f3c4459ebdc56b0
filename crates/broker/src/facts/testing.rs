//! A small cluster for tests: one node, one topic "orders" of two partitions, everything well.

use forebay_base::{ClusterId, Id128, LeaderEpoch, TopicId};
use forebay_meta::liveness::{Event, Heartbeat, SessionId};
use forebay_meta::{Broker, Endpoint, Failure, NodeReport, VolumeReport, VolumeSpace, VolumeState};

use super::*;

const NODE: NodeId = NodeId(1);
const DIRECTORY: DirectoryId = DirectoryId(Id128([3; 16]));

pub(crate) fn partition() -> PartitionFacts {
    let log = LogFacts {
        start: Offset(10),
        end: Offset(100),
        high_watermark: Offset(90),
        stable: Offset(90),
        size_bytes: 4096,
    };
    PartitionFacts { log: Some(log) }
}

pub(crate) fn connection(id: u64) -> ConnectionFacts {
    ConnectionFacts {
        id,
        peer: SocketAddr::from(([10, 0, 0, 7], 40_000)),
        listener: "PLAINTEXT".into(),
        principal: "User:ANONYMOUS".to_owned(),
        client_id: Some("billing".to_owned()),
        software: None,
        opened_at: WallTime(1_000),
        idle_ms: 20,
        requests_in_work: 1,
        requests: 3,
        received_bytes: 300,
        sent_bytes: 100,
    }
}

pub(crate) fn image() -> Image {
    let assignment = Arc::new(Assignment {
        replicas: vec![NODE],
        directories: vec![DIRECTORY],
        isr: vec![NODE],
        leader: Some(NODE),
        leader_epoch: LeaderEpoch(4),
        partition_epoch: 5,
    });
    let id = TopicId(Id128([2; 16]));
    let configs = BTreeMap::from([("retention.ms".to_owned(), "1000".to_owned())]);
    let topic = Topic {
        id,
        name: "orders".into(),
        partitions: [assignment.clone(), assignment].into_iter().collect(),
        configs: Arc::new(configs),
    };
    let endpoint = Endpoint { listener: "PLAINTEXT".to_owned(), host: "127.0.0.1".to_owned(), port: 9092 };
    let broker =
        Broker { epoch: BrokerEpoch(7), endpoints: vec![endpoint], directories: vec![DIRECTORY], rack: None };
    let mut image = Image::default();
    image.brokers.insert(NODE, broker);
    image.names.insert(topic.name.clone(), id);
    image.topics.insert(id, Arc::new(topic));
    (image.cluster, image.feature_level, image.index) = (ClusterId(Id128([1; 16])), 1, 42);
    image
}

/// The one volume, as its node would report it.
pub(crate) fn volume(space: Option<VolumeSpace>, state: VolumeState) -> VolumeReport {
    VolumeReport {
        path: "/data/1".to_owned(),
        state,
        cause: "a write found no room".to_owned(),
        since: WallTime(5_000),
        sentence: (state != VolumeState::Normal).then(|| "the disk of /data/1 is full".to_owned()),
        age: Duration::ZERO,
        space,
        full_bytes: 1 << 30,
        resume_bytes: 2 << 30,
        reserve_left_bytes: 128 << 20,
        full_in: None,
    }
}

/// What the node says when all is well.
pub(crate) fn report() -> NodeReport {
    let space = VolumeSpace { total_bytes: 1 << 40, free_bytes: 1 << 39, free_files: Some(1000) };
    let volumes = BTreeMap::from([(DIRECTORY, volume(Some(space), VolumeState::Normal))]);
    NodeReport { volumes, ..NodeReport::default() }
}

/// The node with this volume and nothing else to say.
pub(crate) fn with_volume(volume: VolumeReport) -> NodeReport {
    NodeReport { volumes: BTreeMap::from([(DIRECTORY, volume)]), ..NodeReport::default() }
}

/// The node with one failed partition of "orders".
pub(crate) fn with_failed(index: i32, reason: &str) -> NodeReport {
    let id = PartitionId { topic: TopicId(Id128([2; 16])), index };
    let failure = Failure { reason: reason.into(), since: WallTime(6_000) };
    NodeReport { failed: Arc::new(BTreeMap::from([(id, failure)])), ..report() }
}

/// A controller that has just heard this from the node.
pub(crate) fn heard(report: NodeReport) -> Arc<Liveness> {
    let mut liveness = Liveness::default();
    let epoch = BrokerEpoch(7);
    let (now, effects, report) = (Instant(0), &mut Vec::new(), Arc::new(report));
    liveness.step(now, Event::Opened { node: NODE, epoch }, effects);
    let (session, sequence, made_at) = (SessionId(1), 1, WallTime(14_000));
    liveness.step(now, Event::Heard(Heartbeat { session, epoch, sequence, made_at, report }), effects);
    Arc::new(liveness)
}

/// The same, and then its session broke.
pub(crate) fn heard_and_broken(report: NodeReport) -> Arc<Liveness> {
    let mut liveness = Liveness::clone(&heard(report));
    liveness.step(Instant(0), Event::Reset, &mut Vec::new());
    Arc::new(liveness)
}

pub(crate) fn facts() -> Facts {
    Facts {
        node: NODE,
        broker_epoch: BrokerEpoch(7),
        image: Arc::new(image()),
        quorum: Quorum {
            leader: Some(NODE),
            term: 3,
            alive: true,
            restarts: 0,
            last_failure: None,
            outage: None,
            used_bytes: 1000,
            limit_bytes: 32 << 20,
            disk_silent_for: None,
        },
        liveness: heard(report()),
        now: Instant(0),
        wall: WallTime(14_000),
        volume_counts: BTreeMap::new(),
        memory: Memory { used_bytes: 64, limit_bytes: 1 << 28 },
        fetch_sessions: FetchSessionCounts { sessions: 2, partitions: 50, evictions: 3 },
        min_insync_replicas: 1,
        hosted: Box::new(|_| Some(partition())),
        connections: Box::new(|after| {
            let ids = (1..=3).filter(|id| *id > after.id);
            (ids.clone().take(after.limit).map(connection).collect(), ids.count() > after.limit)
        }),
    }
}
