use std::collections::BTreeMap;

use bytes::Bytes;
use forebay_base::Id128;
use forebay_records::{BatchBuilder, Records, batches};
use forebay_tests::requests::{fetch, produce};
use forebay_tests::{Conn, Server, number_of, numbered_value};

const VALUE_BYTES: usize = 300;

/// A refusal: the code and the sentence.
pub(crate) type Refusal = (i16, String);

/// Writes numbered records to one partition, no number twice, and knows which of them were acknowledged.
pub(crate) struct Lane {
    conn: Conn,
    topic: String,
    partition: i32,
    next: u64,
    /// Offset by number.
    acknowledged: BTreeMap<u64, i64>,
}

impl Lane {
    pub(crate) fn new(server: &Server, topic: &str, partition: i32) -> Self {
        let acknowledged = BTreeMap::new();
        Self { conn: server.conn(), topic: topic.to_owned(), partition, next: 0, acknowledged }
    }

    /// Over a new connection.
    pub(crate) fn reconnect(&mut self, server: &Server) {
        self.conn = server.conn();
    }

    /// Sends one record for stable storage.
    pub(crate) fn produce(&mut self) -> Result<(), Refusal> {
        let number = self.next;
        self.next += 1;
        let batch = BatchBuilder::new().record(1, None, Some(&numbered_value(number, VALUE_BYTES)));
        let request = produce(&self.topic, self.partition, batch.build().unwrap());
        let mut answer = self.conn.call(9, &request);
        let part = answer.responses.remove(0).partition_responses.remove(0);
        if part.error_code != 0 {
            let sentence = part.error_message.map(|text| text.to_string()).unwrap_or_default();
            return Err((part.error_code, sentence));
        }
        self.acknowledged.insert(number, part.base_offset);
        Ok(())
    }

    pub(crate) fn produce_many(&mut self, count: usize) {
        for _ in 0..count {
            self.produce().unwrap();
        }
    }

    /// The sentence of a record that must be refused.
    pub(crate) fn refused(&mut self) -> String {
        let (code, sentence) = self.produce().unwrap_err();
        assert_eq!(code, 56, "{sentence}");
        sentence
    }

    /// Reads all there is: every record that was acknowledged is where it was, and no record is there twice.
    pub(crate) fn check(&mut self) {
        let mut offsets: BTreeMap<u64, i64> = BTreeMap::new();
        let mut from = 0;
        loop {
            let read = self.read(from);
            let Some((last, _)) = read.last() else { break };
            from = last + 1;
            for (offset, number) in read {
                let twice = offsets.insert(number, offset);
                assert_eq!(twice, None, "{} {}: record {number} is there twice", self.topic, self.partition);
            }
        }
        for (number, offset) in &self.acknowledged {
            assert_eq!(
                offsets.get(number),
                Some(offset),
                "record {number} of {} was acknowledged",
                self.topic
            );
        }
    }

    fn read(&mut self, from: i64) -> Vec<(i64, u64)> {
        let mut answer = self.conn.call(11, &fetch(&self.topic, Id128::default(), self.partition, from));
        let part = answer.responses.remove(0).partitions.remove(0);
        assert_eq!(part.error_code, 0, "a fetch of {from} is refused");
        let bytes: Bytes = part.records.map(|records| records.read().unwrap()).unwrap_or_default();
        let mut found = Vec::new();
        for batch in batches(bytes).map_while(Result::ok) {
            for record in Records::of(&batch.1).unwrap() {
                let record = record.unwrap();
                if record.offset.0 >= from {
                    found.push((record.offset.0, number_of(&record.value.unwrap()).expect("one of ours")));
                }
            }
        }
        found
    }
}
