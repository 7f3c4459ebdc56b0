//! Fetch sessions (KIP-227) as clients meet them, version by version.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests stand outside the product: they panic and read clocks"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use forebay_base::Id128;
use forebay_client::BatchBuilder;
use forebay_tests::requests::{create, delete_records, fetch, produce};
use forebay_tests::{Conn, Server, get};
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use forebay_wire::kafka::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic};

/// A client that reads partitions of topic "t" in one session.
struct Reader {
    conn: Conn,
    version: i16,
    topic: Id128,
    session: (i32, i32),
}

impl Reader {
    fn new(server: &Server, version: i16, topic: Id128) -> Self {
        Self { conn: server.conn(), version, topic, session: (0, 0) }
    }

    /// A request for (partition, offset) pairs at the place where the session stands.
    fn request(&self, partitions: &[(i32, i64)], forgotten: &[i32]) -> FetchRequest {
        let mut request = fetch("t", self.topic, 0, 0);
        (request.session_id, request.session_epoch) = self.session;
        let wanted = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        request.topics = vec![FetchTopic {
            topic: "t".into(),
            topic_id: self.topic,
            partitions: partitions.iter().map(wanted).collect(),
        }];
        if !forgotten.is_empty() {
            let (topic, topic_id) = ("t".into(), self.topic);
            request.forgotten_topics_data =
                vec![ForgottenTopic { topic, topic_id, partitions: forgotten.to_vec() }];
        }
        request
    }

    /// The next fetch of the session: what it tells of each partition, as (error, high watermark, bytes).
    fn next(&mut self, partitions: &[(i32, i64)], forgotten: &[i32]) -> BTreeMap<i32, (i16, i64, u64)> {
        let answer = self.conn.call(self.version, &self.request(partitions, forgotten));
        assert_eq!(answer.error_code, 0);
        self.session = (answer.session_id, if answer.session_id == 0 { 0 } else { self.session.1 + 1 });
        told(&answer)
    }

    fn refused(&mut self, session: (i32, i32)) -> ErrorCode {
        let was = std::mem::replace(&mut self.session, session);
        let answer = self.conn.call(self.version, &self.request(&[], &[]));
        self.session = was;
        assert!(answer.responses.is_empty(), "nothing is told beside a refusal");
        assert_eq!(answer.session_id, 0);
        let all = [
            ErrorCode::FetchSessionIdNotFound,
            ErrorCode::InvalidFetchSessionEpoch,
            ErrorCode::FetchSessionTopicIdError,
        ];
        all.into_iter().find(|code| code.code() == answer.error_code).expect("a refusal of the whole request")
    }
}

fn told(answer: &FetchResponse) -> BTreeMap<i32, (i16, i64, u64)> {
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|part| {
            let bytes = part.records.as_ref().map_or(0, |records| records.len());
            (part.partition_index, (part.error_code, part.high_watermark, bytes))
        })
        .collect()
}

fn append(conn: &mut Conn, partition: i32, bytes: usize) {
    let batch = BatchBuilder::new().record(1_000, None, Some(&vec![7; bytes])).build().unwrap();
    let answer = conn.call(9, &produce("t", partition, batch));
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

fn make(server: &Server, partitions: i32, configs: &[(&str, &str)]) -> Id128 {
    let made = server.conn().call(7, &create("t", partitions, configs)).topics.remove(0);
    assert_eq!(made.error_code, 0, "{:?}", made.error_message);
    made.topic_id
}

fn series(server: &Server, name: &str) -> u64 {
    let (status, page) = get(server.http(), "/metrics").unwrap();
    assert_eq!(status, 200);
    let line = page.lines().find(|line| line.split(' ').next() == Some(name)).expect(name);
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

const SESSIONS: &str = "kafka_server_fetchsessioncache_numincrementalfetchsessions";
const PARTITIONS: &str = "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached";

#[test]
fn a_session_tells_what_is_new_and_nothing_else() {
    let server = Server::start();
    let topic = make(&server, 3, &[]);
    let mut producer = server.conn();
    let mut end = 0;
    for version in 7..=16 {
        let mut reader = Reader::new(&server, version, topic);
        let first = reader.next(&[(0, end), (1, 0), (2, 0)], &[]);
        assert_eq!(
            first.into_keys().collect::<Vec<_>>(),
            [0, 1, 2],
            "version {version}: a full answer lists all"
        );
        assert!(reader.session.0 > 0, "version {version}");
        assert!(reader.next(&[], &[]).is_empty(), "version {version}: no news");

        append(&mut producer, 0, 10);
        end += 1;
        let records = reader.next(&[], &[]);
        assert_eq!(records.keys().collect::<Vec<_>>(), [&0], "version {version}");
        assert!(records[&0].1 == end && records[&0].2 > 0, "version {version}: {records:?}");
        assert_eq!(
            reader.next(&[], &[]),
            records,
            "version {version}: records come until the offset moves on"
        );
        assert!(reader.next(&[(0, end)], &[]).is_empty(), "version {version}: nothing above it");

        append(&mut producer, 0, 10);
        end += 1;
        assert!(reader.next(&[], &[0]).is_empty(), "version {version}: it was forgotten");
        assert_eq!(series(&server, PARTITIONS), 2);
        let again = reader.next(&[(0, end)], &[]);
        assert_eq!(again, BTreeMap::from([(0, (0, end, 0))]), "version {version}: it is new again");

        for _ in 0..2 {
            let missing = reader.next(&[(9, 0)], &[]);
            assert_eq!(missing[&9].0, ErrorCode::UnknownTopicOrPartition.code(), "an error comes each time");
        }
        assert!(reader.next(&[], &[9, 0, 1, 2]).is_empty());
        assert_eq!(reader.session, (0, 0), "version {version}: a session of nothing ends");
        assert_eq!(series(&server, SESSIONS), 0);
    }
    // What is deleted is news, too.
    let mut reader = Reader::new(&server, 16, topic);
    reader.next(&[(0, end)], &[]);
    producer.call(2, &delete_records("t", 0, 1));
    assert_eq!(reader.next(&[], &[]), BTreeMap::from([(0, (0, end, 0))]));
    assert!(reader.next(&[], &[]).is_empty());
}

#[test]
fn a_session_is_gone_on_with_epoch_by_epoch() {
    let server = Server::start();
    let topic = make(&server, 1, &[]);
    let mut reader = Reader::new(&server, 12, topic);
    reader.next(&[(0, 0)], &[]);
    let (id, _) = reader.session;
    assert_eq!(reader.refused((id, 2)), ErrorCode::InvalidFetchSessionEpoch);
    assert_eq!(reader.refused((id, -2)), ErrorCode::InvalidFetchSessionEpoch);
    assert_eq!(reader.refused((id ^ 1, 1)), ErrorCode::FetchSessionIdNotFound);
    assert_eq!(reader.refused((0, 1)), ErrorCode::FetchSessionIdNotFound);
    assert_eq!(reader.refused((-id, 1)), ErrorCode::FetchSessionIdNotFound);
    reader.version = 13;
    assert_eq!(reader.refused((id, 1)), ErrorCode::FetchSessionTopicIdError);
    reader.version = 12;
    assert!(reader.next(&[], &[]).is_empty(), "refusals change nothing");
    assert_eq!(reader.refused((id, 1)), ErrorCode::InvalidFetchSessionEpoch);

    // Starting over replaces the old one, and a session may start or go on from another connection.
    reader.session = (id, 0);
    assert_eq!(reader.next(&[(0, 0)], &[]).len(), 1);
    let (new, epoch) = reader.session;
    assert!(new != id && new != 0 && epoch == 1);
    assert_eq!(reader.refused((id, 2)), ErrorCode::FetchSessionIdNotFound);
    reader.conn = server.conn();
    assert!(reader.next(&[], &[]).is_empty());
    assert_eq!(series(&server, SESSIONS), 1);

    reader.session = (new, -1);
    assert_eq!(reader.next(&[(0, 0)], &[]).len(), 1, "the last one is a full fetch");
    assert_eq!(reader.session.0, 0);
    assert_eq!(series(&server, SESSIONS), 0);
    assert_eq!(reader.refused((new, 3)), ErrorCode::FetchSessionIdNotFound);
}

#[test]
fn a_topic_made_anew_is_not_the_one_of_the_session() {
    let server = Server::start();
    let topic = make(&server, 1, &[]);
    let mut reader = Reader::new(&server, 16, topic);
    reader.next(&[(0, 0)], &[]);
    let mut stranger = Reader::new(&server, 16, Id128([9; 16]));
    assert_eq!(stranger.next(&[(0, 0)], &[])[&0].0, ErrorCode::UnknownTopicId.code());
    assert!(stranger.session.0 > 0, "an unknown topic does not keep others from having a session");

    let state = DeleteTopicState { name: None, topic_id: topic };
    let request = DeleteTopicsRequest { topics: vec![state], timeout_ms: 10_000, ..Default::default() };
    assert_eq!(server.conn().call(6, &request).responses[0].error_code, 0);
    assert_eq!(reader.next(&[], &[])[&0].0, ErrorCode::UnknownTopicOrPartition.code());
    let anew = make(&server, 1, &[]);
    assert_eq!(reader.next(&[], &[])[&0].0, ErrorCode::InconsistentTopicId.code());
    assert_eq!(stranger.next(&[], &[])[&0].0, ErrorCode::UnknownTopicId.code());
    let mut fresh = Reader::new(&server, 16, anew);
    assert_eq!(fresh.next(&[(0, 0)], &[])[&0], (0, 0, 0));
}

#[test]
fn all_partitions_have_their_turn_when_bytes_run_out() {
    let server = Server::start();
    let topic = make(&server, 3, &[]);
    let mut producer = server.conn();
    for partition in [0, 0, 0, 1, 1, 1, 2, 2, 2] {
        append(&mut producer, partition, 100);
    }
    let mut reader = Reader::new(&server, 16, topic);
    let mut offsets = [0; 3];
    let mut order: Vec<i32> = Vec::new();
    let mut said: Vec<(i32, i64)> = vec![(0, 0), (1, 0), (2, 0)];
    for _ in 0..10 {
        let mut request = reader.request(&said, &[]);
        request.max_bytes = 1;
        let answer = reader.conn.call(16, &request);
        reader.session = (answer.session_id, reader.session.1 + 1);
        let with_records: Vec<i32> = told(&answer)
            .into_iter()
            .filter(|(_, (_, _, bytes))| *bytes > 0)
            .map(|(index, _)| index)
            .collect();
        assert!(with_records.len() <= 1, "one batch fits");
        order.extend(&with_records);
        said.clear();
        for index in with_records {
            offsets[index as usize] += 1;
            said.push((index, offsets[index as usize]));
        }
    }
    // The full fetch that opens the session leaves the client's own order as it is.
    assert_eq!(order, [0, 0, 1, 2, 0, 1, 2, 1, 2]);
    assert_eq!(offsets, [3; 3]);
}

#[test]
fn who_finds_no_slot_is_served_without_a_session() {
    let server = Server::with(&[("max.incremental.fetch.session.cache.slots", "1")]);
    let topic = make(&server, 2, &[]);
    let mut first = Reader::new(&server, 16, topic);
    first.next(&[(0, 0)], &[]);
    assert!(first.session.0 > 0);
    let mut second = Reader::new(&server, 16, topic);
    for _ in 0..3 {
        assert_eq!(second.next(&[(0, 0), (1, 0)], &[]).len(), 2, "all is told each time");
        assert_eq!(second.session, (0, 0));
    }
    assert!(first.next(&[], &[]).is_empty(), "the first one goes on");
    first.session.1 = -1;
    first.next(&[], &[]);
    second.next(&[(0, 0), (1, 0)], &[]);
    assert!(second.session.0 > 0, "there is room now");
    assert_eq!((series(&server, SESSIONS), series(&server, PARTITIONS)), (1, 2));
}

#[test]
fn what_lies_behind_the_end_of_a_segment_is_not_waited_for() {
    let server = Server::start();
    let topic = make(&server, 1, &[("segment.bytes", "4096")]);
    let mut producer = server.conn();
    for _ in 0..4 {
        append(&mut producer, 0, 3_000);
    }
    let reader = Reader::new(&server, 16, topic);
    let mut conn = server.conn();
    let mut ask = |offset: i64, wait_ms: i32| {
        let mut request = reader.request(&[(0, offset)], &[]);
        (request.session_epoch, request.min_bytes, request.max_wait_ms) = (-1, 6_000, wait_ms);
        let began = Instant::now();
        let bytes = told(&conn.call(16, &request))[&0].2;
        (bytes, began.elapsed())
    };
    for offset in 0..3 {
        let (bytes, took) = ask(offset, 10_000);
        assert!(bytes > 3_000, "offset {offset}");
        assert!(took < Duration::from_secs(8), "offset {offset}: {bytes} bytes after {took:?}");
    }
    let (bytes, took) = ask(3, 2_000);
    assert!(bytes > 3_000 && took >= Duration::from_millis(1_900), "the last one is waited with: {took:?}");
}
