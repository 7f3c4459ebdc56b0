use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use forebay_link::{ConnIo, Listener, accept};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Connections served at once; further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 256;

/// A failed accept is tried again after this long: most often there are no descriptors left.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// A listener as axum wants it, with bounds.
#[derive(Debug)]
pub(super) struct Door {
    listener: Box<dyn Listener>,
    patience: Duration,
    places: Arc<Semaphore>,
}

impl Door {
    /// A door whose connections are closed when nothing moves on them for `patience`: idle ones, and clients
    /// that send half a request or read half an answer.
    pub(super) fn new(listener: Box<dyn Listener>, patience: Duration) -> Self {
        Self { listener, patience, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl axum::serve::Listener for Door {
    type Io = Patient;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Patient, SocketAddr) {
        let place = self.places.clone().acquire_owned().await.ok();
        loop {
            match accept(&mut *self.listener).await {
                Ok((conn, peer)) => return (Patient::new(ConnIo::new(conn), self.patience, place), peer),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an HTTP connection; trying again");
                    sleep(ACCEPT_BACK_OFF).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails when nothing moves on it for too long.
#[derive(Debug)]
pub(super) struct Patient {
    conn: ConnIo,
    patience: Duration,
    timer: Pin<Box<Sleep>>,
    deadline: Instant,
    _place: Option<OwnedSemaphorePermit>,
}

impl Patient {
    fn new(conn: ConnIo, patience: Duration, place: Option<OwnedSemaphorePermit>) -> Self {
        let deadline = Instant::now() + patience;
        Self { conn, patience, timer: Box::pin(sleep_until(deadline)), deadline, _place: place }
    }

    /// Passes on what an operation gave; turns waiting too long into an error.
    fn judge<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.deadline = Instant::now() + self.patience;
            return outcome;
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.deadline {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            // Something moved since the timer was set: it is only moved when it fires.
            self.timer.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }
}

impl AsyncRead for Patient {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.conn).poll_read(cx, buf);
        this.judge(cx, outcome)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.conn).poll_write(cx, buf);
        this.judge(cx, outcome)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.conn).poll_flush(cx);
        this.judge(cx, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.conn).poll_shutdown(cx);
        this.judge(cx, outcome)
    }
}
