use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_meta::Image;
use forebay_replica::{IntakeRules, Partition};
use forebay_wire::kafka::ErrorCode;
use tokio::sync::watch;

use super::codes::{Failure, of_unavailable};
use crate::metrics::TopicCounts;
use crate::partitions::Hosted;
use crate::settings::intake_rules;
use crate::shared::Shared;

/// Partitions that a connection remembers, at most; then it begins anew.
const ROUTES_MAX: usize = 1024;

/// Where batches of one partition go.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) partition: Arc<Partition>,
    pub(super) rules: IntakeRules,
    /// The topic's `disk.full.error` is `fail`.
    pub(super) fails_when_full: bool,
    /// What is counted of its topic.
    pub(super) counts: Option<Arc<TopicCounts>>,
}

impl Route {
    /// The way into a partition of the topic of that name.
    pub(super) fn new(node: &Shared, topic: &str, hosted: Hosted) -> Result<Self, Failure> {
        match hosted {
            Hosted::Open { partition, settings } => {
                let counts = node.metrics.topic(topic);
                let (rules, fails_when_full) = (intake_rules(&settings), settings.fail_when_full);
                Ok(Self { partition, rules, fails_when_full, counts })
            }
            Hosted::Failed(_) => Err(ErrorCode::KafkaStorageError.into()),
        }
    }
}

/// The partitions that a connection has appended to, so that they need not be looked up for each batch. They are
/// forgotten whenever the Image or the partitions of this node change.
#[derive(Debug)]
pub(super) struct Routes {
    image: watch::Receiver<Arc<Image>>,
    /// Version of the partitions they were found among.
    partitions: u64,
    by_topic: BTreeMap<Box<str>, BTreeMap<i32, Route>>,
    known: usize,
}

impl Routes {
    /// Nothing known yet.
    pub(super) fn new(node: &Shared) -> Self {
        Self { image: node.image.clone(), partitions: 0, by_topic: BTreeMap::new(), known: 0 }
    }

    /// Forgets what may not be so any more. To be called before each request.
    pub(super) fn refresh(&mut self, node: &Shared) {
        let partitions = node.partitions.version();
        // An Image whose sender is gone changes no more.
        if self.image.has_changed().unwrap_or(false) || self.partitions != partitions {
            self.image.mark_unchanged();
            self.partitions = partitions;
            self.forget();
        }
    }

    /// Gives all memory back.
    pub(super) fn forget(&mut self) {
        (self.by_topic, self.known) = (BTreeMap::new(), 0);
    }

    /// The way to a partition; `None` if its log is not opened yet.
    pub(super) fn find(&mut self, node: &Shared, topic: &str, index: i32) -> Option<Result<&Route, Failure>> {
        if !self.knows(topic, index) {
            match look_up(node, topic, index) {
                Ok(Some(hosted)) => match Route::new(node, topic, hosted) {
                    Ok(route) => self.learn(topic, index, route),
                    Err(failure) => return Some(Err(failure)),
                },
                Ok(None) => return None,
                Err(failure) => return Some(Err(failure)),
            }
        }
        self.by_topic.get(topic)?.get(&index).map(Ok)
    }

    fn knows(&self, topic: &str, index: i32) -> bool {
        self.by_topic.get(topic).is_some_and(|routes| routes.contains_key(&index))
    }

    fn learn(&mut self, topic: &str, index: i32, route: Route) {
        if self.known >= ROUTES_MAX {
            self.forget();
        }
        self.known += 1;
        match self.by_topic.get_mut(topic) {
            Some(routes) => routes.insert(index, route),
            None => self.by_topic.entry(topic.into()).or_default().insert(index, route),
        };
    }
}

fn look_up(node: &Shared, topic: &str, index: i32) -> Result<Option<Hosted>, Failure> {
    let topic = node.topic_by_name(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    node.led_now(&topic, index).map_err(|unavailable| of_unavailable(&unavailable))
}
