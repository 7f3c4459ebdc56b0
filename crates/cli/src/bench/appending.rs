use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use forebay_base::{Rng, SeededRng};
use forebay_client::ClientError;

use super::figures::Samples;
use super::frames::{ProduceHead, Produced, frame_end};
use super::load::Template;
use super::machine::now;
use super::socket::Socket;
use crate::failure::Failure;

/// Requests handed to the kernel in one system call.
const BURST_MAX: usize = 64;

/// Answers received in one system call, in bytes.
const INBOX_BYTES: usize = 64 * 1024;

/// Which partition the next batch goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Spread {
    /// Each connection keeps to one partition
    Connection,
    /// Each connection sends to all partitions in turn
    Turns,
    /// Any partition, as with random keys
    Random,
}

/// When each request is due: waiting times count from then, so that a stall is seen in full by all the requests that
/// it held up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// When the first is due.
    pub(super) begin: Instant,
    /// Requests a second, all connections together; `None` sends each as soon as its connection has room.
    pub(super) per_second: Option<f64>,
}

impl Schedule {
    /// When request `number` is due, if that is known beforehand.
    pub(super) fn due(&self, number: u64) -> Option<Instant> {
        let per_second = self.per_second?;
        Some(self.begin + Duration::from_secs_f64(number as f64 / per_second))
    }
}

/// What all connections append, and how.
#[derive(Debug)]
pub(super) struct Load<'a> {
    pub(super) topic: &'a str,
    pub(super) template: &'a Template,
    /// Kafka's number: 0 is not answered.
    pub(super) acks: i16,
    /// Requests under way on each connection.
    pub(super) in_flight: usize,
    /// Give each batch its number as its mark. Costs a checksum each.
    pub(super) marked: bool,
    pub(super) spread: Spread,
    pub(super) schedule: Schedule,
    /// Requests in all.
    pub(super) requests: u64,
    /// The number of the next request, which any connection may take.
    pub(super) next: AtomicU64,
}

impl Load<'_> {
    fn take(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.requests).then_some(number)
    }
}

/// A batch that was acknowledged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acknowledged {
    pub(super) partition: i32,
    /// Offset of its first record.
    pub(super) base: i64,
    pub(super) mark: u64,
}

/// What one connection did.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) answers: Samples,
    /// Of marked loads only.
    pub(super) acknowledged: Vec<Acknowledged>,
    pub(super) requests: u64,
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Open {
    since: Instant,
    partition: i32,
    mark: u64,
}

/// A request being put together; its batch is the shared one unless it is marked.
#[derive(Debug)]
struct Slot {
    head: ProduceHead,
    own: Option<Vec<u8>>,
}

/// One connection that appends: it fills its window, sends all of that at once, and reads answers in order.
#[derive(Debug)]
pub(super) struct Appender<'a> {
    load: &'a Load<'a>,
    socket: Socket,
    partitions: &'a [i32],
    rng: SeededRng,
    turn: usize,
    slots: Vec<Slot>,
    open: VecDeque<Open>,
    /// Taken, but not due yet.
    upcoming: Option<(u64, Instant)>,
    exhausted: bool,
    inbox: Vec<u8>,
    filled: usize,
    correlation: i32,
    sent: Sent,
    progress: &'a AtomicU64,
}

impl<'a> Appender<'a> {
    /// Connection `number`, to the leader of `partitions`. `progress` counts the bytes that were acknowledged.
    pub(super) fn new(
        load: &'a Load<'a>,
        number: usize,
        socket: Socket,
        partitions: &'a [i32],
        progress: &'a AtomicU64,
    ) -> Self {
        let batch = load.template.batch();
        let slot = || Slot {
            head: ProduceHead::new(load.topic, load.acks, batch.len()),
            own: load.marked.then(|| batch.to_vec()),
        };
        Self {
            load,
            socket,
            partitions,
            rng: SeededRng::new(number as u64),
            turn: number,
            slots: std::iter::repeat_with(slot).take(load.in_flight.min(BURST_MAX)).collect(),
            open: VecDeque::with_capacity(load.in_flight),
            upcoming: None,
            exhausted: false,
            inbox: vec![0; INBOX_BYTES],
            filled: 0,
            correlation: 0,
            sent: Sent::default(),
            progress,
        }
    }

    /// Takes requests as long as there are any. A failure ends all the connections of this load.
    pub(super) fn run(mut self) -> Result<Sent, Failure> {
        match self.work() {
            Ok(()) => Ok(self.sent),
            Err(failure) => {
                self.load.next.store(self.load.requests, Ordering::Relaxed);
                Err(failure)
            }
        }
    }

    fn work(&mut self) -> Result<(), Failure> {
        loop {
            let staged = self.stage();
            self.send(staged)?;
            let room = self.open.len() < self.load.in_flight;
            match self.upcoming.filter(|_| room) {
                Some((_, due)) => {
                    let pause = due.saturating_duration_since(now());
                    if self.open.is_empty() {
                        std::thread::sleep(pause);
                    } else if self.socket.wait(pause)? {
                        self.receive()?;
                    }
                }
                None if self.open.is_empty() && self.exhausted => return Ok(()),
                None if self.open.is_empty() => {}
                None => self.receive()?,
            }
        }
    }

    /// Puts together as many requests as are due and have room.
    fn stage(&mut self) -> usize {
        let (mut staged, time) = (0, now());
        while self.open.len() < self.load.in_flight && staged < self.slots.len() {
            let taken = match self.upcoming.take() {
                Some((number, due)) => Some((number, Some(due))),
                None => self.load.take().map(|number| (number, self.load.schedule.due(number))),
            };
            let Some((number, due)) = taken else {
                self.exhausted = true;
                break;
            };
            if let Some(due) = due.filter(|due| *due > time) {
                self.upcoming = Some((number, due));
                break;
            }
            let partition = self.pick();
            let slot = &mut self.slots[staged];
            slot.head.patch(self.correlation, partition);
            if let Some(own) = &mut slot.own {
                self.load.template.mark(own, u128::from(number));
            }
            self.correlation = self.correlation.wrapping_add(1);
            self.open.push_back(Open { since: due.unwrap_or(time), partition, mark: number });
            staged += 1;
        }
        staged
    }

    fn pick(&mut self) -> i32 {
        let count = self.partitions.len();
        match self.load.spread {
            Spread::Connection => {}
            Spread::Turns => self.turn += 1,
            Spread::Random => self.turn = self.rng.next_u64() as usize,
        }
        self.partitions[self.turn % count]
    }

    fn send(&mut self, staged: usize) -> Result<(), Failure> {
        if staged == 0 {
            return Ok(());
        }
        let mut slices = [IoSlice::new(&[]); 2 * BURST_MAX];
        for (slot, pair) in self.slots[..staged].iter().zip(slices.as_chunks_mut::<2>().0) {
            let batch = slot.own.as_deref().unwrap_or_else(|| self.load.template.batch());
            *pair = [IoSlice::new(slot.head.bytes()), IoSlice::new(batch)];
        }
        self.socket.send(&mut slices[..2 * staged])?;
        if self.load.acks == 0 {
            // Nobody knows where they went.
            self.open.clear();
            self.count(staged as u64);
        }
        Ok(())
    }

    /// Receives some answers, at least a part of one.
    fn receive(&mut self) -> Result<(), Failure> {
        self.filled += self.socket.receive(&mut self.inbox[self.filled..])?;
        let (time, mut at, mut answered) = (now(), 0, 0);
        while let Some(end) = frame_end(&self.inbox[at..self.filled]) {
            let produced = Produced::parse(&self.inbox[at..at + end]);
            let open = self.open.pop_front();
            let expected = self.correlation.wrapping_sub(self.open.len() as i32 + 1);
            let (Some(produced), Some(open)) = (produced.filter(|p| p.correlation == expected), open) else {
                return Err(self.socket.confused());
            };
            ClientError::check_code(produced.error, || {
                format!("append to {}-{}", self.load.topic, open.partition)
            })?;
            self.sent.answers.add(time.saturating_duration_since(open.since));
            if self.load.marked {
                let Open { partition, mark, .. } = open;
                self.sent.acknowledged.push(Acknowledged { partition, base: produced.base, mark });
            }
            at += end;
            answered += 1;
        }
        if at == 0 && self.filled == self.inbox.len() {
            return Err(self.socket.confused());
        }
        self.inbox.copy_within(at..self.filled, 0);
        self.filled -= at;
        self.count(answered);
        Ok(())
    }

    fn count(&mut self, requests: u64) {
        self.sent.requests += requests;
        self.progress.fetch_add(requests * self.load.template.len(), Ordering::Relaxed);
    }
}
