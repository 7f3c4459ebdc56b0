use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use forebay_base::{Piece, Rng, crc32c};
use forebay_link::Conn;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Wire, lock};

/// Bytes under way in one direction after which the sender waits.
const WINDOW_BYTES: usize = 256 * 1024;

/// Most bytes that one send takes.
const SEND_BYTES_MAX: u64 = 64 * 1024;

/// One connection: a pipe each way.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) number: u64,
    pipes: [Mutex<Pipe>; 2],
}

#[derive(Debug, Default)]
struct Pipe {
    /// Bytes under way, with their time of arrival; times never decrease.
    chunks: VecDeque<(Instant, Bytes)>,
    queued: usize,
    /// The sender is gone: after the last chunk comes the end.
    ended: bool,
    /// The receiver is gone: sending is pointless.
    deaf: bool,
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl Link {
    pub(super) fn new(number: u64) -> Self {
        Self { number, pipes: Default::default() }
    }

    pub(super) fn reset(&self) {
        for pipe in &self.pipes {
            let mut pipe = lock(pipe);
            pipe.reset = true;
            pipe.chunks.clear();
            pipe.wake();
        }
    }
}

/// One end of a connection.
pub(super) struct SimConn {
    link: Arc<Link>,
    /// Which pipe this end sends into; it receives from the other.
    side: usize,
    wire: Arc<Wire>,
    /// Runs until the next chunk arrives.
    arrival: Option<Pin<Box<Sleep>>>,
}

impl SimConn {
    pub(super) fn pair(link: Arc<Link>, wire: Arc<Wire>) -> (Self, Self) {
        let end = |side| Self { link: link.clone(), side, wire: wire.clone(), arrival: None };
        (end(0), end(1))
    }

    /// Takes up to `most` bytes off the front of the queue.
    fn take(queue: &mut VecDeque<Piece>, most: u64) -> io::Result<Bytes> {
        while queue.front().is_some_and(Piece::is_empty) {
            queue.pop_front();
        }
        match queue.front_mut() {
            None => Ok(Bytes::new()),
            Some(Piece::Bytes(bytes)) => Ok(bytes.split_to((most as usize).min(bytes.len()))),
            Some(Piece::File { file, at, len }) => {
                let part = most.min(*len);
                let bytes = Piece::File { file: file.clone(), at: *at, len: part }.read()?;
                *at += part;
                *len -= part;
                Ok(bytes)
            }
        }
    }
}

impl fmt::Debug for SimConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimConn")
            .field("link", &self.link.number)
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}

impl Conn for SimConn {
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
        bytes_max: usize,
    ) -> Poll<io::Result<usize>> {
        let link = self.link.clone();
        let mut pipe = lock(&link.pipes[1 - self.side]);
        if pipe.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        pipe.reader = Some(cx.waker().clone());
        let Some((due, _)) = pipe.chunks.front() else {
            return if pipe.ended { Poll::Ready(Ok(0)) } else { Poll::Pending };
        };
        let due = *due;
        if due > Instant::now() {
            let arrival = self.arrival.insert(Box::pin(sleep_until(due)));
            if arrival.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        self.arrival = None;
        let Some((_, chunk)) = pipe.chunks.front_mut() else { return Poll::Pending };
        let taken = chunk.len().min(bytes_max);
        buffer.extend_from_slice(&chunk.split_to(taken));
        if chunk.is_empty() {
            pipe.chunks.pop_front();
        }
        pipe.queued -= taken;
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, queue: &mut VecDeque<Piece>) -> Poll<io::Result<usize>> {
        if queue.iter().all(Piece::is_empty) {
            queue.clear();
            return Poll::Ready(Ok(0));
        }
        let mut pipe = lock(&self.link.pipes[self.side]);
        if pipe.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if pipe.deaf {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if pipe.queued >= WINDOW_BYTES {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        // Every eighth send is cut short at a few bytes, so that no reader can count on whole messages.
        let draw = self.wire.rng.next_u64();
        let most = if draw.is_multiple_of(8) { 1 + (draw >> 8) % 16 } else { SEND_BYTES_MAX };
        let bytes = Self::take(queue, most)?;
        let earliest = pipe.chunks.back().map(|(due, _)| *due);
        let due = Instant::now() + self.wire.delay();
        self.wire.trace.event(format_args!(
            "net {}.{} sends {} crc {:08x}",
            self.link.number,
            self.side,
            bytes.len(),
            crc32c(&bytes)
        ));
        let sent = bytes.len();
        pipe.queued += sent;
        pipe.chunks.push_back((earliest.map_or(due, |earliest| earliest.max(due)), bytes));
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(sent))
    }
}

impl Drop for SimConn {
    fn drop(&mut self) {
        let mut sending = lock(&self.link.pipes[self.side]);
        sending.ended = true;
        sending.wake();
        drop(sending);
        let mut receiving = lock(&self.link.pipes[1 - self.side]);
        receiving.deaf = true;
        receiving.wake();
    }
}
