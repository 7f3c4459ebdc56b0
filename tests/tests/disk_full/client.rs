use bytes::Bytes;
use forebay_base::{Id128, Offset};
use forebay_records::{BatchBuilder, Records, batches};
use forebay_tests::requests::{create, delete_records, fetch, list_offsets, produce};
use forebay_tests::{Conn, Server, number_of, numbered_value};
use forebay_wire::kafka::delete_topics::DeleteTopicsRequest;

/// Bytes of a record's value, about.
const VALUE_BYTES: usize = 1024;

/// How a batch ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Produced {
    Stored,
    /// With this sentence.
    Refused(String),
}

/// Writes numbered records to a topic of its own, the number being the offset, and reads them again.
pub(crate) struct Client {
    conn: Conn,
    topic: String,
    stored: u64,
    refused_with: i16,
}

impl Client {
    /// With a fresh topic.
    pub(crate) fn new(server: &Server, topic: &str, configs: &[(&str, &str)]) -> Self {
        let mut client = Self { conn: server.conn(), topic: topic.to_owned(), stored: 0, refused_with: 56 };
        let configs = [&[("retention.ms", "-1")], configs].concat();
        let made = client.conn.call(5, &create(topic, 1, &configs));
        assert_eq!(made.topics[0].error_code, 0, "{:?}", made.topics[0].error_message);
        client
    }

    /// Over a new connection.
    pub(crate) fn reconnect(&mut self, server: &Server) {
        self.conn = server.conn();
    }

    /// The code that a refusal has.
    pub(crate) fn refused_with(&mut self, code: i16) {
        self.refused_with = code;
    }

    /// Records stored.
    pub(crate) fn stored(&self) -> u64 {
        self.stored
    }

    /// Sends so many records as one batch, for stable storage.
    pub(crate) fn produce(&mut self, count: u64) -> Produced {
        let records = self.stored..self.stored + count;
        let batch = records.fold(BatchBuilder::new(), |batch, number| {
            batch.record(1, None, Some(&numbered_value(number, VALUE_BYTES)))
        });
        let mut answer = self.conn.call(9, &produce(&self.topic, 0, batch.build().unwrap()));
        let part = answer.responses.remove(0).partition_responses.remove(0);
        if part.error_code == 0 {
            assert_eq!(part.base_offset, self.stored as i64, "nothing that was refused is in the log");
            self.stored += count;
            return Produced::Stored;
        }
        assert_eq!(part.error_code, self.refused_with, "{:?}", part.error_message);
        Produced::Refused(part.error_message.map(|text| text.to_string()).unwrap_or_default())
    }

    /// Reads everything from the log start on: every record that was stored, once, whole, and nothing else.
    pub(crate) fn check_from_start(&mut self) {
        let start = self.earliest();
        self.check_from(start);
    }

    /// The same from offset 0, or from where records were deleted to.
    pub(crate) fn check_all(&mut self) {
        self.check_from_start();
    }

    fn check_from(&mut self, start: u64) {
        let mut next = start;
        while next < self.stored {
            let from = next;
            let read = self.read(from);
            assert!(
                !read.is_empty(),
                "a fetch below the high watermark is served: {next} of {}",
                self.stored
            );
            for (offset, number) in read.into_iter().skip_while(|(offset, _)| *offset < from) {
                assert_eq!((offset, number), (next, Some(next)));
                next += 1;
            }
        }
        assert_eq!(next, self.stored, "nothing is there that was refused");
    }

    /// Offsets of some records from `offset` on, with their numbers.
    fn read(&mut self, offset: u64) -> Vec<(u64, Option<u64>)> {
        let mut answer = self.conn.call(11, &fetch(&self.topic, Id128::default(), 0, offset as i64));
        let part = answer.responses.remove(0).partitions.remove(0);
        assert_eq!(part.error_code, 0, "a fetch of {offset} is refused");
        let bytes: Bytes = part.records.map(|records| records.read().unwrap()).unwrap_or_default();
        let mut found = Vec::new();
        for batch in batches(bytes).map_while(Result::ok) {
            for record in Records::of(&batch.1).unwrap() {
                let record = record.unwrap();
                found.push((record.offset.0 as u64, number_of(&record.value.unwrap())));
            }
        }
        found
    }

    fn earliest(&mut self) -> u64 {
        let answer = self.conn.call(5, &list_offsets(&self.topic, 0, -2));
        let Offset(start) = Offset(answer.topics[0].partitions[0].offset);
        start as u64
    }

    /// Deletes every record.
    pub(crate) fn delete_all(&mut self) {
        let answer = self.conn.call(2, &delete_records(&self.topic, 0, -1));
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
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

    /// Makes another topic: the code and the sentence.
    pub(crate) fn create_topic(&mut self, name: &str) -> (i16, String) {
        let made = self.conn.call(5, &create(name, 1, &[])).topics.remove(0);
        (made.error_code, made.error_message.map(|text| text.to_string()).unwrap_or_default())
    }
}
