//! An answer comes whole, and one client's haste is not another's wait.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use forebay_base::{Piece, total_len};
use forebay_client::NewTopic;
use forebay_link::{Conn, Connecting, FrameReader, Listener, Net};
use forebay_records::{batches, verify_crc};
use forebay_sim::{SimNet, World, run};
use forebay_wire::frame;
use forebay_wire::kafka::api_versions::ApiVersionsRequest;
use forebay_wire::kafka::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};

use super::{ADDRESS, TOPIC, append, append_to, batch, client, consume_from, start, start_with, stop};

/// More of it than fits between the two ends of a connection.
const ANSWER_BYTES: u64 = 2_000_000;

fn fetch_all() -> FetchRequest {
    let partition = FetchPartition { partition_max_bytes: i32::MAX, ..FetchPartition::default() };
    let topic = FetchTopic { topic: TOPIC.into(), partitions: vec![partition], ..FetchTopic::default() };
    FetchRequest { min_bytes: 1, max_bytes: i32::MAX, topics: vec![topic], ..FetchRequest::default() }
}

/// Asks for a whole partition on a connection of its own. The answer begins to come, and nobody takes it.
async fn ask(world: &World) -> Box<dyn Conn> {
    let mut reader = world.net.connect(ADDRESS).await.unwrap();
    let mut request: VecDeque<Piece> = frame::request(1, None, 4, &fetch_all()).unwrap().into();
    poll_fn(|cx| reader.poll_send(cx, &mut request)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    reader
}

/// Takes the answer, which must be large and sound: the first byte of each record in it.
async fn take_answer(mut reader: Box<dyn Conn>) -> Vec<u8> {
    let answer = FrameReader::new(1 << 30).frame(&mut *reader).await.expect("it goes on").unwrap();
    let (_, answer) = frame::open_response::<FetchResponse>(answer, 4).unwrap();
    let records = answer.responses[0].partitions[0].records.clone().unwrap();
    assert!(records.len() >= ANSWER_BYTES, "{} bytes", records.len());
    let sound = |batch: Bytes| {
        verify_crc(&batch).unwrap();
        batch[batch.len() - 2]
    };
    batches(records.read().unwrap()).map(|batch| sound(batch.unwrap().1)).collect()
}

#[test]
fn an_answer_under_way_outlives_the_records_in_it() {
    run(31, |world| async move {
        let node = start(&world, &world.disk, Arc::new(world.net.clone())).await;
        let owner = client(&world).await;
        // Two segments.
        let configs = [("segment.bytes".to_owned(), "2200000".to_owned())].into();
        owner.create_topic(&NewTopic { configs, ..NewTopic::named(TOPIC) }, false).await.unwrap();
        for fill in 0..30 {
            append(&owner, batch(fill, 100_000)).await.unwrap();
        }
        let reader = ask(&world).await;
        let segments = || world.disk.files().iter().filter(|(path, _)| path.ends_with(".log")).count();
        let before = segments();
        assert_eq!(owner.delete_records(TOPIC, 0, -1).await.unwrap(), 30);
        assert_eq!(segments(), before - 2, "they are gone from the disk");
        assert_eq!(take_answer(reader).await, (0..21).collect::<Vec<_>>());
        drop(owner);
        stop(node).await;
    });
}

#[test]
fn an_answer_under_way_outlives_the_descriptors_that_are_closed() {
    run(33, |world| async move {
        let net = Arc::new(world.net.clone());
        let node = start_with(&world, &world.disk, net, 8).await;
        let others = client(&world).await;
        let topic = NewTopic { partitions: Some(20), ..NewTopic::named(TOPIC) };
        others.create_topic(&topic, false).await.unwrap();
        for fill in 0..21 {
            append(&others, batch(fill, 100_000)).await.unwrap();
        }
        assert_eq!(append_to(&others, 1..20, -1, batch(99, 100)).await.len(), 19);
        // Long enough for what is not written any more to rest.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let reader = ask(&world).await;
        // Others want more descriptors than there may be.
        for partition in (1..20).chain(1..20) {
            assert_eq!(consume_from(&others, partition).await, [(99, 100)]);
        }
        assert_eq!(take_answer(reader).await, (0..21).collect::<Vec<_>>());
        drop(others);
        stop(node).await;
    });
}

/// Bytes of requests that the greedy client has sent before anyone looks.
const GREED_BYTES: u64 = 32 << 20;

/// What it may move while another one waits: a few turns (`limits::YIELD_BYTES`), for connecting takes some.
const TURNS_BYTES: u64 = 4 << 20;

/// A client whose requests are all there already and who takes every answer at once, so that its connection always has
/// something to do.
#[derive(Debug)]
struct Hasty {
    request: Bytes,
    at: usize,
    left: u64,
    taken: Arc<AtomicU64>,
    /// What another client had moved when this one was first answered.
    answered_at: Arc<Mutex<Option<u64>>>,
    other: Arc<AtomicU64>,
}

impl Conn for Hasty {
    fn poll_recv(&mut self, _: &mut Context<'_>, to: &mut BytesMut, max: usize) -> Poll<io::Result<usize>> {
        let part = max.min(self.request.len() - self.at).min(self.left as usize);
        if part == 0 {
            return Poll::Pending;
        }
        to.extend_from_slice(&self.request[self.at..self.at + part]);
        self.at = (self.at + part) % self.request.len();
        self.left -= part as u64;
        self.taken.fetch_add(part as u64, Ordering::Relaxed);
        Poll::Ready(Ok(part))
    }

    fn poll_send(&mut self, _: &mut Context<'_>, queue: &mut VecDeque<Piece>) -> Poll<io::Result<usize>> {
        self.answered_at.lock().unwrap().get_or_insert(self.other.load(Ordering::Relaxed));
        let sent = queue.drain(..).collect::<Vec<_>>();
        Poll::Ready(Ok(total_len(&sent) as usize))
    }
}

/// A network where the next clients to be accepted are told.
#[derive(Debug, Clone)]
struct Crowd {
    net: SimNet,
    next: Arc<Mutex<VecDeque<Hasty>>>,
}

#[derive(Debug)]
struct CrowdListener {
    listener: Box<dyn Listener>,
    next: Arc<Mutex<VecDeque<Hasty>>>,
}

impl Net for Crowd {
    fn listen(&self, addr: SocketAddr) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(CrowdListener { listener: self.net.listen(addr)?, next: self.next.clone() }))
    }

    fn connect(&self, addr: &str) -> Connecting {
        self.net.connect(addr)
    }
}

impl Listener for CrowdListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn Conn>, SocketAddr)>> {
        match self.next.lock().unwrap().pop_front() {
            Some(conn) => Poll::Ready(Ok((Box::new(conn), SocketAddr::from(([127, 0, 0, 1], 4_711))))),
            None => self.listener.poll_accept(cx),
        }
    }
}

#[test]
fn a_client_that_never_stops_sending_does_not_hold_up_another() {
    // A large request that costs nothing to answer.
    let name = "x".repeat(30_000);
    let pieces = frame::request(1, Some(&name), 0, &ApiVersionsRequest::default()).unwrap();
    let request: Bytes = pieces.iter().flat_map(|piece| piece.read().unwrap()).collect();
    let (moved, answered_at) = (Arc::<AtomicU64>::default(), Arc::<Mutex<Option<u64>>>::default());
    let greedy = Hasty {
        request: request.clone(),
        at: 0,
        left: GREED_BYTES,
        taken: moved.clone(),
        answered_at: Arc::default(),
        other: Arc::default(),
    };
    let patient = Hasty {
        left: request.len() as u64,
        request,
        at: 0,
        taken: Arc::default(),
        answered_at: answered_at.clone(),
        other: moved.clone(),
    };
    run(32, |world| async move {
        let crowd = Crowd { net: world.net.clone(), next: Arc::default() };
        let node = start(&world, &world.disk, Arc::new(crowd.clone())).await;
        crowd.next.lock().unwrap().extend([greedy, patient]);
        // One more comes, so that the door looks who is there.
        let third = client(&world).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(third);
        stop(node).await;
    });
    let waited = answered_at.lock().unwrap().expect("everybody is answered");
    assert_eq!(moved.load(Ordering::Relaxed), GREED_BYTES);
    assert!(waited <= TURNS_BYTES, "it was answered when the other had moved {waited} bytes");
}
