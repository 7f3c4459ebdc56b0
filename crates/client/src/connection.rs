use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use forebay_base::{Piece, limits};
use forebay_link::{Conn, FrameError, FrameReader, Net};
use forebay_wire::Request;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::codec::{Versions, decode_response, encode_request, negotiate};
use crate::{ClientConfig, ClientError};

/// Pieces that may wait to be sent before no more requests are taken in.
const UNSENT_PIECES_MAX: usize = 256;

/// Requests that may be sent and not answered before no more are taken in.
const WAITING_MAX: usize = 1024;

type Reply = oneshot::Sender<Result<Bytes, ClientError>>;

/// A request on its way to the connection's task. Without a reply no answer is expected (`acks=0`).
#[derive(Debug)]
struct Outgoing {
    correlation: i32,
    pieces: Vec<Piece>,
    reply: Option<Reply>,
}

/// A negotiated connection to one server: a handle of the task that owns the socket. Dropping it, or the task's
/// first error, ends both.
#[derive(Debug)]
pub(crate) struct Connection {
    addr: Arc<str>,
    client_id: Arc<str>,
    requests: mpsc::Sender<Outgoing>,
    correlation: AtomicI32,
    versions: Versions,
}

/// A request that was handed to the connection and whose answer is still to come.
#[derive(Debug)]
pub(crate) struct Sent {
    version: i16,
    addr: Arc<str>,
    answer: oneshot::Receiver<Result<Bytes, ClientError>>,
}

impl Connection {
    /// Connects, starts the task, and asks which versions the server speaks.
    pub(crate) async fn open(net: &dyn Net, addr: &str, config: &ClientConfig) -> Result<Self, ClientError> {
        let unreachable = |reason: String| ClientError::Unreachable { addr: addr.to_owned(), reason };
        let conn = timeout(config.connect_timeout, net.connect(addr))
            .await
            .map_err(|_| {
                unreachable(format!("no connection within {} ms", config.connect_timeout.as_millis()))
            })?
            .map_err(|error| unreachable(plain(&error)))?;
        let (requests, inbox) = mpsc::channel(limits::CONNECTION_REQUESTS_MAX);
        let addr: Arc<str> = addr.into();
        let wire = Wire {
            addr: addr.clone(),
            conn,
            frames: FrameReader::new(config.answer_bytes_max),
            inbox,
            unsent: VecDeque::new(),
            waiting: VecDeque::new(),
        };
        tokio::spawn(wire.run());
        let mut connection = Self {
            addr,
            client_id: config.client_id.as_str().into(),
            requests,
            correlation: AtomicI32::new(0),
            versions: BTreeMap::new(),
        };
        connection.versions = negotiate(&connection, config).await?;
        Ok(connection)
    }

    /// False once the task has ended: the next call must use another connection.
    pub(crate) fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    /// `HOST:PORT` of the server.
    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }

    /// The newest version of `R`, at most `version_max`, that both sides speak.
    pub(crate) fn version<R: Request>(&self, version_max: i16) -> Result<i16, ClientError> {
        let ours = *R::VERSIONS.start()..=version_max.min(*R::VERSIONS.end());
        let theirs = self.versions.get(&R::API.code());
        let best = theirs.map(|theirs| (*ours.end()).min(*theirs.end()));
        if let (Some(best), Some(theirs)) = (best, theirs)
            && best >= *ours.start()
            && best >= *theirs.start()
        {
            return Ok(best);
        }
        let have = theirs.map_or_else(|| "none".to_owned(), |theirs| format!("{theirs:?}"));
        let reason = format!("{} is needed in versions {ours:?}, the server has {have}", R::API.name());
        Err(ClientError::Protocol { addr: self.addr.to_string(), reason })
    }

    /// Hands a request over; waits only while the connection's queue is full. Requests leave in the order of these
    /// calls.
    pub(crate) async fn send<R: Request>(&self, request: &R, version: i16) -> Result<Sent, ClientError> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(request, version, Some(reply)).await?;
        Ok(Sent { version, addr: self.addr.clone(), answer })
    }

    /// Hands over a request that the server does not answer.
    pub(crate) async fn send_silent<R: Request>(&self, request: &R, version: i16) -> Result<(), ClientError> {
        self.enqueue(request, version, None).await
    }

    async fn enqueue<R: Request>(
        &self,
        request: &R,
        version: i16,
        reply: Option<Reply>,
    ) -> Result<(), ClientError> {
        let correlation = self.correlation.fetch_add(1, Ordering::Relaxed);
        let pieces = encode_request(request, version, correlation, &self.client_id)?;
        let outgoing = Outgoing { correlation, pieces, reply };
        self.requests.send(outgoing).await.map_err(|_| closed(&self.addr))
    }
}

impl Sent {
    /// `HOST:PORT` of the server.
    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }

    /// Waits for the answer. May be cancelled and called again until it has come.
    pub(crate) async fn wait<R: Request>(&mut self) -> Result<R::Response, ClientError> {
        let body = self.body().await?;
        decode_response(body, self.version, &self.addr)
    }

    /// Waits for the answer and leaves it as it came.
    pub(crate) async fn body(&mut self) -> Result<Bytes, ClientError> {
        (&mut self.answer).await.map_err(|_| closed(&self.addr))?
    }
}

/// An I/O error in words, without its number where the words say it all.
fn plain(error: &io::Error) -> String {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, TimedOut};
    let kind = error.kind();
    let known = matches!(kind, BrokenPipe | ConnectionRefused | ConnectionReset | TimedOut);
    if known { kind.to_string() } else { error.to_string() }
}

fn closed(addr: &str) -> ClientError {
    ClientError::Unreachable { addr: addr.to_owned(), reason: "the connection was closed".to_owned() }
}

/// The task's side: the socket and what is under way on it.
struct Wire {
    addr: Arc<str>,
    conn: Box<dyn Conn>,
    frames: FrameReader,
    inbox: mpsc::Receiver<Outgoing>,
    unsent: VecDeque<Piece>,
    /// Requests without an answer, oldest first: answers come in this order.
    waiting: VecDeque<(i32, Reply)>,
}

/// Why the task ends.
enum End {
    /// Every handle is gone, everything is sent and nobody waits for an answer.
    Done,
    Failed(ClientError),
}

/// What became of looking for new requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inbox {
    /// All were taken in; the next one wakes the task.
    Empty,
    /// There may be more, but no room for them.
    Full,
    /// No more can come.
    Closed,
}

impl Wire {
    async fn run(mut self) {
        match poll_fn(|cx| self.poll(cx)).await {
            End::Done => {}
            End::Failed(error) => self.fail(&error),
        }
    }

    /// Tells everyone who waits. Later callers find the channel closed.
    fn fail(&mut self, error: &ClientError) {
        tracing::debug!(addr = %self.addr, %error, "connection lost");
        self.inbox.close();
        for (_, reply) in self.waiting.drain(..) {
            let _ = reply.send(Err(error.clone()));
        }
        while let Ok(outgoing) = self.inbox.try_recv() {
            if let Some(reply) = outgoing.reply {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }

    /// Takes requests in, sends, receives: each as far as it goes, in this order, until all three must wait.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let inbox = self.poll_inbox(cx);
            if let Err(error) = self.poll_send(cx) {
                return Poll::Ready(End::Failed(error));
            }
            if inbox == Inbox::Closed
                && self.unsent.is_empty()
                && self.waiting.iter().all(|(_, reply)| reply.is_closed())
            {
                return Poll::Ready(End::Done);
            }
            if let Poll::Ready(end) = self.poll_receive(cx) {
                return Poll::Ready(end);
            }
            // Nothing would wake this task for an inbox that was left unread.
            if inbox != Inbox::Full || !self.has_room() {
                return Poll::Pending;
            }
        }
    }

    fn has_room(&self) -> bool {
        self.unsent.len() < UNSENT_PIECES_MAX && self.waiting.len() < WAITING_MAX
    }

    fn poll_inbox(&mut self, cx: &mut Context<'_>) -> Inbox {
        while self.has_room() {
            match self.inbox.poll_recv(cx) {
                Poll::Pending => return Inbox::Empty,
                Poll::Ready(None) => return Inbox::Closed,
                Poll::Ready(Some(outgoing)) => {
                    self.unsent.extend(outgoing.pieces);
                    self.waiting.extend(outgoing.reply.map(|reply| (outgoing.correlation, reply)));
                }
            }
        }
        Inbox::Full
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), ClientError> {
        while !self.unsent.is_empty() {
            match self.conn.poll_send(cx, &mut self.unsent) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(self.broken(plain(&error))),
            }
        }
        Ok(())
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let frame = match self.frames.poll_frame(cx, self.conn.as_mut()) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(frame))) => frame,
                Poll::Ready(Ok(None)) => return Poll::Ready(End::Failed(closed(&self.addr))),
                Poll::Ready(Err(FrameError::Io(error))) => {
                    return Poll::Ready(End::Failed(self.broken(plain(&error))));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(End::Failed(self.nonsense(error.to_string()))),
            };
            let answered = frame.get(..4).and_then(|raw| raw.try_into().ok()).map(i32::from_be_bytes);
            match self.waiting.pop_front() {
                Some((correlation, reply)) if answered == Some(correlation) => {
                    // The caller may have given up; the answer is dropped then.
                    let _ = reply.send(Ok(frame));
                }
                Some((_, reply)) => {
                    let error = self.nonsense("an answer that is not the next request's".to_owned());
                    let _ = reply.send(Err(error.clone()));
                    return Poll::Ready(End::Failed(error));
                }
                None => {
                    return Poll::Ready(End::Failed(self.nonsense("an answer to no request".to_owned())));
                }
            }
        }
    }

    fn broken(&self, reason: String) -> ClientError {
        ClientError::Unreachable { addr: self.addr.to_string(), reason }
    }

    fn nonsense(&self, reason: String) -> ClientError {
        ClientError::Protocol { addr: self.addr.to_string(), reason }
    }
}
