//! What a Kafka client relies on, one statement a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_base::{Id128, ProducerId};
use forebay_client::{BatchBuilder, Compression};
use forebay_records::RecordHeader;
use forebay_tests::requests::{create, delete_records, fetch, list_offsets, metadata, produce};
use forebay_tests::{Conn, Server, forebay, get, numbered_value, run_to_end, samples};
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::api_versions::ApiVersionsRequest;
use forebay_wire::kafka::fetch::{FetchRequest, FetchResponse, PartitionData};
use forebay_wire::kafka::init_producer_id::InitProducerIdRequest;
use forebay_wire::kafka::produce::{PartitionProduceResponse, ProduceRequest};

fn batch(value: &[u8]) -> Bytes {
    BatchBuilder::new().record(1_000, None, Some(value)).build().unwrap()
}

fn append(conn: &mut Conn, topic: &str, records: Bytes) -> PartitionProduceResponse {
    let mut answer = conn.call(9, &produce(topic, 0, records));
    answer.responses.remove(0).partition_responses.remove(0)
}

fn read(conn: &mut Conn, request: &FetchRequest) -> PartitionData {
    let mut answer = conn.call(11, request);
    answer.responses.remove(0).partitions.remove(0)
}

fn stored(part: &PartitionData) -> Bytes {
    part.records.as_ref().unwrap().read().unwrap()
}

fn end_of(conn: &mut Conn, topic: &str) -> i64 {
    conn.call(4, &list_offsets(topic, 0, -1)).topics[0].partitions[0].offset
}

/// What is advertised is served in every version, and the other way round; but Produce 0 to 2 are advertised for old
/// clients that would not compress otherwise, and never sent.
#[test]
fn what_is_advertised_is_served() {
    let server = Server::start();
    let answer = server.conn().call(3, &named());
    assert_eq!(answer.error_code, 0);
    let ranges = answer.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version));
    let advertised: BTreeSet<(i16, i16)> =
        ranges.flat_map(|(key, versions)| versions.map(move |version| (key, version))).collect();
    let number = |frame: &[u8], at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
    let mut served: BTreeSet<(i16, i16)> = samples("t", Id128::ZERO)
        .iter()
        .map(|sample| (number(&sample.frame, 4), number(&sample.frame, 6)))
        .collect();
    served.extend([(0, 0), (0, 1), (0, 2)]);
    assert_eq!(advertised, served);
}

fn named() -> ApiVersionsRequest {
    ApiVersionsRequest { client_software_name: "black-box".into(), client_software_version: "1".into() }
}

#[test]
fn an_auto_created_topic_has_a_leader_at_once() {
    let server = Server::start();
    for version in [0, 1, 4, 9, 12] {
        let name = format!("made-by-{version}");
        let answer = server.conn().call(version, &metadata(&name));
        let topic = &answer.topics[0];
        assert_eq!(topic.error_code, 0, "version {version}");
        assert_eq!(topic.partitions.len(), 1);
        assert_eq!(topic.partitions[0].error_code, 0, "version {version}");
        assert_eq!(topic.partitions[0].leader_id, answer.brokers[0].node_id);
        // It really leads: the next thing a client does is to produce.
        assert_eq!(append(&mut server.conn(), &name, batch(b"v")).error_code, 0, "version {version}");
    }
    let mut asked = metadata("not-to-be-made");
    asked.allow_auto_topic_creation = false;
    let answer = server.conn().call(9, &asked);
    assert_eq!(answer.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[test]
fn answers_leave_in_the_order_of_their_requests() {
    let server = Server::start();
    let mut conn = server.conn();
    conn.call(9, &metadata("t"));
    let mut waiting = fetch("t", Id128::ZERO, 0, 0);
    (waiting.max_wait_ms, waiting.min_bytes) = (400, 1_000_000);
    let first = conn.send(11, &waiting);
    let produced: Vec<i32> = (0..6).map(|_| conn.send(9, &produce("t", 0, batch(b"v")))).collect();
    let last = conn.send(3, &ApiVersionsRequest::default());
    assert_eq!(conn.answer::<FetchResponse>(11).0, first, "the slow one comes first");
    for (offset, sent) in produced.into_iter().enumerate() {
        let (id, answer) = conn.answer::<forebay_wire::kafka::produce::ProduceResponse>(9);
        assert_eq!(id, sent);
        assert_eq!(
            answer.responses[0].partition_responses[0].base_offset, offset as i64,
            "appended in order too"
        );
    }
    assert_eq!(conn.answer::<forebay_wire::kafka::api_versions::ApiVersionsResponse>(3).0, last);
}

#[test]
fn acks_zero_is_not_answered() {
    let server = Server::start();
    let mut conn = server.conn();
    conn.call(9, &metadata("t"));
    conn.send(9, &ProduceRequest { acks: 0, ..produce("t", 0, batch(b"v")) });
    // Were it answered, the next answer would be of another request.
    conn.call(3, &ApiVersionsRequest::default());
    let until = Instant::now() + Duration::from_secs(30);
    while end_of(&mut conn, "t") != 1 {
        assert!(Instant::now() < until, "the record was appended all the same");
    }
}

#[test]
fn a_long_poll_waits_for_bytes_or_time() {
    let server = Server::start();
    let mut conn = server.conn();
    conn.call(9, &metadata("t"));
    let mut asked = fetch("t", Id128::ZERO, 0, 0);
    (asked.max_wait_ms, asked.min_bytes) = (600, 1);

    let began = Instant::now();
    let part = read(&mut conn, &asked);
    assert_eq!((part.error_code, stored(&part).len()), (0, 0));
    assert!(
        began.elapsed() >= Duration::from_millis(550),
        "answered after {:?} with nothing",
        began.elapsed()
    );
    assert!(began.elapsed() < Duration::from_millis(2_500), "answered only after {:?}", began.elapsed());

    asked.max_wait_ms = 18_000;
    let began = Instant::now();
    conn.send(11, &asked);
    std::thread::sleep(Duration::from_millis(150));
    append(&mut server.conn(), "t", batch(&[1; 100]));
    let (_, answer) = conn.answer::<FetchResponse>(11);
    assert!(!stored(&answer.responses[0].partitions[0]).is_empty());
    assert!(began.elapsed() < Duration::from_secs(15), "woken after {:?}", began.elapsed());

    (asked.max_wait_ms, asked.min_bytes) = (600, 1_000_000);
    let began = Instant::now();
    let part = read(&mut conn, &asked);
    assert!(
        began.elapsed() >= Duration::from_millis(550),
        "too few bytes were answered after {:?}",
        began.elapsed()
    );
    assert!(!stored(&part).is_empty(), "what there is comes when the time is over");
}

#[test]
fn the_first_batch_comes_whole_and_an_offset_inside_it_brings_it() {
    let server = Server::start();
    let mut conn = server.conn();
    conn.call(9, &metadata("t"));
    let mut many = BatchBuilder::new();
    for number in 0..200 {
        many.push(1_000, None, Some(&numbered_value(number, 1_000)), &[]);
    }
    let large = many.build().unwrap();
    assert_eq!(append(&mut conn, "t", large.clone()).error_code, 0);
    assert_eq!(append(&mut conn, "t", batch(b"next")).base_offset, 200);
    for offset in [0, 1, 199] {
        let mut asked = fetch("t", Id128::ZERO, 0, offset);
        (asked.max_bytes, asked.topics[0].partitions[0].partition_max_bytes) = (1, 1);
        let bytes = stored(&read(&mut conn, &asked));
        assert_eq!(bytes.len(), large.len(), "the whole batch and no more, from offset {offset}");
        assert_eq!(bytes[..8], [0; 8], "it begins before the offset asked for");
    }
    let past = read(&mut conn, &fetch("t", Id128::ZERO, 0, 202));
    assert_eq!(past.error_code, ErrorCode::OffsetOutOfRange.code());
    let at_end = read(&mut conn, &fetch("t", Id128::ZERO, 0, 201));
    assert_eq!((at_end.error_code, stored(&at_end).len(), at_end.high_watermark), (0, 0, 201));
}

/// Bytes come back as they were sent, but for the two fields that the leader stamps.
#[test]
fn batches_are_stored_as_sent() {
    let server = Server::start();
    let mut conn = server.conn();
    conn.call(9, &metadata("t"));
    let headers = [("twice", "1"), ("other", "2"), ("twice", "3")]
        .map(|(name, value)| RecordHeader::new(Bytes::from(name), Bytes::from(value)));
    let mut at = 0;
    for codec in
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        let mut builder = BatchBuilder::new().compression(codec).flags(0x0400);
        builder.push(5, Some(b"key"), None, &headers);
        builder.push(3, None, Some(&numbered_value(1, 5_000)), &[]);
        let sent = builder.build().unwrap();
        assert_eq!(append(&mut conn, "t", sent.clone()).base_offset, at, "{codec:?}");
        let back = stored(&read(&mut conn, &fetch("t", Id128::ZERO, 0, at)));
        assert_eq!(back[..8], at.to_be_bytes(), "{codec:?}: stamped with its offset");
        assert_eq!(back[8..12], sent[8..12], "{codec:?}: length");
        assert_eq!(back[16..], sent[16..], "{codec:?}: magic, checksum, attributes, records");
        at += 2;
    }
}

#[test]
fn a_producer_is_remembered_through_a_kill() {
    let mut server = Server::start();
    let mut conn = server.conn();
    conn.call(9, &metadata("t"));
    let given = conn.call(4, &InitProducerIdRequest { transaction_timeout_ms: 60_000, ..Default::default() });
    assert_eq!((given.error_code, given.producer_epoch), (0, 0));
    let numbered = |sequence: i32| {
        let id = ProducerId(given.producer_id);
        BatchBuilder::new().producer(id, 0, sequence).record(1, None, Some(b"v")).build().unwrap()
    };
    for sequence in 0..3 {
        assert_eq!(append(&mut conn, "t", numbered(sequence)).base_offset, i64::from(sequence));
    }
    for _ in 0..2 {
        assert_eq!(append(&mut conn, "t", numbered(1)).base_offset, 1, "a duplicate has its first offset");
        let gap = append(&mut conn, "t", numbered(7));
        assert_eq!(gap.error_code, ErrorCode::OutOfOrderSequenceNumber.code());
        server.restart();
        conn = server.conn();
    }
    assert_eq!(append(&mut conn, "t", numbered(3)).base_offset, 3);
    assert_eq!(end_of(&mut conn, "t"), 4);
}

#[test]
fn deleted_records_stay_deleted() {
    let mut server = Server::start();
    let mut conn = server.conn();
    conn.call(9, &metadata("t"));
    for _ in 0..5 {
        append(&mut conn, "t", batch(b"v"));
    }
    let deleted = conn.call(2, &delete_records("t", 0, 3));
    assert_eq!(deleted.topics[0].partitions[0].low_watermark, 3);
    let too_far = conn.call(2, &delete_records("t", 0, 6));
    assert_eq!(too_far.topics[0].partitions[0].error_code, ErrorCode::OffsetOutOfRange.code());
    server.restart();
    let mut conn = server.conn();
    assert_eq!(conn.call(4, &list_offsets("t", 0, -2)).topics[0].partitions[0].offset, 3);
    assert_eq!(end_of(&mut conn, "t"), 5);
    let below = read(&mut conn, &fetch("t", Id128::ZERO, 0, 2));
    assert_eq!(below.error_code, ErrorCode::OffsetOutOfRange.code());
}

#[test]
fn topics_are_made_and_deleted_by_name_and_id() {
    use forebay_wire::kafka::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
    let mut server = Server::start();
    let mut conn = server.conn();
    let first = conn.call(7, &create("t", 3, &[("retention.ms", "86400000")])).topics.remove(0);
    assert_eq!((first.error_code, first.num_partitions), (0, 3), "{:?}", first.error_message);
    let again = conn.call(7, &create("t", 3, &[])).topics.remove(0);
    assert_eq!(again.error_code, ErrorCode::TopicAlreadyExists.code());
    append(&mut conn, "t", batch(b"of the first"));
    let state = DeleteTopicState { name: None, topic_id: first.topic_id };
    let request = DeleteTopicsRequest { topics: vec![state], timeout_ms: 10_000, ..Default::default() };
    assert_eq!(conn.call(6, &request).responses[0].error_code, 0);
    let second = conn.call(7, &create("t", 1, &[])).topics.remove(0);
    assert_eq!(second.error_code, 0, "{:?}", second.error_message);
    assert_ne!(second.topic_id, first.topic_id);
    assert_eq!(
        append(&mut conn, "t", batch(b"of the second")).base_offset,
        0,
        "nothing is left of the first"
    );
    let old = conn.call(13, &fetch("t", first.topic_id, 0, 0));
    assert_eq!(old.responses[0].partitions[0].error_code, ErrorCode::UnknownTopicId.code());
    server.restart();
    assert_eq!(end_of(&mut server.conn(), "t"), 1);
}

/// What is not safe says so wherever it is described.
#[test]
fn a_topic_without_durable_commits_is_shown_as_unsafe() {
    let server = Server::start();
    for (name, mode) in [("quick", "async"), ("sound", "sync")] {
        let made = server.conn().call(7, &create(name, 1, &[("flush.mode", mode)]));
        assert_eq!(made.topics[0].error_code, 0, "{:?}", made.topics[0].error_message);
        let (status, said) =
            run_to_end(forebay().args(["topic", "describe", name, "--bootstrap-server"]).arg(server.kafka()));
        assert!(status.success(), "{said}");
        let (code, page) = get(server.http(), &format!("/v1/topics/{name}")).unwrap();
        assert_eq!(code, 200);
        assert_eq!(said.contains("UNSAFE"), mode == "async", "{said}");
        assert_eq!(page.contains("UNSAFE"), mode == "async", "{page}");
    }
}
