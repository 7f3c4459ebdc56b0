//! Every message in every version against the crate `kafka-protocol`, and against hostile bytes.

mod cross_check;
mod hostile;
mod sample;
mod single;

pub(crate) use sample::{Draw, Sample};

use bytes::Bytes;
use forebay_base::Piece;

use crate::{Encoder, Message};

/// Calls `$check!` with every API: its module, its request, its response. A new message is one new line here.
macro_rules! for_each_api {
    ($check:ident) => {
        $check! {
            api_versions ApiVersionsRequest ApiVersionsResponse;
            create_partitions CreatePartitionsRequest CreatePartitionsResponse;
            create_topics CreateTopicsRequest CreateTopicsResponse;
            delete_records DeleteRecordsRequest DeleteRecordsResponse;
            delete_topics DeleteTopicsRequest DeleteTopicsResponse;
            describe_cluster DescribeClusterRequest DescribeClusterResponse;
            describe_configs DescribeConfigsRequest DescribeConfigsResponse;
            describe_log_dirs DescribeLogDirsRequest DescribeLogDirsResponse;
            fetch FetchRequest FetchResponse;
            incremental_alter_configs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse;
            init_producer_id InitProducerIdRequest InitProducerIdResponse;
            list_offsets ListOffsetsRequest ListOffsetsResponse;
            metadata MetadataRequest MetadataResponse;
            offset_for_leader_epoch OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse;
            produce ProduceRequest ProduceResponse;
        }
    };
}
pub(crate) use for_each_api;

/// The pieces as one run of bytes, as the peer sees them.
pub(crate) fn joined(pieces: &[Piece]) -> Bytes {
    pieces.iter().flat_map(|piece| piece.read().unwrap()).collect()
}

pub(crate) fn encoded<M: Message>(message: &M, version: i16) -> Bytes {
    let mut encoder = Encoder::new();
    message.encode(version, &mut encoder).unwrap();
    let len = encoder.len();
    let bytes = joined(&encoder.into_pieces());
    assert_eq!(bytes.len() as u64, len);
    bytes
}
