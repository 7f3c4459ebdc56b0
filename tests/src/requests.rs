//! Requests about one topic and partition, as small as they get.

use bytes::Bytes;
use forebay_base::Id128;
use forebay_wire::kafka::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use forebay_wire::kafka::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use forebay_wire::kafka::fetch::{FetchPartition, FetchRequest, FetchTopic};
use forebay_wire::kafka::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use forebay_wire::kafka::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use forebay_wire::kafka::metadata::{MetadataRequest, MetadataRequestTopic};
use forebay_wire::kafka::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

/// Appends `batch`, answered when it is stable.
pub fn produce(topic: &str, partition: i32, batch: Bytes) -> ProduceRequest {
    ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: vec![PartitionProduceData { index: partition, records: Some(batch) }],
        }],
        ..Default::default()
    }
}

/// Reads from `offset`; `id` is for versions that name topics by id.
pub fn fetch(topic: &str, id: Id128, partition: i32, offset: i64) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 8 << 20,
        topics: vec![FetchTopic {
            topic: topic.into(),
            topic_id: id,
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: 8 << 20,
                ..Default::default()
            }],
        }],
        ..Default::default()
    }
}

/// Asks for a topic, and has it made if the server does that.
pub fn metadata(topic: &str) -> MetadataRequest {
    MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: Some(topic.into()), ..Default::default() }]),
        ..Default::default()
    }
}

/// Makes a topic.
pub fn create(topic: &str, partitions: i32, configs: &[(&str, &str)]) -> CreateTopicsRequest {
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).into(),
        value: Some((*value).into()),
    };
    CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: topic.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        }],
        timeout_ms: 10_000,
        validate_only: false,
    }
}

/// The offset of a time, or of -1 (latest) and -2 (earliest).
pub fn list_offsets(topic: &str, partition: i32, timestamp: i64) -> ListOffsetsRequest {
    ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: topic.into(),
            partitions: vec![ListOffsetsPartition {
                partition_index: partition,
                timestamp,
                ..Default::default()
            }],
        }],
        ..Default::default()
    }
}

/// Removes records before `offset`.
pub fn delete_records(topic: &str, partition: i32, offset: i64) -> DeleteRecordsRequest {
    DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic.into(),
            partitions: vec![DeleteRecordsPartition { partition_index: partition, offset }],
        }],
        timeout_ms: 10_000,
    }
}

/// Gives a setting of a topic another value.
pub fn configure(topic: &str, name: &str, value: &str) -> IncrementalAlterConfigsRequest {
    const TOPIC: i8 = 2;
    let set = AlterableConfig { name: name.into(), config_operation: 0, value: Some(value.into()) };
    let resource =
        AlterConfigsResource { resource_type: TOPIC, resource_name: topic.into(), configs: vec![set] };
    IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false }
}
