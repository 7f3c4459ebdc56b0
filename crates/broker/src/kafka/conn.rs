//! One connection: bytes in, frames, requests, answers in request order, bytes out. One task owns all of it.

mod reading;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use forebay_base::{Mutant, Piece, limits, total_len};
use forebay_link::{Conn, FrameError, FrameReader};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::budget::{Share, charged};
use super::course::Course;
use super::dispatch::{self, Done, Door, Reply, Started, Work};
use super::sending::Sending;
use super::session::Session;
use super::stopping::Stopping;
use crate::shared::Shared;
use reading::Reading;

/// A connection that has asked nothing for so long gives back what only a busy one needs.
const REST_AFTER: Duration = Duration::from_secs(1);

/// A client that has an answer to read must take some of it this often.
const SEND_PATIENCE: Duration = Duration::from_secs(60);

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed it, or broke it.
    Gone,
    /// Nothing came for `connections.max.idle.ms`.
    Idle,
    /// A frame was announced and did not come in time, or an answer was not taken.
    Stalled,
    /// The node is stopping and everything asked was answered.
    Drained,
    /// The client broke the protocol; the sentence says how.
    Refused(String),
}

/// What happened next; named by [`Connection::select`], acted on by [`Connection::apply`].
enum Event {
    Frame(Bytes),
    Closed,
    Broken(FrameError),
    Replied(Done),
    Sent(usize),
    SendFailed,
    Timeout,
    Drain,
}

/// A connection and everything that is its own.
pub(super) struct Connection {
    door: Door,
    conn: Box<dyn Conn>,
    frames: FrameReader,
    reading: Reading,
    /// Requests in work, in the order they came, which is the order of their answers: only the first is ever polled.
    work: VecDeque<Work>,
    /// Bytes of their frames.
    work_bytes: u64,
    /// A request that nothing may overtake is in work (every request but Produce is one).
    exclusive: bool,
    out: VecDeque<Piece>,
    /// Whose bytes are in `out`.
    sending: Sending,
    stopping: Stopping,
    /// The memory that reading ahead takes; without it, little is read at once.
    ahead: Option<Share>,
    /// When the last request came; `None` once everything is given back.
    asked: Option<Instant>,
    /// Until then no request is taken: records went where space is short, or were read from the device while appends came.
    /// Else in the past.
    muted_until: Instant,
    deadline: Instant,
    timer: Pin<Box<Sleep>>,
    /// The time as of the last wake.
    now: Instant,
    asleep: bool,
    /// Bytes moved since this task last let others run.
    moved_bytes: usize,
}

impl Connection {
    pub(super) fn new(
        node: Arc<Shared>,
        session: Arc<Session>,
        conn: Box<dyn Conn>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let now = Instant::now();
        let deadline = now + idle_max(&node);
        Self {
            frames: FrameReader::new(node.config.socket_request_max_bytes.min(limits::REQUEST_BYTES_MAX)),
            door: Door::new(node, session),
            conn,
            reading: Reading::Length,
            work: VecDeque::new(),
            work_bytes: 0,
            exclusive: false,
            out: VecDeque::new(),
            sending: Sending::default(),
            stopping: Stopping::new(stopping),
            ahead: None,
            asked: None,
            muted_until: now,
            deadline,
            now,
            asleep: false,
            timer: Box::pin(tokio::time::sleep_until(deadline)),
            moved_bytes: 0,
        }
    }

    /// Serves the connection until it ends.
    pub(super) async fn run(mut self) -> End {
        let _eager = Mutant::EagerBuffers.is_planted().then(|| vec![1_u8; 256 * 1024]);
        loop {
            let event = poll_fn(|cx| match self.select(cx) {
                Poll::Pending if self.door.nudges.are_due() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
                Poll::Ready(event) => Poll::Ready(Some(event)),
            });
            match event.await {
                None => self.nudge().await,
                Some(event) => {
                    if let Some(end) = self.apply(event) {
                        return end;
                    }
                }
            }
            if self.moved_bytes >= limits::YIELD_BYTES && !Mutant::YieldRemoved.is_planted() {
                self.moved_bytes = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Tells the writers of what was queued to them, after letting other connections queue theirs: what comes in the same
    /// moment is written and answered together.
    async fn nudge(&mut self) {
        tokio::task::yield_now().await;
        self.door.nudges.give();
    }

    fn select(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if std::mem::take(&mut self.asleep) {
            self.now = Instant::now();
        }
        let event = self.poll_event(cx);
        if event.is_pending() {
            self.asleep = true;
        }
        event
    }

    /// Answers are gathered first, so that those that are ready together leave together.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if self.sending.unsent_bytes() < limits::CONNECTION_OUT_BYTES_MAX
            && let Some(first) = self.work.front_mut()
            && let Poll::Ready(done) = first.poll(cx, self.now, &self.door)
        {
            return Poll::Ready(Event::Replied(done));
        }
        if !self.out.is_empty() {
            if let Poll::Ready(sent) = self.conn.poll_send(cx, &mut self.out) {
                // Sending takes time that counts, and the clock is cheap beside it.
                self.now = Instant::now();
                return Poll::Ready(sent.map_or(Event::SendFailed, Event::Sent));
            }
            self.arm(self.deadline);
        }
        if let Poll::Ready(event) = self.poll_reading(cx) {
            return Poll::Ready(event);
        }
        if self.stopping.poll(cx).is_ready() {
            return Poll::Ready(Event::Drain);
        }
        if let Some(deadline) = self.work.front().and_then(Work::deadline) {
            self.arm(deadline);
        }
        if let Some(since) = self.asked.filter(|_| self.is_idle()) {
            self.arm(since + REST_AFTER);
        }
        self.timer.as_mut().poll(cx).map(|()| Event::Timeout)
    }

    fn is_idle(&self) -> bool {
        self.frames.is_empty() && self.work.is_empty()
    }

    /// An idle connection gives its buffer back, and reads little at once again.
    fn rest(&mut self) {
        let due = self.asked.is_some_and(|since| self.now >= since + REST_AFTER);
        if !due || !self.is_idle() {
            return;
        }
        self.asked = None;
        self.frames.shrink();
        self.door.rest();
        if self.ahead.take().is_some() {
            self.frames.read_ahead(0);
        }
    }

    /// Makes sure that the timer fires by then. Most frames come whole, most answers go at once and most appends are
    /// quick; only for those that are not is the timer touched.
    fn arm(&mut self, deadline: Instant) {
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
    }

    fn apply(&mut self, event: Event) -> Option<End> {
        match event {
            Event::Frame(frame) => {
                self.moved_bytes += frame.len();
                self.door.session.received(self.now, frame.len());
                self.asked = Some(self.now);
                self.deadline = self.now + idle_max(&self.door.node);
                let Reading::Body(share) = std::mem::replace(&mut self.reading, Reading::Length) else {
                    return None;
                };
                return self.start(frame, share);
            }
            Event::Closed => {
                self.reading = Reading::Stopped;
                return Some(End::Gone);
            }
            Event::Broken(error) => {
                return Some(match error {
                    FrameError::Io(_) | FrameError::Cut => End::Gone,
                    FrameError::Negative(_) | FrameError::TooLong { .. } => End::Refused(error.to_string()),
                });
            }
            Event::Replied(done) => return self.answer(done),
            Event::Sent(bytes) => {
                self.moved_bytes += bytes;
                self.sent(bytes);
                self.deadline =
                    self.now + if self.out.is_empty() { idle_max(&self.door.node) } else { SEND_PATIENCE };
            }
            Event::SendFailed => return Some(End::Gone),
            Event::Timeout => return self.on_timeout(),
            Event::Drain => {
                self.reading = Reading::Stopped;
            }
        }
        self.drained()
    }

    /// The end of a connection that takes no more requests, once everything is answered and sent.
    fn drained(&self) -> Option<End> {
        let drained = matches!(self.reading, Reading::Stopped) && self.work.is_empty() && self.out.is_empty();
        drained.then_some(End::Drained)
    }

    fn start(&mut self, frame: Bytes, share: Option<Share>) -> Option<End> {
        self.work_bytes += frame.len() as u64;
        match dispatch::start(&mut self.door, charged(frame, share), self.now) {
            Started::Overlapping(work) => {
                self.mute(work.api(), work.throttle());
                self.work.push_back(work);
            }
            Started::Exclusive(work) => {
                self.exclusive = true;
                self.work.push_back(work);
            }
            Started::Refused(sentence) => return Some(End::Refused(sentence)),
        }
        self.door.session.working_on(self.work.len());
        None
    }

    fn answer(&mut self, done: Done) -> Option<End> {
        let Done { reply, course, throttle } = done;
        let response_bytes = if let Reply::Answer(pieces) = &reply { total_len(pieces) } else { 0 };
        if let Some(work) = self.work.pop_front() {
            self.work_bytes -= work.request_bytes();
            self.mute(work.api(), throttle);
            self.count(&work, course, response_bytes);
        }
        self.door.session.working_on(self.work.len());
        // Nothing starts behind an exclusive request, so it is always the last one in work.
        self.exclusive = self.exclusive && !self.work.is_empty();
        self.deadline = self.now + idle_max(&self.door.node);
        match reply {
            Reply::Answer(pieces) => {
                self.out.extend(pieces);
                self.deadline = self.now + SEND_PATIENCE;
            }
            Reply::Silence => {}
            Reply::Refused(sentence) => return Some(End::Refused(sentence)),
        }
        self.drained()
    }

    /// Counts a request as answered.
    fn count(&mut self, work: &Work, course: Course, response_bytes: u64) {
        let ready = work.ready(&self.door.node.clocks, self.now, course);
        self.door.node.metrics.answered(ready.api, &ready.stages, work.request_bytes(), response_bytes);
        if response_bytes > 0 {
            self.sending.push(ready, response_bytes);
        } else {
            self.door.node.slow_requests.consider(
                &self.door.node.metrics,
                &self.door.session,
                &ready,
                Duration::ZERO,
            );
        }
    }

    /// The socket has taken `bytes` more of the answers.
    fn sent(&mut self, bytes: usize) {
        self.door.session.sent(self.now, bytes);
        self.sending.sent(bytes);
        while let Some(ready) = self.sending.pop_sent() {
            let send = self.now.saturating_duration_since(ready.at);
            self.door.node.metrics.sent(ready.api, send);
            self.door.node.slow_requests.consider(&self.door.node.metrics, &self.door.session, &ready, send);
        }
    }

    /// The timer is set to the earliest deadline there was; a later one only sets it anew.
    fn on_timeout(&mut self) -> Option<End> {
        self.now = Instant::now();
        self.rest();
        if self.is_muted() && self.out.is_empty() {
            self.deadline = self.deadline.max(self.muted_until + idle_max(&self.door.node));
        }
        let waits_for_us =
            matches!(self.reading, Reading::Admission(_)) || !self.work.is_empty() || self.is_muted();
        if self.now < self.deadline || (waits_for_us && self.out.is_empty()) {
            let next = self.deadline.max(self.now + Duration::from_millis(100));
            self.timer.as_mut().reset(next);
            return None;
        }
        Some(match self.reading {
            _ if !self.out.is_empty() => End::Stalled,
            Reading::Length | Reading::Stopped => End::Idle,
            Reading::Head(_) | Reading::Admission(_) | Reading::Part { .. } | Reading::Body(_) => {
                End::Stalled
            }
        })
    }
}

fn idle_max(node: &Shared) -> Duration {
    Duration::from_millis(node.config.connections_max_idle_ms)
}
