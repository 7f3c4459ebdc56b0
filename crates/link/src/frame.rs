use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use forebay_base::limits;

use crate::Conn;

/// Every frame starts with its length: a big-endian i32 that does not count itself.
pub const LENGTH_BYTES: usize = 4;

/// What an idle connection's buffer holds at most; small frames are read many at a time into it.
pub const FRAME_BUFFER_BYTES: usize = 4 * 1024;

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

/// Reads length-prefixed frames from a connection, in two steps: the length, then the body. Between the two the
/// owner admits the whole size from its budget, so that no frame's body is read that was not admitted (up to
/// [`FRAME_BUFFER_BYTES`] of it may have come along with the length).
///
/// Memory follows the bytes that really arrived: the buffer starts at [`FRAME_BUFFER_BYTES`] and grows by
/// [`limits::FRAME_STEP_BYTES`]. It leaves with its frame, so that an idle reader is small again. Any call may be
/// cancelled and repeated.
#[derive(Debug)]
pub struct FrameReader {
    /// Received bytes up to `filled`, zeros behind.
    buffer: BytesMut,
    filled: usize,
    frame_bytes_max: usize,
}

impl FrameReader {
    /// A reader that refuses frames longer than `frame_bytes_max`.
    pub fn new(frame_bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), filled: 0, frame_bytes_max }
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
            if ready!(self.poll_fill(cx, conn, FRAME_BUFFER_BYTES))? == 0 {
                let answer = if self.filled == 0 { Ok(None) } else { Err(FrameError::Cut) };
                return Poll::Ready(answer);
            }
        }
    }

    /// The next frame's body, whole, without its length. `None`: the peer has closed between frames.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        conn: &mut dyn Conn,
    ) -> Poll<Result<Option<Bytes>, FrameError>> {
        let Some(announced) = ready!(self.poll_announced(cx, conn))? else { return Poll::Ready(Ok(None)) };
        let end = LENGTH_BYTES + announced;
        while self.filled < end {
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
        let Some(Ok(raw)) =
            self.buffer[..self.filled].get(..LENGTH_BYTES).map(<[u8; LENGTH_BYTES]>::try_from)
        else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(raw);
        let announced = usize::try_from(length).map_err(|_| FrameError::Negative(length))?;
        if announced > self.frame_bytes_max {
            return Err(FrameError::TooLong { announced, max: self.frame_bytes_max });
        }
        Ok(Some(announced))
    }

    /// Receives once, up to `target` bytes in the buffer and at most one step more than there are.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        conn: &mut dyn Conn,
        target: usize,
    ) -> Poll<io::Result<usize>> {
        let step = target.max(FRAME_BUFFER_BYTES).min(self.filled + limits::FRAME_STEP_BYTES);
        if self.buffer.len() < step {
            self.buffer.resize(step, 0);
        }
        let received = ready!(conn.poll_recv(cx, &mut self.buffer[self.filled..step]))?;
        self.filled += received;
        Poll::Ready(Ok(received))
    }

    fn take(&mut self, end: usize) -> Bytes {
        let mut frame = self.buffer.split_to(end);
        self.filled -= end;
        if self.filled == 0 {
            self.buffer = BytesMut::new();
        }
        frame.advance(LENGTH_BYTES);
        frame.freeze()
    }
}

#[cfg(test)]
mod tests;
