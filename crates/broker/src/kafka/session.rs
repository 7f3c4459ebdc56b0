use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use forebay_base::WallTime;
use tokio::time::Instant;

use super::auth::Principal;
use crate::facts::ConnectionFacts;
use crate::metrics::{Metrics, Software, cut};

/// What is known of a connection. Only its own task changes anything; whoever lists connections reads.
#[derive(Debug)]
pub(crate) struct Session {
    /// Drawn in the order of opening and never again.
    pub(super) id: u64,
    pub(super) peer: SocketAddr,
    /// Name of the listener it came in by.
    pub(crate) listener: Arc<str>,
    /// Who it speaks for.
    pub(crate) principal: Principal,
    opened: Instant,
    opened_at: WallTime,
    /// The first client id it named.
    client_id: OnceLock<Box<str>>,
    software: OnceLock<Arc<Software>>,
    /// It is sent what has to be read from the device, and has not come near the end of its logs since.
    lagging: AtomicBool,
    traffic: Traffic,
}

/// What has passed through a connection.
#[derive(Debug, Default)]
struct Traffic {
    requests: AtomicU64,
    in_work: AtomicU32,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    /// When a whole request came or a part of an answer went last, in ms after the opening.
    active_ms: AtomicU64,
}

impl Session {
    /// A connection that opens now, at wall time `opened_at`.
    pub(super) fn new(id: u64, peer: SocketAddr, listener: Arc<str>, opened_at: WallTime) -> Self {
        Self {
            id,
            peer,
            listener,
            principal: Principal::Anonymous,
            opened: Instant::now(),
            opened_at,
            client_id: OnceLock::new(),
            software: OnceLock::new(),
            lagging: AtomicBool::new(false),
            traffic: Traffic::default(),
        }
    }

    /// The client id, if it has named one.
    pub(super) fn client_id(&self) -> Option<&str> {
        self.client_id.get().map(|id| &**id)
    }

    /// A request named this client id. A copy is kept, since the text holds the whole frame.
    pub(super) fn name_client(&self, client_id: &str) {
        self.client_id.get_or_init(|| cut(client_id));
    }

    /// It told its client's software; what it tells later is not counted.
    pub(super) fn name_software(&self, metrics: &Metrics, name: &str, version: &str) {
        self.software.get_or_init(|| metrics.client_seen(name, version));
    }

    /// The software it told, if it did.
    pub(super) fn software(&self) -> Option<&Arc<Software>> {
        self.software.get()
    }

    /// A whole request of `bytes` came.
    pub(super) fn received(&self, now: Instant, bytes: usize) {
        add(&self.traffic.requests, 1);
        add(&self.traffic.received_bytes, bytes as u64);
        self.stir(now);
    }

    /// So many bytes of answers went.
    pub(super) fn sent(&self, now: Instant, bytes: usize) {
        add(&self.traffic.sent_bytes, bytes as u64);
        self.stir(now);
    }

    /// So many requests are in work.
    pub(super) fn working_on(&self, requests: usize) {
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        self.traffic.in_work.store(requests, Ordering::Relaxed);
    }

    /// It reads from the device, or has caught up.
    pub(super) fn lags(&self, lagging: bool) {
        self.lagging.store(lagging, Ordering::Relaxed);
    }

    /// True if it reads from the device, or did and is not near the end of its logs yet: what is in memory when it asks was
    /// read ahead for it.
    pub(super) fn is_lagging(&self) -> bool {
        self.lagging.load(Ordering::Relaxed)
    }

    fn stir(&self, now: Instant) {
        self.traffic.active_ms.store(self.age_ms(now), Ordering::Relaxed);
    }

    fn age_ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.opened).as_millis()).unwrap_or(u64::MAX)
    }

    /// What is known of it `now`.
    pub(super) fn facts(&self, now: Instant) -> ConnectionFacts {
        let Traffic { requests, in_work, received_bytes, sent_bytes, active_ms } = &self.traffic;
        let software = self.software();
        ConnectionFacts {
            id: self.id,
            peer: self.peer,
            listener: self.listener.clone(),
            principal: self.principal.to_string(),
            client_id: self.client_id().map(str::to_owned),
            software: software.cloned(),
            opened_at: self.opened_at,
            idle_ms: self.age_ms(now).saturating_sub(active_ms.load(Ordering::Relaxed)),
            requests_in_work: in_work.load(Ordering::Relaxed),
            requests: requests.load(Ordering::Relaxed),
            received_bytes: received_bytes.load(Ordering::Relaxed),
            sent_bytes: sent_bytes.load(Ordering::Relaxed),
        }
    }
}

/// Adds to a number that only one task changes, which needs no locked instruction.
fn add(number: &AtomicU64, more: u64) {
    number.store(number.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}
