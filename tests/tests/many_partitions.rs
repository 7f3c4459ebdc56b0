//! Many partitions in few descriptors: made, written, killed, stopped, read again, nothing lost.
//!
//! 600 partitions under a limit of 400 descriptors, or, with `FOREBAY_MANY_PARTITIONS=20000`, so many under the
//! system's own limit, with 500 of them dirty at the kill; then the figures are printed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_base::Id128;
use forebay_client::BatchBuilder;
use forebay_tests::requests::{create, fetch, list_offsets};
use forebay_tests::{Conn, Server, get};
use forebay_wire::kafka::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use forebay_wire::kafka::metadata::MetadataRequest;
use forebay_wire::kafka::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const BATCHES: i64 = 3;
/// Partitions written by one request: those under way at a time come on top of the bound.
const WRITTEN_TOGETHER: usize = 10;
const CONNECTIONS: usize = 4;
const DIRTY_BATCH_BYTES: usize = 1_000_000;
/// How long a partition may take until it is open, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// Kafka's NOT_LEADER_OR_FOLLOWER: ask again.
const NOT_OPEN_YET: i16 = 6;
/// Descriptors of sockets, pipes, runtimes and the metadata log, and those open for a moment.
const OTHER_DESCRIPTORS: usize = 60;

/// How large the test is.
struct Scale {
    topics: i32,
    partitions: i32,
    /// Partitions, the first ones, that have unsynced bytes at the kill, and how many batches of them.
    dirty: usize,
    dirty_batches: usize,
    descriptors_max: usize,
    is_full: bool,
}

impl Scale {
    fn asked_for() -> Self {
        let Ok(text) = std::env::var("FOREBAY_MANY_PARTITIONS") else {
            // The server inherits it, and cannot raise it again.
            let limit = 400;
            let both = Rlimit { current: Some(limit), maximum: Some(limit) };
            setrlimit(Resource::Nofile, both).unwrap();
            let descriptors_max = limit as usize / 5 * 2 + OTHER_DESCRIPTORS + CONNECTIONS * WRITTEN_TOGETHER;
            let (topics, partitions) = (6, 100);
            return Self { topics, partitions, dirty: 20, dirty_batches: 1, descriptors_max, is_full: false };
        };
        let partitions = 1_000;
        let topics = text.parse::<i32>().expect("a number") / partitions;
        println!("descriptors allowed: {:?}", getrlimit(Resource::Nofile).maximum);
        Self { topics, partitions, dirty: 500, dirty_batches: 4, descriptors_max: 8_192, is_full: true }
    }

    fn count(&self) -> usize {
        (self.topics * self.partitions) as usize
    }

    /// Every partition: name of its topic, and index.
    fn places(&self) -> Vec<(String, i32)> {
        let of_topic = |topic| (0..self.partitions).map(move |index| (name(topic), index));
        (0..self.topics).flat_map(of_topic).collect()
    }
}

fn name(topic: i32) -> String {
    format!("many-{topic}")
}

/// The batch that lies at `offset` of a partition: says so.
fn batch(index: i32, offset: i64) -> Bytes {
    let value = format!("partition {index}, offset {offset}");
    BatchBuilder::new().record(1_000, None, Some(value.as_bytes())).build().unwrap()
}

/// Appends one batch to each of `places`. What is not open in time is sent again, as a client does.
fn write(conn: &mut Conn, places: &[(String, i32)], acks: i16, batch: impl Fn(i32) -> Bytes) {
    let deadline = Instant::now() + PATIENCE;
    let mut left = places.to_vec();
    while !left.is_empty() {
        assert!(Instant::now() < deadline, "{left:?} are not opened");
        let mut request = ProduceRequest { acks, timeout_ms: 60_000, ..Default::default() };
        for (topic, index) in &left {
            let data = PartitionProduceData { index: *index, records: Some(batch(*index)) };
            match request.topic_data.iter_mut().find(|known| *known.name == **topic) {
                Some(known) => known.partition_data.push(data),
                None => request
                    .topic_data
                    .push(TopicProduceData { name: topic.as_str().into(), partition_data: vec![data] }),
            }
        }
        for topic in conn.call(9, &request).responses {
            for partition in topic.partition_responses {
                let (name, index, error) = (topic.name.as_str(), partition.index, partition.error_code);
                assert!(error == 0 || error == NOT_OPEN_YET, "{name} {index}: error {error}");
                left.retain(|(topic, known)| error != 0 || (topic, *known) != (&name.to_owned(), index));
            }
        }
    }
}

/// Does `work` with a share of the partitions on each of some connections.
fn with_all(server: &Server, places: &[(String, i32)], work: impl Fn(&mut Conn, &[(String, i32)]) + Sync) {
    std::thread::scope(|scope| {
        for share in places.chunks(places.len().div_ceil(CONNECTIONS)) {
            let work = &work;
            scope.spawn(move || {
                let mut conn = server.conn();
                conn.patience(Duration::from_secs(120));
                work(&mut conn, share);
            });
        }
    });
}

fn write_all(server: &Server, places: &[(String, i32)]) {
    with_all(server, places, |conn, share| {
        for together in share.chunks(WRITTEN_TOGETHER) {
            for offset in 0..BATCHES {
                write(conn, together, -1, |index| batch(index, offset));
            }
        }
    });
}

/// Every record of a partition that was answered as durable is there.
fn check(conn: &mut Conn, topic: &str, index: i32) {
    let deadline = Instant::now() + PATIENCE;
    let mut next = 0;
    while next < BATCHES {
        let part =
            conn.call(4, &fetch(topic, Id128::ZERO, index, next)).responses.remove(0).partitions.remove(0);
        if part.error_code == NOT_OPEN_YET && Instant::now() < deadline {
            // Not open yet: a client asks again.
            continue;
        }
        assert_eq!(part.error_code, 0, "{topic} {index}");
        let bytes = part.records.unwrap().read().unwrap();
        for offset in next..BATCHES {
            let value = format!("partition {index}, offset {offset}\0");
            assert!(
                bytes.windows(value.len()).any(|window| window == value.as_bytes()),
                "{topic} {index}: {value}"
            );
        }
        next = BATCHES;
    }
}

/// How many descriptors the server holds, at most, while `work` is done.
fn most_descriptors(server: &Server, work: impl FnOnce()) -> usize {
    let (done, most) = (AtomicBool::new(false), AtomicUsize::new(0));
    let folder = format!("/proc/{}/fd", server.pid());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let count = std::fs::read_dir(&folder).map_or(0, Iterator::count);
                most.fetch_max(count, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        work();
        done.store(true, Ordering::Relaxed);
    });
    most.into_inner()
}

/// The time until the first bytes of a partition are here, on a server that was just started.
fn first_byte(server: &Server, (topic, index): &(String, i32)) -> Duration {
    let began = Instant::now();
    check(&mut server.conn(), topic, *index);
    began.elapsed()
}

/// Starts the server again, and reads everything.
fn read_again(server: &mut Server, scale: &Scale, how: &str) {
    let began = Instant::now();
    server.spawn();
    server.wait_ready();
    let ready = began.elapsed();
    let places = scale.places();
    let (dirty, idle) = (first_byte(server, &places[0]), first_byte(server, &places[places.len() - 1]));
    statuses_are_true(server);
    let reading = Instant::now();
    let most = most_descriptors(server, || {
        with_all(server, &places, |conn, share| {
            share.iter().for_each(|(topic, index)| check(conn, topic, *index));
        });
    });
    println!(
        "after {how}: ready {ready:?}, first byte dirty {dirty:?}, idle {idle:?}, all read in {:?}, descriptors {most}",
        reading.elapsed()
    );
    assert!(most <= scale.descriptors_max, "{most} descriptors after {how}");
}

/// A partition that is not open yet is well, and its size is unknown and not zero.
fn statuses_are_true(server: &Server) {
    let (status, body) = get(server.http(), "/v1/topics/many-1/partitions").unwrap();
    assert_eq!(status, 200, "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    for partition in body["partitions"].as_array().unwrap() {
        assert_eq!(partition["status"], "Online", "{partition}");
        let log = &partition["log"];
        assert!(
            log.is_null() || log["end_offset"] == BATCHES || log["end_offset"] == BATCHES + 1,
            "{partition}"
        );
    }
}

fn make(server: &Server, scale: &Scale) -> Duration {
    let began = Instant::now();
    let mut conn = server.conn();
    conn.patience(Duration::from_secs(60));
    for topic in 0..scale.topics {
        let answer = conn.call(5, &create(&name(topic), scale.partitions, &[]));
        assert_eq!(answer.topics[0].error_code, 0);
    }
    let last = conn.call(4, &list_offsets(&name(scale.topics - 1), scale.partitions - 1, -1));
    assert_eq!(last.topics[0].partitions[0].error_code, 0);
    began.elapsed()
}

/// The median time until all bytes of a full Metadata answer are here.
fn metadata_time(server: &Server, scale: &Scale) -> Duration {
    let mut conn = server.conn();
    conn.patience(Duration::from_secs(60));
    let everything = MetadataRequest { topics: None, ..Default::default() };
    let answer = conn.call(9, &everything);
    assert_eq!(answer.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>(), scale.count());
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let began = Instant::now();
            conn.send(9, &everything);
            conn.receive().unwrap().unwrap();
            began.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

/// Deletes a topic of which no partition was opened since the start: its files go.
fn delete_unopened(server: &mut Server, scale: &Scale) {
    let folders = |server: &Server| std::fs::read_dir(server.data().join("partitions")).unwrap().count();
    let before = folders(server);
    server.restart();
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: Some(name(2).as_str().into()), ..Default::default() }],
        timeout_ms: 60_000,
        ..Default::default()
    };
    assert_eq!(server.conn().call(6, &request).responses[0].error_code, 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    while folders(server) > before - scale.partitions as usize {
        assert!(Instant::now() < deadline, "{} folders of {before} are left", folders(server));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn many_partitions_live_in_few_descriptors() {
    let scale = Scale::asked_for();
    let places = scale.places();
    let mut server = Server::start();
    let before = server.memory().resident;
    let made = make(&server, &scale);
    let writing = Instant::now();
    let most = most_descriptors(&server, || write_all(&server, &places));
    println!(
        "{} partitions made in {made:?}, written in {:?}, descriptors {most}",
        places.len(),
        writing.elapsed()
    );
    assert!(most <= scale.descriptors_max, "{most} descriptors");
    if scale.is_full {
        // Until what is not written any more rests.
        std::thread::sleep(Duration::from_secs(45));
        let per_partition = server.memory().resident.saturating_sub(before) / places.len() as u64;
        println!("resident: {before} bytes before, {per_partition} more per partition");
        println!("a full Metadata answer: {:?}", metadata_time(&server, &scale));
    }
    let value = vec![7; DIRTY_BATCH_BYTES];
    with_all(&server, &places[..scale.dirty], |conn, share| {
        let large = |_| BatchBuilder::new().record(1_000, None, Some(&value)).build().unwrap();
        for one in share.iter().flat_map(|one| vec![one; scale.dirty_batches]) {
            write(conn, std::slice::from_ref(one), 1, large);
        }
    });
    server.kill();
    read_again(&mut server, &scale, "kill -9");
    let stopping = Instant::now();
    assert_eq!(server.stop().code(), Some(0));
    println!("stopped cleanly in {:?}", stopping.elapsed());
    read_again(&mut server, &scale, "a clean stop");
    delete_unopened(&mut server, &scale);
}
