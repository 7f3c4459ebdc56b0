use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, BytesMut};
use forebay_base::{Piece, Region, limits};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::{TcpListener, TcpStream};

use crate::{Conn, Connecting, Listener, Net};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Slices handed to one `sendmsg`; the kernel's own bound is 1024.
const SLICES_MAX: usize = 64;

/// The real network: TCP through tokio. Must be used inside a tokio runtime with I/O enabled.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpNet;

impl Net for TcpNet {
    fn listen(&self, addr: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        // A restarted node must not wait for its old connections to leave TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        Ok(Box::new(TcpDoor(TcpListener::from_std(socket.into())?)))
    }

    fn connect(&self, addr: &str) -> Connecting {
        let addr = addr.to_owned();
        Box::pin(async move {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(TcpConn(stream)) as Box<dyn Conn>)
        })
    }
}

#[derive(Debug)]
struct TcpDoor(TcpListener);

impl Listener for TcpDoor {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn Conn>, SocketAddr)>> {
        let (stream, peer) = ready!(self.0.poll_accept(cx))?;
        // Of a peer that has gone already, the connection tells.
        let _ = stream.set_nodelay(true);
        Poll::Ready(Ok((Box::new(TcpConn(stream)), peer)))
    }
}

#[derive(Debug)]
struct TcpConn(TcpStream);

impl Conn for TcpConn {
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
        bytes_max: usize,
    ) -> Poll<io::Result<usize>> {
        buffer.reserve(bytes_max);
        // Into memory that nobody has filled with zeros first; and a receive that got less than it asked for is not
        // followed by one that gets nothing.
        let mut room = buffer.limit(bytes_max);
        pin!(self.0.read_buf(&mut room)).poll(cx)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, queue: &mut VecDeque<Piece>) -> Poll<io::Result<usize>> {
        loop {
            while queue.front().is_some_and(Piece::is_empty) {
                queue.pop_front();
            }
            if queue.is_empty() {
                return Poll::Ready(Ok(0));
            }
            load_front(queue)?;
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_io(Interest::WRITABLE, || send_front(self.0.as_fd(), queue)) {
                Ok(sent) => {
                    consume(queue, sent);
                    return Poll::Ready(Ok(sent));
                }
                // try_io has cleared the readiness: the next round waits for the socket.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// Brings the next bytes of a front piece into memory if it lies in a file without a descriptor.
fn load_front(queue: &mut VecDeque<Piece>) -> io::Result<()> {
    let Some(Piece::File { file, at, len }) = queue.front_mut() else { return Ok(()) };
    if file.fd().is_some() {
        return Ok(());
    }
    let step = (*len).min(limits::FRAME_STEP_BYTES as u64);
    let bytes = Piece::File { file: Arc::clone(file), at: *at, len: step }.read()?;
    (*at, *len) = (*at + step, *len - step);
    queue.push_front(Piece::Bytes(bytes));
    Ok(())
}

/// One system call for the front of the queue: `sendfile` for a file piece, else one `sendmsg` for the bytes before
/// the next file piece.
fn send_front(socket: BorrowedFd<'_>, queue: &VecDeque<Piece>) -> io::Result<usize> {
    match queue.front() {
        None => Ok(0),
        Some(Piece::File { file, at, len }) => send_file(socket, file.as_ref(), *at, *len),
        Some(Piece::Bytes(_)) => send_bytes(socket, queue),
    }
}

fn send_file(socket: BorrowedFd<'_>, file: &dyn Region, mut at: u64, len: u64) -> io::Result<usize> {
    let Some(source) = file.fd() else { return Err(io::ErrorKind::Unsupported.into()) };
    let count = usize::try_from(len).unwrap_or(usize::MAX).min(limits::YIELD_BYTES);
    match rustix::fs::sendfile(socket, source, Some(&mut at), count)? {
        // The length was announced to the peer already, so the connection cannot go on.
        0 => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "a file ended before the bytes announced of it were sent",
        )),
        sent => Ok(sent),
    }
}

fn send_bytes(socket: BorrowedFd<'_>, queue: &VecDeque<Piece>) -> io::Result<usize> {
    let mut slices = Vec::with_capacity(queue.len().min(SLICES_MAX));
    let mut flags = SendFlags::NOSIGNAL;
    for piece in queue {
        match piece {
            Piece::Bytes(bytes) if slices.len() < SLICES_MAX => slices.push(io::IoSlice::new(bytes)),
            // The answer's head need not travel in a packet of its own: the file's bytes follow at once.
            Piece::Bytes(_) | Piece::File { .. } => {
                flags |= SendFlags::MORE;
                break;
            }
        }
    }
    Ok(sendmsg(socket, &slices, &mut SendAncillaryBuffer::default(), flags)?)
}

/// Takes `sent` bytes off the front.
fn consume(queue: &mut VecDeque<Piece>, mut sent: usize) {
    while sent > 0 {
        match queue.front_mut() {
            None => return,
            Some(Piece::Bytes(bytes)) => {
                let taken = bytes.len().min(sent);
                bytes.advance(taken);
                sent -= taken;
            }
            Some(Piece::File { at, len, .. }) => {
                let taken = (*len).min(sent as u64);
                (*at, *len) = (*at + taken, *len - taken);
                sent -= taken as usize;
            }
        }
        if queue.front().is_some_and(Piece::is_empty) {
            queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
