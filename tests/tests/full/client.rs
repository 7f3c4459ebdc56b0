use std::time::{Duration, Instant};

use forebay_base::{Id128, ProducerId};
use forebay_records::{BatchBuilder, Records, batches, verify_crc};
use forebay_tests::requests::{configure, create, delete_records, fetch, list_offsets, produce};
use forebay_tests::{Conn, Server, number_of, numbered_value};
use forebay_wire::kafka::delete_topics::DeleteTopicsRequest;
use forebay_wire::kafka::init_producer_id::InitProducerIdRequest;

use crate::BACK_ALWAYS;

/// Records of a batch that fills a volume soon, and of a small one.
pub(crate) const LARGE: u64 = 60;
pub(crate) const SMALL: u64 = 4;

/// Bytes of each record's key, which cost their maker nothing; its value is its number.
const KEY_BYTES: usize = 4_000;
const VALUE_BYTES: usize = 16;

const STORAGE_ERROR: i16 = 56;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// How a batch ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Produced {
    Stored,
    /// With this sentence.
    Refused(String),
}

/// Writes numbered records to a topic of its own, the number being the offset, and reads them again: what is lost, moved
/// or doubled shows.
pub(crate) struct Client {
    conn: Conn,
    topic: String,
    /// Records acknowledged, by partition.
    stored: Vec<u64>,
    /// First number and count of the last batch acknowledged, by partition.
    last: Vec<(u64, u64)>,
    producer: ProducerId,
    refused_with: i16,
}

impl Client {
    /// With a fresh topic of so many partitions.
    pub(crate) fn new(server: &Server, topic: &str, partitions: i32, configs: &[(&str, &str)]) -> Self {
        let mut conn = server.conn();
        let configs = [&[("retention.ms", "-1"), ("segment.bytes", "4194304")], configs].concat();
        let made = conn.call(5, &create(topic, partitions, &configs));
        assert_eq!(made.topics[0].error_code, 0, "{:?}", made.topics[0].error_message);
        let (stored, last) = (vec![0; partitions as usize], vec![(0, 0); partitions as usize]);
        let producer = producer_id(&mut conn);
        Self { conn, topic: topic.to_owned(), stored, last, producer, refused_with: STORAGE_ERROR }
    }

    /// Another one of the same topic, over a connection of its own.
    pub(crate) fn beside(&self, server: &Server) -> Self {
        let (topic, stored, last) = (self.topic.clone(), self.stored.clone(), self.last.clone());
        let (producer, refused_with) = (self.producer, self.refused_with);
        Self { conn: server.conn(), topic, stored, last, producer, refused_with }
    }

    /// Over a new connection.
    pub(crate) fn reconnect(&mut self, server: &Server) {
        self.conn = server.conn();
    }

    /// The code that a refusal has.
    pub(crate) fn refused_with(&mut self, code: i16) {
        self.refused_with = code;
    }

    /// Records stored, by partition.
    pub(crate) fn stored(&self) -> &[u64] {
        &self.stored
    }

    /// Sends so many records to a partition as one batch, for stable storage.
    pub(crate) fn produce(&mut self, partition: usize, count: u64) -> Produced {
        let first = self.stored[partition];
        let produced = self.send(partition, first, count);
        if produced == Produced::Stored {
            self.stored[partition] += count;
            self.last[partition] = (first, count);
        }
        produced
    }

    /// Sends the last batch of each partition again, which is acknowledged for what it is: see [`Client::send`].
    pub(crate) fn repeat(&mut self) {
        for partition in 0..self.stored.len() {
            let (first, count) = self.last[partition];
            assert!(count == 0 || self.send(partition, first, count) == Produced::Stored);
        }
    }

    fn send(&mut self, partition: usize, first: u64, count: u64) -> Produced {
        let mut batch = BatchBuilder::new().producer(self.producer, 0, first as i32);
        for number in first..first + count {
            batch.push(1_000, Some(&[7; KEY_BYTES]), Some(&numbered_value(number, VALUE_BYTES)), &[]);
        }
        let request = produce(&self.topic, partition as i32, batch.build().unwrap());
        let mut answer = self.conn.call(9, &request);
        let part = answer.responses.remove(0).partition_responses.remove(0);
        if part.error_code == 0 {
            assert_eq!(part.base_offset, first as i64, "nothing that was refused is in the log");
            return Produced::Stored;
        }
        assert_eq!(part.error_code, self.refused_with, "{:?}", part.error_message);
        Produced::Refused(part.error_message.map(|text| text.to_string()).unwrap_or_default())
    }

    /// The sentence with which a small batch is refused.
    ///
    /// # Panics
    /// If it is not.
    pub(crate) fn refused(&mut self) -> String {
        match self.produce(0, SMALL) {
            Produced::Refused(sentence) => sentence,
            Produced::Stored => panic!("a full volume takes records"),
        }
    }

    /// Appends until there are so many bytes.
    pub(crate) fn fill_to(&mut self, bytes: u64) {
        let batches = bytes / (KEY_BYTES as u64 * SMALL);
        for partition in (0..self.stored.len()).cycle().take(batches as usize) {
            assert_eq!(self.produce(partition, SMALL), Produced::Stored);
        }
    }

    /// Appends until no partition takes anything, however small; the last sentence.
    pub(crate) fn fill(&mut self) -> String {
        let (partitions, mut said) = (self.stored.len(), String::new());
        for records in [LARGE, SMALL] {
            let mut refused = 0;
            for partition in (0..partitions).cycle() {
                match self.produce(partition, records) {
                    Produced::Stored => refused = 0,
                    Produced::Refused(sentence) => (refused, said) = (refused + 1, sentence),
                }
                if refused == 4 * partitions {
                    break;
                }
            }
        }
        said
    }

    /// Waits until each partition takes a write; how long that took.
    pub(crate) fn back(&mut self) -> Duration {
        let began = Instant::now();
        for partition in 0..self.stored.len() {
            while let Produced::Refused(sentence) = self.produce(partition, SMALL) {
                assert!(began.elapsed() < BACK_ALWAYS, "writes do not come back: {sentence}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        began.elapsed()
    }

    /// Reads everything from the log starts on: every record that was stored, once, whole, and nothing else.
    pub(crate) fn check(&mut self) {
        for partition in 0..self.stored.len() {
            let stored = self.stored[partition];
            let mut next = self.offset(partition, EARLIEST);
            while next < stored {
                next = fetch_checked(&mut self.conn, &self.topic, partition, next, 8 << 20).unwrap_or_else(
                    |reason| panic!("partition {partition} from {next} of {stored}: {reason}"),
                );
            }
            assert_eq!((next, self.offset(partition, LATEST)), (stored, stored), "partition {partition}");
        }
    }

    fn offset(&mut self, partition: usize, of: i64) -> u64 {
        let answer = self.conn.call(5, &list_offsets(&self.topic, partition as i32, of));
        answer.topics[0].partitions[0].offset as u64
    }

    /// Deletes every record; the codes.
    pub(crate) fn delete_all(&mut self) {
        for partition in 0..self.stored.len() {
            let answer = self.conn.call(2, &delete_records(&self.topic, partition as i32, -1));
            assert_eq!(answer.topics[0].partitions[0].error_code, 0, "{answer:?}");
        }
    }

    /// Deletes the topic.
    pub(crate) fn delete_topic(&mut self) {
        let request = DeleteTopicsRequest {
            topic_names: vec![self.topic.as_str().into()],
            timeout_ms: 10_000,
            ..Default::default()
        };
        assert_eq!(self.conn.call(5, &request).responses[0].error_code, 0);
    }

    /// Changes a setting of the topic.
    pub(crate) fn configure(&mut self, name: &str, value: &str) {
        let answer = self.conn.call(1, &configure(&self.topic, name, value));
        assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
    }

    /// Makes another topic: the code and the sentence.
    pub(crate) fn create_topic(&mut self, name: &str) -> (i16, String) {
        let made = self.conn.call(5, &create(name, 1, &[])).topics.remove(0);
        (made.error_code, made.error_message.map(|text| text.to_string()).unwrap_or_default())
    }
}

/// An id that no producer had before.
pub(crate) fn producer_id(conn: &mut Conn) -> ProducerId {
    let request = InitProducerIdRequest { transaction_timeout_ms: 60_000, ..Default::default() };
    let answer = conn.call(4, &request);
    assert_eq!(answer.error_code, 0, "{answer:?}");
    ProducerId(answer.producer_id)
}

/// Fetches below the high watermark and looks at every byte: the offset that comes next, or what is wrong.
pub(crate) fn fetch_checked(
    conn: &mut Conn,
    topic: &str,
    partition: usize,
    from: u64,
    bytes_max: i32,
) -> Result<u64, String> {
    let mut request = fetch(topic, Id128::ZERO, partition as i32, from as i64);
    request.topics[0].partitions[0].partition_max_bytes = bytes_max;
    let mut answer = conn.call(4, &request);
    let part = answer.responses.remove(0).partitions.remove(0);
    if part.error_code != 0 {
        return Err(format!("error {}", part.error_code));
    }
    let bytes = part.records.unwrap_or_default().read().map_err(|error| error.to_string())?;
    let mut next = None;
    for batch in batches(bytes) {
        let (header, bytes) = batch.map_err(|error| error.to_string())?;
        verify_crc(&bytes).map_err(|error| error.to_string())?;
        next.get_or_insert(header.base_offset.0 as u64);
        for record in Records::of(&bytes).map_err(|error| error.to_string())? {
            let record = record.map_err(|error| error.to_string())?;
            let (offset, number) = (record.offset.0 as u64, record.value.as_deref().and_then(number_of));
            if number != Some(offset) || next != Some(offset) {
                return Err(format!("offset {offset} holds {number:?}, {next:?} was next"));
            }
            next = Some(offset + 1);
        }
    }
    next.filter(|next| *next > from).ok_or_else(|| "nothing".to_owned())
}
