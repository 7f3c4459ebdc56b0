use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use forebay_base::limits;

use crate::Conn;

/// Every frame starts with its length: a big-endian i32 that does not count itself.
pub const LENGTH_BYTES: usize = 4;

/// What is read at once, unless [`FrameReader::read_ahead`] says more; small frames are read many at a time.
pub const FRAME_BUFFER_BYTES: usize = 4 * 1024;

/// Memory is taken for this many times what has come of a frame: more would trust a mere announcement, with less a frame of
/// 1 MiB is moved several times.
const TRUST: usize = 16;

/// A frame shorter than this leaves a large buffer as a copy, so that who keeps it does not keep the whole buffer.
const COPIED_BELOW_BYTES: usize = 2 * 1024;

/// Why no more frames can be read from a connection. There is no way to find the next frame: close it.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The length is negative: the peer does not speak this protocol.
    #[error("a frame announces a length of {0} bytes")]
    Negative(i32),
    /// The length is above the cap.
    #[error("a frame announces {announced} bytes; at most {max} are accepted")]
    TooLong {
        /// What the peer announced, in bytes.
        announced: usize,
        /// The cap, in bytes.
        max: usize,
    },
    /// The peer closed in the middle of a frame.
    #[error("the connection was closed in the middle of a frame")]
    Cut,
}

/// Reads length-prefixed frames from a connection, in steps: the length, as much of the body as the owner wants to see
/// first, the body. Between them the owner admits the frame to its budget, so that little is read of one that was not
/// admitted (the read-ahead may come along with the length).
///
/// Memory follows the bytes that really arrived: what is asked of the connection starts at the read-ahead and grows with
/// what has come. The buffer leaves with its last frame, so that an idle reader holds none. Any call may be cancelled
/// and repeated.
#[derive(Debug)]
pub struct FrameReader {
    /// Bytes received and not taken.
    buffer: BytesMut,
    ahead_bytes: usize,
    /// The last receive got all that it asked for, so more is waiting.
    saturated: bool,
    frame_bytes_max: usize,
}

impl FrameReader {
    /// A reader that refuses frames longer than `frame_bytes_max`.
    pub fn new(frame_bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), ahead_bytes: FRAME_BUFFER_BYTES, saturated: false, frame_bytes_max }
    }

    /// Reads up to `bytes` at once from now on, but at least [`FRAME_BUFFER_BYTES`]. The owner answers for that much
    /// memory beyond the frames it admits.
    pub fn read_ahead(&mut self, bytes: usize) {
        self.ahead_bytes = bytes.max(FRAME_BUFFER_BYTES);
    }

    /// True if the last receive got all that it asked for: a larger read-ahead would save calls.
    pub fn is_saturated(&self) -> bool {
        self.saturated
    }

    /// True if nothing was received that is not taken.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The length of the next frame's body, as soon as it is announced. `None`: the peer has closed between frames.
    /// Asking again gives the same answer until the frame is taken.
    pub fn poll_announced(
        &mut self,
        cx: &mut Context<'_>,
        conn: &mut dyn Conn,
    ) -> Poll<Result<Option<usize>, FrameError>> {
        loop {
            if let Some(announced) = self.announced_len()? {
                return Poll::Ready(Ok(Some(announced)));
            }
            if ready!(self.poll_fill(cx, conn, LENGTH_BYTES))? == 0 {
                let answer = if self.buffer.is_empty() { Ok(None) } else { Err(FrameError::Cut) };
                return Poll::Ready(answer);
            }
        }
    }

    /// Waits until the first `bytes` of the next frame's body are here, or all of it. The frame was announced.
    pub fn poll_arrived(
        &mut self,
        cx: &mut Context<'_>,
        conn: &mut dyn Conn,
        bytes: usize,
    ) -> Poll<Result<(), FrameError>> {
        let end = LENGTH_BYTES + self.announced_len()?.unwrap_or(0).min(bytes);
        while self.buffer.len() < end {
            if ready!(self.poll_fill(cx, conn, end))? == 0 {
                return Poll::Ready(Err(FrameError::Cut));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The next frame's body, whole, without its length. `None`: the peer has closed between frames.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        conn: &mut dyn Conn,
    ) -> Poll<Result<Option<Bytes>, FrameError>> {
        let Some(announced) = ready!(self.poll_announced(cx, conn))? else { return Poll::Ready(Ok(None)) };
        let end = LENGTH_BYTES + announced;
        while self.buffer.len() < end {
            if ready!(self.poll_fill(cx, conn, end))? == 0 {
                return Poll::Ready(Err(FrameError::Cut));
            }
        }
        Poll::Ready(Ok(Some(self.take(end))))
    }

    /// [`FrameReader::poll_announced`] as a future.
    pub async fn announced(&mut self, conn: &mut dyn Conn) -> Result<Option<usize>, FrameError> {
        poll_fn(|cx| self.poll_announced(cx, conn)).await
    }

    /// [`FrameReader::poll_frame`] as a future.
    pub async fn frame(&mut self, conn: &mut dyn Conn) -> Result<Option<Bytes>, FrameError> {
        poll_fn(|cx| self.poll_frame(cx, conn)).await
    }

    /// Bytes of memory held by the buffer.
    pub fn held_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// The announced length if its four bytes are here, checked before anything is done with it.
    fn announced_len(&self) -> Result<Option<usize>, FrameError> {
        let Some(raw) = self.buffer.first_chunk::<LENGTH_BYTES>().copied() else { return Ok(None) };
        let length = i32::from_be_bytes(raw);
        let announced = usize::try_from(length).map_err(|_| FrameError::Negative(length))?;
        if announced > self.frame_bytes_max {
            return Err(FrameError::TooLong { announced, max: self.frame_bytes_max });
        }
        Ok(Some(announced))
    }

    /// Receives once: what is missing to `end`, but not much more than has come already, and at least the read-ahead.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        conn: &mut dyn Conn,
        end: usize,
    ) -> Poll<io::Result<usize>> {
        let held = self.buffer.len();
        let trusted = (held * TRUST).max(limits::FRAME_STEP_BYTES);
        let bytes_max = end.saturating_sub(held).min(trusted).max(self.ahead_bytes);
        let received = ready!(conn.poll_recv(cx, &mut self.buffer, bytes_max))?;
        self.saturated = received == bytes_max;
        Poll::Ready(Ok(received))
    }

    fn take(&mut self, end: usize) -> Bytes {
        let small = end < COPIED_BELOW_BYTES && self.ahead_bytes > FRAME_BUFFER_BYTES;
        let frame = if small {
            let frame = Bytes::copy_from_slice(&self.buffer[LENGTH_BYTES..end]);
            self.buffer.advance(end);
            frame
        } else {
            self.buffer.split_to(end).freeze().slice(LENGTH_BYTES..)
        };
        if self.buffer.is_empty() && !small {
            self.buffer = BytesMut::new();
        }
        frame
    }

    /// Gives the buffer's memory back, if nothing is in it.
    pub fn shrink(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests;
