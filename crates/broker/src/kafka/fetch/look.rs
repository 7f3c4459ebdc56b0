use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::{LeaderEpoch, Offset};
use forebay_log::{Glance, LogError, Slice};
use forebay_meta::Topic;
use forebay_replica::{Partition, View, Waiter};
use forebay_wire::kafka::ErrorCode;

use super::super::call::Call;
use super::super::codes::{of_log_error, of_refused, of_unavailable};
use super::session::{Ask, Asked, AskedTopic, TopicKey};
use crate::partitions::Hosted;

/// What the whole request wants.
pub(super) struct Wanted {
    pub(super) bytes_max: u64,
    pub(super) bytes_min: u64,
    pub(super) committed: bool,
    pub(super) deadline: tokio::time::Instant,
}

/// A partition to read from, or why it cannot be.
pub(super) type Target = Result<Arc<Partition>, ErrorCode>;

/// Who has less than this left to read of a partition has caught up: that much is in memory.
const NEAR_END_BYTES: u64 = 16 * 1024 * 1024;

type FoundTopic = Result<Arc<Topic>, ErrorCode>;

/// What one look at a partition's view found.
pub(super) struct Found {
    pub(super) error: ErrorCode,
    pub(super) view: Option<Arc<View>>,
    pub(super) slice: Option<Slice>,
    /// More than the slice lies in a later segment, and a slice ends with its own.
    pub(super) more: bool,
    /// Whoever reads this has not caught up, as far as is known.
    pub(super) far_from_end: bool,
    /// Where the client's log parts from this one (KIP-595).
    pub(super) diverging: Option<(LeaderEpoch, Offset)>,
}

impl Found {
    fn refused(error: ErrorCode) -> Self {
        Self { error, view: None, slice: None, more: false, far_from_end: true, diverging: None }
    }

    /// There is something to say that no further byte would change.
    fn cannot_wait(&self) -> bool {
        self.error != ErrorCode::None || self.diverging.is_some() || self.more
    }
}

/// Finds each partition once for the whole wait.
pub(super) async fn resolve(call: &Call, asked: &[Asked]) -> Vec<Target> {
    let mut targets = Vec::with_capacity(asked.len());
    let mut last: Option<(&Arc<AskedTopic>, FoundTopic)> = None;
    for asked in asked {
        let topic = match last {
            // Partitions of one topic mostly stand together.
            Some((of, ref topic)) if Arc::ptr_eq(of, &asked.topic) => topic,
            Some(_) | None => &last.insert((&asked.topic, topic(call, asked))).1,
        };
        targets.push(match topic {
            Ok(topic) => target(call, topic, asked.index).await,
            Err(missing) => Err(*missing),
        });
    }
    targets
}

fn topic(call: &Call, asked: &Asked) -> FoundTopic {
    let found = match &asked.topic.key {
        TopicKey::Name(name) => call.node.topic_by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition),
        TopicKey::Id(id) => call.node.topic_by_id(*id).ok_or_else(|| missing_id(call, asked)),
    };
    let topic = found?;
    asked.topic.name.get_or_init(|| topic.name.clone());
    if call.permits(&topic.name) { Ok(topic) } else { Err(ErrorCode::TopicAuthorizationFailed) }
}

/// What a topic id that is gone is called: Kafka tells a topic that was made anew under its old name from one that a
/// session knew, and both from one that was never known.
fn missing_id(call: &Call, asked: &Asked) -> ErrorCode {
    match asked.topic.name.get() {
        None => ErrorCode::UnknownTopicId,
        Some(name) if call.node.topic_by_name(name).is_some() => ErrorCode::InconsistentTopicId,
        Some(_) => ErrorCode::UnknownTopicOrPartition,
    }
}

async fn target(call: &Call, topic: &Topic, index: i32) -> Target {
    match call.led(topic, index).await {
        Ok(Hosted::Open { partition, .. }) => Ok(partition),
        Ok(Hosted::Failed(_)) => Err(ErrorCode::KafkaStorageError),
        Err(unavailable) => Err(of_unavailable(&unavailable).code),
    }
}

/// Looks until enough is there, something is wrong, time is up, or the node is stopping. The last look stands; with it,
/// how long it waited between looks.
pub(super) async fn wait_for(
    call: &Call,
    asked: &[Asked],
    targets: &[Target],
    wanted: &Wanted,
) -> (Vec<Found>, Duration) {
    let partitions = || targets.iter().filter_map(|target| target.as_ref().ok());
    let waiter = Waiter::new();
    let mut stopping = call.node.stopping.clone();
    let mut guards = None;
    let mut parked = Duration::ZERO;
    loop {
        let woken = waiter.woken();
        let found = look(call, asked, targets, wanted).await;
        let bytes: u64 = found.iter().filter_map(|found| found.slice.as_ref()).map(Slice::len).sum();
        let since = tokio::time::Instant::now();
        let over = since >= wanted.deadline || *stopping.borrow();
        let enough = bytes >= wanted.bytes_min || found.iter().any(Found::cannot_wait);
        if enough || over || partitions().next().is_none() {
            return (found, parked);
        }
        if guards.is_none() {
            // Registered before the next look, so that nothing published in between is missed.
            guards = Some(partitions().map(|partition| partition.watch(&waiter)).collect::<Vec<_>>());
            continue;
        }
        // Whatever ends the wait, the next look tells what there is.
        tokio::select! {
            biased;
            () = woken => {}
            _ = stopping.changed() => {}
            () = tokio::time::sleep_until(wanted.deadline) => {}
        }
        parked += since.elapsed();
    }
}

async fn look(call: &Call, asked: &[Asked], targets: &[Target], wanted: &Wanted) -> Vec<Found> {
    let mut left = wanted.bytes_max;
    let mut first = true;
    let mut looks = Vec::with_capacity(asked.len());
    for (asked, target) in asked.iter().zip(targets) {
        let one = match target {
            Ok(partition) if call.node.partitions.get(partition.id()).is_none() => {
                Found::refused(ErrorCode::UnknownTopicOrPartition)
            }
            Ok(partition) => look_one(&asked.ask, partition, left, first, wanted.committed).await,
            Err(error) => Found::refused(*error),
        };
        if let Some(slice) = &one.slice {
            left = left.saturating_sub(slice.len());
            first = false;
        }
        looks.push(one);
    }
    looks
}

async fn look_one(ask: &Ask, partition: &Partition, left: u64, first: bool, committed: bool) -> Found {
    let view = partition.view();
    let bytes_max = u64::from(ask.bytes_max).min(left);
    let upto = if committed { view.stable } else { view.high_watermark };
    let diverging = diverging(ask, &view);
    let result = match view.check_epoch(ask.epoch) {
        Err(refused) => Err(of_refused(&refused).code),
        Ok(()) if diverging.is_some() => Ok(None),
        Ok(()) if ask.from < view.start || ask.from > view.end => Err(ErrorCode::OffsetOutOfRange),
        Ok(()) => find(partition, &view, ask.from..upto, bytes_max, first).await,
    };
    let (error, slice) = result.map_or_else(|error| (error, None), |slice| (ErrorCode::None, slice));
    let more = slice.is_some() && view.segments.is_seam_between(ask.from, upto);
    let far_from_end = match &slice {
        Some(slice) if more => slice.bytes_beyond() + view.segments.bytes_behind(ask.from) > NEAR_END_BYTES,
        Some(slice) => slice.bytes_beyond() > NEAR_END_BYTES,
        None => ask.from < upto,
    };
    Found { error, view: Some(view), slice, more, far_from_end, diverging }
}

/// The largest epoch up to the client's last one, with its end, if the client has something else there.
fn diverging(ask: &Ask, view: &View) -> Option<(LeaderEpoch, Offset)> {
    if ask.last_epoch.0 < 0 {
        return None;
    }
    let (epoch, end) = view.end_of_epoch(ask.last_epoch)?;
    (epoch < ask.last_epoch || end < ask.from).then_some((epoch, end))
}

/// The slice to send, or nothing: past the bound, or no room left and not the first. Where finding it takes the device,
/// that is done off the reactor.
async fn find(
    partition: &Partition,
    view: &View,
    range: Range<Offset>,
    bytes_max: u64,
    first: bool,
) -> Result<Option<Slice>, ErrorCode> {
    if range.is_empty() || (bytes_max == 0 && !first) {
        return Ok(None);
    }
    let found = match view.segments.glance(range.start, range.end, bytes_max) {
        Ok(Glance::Nothing) => Ok(None),
        Ok(Glance::Found(slice)) => Ok(Some(slice)),
        Ok(Glance::Cold) => {
            let segments = view.segments.clone();
            waited(partition, move || segments.read(range.start, range.end, bytes_max)).await
        }
        Err(error) => Err(of_log_error(&error)),
    };
    found.map(|slice| slice.filter(|slice| slice.len() <= bytes_max || first))
}

/// Reads off the reactor.
pub(super) async fn waited<T: Send + 'static>(
    partition: &Partition,
    read: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, ErrorCode> {
    let read = partition.off_reactor(read).await.ok_or(ErrorCode::KafkaStorageError)?;
    read.map_err(|error| of_log_error(&error))
}
