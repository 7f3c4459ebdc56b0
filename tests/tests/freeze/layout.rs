use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_client::{BatchBuilder, Client, NewTopic};
use forebay_tests::{Conn, FsKind, LoopFs, Server, numbered_value};
use forebay_wire::kafka::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

use crate::{BLOCKED_PRODUCERS, Frozen, OTHER_PRODUCERS};

/// The topic whose partitions are written to in the frozen directory.
pub(crate) const BLOCKED: &str = "blocked";
/// ... in the other one.
pub(crate) const OTHER: &str = "other";
/// Written to by one connection that waits for no answer.
pub(crate) const FLOODED: &str = "flooded";
/// Few partitions, read again and again.
pub(crate) const WARM: &str = "warm";
/// Many partitions, each read once: nobody has opened them since the server started.
pub(crate) const UNOPENED: &str = "unopened";

const WARM_PARTITIONS: i32 = 8;
/// Half of them lie in the frozen directory; readers must not run out of them, so there are more for a longer freeze.
const UNOPENED_PARTITIONS: i32 = 1_100;
const UNOPENED_PARTITIONS_PER_SECOND: i32 = 130;
/// One of them at least lies in the frozen directory.
const FLOODED_PARTITIONS: i32 = 4;
const BATCHES: usize = 3;
/// Partitions of one produce request.
const AT_ONCE: usize = 100;
/// Each such request makes and syncs hundreds of files, on a machine that has other work too.
const FILLED_WITHIN: Duration = Duration::from_secs(60);

/// A server with two data directories, each a file system of its own, and topics that are spread over both.
pub(crate) struct Layout {
    /// Dropped first: the server ends before its disks.
    pub(crate) server: Server,
    /// Partitions of [`WARM`] and [`BLOCKED`] in the directory to be frozen.
    pub(crate) warm: Vec<(&'static str, i32)>,
    /// Partitions of [`UNOPENED`] there.
    pub(crate) unopened: Vec<i32>,
    blocked: Vec<i32>,
    other: Vec<i32>,
    /// Partitions of [`FLOODED`] there.
    pub(crate) flooded: Vec<i32>,
    pub(crate) frozen: LoopFs,
    kept: LoopFs,
}

impl Layout {
    /// Makes everything, restarts the server, and reads all files, so that they are in memory and not open.
    pub(crate) async fn new(which: Frozen, seconds: u64) -> Self {
        let (first, second) = (LoopFs::new(FsKind::Ext4), LoopFs::new(FsKind::Ext4));
        let dirs = [first.dir().join("data"), second.dir().join("data")];
        // Before the server: should this fail half way, it ends before its disks go.
        let (frozen, kept) = match which {
            Frozen::WithMetadata => (first, second),
            Frozen::DataOnly => (second, first),
        };
        let mut server = Server::prepare(&[
            ("metadata.log.preallocated.bytes", "8388608"),
            ("metadata.snapshot.preallocated.bytes", "8388608"),
        ]);
        server.keep_data_in(dirs[0].clone());
        server.flags(&["--data-dir", dirs[1].to_str().unwrap()]);
        server.spawn();
        server.wait_ready();
        let (client, mut conn) = (server.client().await, server.conn());
        let mut places = Vec::new();
        for (topic, partitions) in [
            (WARM, WARM_PARTITIONS),
            (UNOPENED, UNOPENED_PARTITIONS + UNOPENED_PARTITIONS_PER_SECOND * seconds as i32),
            (BLOCKED, 2 * BLOCKED_PRODUCERS as i32),
            (OTHER, 2 * OTHER_PRODUCERS as i32),
            (FLOODED, FLOODED_PARTITIONS),
        ] {
            let mut wanted = NewTopic { partitions: Some(partitions), ..NewTopic::named(topic) };
            if topic == UNOPENED {
                // Two batches in a closed segment and one in the last: the first fetch opens a file in any case.
                wanted.configs.insert("segment.bytes".to_owned(), "1300".to_owned());
            }
            let id = client.create_topic(&wanted, false).await.expect("a topic").id;
            let all: Vec<i32> = (0..partitions).collect();
            // A partition has files from its first record on; those that producers go on with are numbered from 0.
            match topic {
                WARM => fill(&mut conn, topic, &all, BATCHES, &[7; 8_000]),
                UNOPENED => fill(&mut conn, topic, &all, BATCHES, &[7; 500]),
                _ => fill(&mut conn, topic, &all, 1, &numbered_value(0, 0)),
            }
            places.push((topic, id, all));
        }
        drop((conn, client));
        assert_eq!(server.stop().code(), Some(0));
        read_all(&frozen.dir());
        server.spawn();
        server.wait_ready();
        let lying = places.into_iter().map(|(topic, id, mut all)| {
            let dir = if topic == OTHER { kept.dir() } else { frozen.dir() }.join("data/partitions");
            all.retain(|index| dir.join(format!("{id}-{index}")).exists());
            all
        });
        let [warm, unopened, blocked, other, flooded] = lying.collect::<Vec<_>>().try_into().unwrap();
        let warm = warm.into_iter().map(|index| (WARM, index));
        let warm = warm.chain(blocked.iter().map(|index| (BLOCKED, *index))).collect();
        Self { server, warm, unopened, blocked, other, flooded, frozen, kept }
    }

    /// Which of `topics`, of one partition each, lie in the directory that is not frozen.
    pub(crate) async fn lying_in_the_other(&self, topics: &[String]) -> Vec<bool> {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let metadata = self.server.client().await.refresh(Some(&names), false).await.expect("metadata");
        let until = Instant::now() + Duration::from_secs(20);
        let mut lying = Vec::new();
        for name in names {
            let place = |fs: &LoopFs| {
                fs.dir().join(format!("data/partitions/{}-0", metadata.topics[name].id)).exists()
            };
            // It has files from its first record on, which may have waited for the thaw.
            while !place(&self.kept) && !place(&self.frozen) && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            lying.push(place(&self.kept));
        }
        lying
    }

    /// So many partitions of [`BLOCKED`] or [`OTHER`], each with a client of its own.
    pub(crate) async fn lanes(&self, frozen: bool, count: usize) -> Vec<(i32, Client)> {
        let partitions = if frozen { &self.blocked } else { &self.other };
        let mut lanes = Vec::new();
        for partition in partitions.iter().take(count) {
            lanes.push((*partition, self.server.client().await));
        }
        lanes
    }
}

/// Appends some batches of one record to each partition.
fn fill(conn: &mut Conn, topic: &str, partitions: &[i32], batches: usize, value: &[u8]) {
    let batch: Bytes = BatchBuilder::new().record(1_000, None, Some(value)).build().unwrap();
    let request = |some: &[i32]| ProduceRequest {
        acks: -1,
        timeout_ms: FILLED_WITHIN.as_millis() as i32,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: some
                .iter()
                .map(|index| PartitionProduceData { index: *index, records: Some(batch.clone()) })
                .collect(),
        }],
        ..Default::default()
    };
    conn.patience(FILLED_WITHIN);
    for some in partitions.chunks(AT_ONCE) {
        for _ in 0..batches {
            let answer = conn.call(9, &request(some));
            let refused = answer.responses[0].partition_responses.iter().find(|one| one.error_code != 0);
            assert!(refused.is_none(), "not filled: {refused:?}");
        }
    }
}

fn read_all(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            read_all(&entry.path());
        } else {
            std::fs::read(entry.path()).unwrap();
        }
    }
}
