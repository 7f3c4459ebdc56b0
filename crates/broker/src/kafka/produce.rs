//! Produce 3-11 (0-2 are advertised because librdkafka stops compressing otherwise, KAFKA-18659, and refused).
//!
//! Two phases, so that pipelined requests keep their order and still overlap: every batch is checked and queued to its
//! writer without waiting for storage; then [`Submitted::poll_answer`] waits. [`submit_now`] does the first at once,
//! which is the rule; [`submit`] where something must be waited for even before that. Each partition takes exactly one
//! batch of format v2. `acks=0` gets no answer; if its append is refused the connection is closed. Where space is short
//! the answer says for how long the connection will not be heard (KIP-219), and it is not.

mod submitted;

use std::time::Duration;

use forebay_base::WallTime;
use forebay_replica::{Acks, Batch, intake};
use forebay_wire::Text;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::produce::{PartitionProduceData, ProduceRequest};
use tokio::time::Instant;

use super::call::{Call, Caller};
use super::codes::{Failure, of_refused, of_unavailable};
use super::nudges::Nudges;
use super::routes::{Route, Routes};
use submitted::Pending;
pub(super) use submitted::Submitted;

const ZSTD_FROM_VERSION: i16 = 7;

/// Queues every batch of the request that is sound, unless one must wait for something: its partition to be opened, or
/// its turn to be inflated. Then nothing is queued, and [`submit`] is to be called.
pub(super) fn submit_now(
    caller: Caller<'_>,
    routes: &mut Routes,
    nudges: &mut Nudges,
    request: &ProduceRequest,
) -> Option<Submitted> {
    let now = caller.node.clock.wall();
    routes.refresh(caller.node);
    let mut data = request
        .topic_data
        .iter()
        .flat_map(|topic| topic.partition_data.iter().map(|data| (&topic.name, data)));
    if data.any(|(name, data)| must_wait(caller, routes, now, name, data)) {
        return None;
    }
    let topics = request.topic_data.iter().map(|topic| {
        let queued = topic.partition_data.iter().map(|data| {
            let pending = queue_now(caller, routes, nudges, now, (request.acks, &topic.name), data);
            (data.index, pending.unwrap_or_else(Pending::Refused))
        });
        (topic.name.clone(), queued.collect())
    });
    Some(Submitted::new(request.acks, deadline(request, caller.began), topics.collect()))
}

fn must_wait(
    caller: Caller<'_>,
    routes: &mut Routes,
    now: WallTime,
    name: &str,
    data: &PartitionProduceData,
) -> bool {
    if !caller.permits(name) {
        return false;
    }
    match routes.find(caller.node, name, data.index) {
        Some(Ok(route)) => {
            data.records.as_ref().is_some_and(|records| intake::inflates(records, &route.rules, now))
        }
        Some(Err(_)) => false,
        None => true,
    }
}

fn queue_now(
    caller: Caller<'_>,
    routes: &mut Routes,
    nudges: &mut Nudges,
    now: WallTime,
    (acks, name): (i16, &Text),
    data: &PartitionProduceData,
) -> Result<Pending, Failure> {
    let acks = admit(caller, acks, name)?;
    let route = routes.find(caller.node, name, data.index).ok_or(ErrorCode::NotLeaderOrFollower)??;
    let records = data.records.clone().ok_or(ErrorCode::InvalidRecord)?;
    let batch = intake::check(records, &route.rules, now).map_err(|refused| of_refused(&refused))?;
    accept(caller, route, &batch)?;
    let throttle = route.partition.throttle(batch.bytes.len());
    let answer = route.partition.queue(batch, acks);
    nudges.add(&route.partition);
    Ok(Pending::Queued { answer, fails_when_full: route.fails_when_full, throttle })
}

/// As [`submit_now`], waiting where it must. Writers are told of each batch at once: the next may have to wait.
pub(super) async fn submit(call: Call, request: ProduceRequest) -> Submitted {
    let (acks, deadline) = (request.acks, deadline(&request, call.began));
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let mut queued = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let index = data.index;
            let pending = queue(&call, acks, &topic.name, data).await;
            queued.push((index, pending.unwrap_or_else(Pending::Refused)));
        }
        topics.push((topic.name, queued));
    }
    Submitted::new(acks, deadline, topics)
}

async fn queue(call: &Call, acks: i16, name: &Text, data: PartitionProduceData) -> Result<Pending, Failure> {
    let acks = admit(call.caller(), acks, name)?;
    let topic = call.node.topic_by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let hosted = call.led(&topic, data.index).await.map_err(|unavailable| of_unavailable(&unavailable))?;
    let route = Route::new(&call.node, name, hosted)?;
    let records = data.records.ok_or(ErrorCode::InvalidRecord)?;
    let (rules, now) = (route.rules, call.node.clock.wall());
    let checked = if intake::inflates(&records, &rules, now) {
        // Off the reactor and one at a time in the whole process, so that small batches of many clients cannot become
        // much memory at once.
        let turn = call.node.budget.inflating().await;
        let check = move || {
            let _turn = turn;
            intake::check(records, &rules, now)
        };
        route.partition.off_reactor(check).await.ok_or(ErrorCode::RequestTimedOut)?
    } else {
        intake::check(records, &rules, now)
    };
    let batch = checked.map_err(|refused| of_refused(&refused))?;
    accept(call.caller(), &route, &batch)?;
    let throttle = route.partition.throttle(batch.bytes.len());
    let answer = route.partition.append(batch, acks);
    Ok(Pending::Queued { answer, fails_when_full: route.fails_when_full, throttle })
}

/// May the caller append to the topic, and how sure does it want to be?
fn admit(caller: Caller<'_>, acks: i16, topic: &str) -> Result<Acks, Failure> {
    if !caller.permits(topic) {
        return Err(ErrorCode::TopicAuthorizationFailed.into());
    }
    if let Some(outage) = caller.node.outage() {
        return Err(Failure::new(ErrorCode::KafkaStorageError, &*outage));
    }
    match acks {
        0 | 1 => Ok(Acks::Leader),
        -1 => Ok(Acks::All),
        _ => Err(ErrorCode::InvalidRequiredAcks.into()),
    }
}

/// The last check of a sound batch; one that passes is counted.
fn accept(caller: Caller<'_>, route: &Route, batch: &Batch) -> Result<(), Failure> {
    if batch.is_zstd() && caller.version < ZSTD_FROM_VERSION {
        return Err(ErrorCode::UnsupportedCompressionType.into());
    }
    let (bytes, records) = (batch.bytes.len() as u64, u64::from(batch.record_count()));
    caller.node.metrics.produced(route.counts.as_deref(), bytes, records);
    Ok(())
}

/// The client sets a deadline for replicas, so only `acks=all` has one.
fn deadline(request: &ProduceRequest, began: Instant) -> Option<Instant> {
    let patience = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    (request.acks == -1).then(|| began + patience)
}
