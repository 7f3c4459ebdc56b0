//! DescribeLogDirs 1-4: this node's data directories, as it reports them. A failed one has error 56 and is listed with
//! what can still be read from it; a full one has none, for its records are served.

use std::collections::{BTreeMap, BTreeSet};

use forebay_base::{DirectoryId, PartitionId};
use forebay_meta::{Topic, VolumeReport, VolumeState};
use forebay_wire::Text;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};

use super::auth::CLUSTER;
use super::call::Call;
use crate::partitions::Hosted;
use crate::shared::Shared;

/// What is said where the answer is not known.
const UNKNOWN: i64 = -1;

type Topics = Vec<DescribeLogDirsTopic>;

pub(super) async fn answer(call: &Call, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    if !call.permits(CLUSTER) {
        let error_code = ErrorCode::ClusterAuthorizationFailed.code();
        return DescribeLogDirsResponse { error_code, ..Default::default() };
    }
    let node = &call.node;
    let mut held = held(node, request.topics.as_deref());
    let known = node.controller.liveness().borrow().view(node.clock.now(), node.node);
    let volumes = known.last.iter().flat_map(|report| &report.volumes);
    let results = volumes.map(|(id, volume)| directory(volume, held.remove(id).unwrap_or_default()));
    DescribeLogDirsResponse { results: results.collect(), ..Default::default() }
}

fn directory(volume: &VolumeReport, topics: Topics) -> DescribeLogDirsResult {
    let is_failed = volume.state == VolumeState::Failed;
    let error = if is_failed { ErrorCode::KafkaStorageError } else { ErrorCode::None };
    let bytes = |bytes: Option<u64>| bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(UNKNOWN);
    DescribeLogDirsResult {
        error_code: error.code(),
        log_dir: Text::from(volume.path.clone()),
        topics,
        total_bytes: bytes(volume.space.map(|space| space.total_bytes)),
        usable_bytes: bytes(volume.space.map(|space| space.free_bytes)),
    }
}

/// The replicas that this node holds of the topics that were asked for, by the directory they lie in.
fn held(node: &Shared, asked: Option<&[DescribableLogDirTopic]>) -> BTreeMap<DirectoryId, Topics> {
    let mut held: BTreeMap<DirectoryId, Topics> = BTreeMap::new();
    let Some(asked) = asked else {
        node.image().topics.values().for_each(|topic| add(node, topic, |_| true, &mut held));
        return held;
    };
    // A topic that is named often is described once.
    let mut wanted: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
    for topic in asked {
        wanted.entry(&topic.topic).or_default().extend(&topic.partitions);
    }
    for (name, indexes) in wanted {
        if let Some(topic) = node.topic_by_name(name) {
            add(node, &topic, |index| indexes.contains(&index), &mut held);
        }
    }
    held
}

fn add(node: &Shared, topic: &Topic, wanted: impl Fn(i32) -> bool, held: &mut BTreeMap<DirectoryId, Topics>) {
    let mut by_directory: BTreeMap<DirectoryId, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for (index, assignment) in (0..).zip(topic.partitions.iter()).filter(|(index, _)| wanted(*index)) {
        if let Some(directory) = assignment.directory_of(node.node) {
            let id = PartitionId { topic: topic.id, index };
            by_directory.entry(directory).or_default().push(partition(node, id));
        }
    }
    for (directory, partitions) in by_directory {
        let topic = DescribeLogDirsTopic { name: Text::from(topic.name.to_string()), partitions };
        held.entry(directory).or_default().push(topic);
    }
}

/// What is known of a log without opening it.
fn partition(node: &Shared, id: PartitionId) -> DescribeLogDirsPartition {
    let (partition_size, offset_lag) = match node.partitions.get(id) {
        Some(Hosted::Open { partition, .. }) => {
            let view = partition.view();
            let size = i64::try_from(view.size_bytes).unwrap_or(i64::MAX);
            (size, (view.high_watermark.0 - view.end.0).max(0))
        }
        Some(Hosted::Failed(_)) | None => (UNKNOWN, 0),
    };
    DescribeLogDirsPartition { partition_index: id.index, partition_size, offset_lag, is_future_key: false }
}
