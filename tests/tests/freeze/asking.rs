use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use forebay_client::BatchBuilder;
use forebay_tests::requests::{metadata, produce};
use forebay_tests::{Conn, Server, Stopwatch, get};

use crate::layout::WARM;

const PAUSE: Duration = Duration::from_millis(50);

/// Patience with a topic that was made while a disk stood still.
const TAKING_WITHIN: Duration = Duration::from_secs(3);

/// Questions that need no disk, asked again and again.
pub(crate) struct Asking(Vec<(&'static str, JoinHandle<Duration>)>);

impl Asking {
    pub(crate) fn start(server: &Server, over: &Arc<AtomicBool>) -> Self {
        let slowest = |mut ask: Box<dyn FnMut() + Send>| {
            let over = over.clone();
            std::thread::spawn(move || {
                let mut slowest = Duration::ZERO;
                while !over.load(Ordering::Relaxed) {
                    let asked = Stopwatch::start();
                    ask();
                    slowest = slowest.max(asked.elapsed());
                    std::thread::sleep(PAUSE);
                }
                slowest
            })
        };
        let mut conn = server.conn();
        let known = move || assert_eq!(conn.call(9, &metadata(WARM)).topics[0].error_code, 0);
        let address = server.kafka().to_owned();
        let fresh = move || assert_eq!(Conn::open(&address).call(9, &metadata(WARM)).topics[0].error_code, 0);
        let http = |path: &'static str| {
            let address = server.http().to_owned();
            move || assert_eq!(get(&address, path).expect(path).0, 200, "{path}")
        };
        Self(vec![
            ("s for metadata, at most", slowest(Box::new(known))),
            ("s for metadata on a new connection", slowest(Box::new(fresh))),
            ("s for /readyz", slowest(Box::new(http("/readyz")))),
            ("s for /v1/topics/warm/partitions", slowest(Box::new(http("/v1/topics/warm/partitions")))),
            ("s for /v1/volumes", slowest(Box::new(http("/v1/volumes")))),
        ])
    }

    /// The slowest answer to each.
    pub(crate) fn join(self) -> Vec<(&'static str, Duration)> {
        self.0.into_iter().map(|(what, asker)| (what, asker.join().expect("it is answered"))).collect()
    }
}

/// Topics that are made because somebody asks for them.
pub(crate) struct Made(JoinHandle<MadeTopics>);

pub(crate) struct MadeTopics {
    /// The slowest answer.
    pub(crate) answered: Duration,
    /// Their names.
    pub(crate) names: Vec<String>,
    /// Which of them took a record soon after.
    pub(crate) taking: Vec<bool>,
}

impl Made {
    pub(crate) fn start(server: &Server) -> Self {
        let address = server.kafka().to_owned();
        Self(std::thread::spawn(move || {
            let names: Vec<String> = (0..4).map(|number| format!("made-{number}")).collect();
            let mut answered = Duration::ZERO;
            for name in &names {
                let asked = Stopwatch::start();
                Conn::open(&address).call(9, &metadata(name));
                answered = answered.max(asked.elapsed());
            }
            let taker = |name: &String| {
                let (conn, name) = (Conn::open(&address), name.clone());
                std::thread::spawn(move || takes(conn, &name))
            };
            let takers: Vec<_> = names.iter().map(taker).collect();
            let taking = takers.into_iter().map(|taker| taker.join().expect("no panic")).collect();
            MadeTopics { answered, names, taking }
        }))
    }

    pub(crate) fn join(self) -> MadeTopics {
        self.0.join().expect("making topics is answered")
    }
}

/// Whether a topic acknowledges a record.
fn takes(mut conn: Conn, topic: &str) -> bool {
    conn.patience(TAKING_WITHIN);
    let batch = BatchBuilder::new().record(1_000, None, Some(b"v")).build().unwrap();
    conn.send(9, &produce(topic, 0, batch));
    let Ok(Some(frame)) = conn.receive() else { return false };
    let opened =
        forebay_wire::frame::open_response::<forebay_wire::kafka::produce::ProduceResponse>(frame, 9);
    opened.is_ok_and(|(_, answer)| answer.responses[0].partition_responses[0].error_code == 0)
}
