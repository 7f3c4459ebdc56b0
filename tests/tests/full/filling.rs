use forebay_client::BatchBuilder;
use forebay_tests::requests::{create, produce};
use forebay_tests::{Conn, Server, check_numbered, numbered_value};
use forebay_wire::kafka::produce::PartitionProduceResponse;

use crate::volume::Volume;

pub(crate) const TOPIC: &str = "full";
pub(crate) const PARTITIONS: usize = 4;

/// Records of a small batch, and of one that fills a volume soon. Record `n` of a partition is number `n`, so what is lost, moved or doubled shows.
pub(crate) const BATCH_RECORDS: i64 = 4;
const LARGE_RECORDS: i64 = 60;

/// Bytes of each record's key, which cost their maker nothing; its value is the number.
const KEY_BYTES: usize = 4_000;
const VALUE_BYTES: usize = 16;

/// So many refusals in a row, and the volume counts as full for clients.
const REFUSALS: usize = 4 * PARTITIONS;

/// A server on a volume, with one topic.
pub(crate) struct Site {
    pub(crate) server: Server,
    /// Records acknowledged, by partition.
    acknowledged: Vec<i64>,
}

impl Site {
    /// Starts it.
    pub(crate) fn start(volume: &Volume) -> Self {
        let mut server = Server::prepare(&[
            ("metadata.log.preallocated.bytes", "4194304"),
            ("metadata.snapshot.preallocated.bytes", "1048576"),
        ]);
        server.keep_data_in(volume.data());
        server.spawn();
        server.wait_ready();
        let made = server.conn().call(
            4,
            &create(TOPIC, PARTITIONS as i32, &[("segment.bytes", "4194304"), ("retention.ms", "-1")]),
        );
        assert_eq!(made.topics[0].error_code, 0, "{made:?}");
        Self { server, acknowledged: vec![0; PARTITIONS] }
    }

    /// Appends until there are so many bytes; records acknowledged, by partition.
    pub(crate) fn fill_to(&mut self, bytes: usize) -> Vec<i64> {
        let batches = bytes / (KEY_BYTES * BATCH_RECORDS as usize);
        self.append_until(BATCH_RECORDS, |appended, _| appended == batches)
    }

    /// Appends until nothing more is taken, however small; records acknowledged, by partition.
    pub(crate) fn fill(&mut self) -> Vec<i64> {
        for records in [LARGE_RECORDS, BATCH_RECORDS] {
            self.append_until(records, |_, refused| refused == REFUSALS);
        }
        self.acknowledged.clone()
    }

    fn append_until(&mut self, records: i64, is_done: impl Fn(usize, usize) -> bool) -> Vec<i64> {
        let (mut conn, mut appended, mut refused) = (self.server.conn(), 0, 0);
        for partition in (0..PARTITIONS).cycle() {
            if is_done(appended, refused) {
                break;
            }
            let next = &mut self.acknowledged[partition];
            let answer = append_some(&mut conn, partition, *next, records);
            if answer.error_code == 0 {
                assert_eq!(answer.base_offset, *next, "partition {partition}: what was refused is not there");
                (appended, refused) = (appended + 1, 0);
                *next += records;
            } else {
                assert_eq!(answer.error_code, 56, "{answer:?}");
                refused += 1;
            }
        }
        self.acknowledged.clone()
    }
}

/// One try to append the small batch that begins with number `first`.
pub(crate) fn append(conn: &mut Conn, partition: usize, first: i64) -> PartitionProduceResponse {
    append_some(conn, partition, first, BATCH_RECORDS)
}

fn append_some(conn: &mut Conn, partition: usize, first: i64, records: i64) -> PartitionProduceResponse {
    let mut batch = BatchBuilder::new();
    for number in first..first + records {
        batch.push(1_000, Some(&[7; KEY_BYTES]), Some(&numbered_value(number as u64, VALUE_BYTES)), &[]);
    }
    let batch = batch.build().expect("a batch");
    let mut answer = conn.call(9, &produce(TOPIC, partition as i32, batch));
    answer.responses.remove(0).partition_responses.remove(0)
}

/// Reads everything: what was acknowledged is there, once and in order, and nothing else is.
pub(crate) fn check_all(server: &Server, acknowledged: &[i64]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let client = server.client().await;
        for (partition, sure) in acknowledged.iter().enumerate() {
            let found = check_numbered(&client, TOPIC, partition as i32, *sure).await;
            assert_eq!(found, *sure, "partition {partition}: more than was acknowledged");
        }
    });
}
