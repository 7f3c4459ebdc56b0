use std::thread::JoinHandle;

use bytes::Bytes;
use forebay_client::BatchBuilder;
use forebay_tests::requests::produce;
use forebay_tests::{Conn, Server};
use forebay_wire::kafka::produce::{ProduceRequest, ProduceResponse};

use crate::layout::FLOODED;

/// Requests sent without waiting for an answer, and bytes of each.
const REQUESTS: usize = 40;
const REQUEST_BYTES: usize = 1_000_000;

/// A producer that is going to have much under way.
pub(crate) struct Source {
    conn: Conn,
    partition: i32,
}

/// The same, sending.
pub(crate) struct Flood(JoinHandle<usize>);

impl Source {
    /// Sends one record, so that the partition is open.
    pub(crate) fn new(server: &Server, partition: i32) -> Self {
        let mut conn = server.conn();
        assert!(is_taken(&conn.call(9, &request(partition, batch(1)))));
        Self { conn, partition }
    }

    /// Begins to send, and goes on as the server reads.
    pub(crate) fn start(self) -> Flood {
        let Self { mut conn, partition } = self;
        Flood(std::thread::spawn(move || {
            let batch = batch(REQUEST_BYTES);
            for _ in 0..REQUESTS {
                conn.send(9, &request(partition, batch.clone()));
            }
            (0..REQUESTS).filter(|_| is_taken(&conn.answer(9).1)).count()
        }))
    }
}

impl Flood {
    /// Requests that were refused.
    pub(crate) fn join(self) -> usize {
        REQUESTS - self.0.join().expect("all is answered")
    }
}

fn batch(bytes: usize) -> Bytes {
    BatchBuilder::new().record(1_000, None, Some(&vec![7; bytes])).build().unwrap()
}

fn request(partition: i32, batch: Bytes) -> ProduceRequest {
    ProduceRequest { acks: 1, ..produce(FLOODED, partition, batch) }
}

fn is_taken(answer: &ProduceResponse) -> bool {
    answer.responses[0].partition_responses[0].error_code == 0
}
