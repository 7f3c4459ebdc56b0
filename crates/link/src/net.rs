use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use forebay_base::Piece;

/// A connection being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Conn>>> + Send>>;

/// The network as a value: the binary's is TCP, a simulation brings its own.
pub trait Net: Send + Sync + fmt::Debug {
    /// Listens on `addr`; port 0 picks a free one.
    fn listen(&self, addr: SocketAddr) -> io::Result<Box<dyn Listener>>;
    /// Connects to `HOST:PORT`.
    fn connect(&self, addr: &str) -> Connecting;
}

/// A listening socket.
pub trait Listener: Send + Sync + fmt::Debug {
    /// The address really bound.
    fn local_addr(&self) -> io::Result<SocketAddr>;
    /// The next connection and who made it.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn Conn>, SocketAddr)>>;
}

/// One connection; a byte stream both ways, owned by one task.
pub trait Conn: Send + Sync + fmt::Debug {
    /// Receives up to `bytes_max` bytes (more than 0) behind what is in `buffer`; 0 means that the peer has closed its
    /// side.
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
        bytes_max: usize,
    ) -> Poll<io::Result<usize>>;
    /// Sends from the front of `queue`, taking what was sent off it, file pieces without passing them through
    /// memory where that is possible. `Ready(Ok(n))`: `n > 0` bytes went out. `Pending`: the peer must read first.
    /// An empty queue is `Ready(Ok(0))`.
    fn poll_send(&mut self, cx: &mut Context<'_>, queue: &mut VecDeque<Piece>) -> Poll<io::Result<usize>>;
}
