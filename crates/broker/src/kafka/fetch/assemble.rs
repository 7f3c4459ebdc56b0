use std::time::Duration;

use forebay_base::{Id128, Piece};
use forebay_log::Slice;
use forebay_replica::Partition;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::fetch::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, PartitionData,
};
use forebay_wire::{Payload, Text};

use super::super::call::{Call, throttle_time_ms};
use super::super::codes::code_for_fetch;
use super::look::{Found, Target, waited};
use super::session::{Asked, Outcome, Told, TopicKey};
use super::sessions::Turn;

/// What is said of one partition if it is said.
struct Answer {
    error: ErrorCode,
    records: Option<Payload>,
    found: Found,
    /// It had to be read from the device.
    cold: bool,
}

impl Answer {
    async fn new(mut found: Found, target: &Target) -> Self {
        let (mut error, mut records, mut cold) = (found.error, None, false);
        if let (Some(slice), Ok(partition)) = (found.slice.take(), target) {
            match payload(partition, slice).await {
                Ok((piece, waited)) => (records, cold) = (Some(Payload::from(piece)), waited),
                Err(code) => error = code,
            }
        }
        Self { error, records, found, cold }
    }

    fn outcome(&self) -> Outcome {
        let (records, diverging) = (self.records.is_some(), self.found.diverging.is_some());
        Outcome { told: self.told(), records, diverging }
    }

    fn told(&self) -> Told {
        match &self.found.view {
            Some(view) if self.error == ErrorCode::None => {
                Told { high_watermark: view.high_watermark, stable: view.stable, start: view.start }
            }
            Some(_) | None => Told::NOTHING,
        }
    }

    fn into_data(self, index: i32, version: i16, committed: bool) -> PartitionData {
        let told = self.told();
        let mut data = PartitionData {
            partition_index: index,
            error_code: code_for_fetch(self.error, version).code(),
            high_watermark: told.high_watermark.0,
            last_stable_offset: told.stable.0,
            log_start_offset: told.start.0,
            aborted_transactions: committed.then(Vec::<AbortedTransaction>::new),
            preferred_read_replica: -1,
            // Some clients take null for an error.
            records: Some(self.records.unwrap_or_default()),
            ..Default::default()
        };
        if let Some((epoch, end)) = self.found.diverging {
            data.diverging_epoch = EpochEndOffset { epoch: epoch.0, end_offset: end.0 };
        }
        data
    }
}

/// The answer, and for how long the connection is not to be heard afterwards; and the end of the session's turn.
pub(super) async fn assemble(
    call: &Call,
    mut turn: Turn<'_>,
    targets: &[Target],
    found: Vec<Found>,
    committed: bool,
) -> (FetchResponse, Duration) {
    let mut answers = Vec::with_capacity(found.len());
    for (found, target) in found.into_iter().zip(targets) {
        answers.push(Answer::new(found, target).await);
    }
    let throttle = throttle(call, &answers, targets);
    let outcomes: Vec<Outcome> = answers.iter().map(Answer::outcome).collect();
    let listed = turn.tell(&outcomes);
    let rows = turn.session.partitions().iter().zip(answers).zip(listed);
    let responses = list(call, committed, rows.filter_map(|(row, listed)| listed.then_some(row)));
    let response = FetchResponse {
        throttle_time_ms: throttle_time_ms(throttle),
        session_id: turn.end(&outcomes),
        responses,
        ..Default::default()
    };
    (response, throttle)
}

/// For how long the connection is not to be heard. One that is read for from the device gives way to producers until it is
/// near the end of all its logs: the system reads ahead for it, so that what it wants next is in memory.
fn throttle(call: &Call, answers: &[Answer], targets: &[Target]) -> Duration {
    let is_far = |answer: &Answer| answer.found.far_from_end;
    if answers.iter().any(|answer| answer.cold && is_far(answer)) {
        call.session.lags(true);
    } else if !answers.is_empty() && !answers.iter().any(is_far) {
        call.session.lags(false);
    }
    if !call.session.is_lagging() {
        return Duration::ZERO;
    }
    let rate_min = call.node.config.lagging_consumer_byte_rate_min;
    let behind = answers.iter().zip(targets).filter(|(answer, _)| is_far(answer));
    let pauses = behind.filter_map(|(answer, target)| {
        let (records, partition) = (answer.records.as_ref()?, target.as_ref().ok()?);
        Some(partition.give_way(records.len(), rate_min))
    });
    pauses.max().unwrap_or_default()
}

/// Gathers answers by topic, as far as partitions of a topic stand together.
fn list<'a>(
    call: &Call,
    committed: bool,
    rows: impl Iterator<Item = (&'a Asked, Answer)>,
) -> Vec<FetchableTopicResponse> {
    let mut topics: Vec<(&Asked, u64, FetchableTopicResponse)> = Vec::new();
    for (asked, answer) in rows {
        if answer.error != ErrorCode::None {
            call.node.metrics.failed(call.api, answer.error);
        }
        let bytes = answer.records.as_ref().map_or(0, Payload::len);
        let data = answer.into_data(asked.index, call.version, committed);
        match topics.last_mut() {
            Some((of, sum, topic)) if of.topic.key == asked.topic.key => {
                *sum += bytes;
                topic.partitions.push(data);
            }
            Some(_) | None => topics.push((asked, bytes, topic(asked, data))),
        }
    }
    let told = topics.into_iter().map(|(asked, bytes, topic)| {
        if let Some(name) = asked.topic.name.get() {
            call.node.metrics.fetched(name, bytes);
        }
        topic
    });
    told.collect()
}

fn topic(asked: &Asked, first: PartitionData) -> FetchableTopicResponse {
    let (topic, topic_id) = match &asked.topic.key {
        TopicKey::Name(name) => (Text::from(&**name), Id128::ZERO),
        TopicKey::Id(id) => (Text::default(), id.0),
    };
    FetchableTopicResponse { topic, topic_id, partitions: vec![first] }
}

/// Bytes that are in memory and known to be sound go out as they lie in the file. Others are read through and checked off
/// the reactor first (true); they take no memory of ours either.
async fn payload(partition: &Partition, slice: Slice) -> Result<(Piece, bool), ErrorCode> {
    if slice.is_ready() {
        return Ok((slice.piece(), false));
    }
    waited(partition, move || slice.check()).await.map(|sound| (sound.piece(), true))
}
