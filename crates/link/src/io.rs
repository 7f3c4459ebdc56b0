use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use forebay_base::{Piece, limits};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{Conn, FRAME_BUFFER_BYTES, Listener};

/// The next connection of `listener` and who made it. May be cancelled without losing one.
///
/// Errors are the operating system's; none of them means that the listener is broken (a peer may have gone before it
/// was accepted, or there are no descriptors left), so the caller waits a moment and calls again.
pub async fn accept(listener: &mut dyn Listener) -> io::Result<(Box<dyn Conn>, SocketAddr)> {
    poll_fn(|cx| listener.poll_accept(cx)).await
}

/// Sends all of `queue`. When cancelled or failed, what was sent is off the queue.
pub async fn send_all(conn: &mut dyn Conn, queue: &mut VecDeque<Piece>) -> io::Result<()> {
    while !queue.is_empty() {
        poll_fn(|cx| conn.poll_send(cx, queue)).await?;
    }
    Ok(())
}

/// A connection as a tokio byte stream, for code that wants one (hyper under axum).
///
/// Read bytes are copied once, written ones into a queue of at most [`limits::FRAME_STEP_BYTES`]. Shutting down only flushes:
/// a [`Conn`] is closed by dropping it.
#[derive(Debug)]
pub struct ConnIo {
    conn: Box<dyn Conn>,
    /// Empty between two reads.
    received: BytesMut,
    unsent: VecDeque<Piece>,
}

impl ConnIo {
    /// Wraps a connection.
    pub fn new(conn: Box<dyn Conn>) -> Self {
        Self { conn, received: BytesMut::new(), unsent: VecDeque::new() }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            ready!(self.conn.poll_send(cx, &mut self.unsent))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ConnIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let bytes_max = buf.remaining().min(FRAME_BUFFER_BYTES);
        ready!(this.conn.poll_recv(cx, &mut this.received, bytes_max))?;
        buf.put_slice(&this.received);
        this.received.clear();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ConnIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        let taken = buf.len().min(limits::FRAME_STEP_BYTES);
        this.unsent.push_back(Piece::Bytes(Bytes::copy_from_slice(&buf[..taken])));
        // The bytes are ours now: whether they leave at once or at the next call is not the caller's concern.
        match this.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_drain(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_drain(cx)
    }
}
