//! One connection: bytes in, frames, requests, answers in request order, bytes out. One task owns all of it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use forebay_base::{Piece, limits, total_len};
use forebay_link::{Conn, FrameError, FrameReader};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, Stream};
use tokio::time::{Instant, Sleep};

use super::budget::{Share, charged};
use super::call::Session;
use super::dispatch::{self, Reply, Started};
use crate::shared::Shared;

/// A frame must be whole this long after its length came, plus a second per MiB.
const FRAME_PATIENCE: Duration = Duration::from_secs(30);
const FRAME_BYTES_PER_SECOND: u64 = 1024 * 1024;

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

/// Where the next request stands.
enum Reading {
    /// Its length is awaited.
    Length,
    /// Its length is known; its bytes wait for their share of the memory budget.
    Admission(BoxFuture<'static, (usize, Option<Share>)>),
    /// Its body is being received.
    Body(Option<Share>),
    /// No more requests are taken.
    Stopped,
}

/// What happened next; named by [`Connection::select`], acted on by [`Connection::apply`].
enum Event {
    Announced(usize),
    Admitted(usize, Option<Share>),
    Frame(Bytes),
    Closed,
    Broken(FrameError),
    Replied(Reply),
    Sent(usize),
    SendFailed,
    Timeout,
    Drain,
}

/// A connection and everything that is its own.
pub(super) struct Connection {
    node: Arc<Shared>,
    session: Arc<Session>,
    conn: Box<dyn Conn>,
    frames: FrameReader,
    reading: Reading,
    /// Requests in work, in the order they came.
    replies: FuturesOrdered<BoxFuture<'static, Reply>>,
    /// A request that nothing may overtake is in work (every request but Produce is one).
    exclusive: bool,
    out: VecDeque<Piece>,
    out_bytes: u64,
    draining: Option<BoxFuture<'static, ()>>,
    deadline: Instant,
    timer: Pin<Box<Sleep>>,
    /// Bytes moved since this task last let others run.
    moved_bytes: usize,
}

impl Connection {
    pub(super) fn new(
        node: Arc<Shared>,
        session: Session,
        conn: Box<dyn Conn>,
        draining: BoxFuture<'static, ()>,
    ) -> Self {
        let idle = idle_max(&node);
        let deadline = Instant::now() + idle;
        Self {
            frames: FrameReader::new(node.config.socket_request_max_bytes.min(limits::REQUEST_BYTES_MAX)),
            node,
            session: Arc::new(session),
            conn,
            reading: Reading::Length,
            replies: FuturesOrdered::new(),
            exclusive: false,
            out: VecDeque::new(),
            out_bytes: 0,
            draining: Some(draining),
            deadline,
            timer: Box::pin(tokio::time::sleep_until(deadline)),
            moved_bytes: 0,
        }
    }

    /// Serves the connection until it ends.
    pub(super) async fn run(mut self) -> End {
        loop {
            let event = std::future::poll_fn(|cx| self.select(cx)).await;
            if let Some(end) = self.apply(event) {
                return end;
            }
            if self.moved_bytes >= limits::YIELD_BYTES {
                self.moved_bytes = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    fn select(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if !self.out.is_empty() {
            if let Poll::Ready(sent) = self.conn.poll_send(cx, &mut self.out) {
                return Poll::Ready(sent.map_or(Event::SendFailed, Event::Sent));
            }
            self.arm();
        }
        if !self.replies.is_empty()
            && let Poll::Ready(Some(reply)) = Pin::new(&mut self.replies).poll_next(cx)
        {
            return Poll::Ready(Event::Replied(reply));
        }
        if let Some(draining) = &mut self.draining
            && draining.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Event::Drain);
        }
        if let Poll::Ready(event) = self.poll_reading(cx) {
            return Poll::Ready(event);
        }
        self.timer.as_mut().poll(cx).map(|()| Event::Timeout)
    }

    fn poll_reading(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let busy = self.exclusive
            || self.replies.len() >= limits::CONNECTION_REQUESTS_MAX
            || self.out_bytes >= limits::CONNECTION_OUT_BYTES_MAX;
        match &mut self.reading {
            Reading::Stopped => Poll::Pending,
            Reading::Length if busy => Poll::Pending,
            Reading::Length => {
                self.frames.poll_announced(cx, &mut *self.conn).map(|announced| match announced {
                    Ok(Some(bytes)) => Event::Announced(bytes),
                    Ok(None) => Event::Closed,
                    Err(error) => Event::Broken(error),
                })
            }
            Reading::Admission(admitted) => {
                admitted.as_mut().poll(cx).map(|(bytes, share)| Event::Admitted(bytes, share))
            }
            Reading::Body(_) => match self.frames.poll_frame(cx, &mut *self.conn) {
                Poll::Ready(Ok(Some(frame))) => Poll::Ready(Event::Frame(frame)),
                Poll::Ready(Ok(None)) => Poll::Ready(Event::Closed),
                Poll::Ready(Err(error)) => Poll::Ready(Event::Broken(error)),
                Poll::Pending => {
                    self.arm();
                    Poll::Pending
                }
            },
        }
    }

    /// Makes sure that the timer fires by the deadline. Most frames come whole and most answers go at once; only for
    /// those that do not is the timer touched.
    fn arm(&mut self) {
        if self.timer.deadline() > self.deadline {
            self.timer.as_mut().reset(self.deadline);
        }
    }

    fn apply(&mut self, event: Event) -> Option<End> {
        match event {
            Event::Announced(bytes) => {
                let share = self.node.budget.clone().admit(bytes);
                self.reading = Reading::Admission(Box::pin(async move { (bytes, share.await) }));
            }
            Event::Admitted(bytes, share) => {
                // The client's time starts here: waiting for memory was not its fault.
                let patience = FRAME_PATIENCE + Duration::from_secs(bytes as u64 / FRAME_BYTES_PER_SECOND);
                self.deadline = Instant::now() + patience;
                self.reading = Reading::Body(share);
            }
            Event::Frame(frame) => {
                self.moved_bytes += frame.len();
                self.deadline = Instant::now() + idle_max(&self.node);
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
            Event::Replied(reply) => return self.answer(reply),
            Event::Sent(bytes) => {
                self.moved_bytes += bytes;
                self.out_bytes = self.out_bytes.saturating_sub(bytes as u64);
                self.deadline =
                    Instant::now() + if self.out.is_empty() { idle_max(&self.node) } else { SEND_PATIENCE };
            }
            Event::SendFailed => return Some(End::Gone),
            Event::Timeout => return self.on_timeout(),
            Event::Drain => {
                self.draining = None;
                self.reading = Reading::Stopped;
            }
        }
        self.drained()
    }

    /// The end of a connection that takes no more requests, once everything is answered and sent.
    fn drained(&self) -> Option<End> {
        let drained =
            matches!(self.reading, Reading::Stopped) && self.replies.is_empty() && self.out.is_empty();
        drained.then_some(End::Drained)
    }

    fn start(&mut self, frame: Bytes, share: Option<Share>) -> Option<End> {
        match dispatch::start(&self.node, &self.session, charged(frame, share)) {
            Started::Overlapping(reply) => self.replies.push_back(reply),
            Started::Exclusive(reply) => {
                self.exclusive = true;
                self.replies.push_back(reply);
            }
            Started::Refused(sentence) => return Some(End::Refused(sentence)),
        }
        None
    }

    fn answer(&mut self, reply: Reply) -> Option<End> {
        // Nothing starts behind an exclusive request, so it is always the last one in work.
        self.exclusive = self.exclusive && !self.replies.is_empty();
        self.deadline = Instant::now() + idle_max(&self.node);
        match reply {
            Reply::Answer(pieces) => {
                self.out_bytes += total_len(&pieces);
                self.out.extend(pieces);
                self.deadline = Instant::now() + SEND_PATIENCE;
            }
            Reply::Silence => {}
            Reply::Refused(sentence) => return Some(End::Refused(sentence)),
        }
        self.drained()
    }

    /// The timer is set to the earliest deadline there was; a later one only sets it anew.
    fn on_timeout(&mut self) -> Option<End> {
        let waits_for_us = matches!(self.reading, Reading::Admission(_)) || !self.replies.is_empty();
        if Instant::now() < self.deadline || (waits_for_us && self.out.is_empty()) {
            let next = self.deadline.max(Instant::now() + Duration::from_millis(100));
            self.timer.as_mut().reset(next);
            return None;
        }
        Some(match self.reading {
            _ if !self.out.is_empty() => End::Stalled,
            Reading::Length | Reading::Stopped => End::Idle,
            Reading::Admission(_) | Reading::Body(_) => End::Stalled,
        })
    }
}

fn idle_max(node: &Shared) -> Duration {
    Duration::from_millis(node.config.connections_max_idle_ms)
}
