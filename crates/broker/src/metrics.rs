//! What a node counts, and how it is told to Prometheus.
//!
//! ```text
//!   doors count as they go: Metrics (atomics, bounded maps) ──┐
//!   Image, views, volumes, controller: read at each scrape ───┴─> Page (text), family by family
//! ```
//! Every family is declared once in `families`, under our own name and, where monitoring tools know the value
//! under one of theirs, under that too. Labels are bounded: topics and partitions by the Image, client
//! software by `CLIENT_SOFTWARE_MAX`, everything else by closed sets. Partition values are never stored
//! here.

mod clients;
mod families;
mod histogram;
mod lanes;
mod page;
mod scrape;
mod stage;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use forebay_base::QuietLog;
use forebay_meta::Image;
use forebay_wire::kafka::api::{ApiKey, SERVED};
use forebay_wire::kafka::error_code::ErrorCode;

use crate::facts::Facts;
use clients::Clients;
pub(crate) use clients::{Software, cut};
use histogram::Histogram;
use lanes::Lanes;
use stage::Stage;
pub(crate) use stage::Stages;

/// Topics counted by name; a bound for what lies between two scrapes, since a scrape drops topics that are
/// gone.
const TOPICS_MAX: usize = 100_000;

/// API keys are below this; Kafka's highest is 92.
const API_KEYS: usize = 128;

/// A number that only grows.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Counter {
    fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted of one API.
#[derive(Debug, Default)]
struct ApiCounts {
    latency: Histogram,
    /// In the order of [`Stage`].
    stages: [Histogram; Stage::ALL.len()],
    bytes: Lanes<ByteCounts>,
}

/// Bytes of requests, and of their answers.
#[derive(Debug, Default)]
struct ByteCounts {
    requests: Counter,
    responses: Counter,
}

/// What is counted of one topic, and of all together.
#[derive(Debug, Default)]
pub(crate) struct TopicCounts {
    records_in: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
    produce_requests: Counter,
    produce_failures: Counter,
    fetch_requests: Counter,
}

/// The counters of one node. Counting takes no lock but to find a topic, an error or a client by name.
#[derive(Debug)]
pub(crate) struct Metrics {
    connections: AtomicUsize,
    connections_opened: Counter,
    connections_refused: Counter,
    connections_stalled: Counter,
    connections_protocol: Counter,
    log: Arc<QuietLog>,
    accept_failures: Counter,
    slow_requests: Counter,
    produce_throttled_micros: Counter,
    fetch_throttled_micros: Counter,
    /// By API key; `None` where no such API is served.
    apis: Vec<Option<Box<ApiCounts>>>,
    errors: Mutex<BTreeMap<(ApiKey, ErrorCode), u64>>,
    clients: Clients,
    all_topics: Lanes<TopicCounts>,
    topics: RwLock<HashMap<Arc<str>, Arc<TopicCounts>>>,
}

/// One open connection, counted until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection<'a>(&'a Metrics);

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Counters that start at zero, but those of the process's `log`.
    pub(crate) fn new(log: Arc<QuietLog>) -> Self {
        Self {
            connections: AtomicUsize::new(0),
            connections_opened: Counter::default(),
            connections_refused: Counter::default(),
            connections_stalled: Counter::default(),
            connections_protocol: Counter::default(),
            log,
            accept_failures: Counter::default(),
            slow_requests: Counter::default(),
            produce_throttled_micros: Counter::default(),
            fetch_throttled_micros: Counter::default(),
            apis: (0..API_KEYS).map(|key| is_served(key).then(Box::default)).collect(),
            errors: Mutex::default(),
            clients: Clients::default(),
            all_topics: Lanes::default(),
            topics: RwLock::default(),
        }
    }

    /// Counters of a node whose process writes no log.
    #[cfg(test)]
    pub(crate) fn of_no_log() -> Self {
        Self::new(Arc::new(QuietLog::new(crate::real_clock())))
    }

    /// Kafka connections open now.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// A Kafka connection was accepted; it counts as open until the returned value is dropped.
    pub(crate) fn connection_opened(&self) -> OpenConnection<'_> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.connections_opened.add(1);
        OpenConnection(self)
    }

    /// A connection was closed at once because `max.connections` were open.
    pub(crate) fn connection_refused(&self) {
        self.connections_refused.add(1);
    }

    /// A connection was closed because an announced request did not come in time.
    pub(crate) fn connection_stalled(&self) {
        self.connections_stalled.add(1);
    }

    /// A connection was closed because of a frame that is too large, a request that does not decode, or the
    /// like.
    pub(crate) fn connection_broke_protocol(&self) {
        self.connections_protocol.add(1);
    }

    /// The operating system gave no connection.
    pub(crate) fn accept_failed(&self) {
        self.accept_failures.add(1);
    }

    /// A request was answered, after these stages.
    pub(crate) fn answered(&self, api: ApiKey, stages: &Stages, request_bytes: u64, response_bytes: u64) {
        let Some(counts) = self.api(api) else { return };
        counts.latency.record(stages.total());
        for (stage, took) in stages.passed() {
            counts.stages[stage as usize].record(took);
        }
        let bytes = counts.bytes.own();
        bytes.requests.add(request_bytes);
        bytes.responses.add(response_bytes);
    }

    /// The socket has taken the last byte of an answer, so long after it was ready.
    pub(crate) fn sent(&self, api: ApiKey, took: Duration) {
        if let Some(counts) = self.api(api) {
            counts.stages[Stage::Send as usize].record(took);
        }
    }

    /// A request took longer than `slow.request.ms`.
    pub(crate) fn slow_request(&self) {
        self.slow_requests.add(1);
    }

    /// A connection is not heard for so long, because it sent records to a volume with little space, or (Fetch) lags behind
    /// while producers wait.
    pub(crate) fn throttled(&self, api: ApiKey, throttle: Duration) {
        let micros =
            if api == ApiKey::Fetch { &self.fetch_throttled_micros } else { &self.produce_throttled_micros };
        micros.add(u64::try_from(throttle.as_micros()).unwrap_or(u64::MAX));
    }

    /// An answer carried an error, at its top or for one of its items.
    pub(crate) fn failed(&self, api: ApiKey, code: ErrorCode) {
        *lock(&self.errors).entry((api, code)).or_default() += 1;
    }

    /// A connection told its client's software (ApiVersions 3 and later), for the first time.
    pub(crate) fn client_seen(&self, name: &str, version: &str) -> Arc<Software> {
        self.clients.seen(name, version)
    }

    /// A connection that told its client's software is closed.
    pub(crate) fn client_gone(&self, software: &Software) {
        self.clients.gone(software);
    }

    /// A batch of `records` records in `bytes` bytes was taken for a partition of the topic counted by `topic`.
    pub(crate) fn produced(&self, topic: Option<&TopicCounts>, bytes: u64, records: u64) {
        for counts in std::iter::once(self.all_topics.own()).chain(topic) {
            counts.produce_requests.add(1);
            counts.records_in.add(records);
            counts.bytes_in.add(bytes);
        }
    }

    /// A batch for a partition of `topic` was refused or could not be stored.
    pub(crate) fn produce_failed(&self, topic: &str) {
        self.for_topic(topic, |counts| counts.produce_failures.add(1));
    }

    /// A fetch answer carried `bytes` bytes of records of `topic`.
    pub(crate) fn fetched(&self, topic: &str, bytes: u64) {
        self.for_topic(topic, |counts| {
            counts.fetch_requests.add(1);
            counts.bytes_out.add(bytes);
        });
    }

    /// The page for Prometheus, in its text format. Counts of topics that are gone are dropped first.
    pub(crate) fn render(&self, facts: &Facts) -> String {
        self.forget_topics_missing_from(&facts.image);
        scrape::page(self, facts)
    }

    fn api(&self, api: ApiKey) -> Option<&ApiCounts> {
        usize::try_from(api as i16).ok().and_then(|key| self.apis.get(key)?.as_deref())
    }

    fn for_topic(&self, topic: &str, count: impl Fn(&TopicCounts)) {
        count(self.all_topics.own());
        if let Some(counts) = self.topic(topic) {
            count(&counts);
        }
    }

    /// What is counted of the topic of that name, until the topic is gone; `None` if there are too many.
    pub(crate) fn topic(&self, name: &str) -> Option<Arc<TopicCounts>> {
        if let Some(known) = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Some(known.clone());
        }
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let room = topics.len() < TOPICS_MAX;
        room.then(|| topics.entry(name.into()).or_default().clone())
    }

    /// The topics counted, by name.
    fn counted_topics(&self) -> BTreeMap<Arc<str>, Arc<TopicCounts>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.iter().map(|(name, counts)| (name.clone(), counts.clone())).collect()
    }

    fn forget_topics_missing_from(&self, image: &Image) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.retain(|name, _| image.names.contains_key(name));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_served(key: usize) -> bool {
    SERVED.iter().any(|api| usize::try_from(api.key as i16) == Ok(key))
}
