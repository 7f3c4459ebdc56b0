//! A network in memory: byte streams with small seeded delays and short sends, in paused time.

mod conn;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use forebay_base::{Rng, SeededRng};
use forebay_link::{Conn, Connecting, Listener, Net};

use crate::trace::Trace;
use conn::{Link, SimConn};

/// First port given to listeners and to connecting clients that name none.
const FREE_PORT_FIRST: u16 = 30_000;

/// Longest delay of a message, in milliseconds (the resolution of tokio's timers is one).
const DELAY_MS_MAX: u64 = 3;

/// A simulated network; clones are the same network.
#[derive(Clone)]
pub struct SimNet {
    wire: Arc<Wire>,
}

/// What all ends share.
struct Wire {
    state: Mutex<State>,
    rng: SeededRng,
    trace: Arc<Trace>,
}

#[derive(Default)]
struct State {
    listeners: BTreeMap<SocketAddr, Arc<Mutex<Backlog>>>,
    links: Vec<Weak<Link>>,
    ports: u16,
    connections: u64,
}

/// Connections made and not yet accepted.
#[derive(Debug, Default)]
struct Backlog {
    waiting: VecDeque<(SimConn, SocketAddr)>,
    waker: Option<Waker>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    fn delay(&self) -> Duration {
        Duration::from_millis(1 + self.rng.next_u64() % DELAY_MS_MAX)
    }

    fn free_port(&self) -> u16 {
        let mut state = lock(&self.state);
        state.ports += 1;
        FREE_PORT_FIRST + state.ports
    }

    /// Connects the two ends and leaves one with the listener at `to`.
    fn connect(self: &Arc<Self>, to: SocketAddr) -> io::Result<SimConn> {
        let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.free_port());
        let mut state = lock(&self.state);
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), to.port());
        let found = state.listeners.get(&to).or_else(|| state.listeners.get(&any)).cloned();
        let backlog = found.ok_or(io::ErrorKind::ConnectionRefused)?;
        state.connections += 1;
        let number = state.connections;
        self.trace.event(format_args!("net {number} {from} -> {to}"));
        let link = Arc::new(Link::new(number));
        state.links.retain(|link| link.strong_count() > 0);
        state.links.push(Arc::downgrade(&link));
        let (near, far) = SimConn::pair(link, self.clone());
        let mut backlog = lock(&backlog);
        backlog.waiting.push_back((far, from));
        if let Some(waker) = backlog.waker.take() {
            waker.wake();
        }
        Ok(near)
    }
}

impl SimNet {
    /// A network without anyone on it.
    pub fn new(seed: u64, trace: Arc<Trace>) -> Self {
        Self { wire: Arc::new(Wire { state: Mutex::default(), rng: SeededRng::new(seed), trace }) }
    }

    /// Resets every connection: what was under way is lost and both ends get an error.
    pub fn reset_all(&self) {
        for link in lock(&self.wire.state).links.iter().filter_map(Weak::upgrade) {
            self.wire.trace.event(format_args!("net {} reset", link.number));
            link.reset();
        }
    }
}

impl fmt::Debug for SimNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimNet")
            .field("connections", &lock(&self.wire.state).connections)
            .finish_non_exhaustive()
    }
}

/// `HOST:PORT` where the host is an address or `localhost`: there is no name service here.
fn resolve(addr: &str) -> io::Result<SocketAddr> {
    let numeric = match addr.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => addr.to_owned(),
    };
    numeric.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("no such host: {addr}")))
}

impl Net for SimNet {
    fn listen(&self, mut addr: SocketAddr) -> io::Result<Box<dyn Listener>> {
        if addr.port() == 0 {
            addr.set_port(self.wire.free_port());
        }
        let backlog = Arc::default();
        let mut state = lock(&self.wire.state);
        if state.listeners.contains_key(&addr) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        state.listeners.insert(addr, Arc::clone(&backlog));
        self.wire.trace.event(format_args!("net listen {addr}"));
        Ok(Box::new(SimListener { addr, backlog, wire: self.wire.clone() }))
    }

    fn connect(&self, addr: &str) -> Connecting {
        let (wire, addr) = (self.wire.clone(), resolve(addr));
        Box::pin(async move {
            tokio::time::sleep(wire.delay()).await;
            Ok(Box::new(wire.connect(addr?)?) as Box<dyn Conn>)
        })
    }
}

struct SimListener {
    addr: SocketAddr,
    backlog: Arc<Mutex<Backlog>>,
    wire: Arc<Wire>,
}

impl fmt::Debug for SimListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimListener").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Listener for SimListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn Conn>, SocketAddr)>> {
        let mut backlog = lock(&self.backlog);
        match backlog.waiting.pop_front() {
            Some((conn, from)) => Poll::Ready(Ok((Box::new(conn), from))),
            None => {
                backlog.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        lock(&self.wire.state).listeners.remove(&self.addr);
    }
}
