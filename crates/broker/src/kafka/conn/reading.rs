use std::task::{Context, Poll, ready};
use std::time::Duration;

use forebay_base::limits;
use forebay_link::{FRAME_BUFFER_BYTES, LENGTH_BYTES};
use forebay_wire::kafka::ApiKey;
use futures_util::future::BoxFuture;

use super::super::budget::{SMALL_BYTES, Share};
use super::{Connection, Event};

/// A frame must be whole this long after its length came, plus a second per MiB.
const FRAME_PATIENCE: Duration = Duration::from_secs(30);
const FRAME_BYTES_PER_SECOND: u64 = 1024 * 1024;

/// A frame asks for memory when so much of it has come, or all of it.
const HEAD_BYTES: usize = FRAME_BUFFER_BYTES - LENGTH_BYTES;

/// What a busy connection reads at once, if the memory budget has room for it.
const READ_AHEAD_BYTES: usize = 64 * 1024;

/// A timer is not worth setting for less.
const MUTED_MIN: Duration = Duration::from_millis(2);

/// Where the next request stands. A frame that was only announced holds no memory: its share of the budget grows with
/// what has come of it.
pub(super) enum Reading {
    /// Its length is awaited.
    Length,
    /// Its length is known; its first bytes are awaited.
    Head(usize),
    /// It waits for its share of the memory budget.
    Admission(BoxFuture<'static, (usize, Option<Share>)>),
    /// A large one: it has the share of a small one, until so much of it has come.
    Part { bytes: usize, _held: Option<Share> },
    /// Its body is being received.
    Body(Option<Share>),
    /// No more requests are taken.
    Stopped,
}

impl Connection {
    pub(super) fn poll_reading(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let busy = self.exclusive
            || self.work.len() >= limits::CONNECTION_REQUESTS_MAX
            || self.work_bytes >= limits::CONNECTION_WORK_BYTES_MAX
            || self.sending.unsent_bytes() >= limits::CONNECTION_OUT_BYTES_MAX;
        if matches!(self.reading, Reading::Length) && (busy || self.is_muted()) {
            return Poll::Pending;
        }
        let event = self.poll_frame(cx);
        if event.is_pending() && !matches!(self.reading, Reading::Length | Reading::Admission(_)) {
            self.arm(self.deadline);
        }
        event
    }

    /// Takes no request for so long: of records sent, on top of what they cost before; of records read, all told, for the
    /// volume keeps account of those. What is in work goes on, and is answered.
    pub(super) fn mute(&mut self, api: ApiKey, throttle: Duration) {
        if !throttle.is_zero() {
            let from = self.muted_until.max(self.now);
            self.muted_until =
                if api == ApiKey::Fetch { from.max(self.now + throttle) } else { from + throttle };
            self.door.node.metrics.throttled(api, self.muted_until - from);
        }
    }

    /// True while the connection is not to be heard. What is too short to sleep for is added up first.
    pub(super) fn is_muted(&mut self) -> bool {
        let muted = self.muted_until > self.now + MUTED_MIN;
        if muted {
            self.arm(self.muted_until);
        }
        muted
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            let conn = &mut *self.conn;
            match &mut self.reading {
                Reading::Stopped => return Poll::Pending,
                Reading::Length => match ready!(self.frames.poll_announced(cx, conn)) {
                    Ok(Some(bytes)) => {
                        self.deadline = self.now + patience(bytes);
                        self.reading = Reading::Head(bytes);
                    }
                    Ok(None) => return Poll::Ready(Event::Closed),
                    Err(error) => return Poll::Ready(Event::Broken(error)),
                },
                Reading::Head(bytes) => {
                    let bytes = *bytes;
                    if let Err(error) = ready!(self.frames.poll_arrived(cx, conn, HEAD_BYTES)) {
                        return Poll::Ready(Event::Broken(error));
                    }
                    self.admit(bytes, bytes.min(SMALL_BYTES));
                }
                Reading::Admission(admission) => {
                    let (bytes, share) = ready!(admission.as_mut().poll(cx));
                    self.admitted(bytes, share);
                }
                Reading::Part { bytes, .. } => {
                    let bytes = *bytes;
                    if let Err(error) = ready!(self.frames.poll_arrived(cx, conn, SMALL_BYTES)) {
                        return Poll::Ready(Event::Broken(error));
                    }
                    self.admit(bytes, bytes);
                }
                Reading::Body(_) => {
                    return Poll::Ready(match ready!(self.frames.poll_frame(cx, conn)) {
                        Ok(Some(frame)) => Event::Frame(frame),
                        Ok(None) => Event::Closed,
                        Err(error) => Event::Broken(error),
                    });
                }
            }
        }
    }

    /// Takes `wanted` bytes of the budget for a frame of `bytes`, or begins to wait for them.
    fn admit(&mut self, bytes: usize, wanted: usize) {
        match self.door.node.budget.try_admit(wanted) {
            Some(share) => self.admitted(bytes, Some(share)),
            None => {
                let share = self.door.node.budget.clone().admit(wanted);
                self.reading = Reading::Admission(Box::pin(async move { (bytes, share.await) }));
            }
        }
    }

    /// Goes on with a frame of `bytes` that has got a share.
    fn admitted(&mut self, bytes: usize, share: Option<Share>) {
        // The client's time starts anew: waiting for memory was not its fault.
        self.deadline = self.now + patience(bytes);
        let whole = share.as_ref().is_none_or(|share| share.covers(bytes));
        self.reading = if whole { Reading::Body(share) } else { Reading::Part { bytes, _held: share } };
        if self.ahead.is_none() && self.frames.is_saturated() {
            self.ahead = self.door.node.budget.try_admit(READ_AHEAD_BYTES);
            self.frames.read_ahead(if self.ahead.is_some() { READ_AHEAD_BYTES } else { 0 });
        }
    }
}

/// How long a frame of `bytes` may take to come.
fn patience(bytes: usize) -> Duration {
    FRAME_PATIENCE + Duration::from_secs(bytes as u64 / FRAME_BYTES_PER_SECOND)
}
