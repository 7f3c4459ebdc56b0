//! One page for Prometheus: the counters of the node, then what the facts of the moment say.

use std::collections::BTreeMap;

use forebay_meta::{VolumeSpace, VolumeState};
use forebay_wire::kafka::api;

use super::families::*;
use super::page::{Family, Page};
use super::stage::Stage;
use super::{Counter, Metrics, TopicCounts, lock};
use crate::facts::{Facts, PartitionRow, VERSION, VolumeFacts};

pub(super) fn page(metrics: &Metrics, facts: &Facts) -> String {
    let mut page = Page::default();
    page.family(&BUILD_INFO, |samples| samples.add(&[VERSION], 1));
    page.single(&READY, u8::from(facts.unready().is_none()));
    connections(&mut page, metrics);
    log_lines(&mut page, metrics);
    requests(&mut page, metrics);
    fetch_sessions(&mut page, facts);
    quorum(&mut page, facts);
    memory_and_volumes(&mut page, facts);
    topics(&mut page, metrics);
    let rows: Vec<Row<'_>> = facts.partitions().map(Row::new).collect();
    node_totals(&mut page, facts, &rows);
    logs(&mut page, &rows);
    cluster(&mut page, facts, &rows);
    page.into_text()
}

/// A partition with its index as text, which every one of its series needs.
struct Row<'a> {
    row: PartitionRow<'a>,
    index: String,
}

impl<'a> Row<'a> {
    fn new(row: PartitionRow<'a>) -> Self {
        Self { index: row.index.to_string(), row }
    }
}

fn connections(page: &mut Page, metrics: &Metrics) {
    page.single(&CONNECTIONS, metrics.connections());
    page.single(&KAFKA_CONNECTIONS, metrics.connections());
    page.single(&CONNECTIONS_OPENED, metrics.connections_opened.get());
    page.family(&CONNECTIONS_CUT, |samples| {
        samples.add(&["limit"], metrics.connections_refused.get());
        samples.add(&["stalled"], metrics.connections_stalled.get());
        samples.add(&["protocol"], metrics.connections_protocol.get());
    });
    page.single(&ACCEPT_FAILURES, metrics.accept_failures.get());
    let clients = metrics.clients.counts();
    page.family(&CLIENTS, |samples| {
        clients.iter().for_each(|(of, counts)| samples.add(&[&of.name, &of.version], counts.told));
    });
    page.family(&CLIENT_CONNECTIONS, |samples| {
        clients.iter().for_each(|(of, counts)| samples.add(&[&of.name, &of.version], counts.open));
    });
}

fn log_lines(page: &mut Page, metrics: &Metrics) {
    let counts = metrics.log.counts();
    page.family(&LOG_SUPPRESSED, |samples| {
        samples.add(&["repeat"], counts.repeated);
        samples.add(&["limit"], counts.left_out);
    });
    page.single(&LOG_TRANSITIONS, counts.transitions);
}

fn requests(page: &mut Page, metrics: &Metrics) {
    let used: Vec<_> = api::SERVED
        .iter()
        .filter_map(|api| Some((api.key.name(), metrics.api(api.key)?)))
        .filter(|(_, counts)| counts.latency.count() > 0)
        .collect();
    page.family(&REQUEST_SECONDS, |samples| {
        used.iter().for_each(|(api, counts)| samples.histogram(&[api], &counts.latency));
    });
    page.family(&STAGE_SECONDS, |samples| {
        for (api, counts) in &used {
            let stages = Stage::ALL.iter().zip(&counts.stages).filter(|(_, taken)| taken.count() > 0);
            stages.for_each(|(stage, taken)| samples.histogram(&[api, stage.name()], taken));
        }
    });
    page.single(&SLOW_REQUESTS, metrics.slow_requests.get());
    page.single(&PRODUCE_THROTTLED_SECONDS, metrics.produce_throttled_micros.get() as f64 / 1e6);
    page.single(&FETCH_THROTTLED_SECONDS, metrics.fetch_throttled_micros.get() as f64 / 1e6);
    page.family(&REQUEST_BYTES, |samples| {
        used.iter().for_each(|(api, counts)| samples.add(&[api], counts.bytes.sum(|own| own.requests.get())));
    });
    page.family(&RESPONSE_BYTES, |samples| {
        used.iter()
            .for_each(|(api, counts)| samples.add(&[api], counts.bytes.sum(|own| own.responses.get())));
    });
    page.family(&KAFKA_REQUESTS, |samples| {
        used.iter().for_each(|(api, counts)| samples.add(&[api], counts.latency.count()));
    });
    page.family(&KAFKA_REQUEST_MS, |samples| {
        used.iter().for_each(|(api, counts)| samples.summary_ms(&[api], &counts.latency));
    });
    page.family(&ERRORS, |samples| {
        for ((api, code), count) in lock(&metrics.errors).iter() {
            samples.add(&[api.name(), code.name()], count);
        }
    });
}

fn fetch_sessions(page: &mut Page, facts: &Facts) {
    page.single(&FETCH_SESSIONS, facts.fetch_sessions.sessions);
    page.single(&FETCH_SESSION_PARTITIONS, facts.fetch_sessions.partitions);
    page.single(&FETCH_SESSION_EVICTIONS, facts.fetch_sessions.evictions);
}

fn quorum(page: &mut Page, facts: &Facts) {
    page.single(&METADATA_INDEX, facts.image.index);
    page.single(&METADATA_USED, facts.quorum.used_bytes);
    page.single(&METADATA_LIMIT, facts.quorum.limit_bytes);
    page.single(&RAFT_ALIVE, u8::from(facts.quorum.alive));
    page.single(&RAFT_TERM, facts.quorum.term);
    page.single(&RAFT_RESTARTS, facts.quorum.restarts);
    page.single(&ACTIVE_CONTROLLER, u8::from(facts.quorum.leader == Some(facts.node)));
    page.single(&BROKERS, facts.image.brokers.len());
}

fn memory_and_volumes(page: &mut Page, facts: &Facts) {
    page.single(&REQUEST_MEMORY, facts.memory.used_bytes);
    page.single(&REQUEST_MEMORY_LIMIT, facts.memory.limit_bytes);
    let view = facts.view(facts.node);
    let volumes: Vec<Volume<'_>> = VolumeFacts::of(facts.node, &view).map(Volume::new).collect();
    page.family(&VOLUME_FREE, |samples| {
        spaces(&volumes).for_each(|(of, space)| samples.add(&of.names(), space.free_bytes));
    });
    page.family(&VOLUME_TOTAL, |samples| {
        spaces(&volumes).for_each(|(of, space)| samples.add(&of.names(), space.total_bytes));
    });
    page.family(&VOLUME_FILES, |samples| {
        let bounded = spaces(&volumes).filter_map(|(of, space)| Some((of, space.free_files?)));
        bounded.for_each(|(of, free_files)| samples.add(&of.names(), free_files));
    });
    volume_states(page, facts, &volumes);
    volume_counts(page, facts, &volumes);
}

/// A volume of this node with its names as text, which every one of its series needs.
struct Volume<'a> {
    facts: VolumeFacts<'a>,
    id: String,
}

impl<'a> Volume<'a> {
    fn new(facts: VolumeFacts<'a>) -> Self {
        Self { id: facts.directory.to_string(), facts }
    }

    fn names(&self) -> [&str; 2] {
        [&self.id, &self.facts.report.path]
    }
}

fn spaces<'a>(volumes: &'a [Volume<'a>]) -> impl Iterator<Item = (&'a Volume<'a>, VolumeSpace)> {
    volumes.iter().filter_map(|volume| Some((volume, volume.facts.report.space?)))
}

/// What this node reports of its volumes.
fn volume_states(page: &mut Page, facts: &Facts, volumes: &[Volume<'_>]) {
    page.family(&VOLUME_STATE, |samples| {
        for volume in volumes {
            let ([id, path], present) = (volume.names(), volume.facts.state());
            for state in VolumeState::ALL {
                samples.add(&[id, path, &state.to_string()], u8::from(present == Some(state)));
            }
            samples.add(&[id, path, "Unknown"], u8::from(present.is_none()));
        }
    });
    page.family(&VOLUME_IN_STATE, |samples| {
        volumes.iter().for_each(|of| samples.add(&of.names(), of.facts.in_state(facts.wall).as_secs()));
    });
    page.family(&VOLUME_FULL_IN, |samples| {
        let filling = volumes.iter().filter_map(|of| Some((of, of.facts.report.full_in?)));
        filling.for_each(|(of, full_in)| samples.add(&of.names(), full_in.as_secs()));
    });
    page.family(&VOLUME_RESERVE, |samples| {
        volumes.iter().for_each(|of| samples.add(&of.names(), of.facts.report.reserve_left_bytes));
    });
}

/// What was counted of them.
fn volume_counts(page: &mut Page, facts: &Facts, volumes: &[Volume<'_>]) {
    let counted = || {
        let counts = |of: &VolumeFacts<'_>| facts.volume_counts.get(&of.directory);
        volumes.iter().filter_map(move |of| Some((of.names(), counts(&of.facts)?)))
    };
    page.family(&VOLUME_TRANSITIONS, |samples| {
        counted().for_each(|(names, counts)| samples.add(&names, counts.transitions));
    });
    page.family(&VOLUME_REFUSED, |samples| {
        for ([id, path], counts) in counted() {
            counts
                .refused
                .iter()
                .for_each(|(state, count)| samples.add(&[id, path, &state.to_string()], count));
        }
    });
    page.family(&VOLUME_NO_ROOM, |samples| {
        for ([id, path], counts) in counted() {
            counts.no_room.iter().for_each(|(op, count)| samples.add(&[id, path, op], count));
        }
    });
    page.family(&VOLUME_FAULTS, |samples| {
        counted().for_each(|(names, counts)| samples.add(&names, counts.faults));
    });
}

/// The sums over all topics carry no topic label, as Kafka's own do.
fn topics(page: &mut Page, metrics: &Metrics) {
    let by_name = metrics.counted_topics();
    let mut family = |family: &'static Family, count: fn(&TopicCounts) -> &Counter| {
        page.family(family, |samples| {
            samples.add(&[""], metrics.all_topics.sum(|own| count(own).get()));
            by_name.iter().for_each(|(name, counts)| samples.add(&[name], count(counts).get()));
        });
    };
    family(&MESSAGES_IN, |counts| &counts.records_in);
    family(&BYTES_IN, |counts| &counts.bytes_in);
    family(&BYTES_OUT, |counts| &counts.bytes_out);
    family(&PRODUCE_REQUESTS, |counts| &counts.produce_requests);
    family(&PRODUCE_FAILURES, |counts| &counts.produce_failures);
    family(&FETCH_REQUESTS, |counts| &counts.fetch_requests);
}

fn node_totals(page: &mut Page, facts: &Facts, rows: &[Row<'_>]) {
    let led = || rows.iter().map(|row| &row.row).filter(|row| row.assignment.leader == Some(facts.node));
    let mut by_status = BTreeMap::new();
    for row in led() {
        *by_status.entry(facts.status(row).status).or_insert(0u64) += 1;
    }
    page.family(&PARTITIONS, |samples| {
        by_status.iter().for_each(|(status, count)| samples.add(&[&status.to_string()], count));
    });
    let held = rows.iter().filter(|row| row.row.assignment.replicas.contains(&facts.node)).count();
    page.single(&PARTITION_COUNT, held);
    page.single(&LEADER_COUNT, led().count());
    page.single(&UNDER_REPLICATED, led().filter(|row| row.is_under_replicated()).count());
    let short = led().filter(|row| {
        let needed = facts.min_isr(row.topic).min(row.assignment.replicas.len());
        row.assignment.isr.len() < needed
    });
    page.single(&UNDER_MIN_ISR, short.count());
    page.single(&OFFLINE_PARTITIONS, rows.iter().filter(|row| row.row.assignment.leader.is_none()).count());
}

/// What this node hosts.
fn logs(page: &mut Page, rows: &[Row<'_>]) {
    let hosted: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            Some((&*row.row.topic.name, row.index.as_str(), row.row.facts.as_ref()?.log.as_ref()?))
        })
        .collect();
    page.family(&LOG_SIZE, |samples| {
        hosted.iter().for_each(|(topic, index, log)| samples.add(&[topic, index], log.size_bytes));
    });
    page.family(&LOG_END, |samples| {
        hosted.iter().for_each(|(topic, index, log)| samples.add(&[topic, index], log.end));
    });
    page.family(&LOG_START, |samples| {
        hosted.iter().for_each(|(topic, index, log)| samples.add(&[topic, index], log.start));
    });
    page.family(&HIGH_WATERMARK, |samples| {
        hosted.iter().for_each(|(topic, index, log)| samples.add(&[topic, index], log.high_watermark));
    });
    page.family(&CURRENT_OFFSET, |samples| {
        hosted.iter().for_each(|(topic, index, log)| samples.add(&[topic, index], log.high_watermark));
    });
    page.family(&OLDEST_OFFSET, |samples| {
        hosted.iter().for_each(|(topic, index, log)| samples.add(&[topic, index], log.start));
    });
}

/// What the metadata says of every partition.
fn cluster(page: &mut Page, facts: &Facts, rows: &[Row<'_>]) {
    page.family(&TOPIC_PARTITIONS, |samples| {
        for topic in facts.image.topics.values() {
            samples.add(&[&topic.name], topic.partitions.len());
        }
    });
    let mut family = |family: &'static Family, value: fn(&PartitionRow<'_>) -> i64| {
        page.family(family, |samples| {
            rows.iter().for_each(|row| samples.add(&[&row.row.topic.name, &row.index], value(&row.row)));
        });
    };
    family(&PARTITION_LEADER, |row| row.assignment.leader.map_or(-1, |leader| i64::from(leader.0)));
    family(&PARTITION_PREFERRED, |row| {
        let preferred = row.assignment.leader.is_some()
            && row.assignment.leader == row.assignment.replicas.first().copied();
        i64::from(preferred)
    });
    family(&PARTITION_REPLICAS, |row| row.assignment.replicas.len() as i64);
    family(&PARTITION_ISR, |row| row.assignment.isr.len() as i64);
    family(&PARTITION_UNDER, |row| i64::from(row.is_under_replicated()));
}
