use bytes::Bytes;
use forebay_base::Id128;
use forebay_client::{BatchBuilder, Compression};
use forebay_wire::kafka::api_versions::ApiVersionsRequest;
use forebay_wire::kafka::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use forebay_wire::kafka::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use forebay_wire::kafka::describe_cluster::DescribeClusterRequest;
use forebay_wire::kafka::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use forebay_wire::kafka::describe_log_dirs::DescribeLogDirsRequest;
use forebay_wire::kafka::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use forebay_wire::kafka::init_producer_id::InitProducerIdRequest;
use forebay_wire::kafka::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use forebay_wire::{Request, frame};

use crate::requests;

/// A well-formed request frame.
#[derive(Debug, Clone)]
pub struct Sample {
    /// API and version.
    pub name: String,
    /// The frame with its length before it.
    pub frame: Vec<u8>,
}

const RESOURCE_TOPIC: i8 = 2;

/// One request of every API in every version served, about partition 0 of `topic`. None of them changes metadata:
/// those that could are for validation only, or name a topic that does not exist.
pub fn samples(topic: &str, id: Id128) -> Vec<Sample> {
    let mut all = Vec::new();
    for codec in
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        add(&mut all, &requests::produce(topic, 0, batch(codec)));
    }
    add(&mut all, &requests::fetch(topic, id, 0, 0));
    add(&mut all, &requests::list_offsets(topic, 0, -1));
    add(&mut all, &requests::metadata(topic));
    let named =
        ApiVersionsRequest { client_software_name: "black-box".into(), client_software_version: "1".into() };
    add(&mut all, &named);
    let mut create = requests::create("made", 3, &[("retention.ms", "1000")]);
    create.validate_only = true;
    add(&mut all, &create);
    add(&mut all, &requests::delete_records(topic, 0, 0));
    add(&mut all, &DescribeClusterRequest::default());
    add(&mut all, &DescribeLogDirsRequest { topics: None });
    add(&mut all, &InitProducerIdRequest { transaction_timeout_ms: 60_000, ..Default::default() });
    add_about_topics(&mut all, topic);
    assert!(all.len() > 60, "every version of every API: {}", all.len());
    all
}

fn add_about_topics(all: &mut Vec<Sample>, topic: &str) {
    let gone = "no-such-topic";
    add(
        all,
        &DeleteTopicsRequest { topic_names: vec![gone.into()], timeout_ms: 1_000, ..Default::default() },
    );
    let by_state = DeleteTopicState { name: Some(gone.into()), ..Default::default() };
    add(all, &DeleteTopicsRequest { topics: vec![by_state], timeout_ms: 1_000, ..Default::default() });
    let more = CreatePartitionsTopic { name: topic.into(), count: 4, assignments: None };
    add(all, &CreatePartitionsRequest { topics: vec![more], timeout_ms: 1_000, validate_only: true });
    let resource = DescribeConfigsResource {
        resource_type: RESOURCE_TOPIC,
        resource_name: topic.into(),
        configuration_keys: None,
    };
    add(all, &DescribeConfigsRequest { resources: vec![resource], ..Default::default() });
    let config =
        AlterableConfig { name: "retention.ms".into(), config_operation: 0, value: Some("7200000".into()) };
    let resource = AlterConfigsResource {
        resource_type: RESOURCE_TOPIC,
        resource_name: topic.into(),
        configs: vec![config],
    };
    add(all, &IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: true });
    let partition = OffsetForLeaderPartition { partition: 0, current_leader_epoch: -1, leader_epoch: 0 };
    let topics = vec![OffsetForLeaderTopic { topic: topic.into(), partitions: vec![partition] }];
    add(all, &OffsetForLeaderEpochRequest { topics, ..Default::default() });
}

/// The request in every version that can say it.
fn add<R: Request>(all: &mut Vec<Sample>, request: &R) {
    for version in R::VERSIONS {
        let Ok(pieces) = frame::request(1, Some("black-box"), version, request) else { continue };
        let frame =
            pieces.iter().flat_map(|piece| piece.read().expect("requests are made of memory")).collect();
        all.push(Sample { name: format!("{} v{version}", R::API.name()), frame });
    }
}

fn batch(codec: Compression) -> Bytes {
    let mut batch = BatchBuilder::new().compression(codec);
    for number in 0..5u8 {
        batch = batch.record(
            1_000 + i64::from(number),
            Some(&[number]),
            Some(b"a value that compresses, presses"),
        );
    }
    batch.build().expect("a batch of five records")
}
