//! DescribeCluster 0-1. Version 1 may ask for controllers (KIP-919), which are not reachable by clients here.

use forebay_wire::Text;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

use super::auth::CLUSTER;
use super::call::Call;
use super::metadata::endpoint;

const BROKERS: i8 = 1;

pub(super) async fn answer(call: &Call, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if !call.permits(CLUSTER) {
        let error_code = ErrorCode::ClusterAuthorizationFailed.code();
        return DescribeClusterResponse { error_code, ..Default::default() };
    }
    if call.version >= 1 && request.endpoint_type != BROKERS {
        return DescribeClusterResponse {
            error_code: ErrorCode::UnsupportedEndpointType.code(),
            error_message: Some(Text::from("only broker endpoints are reachable by clients")),
            ..Default::default()
        };
    }
    let image = call.node.image();
    let brokers = image.brokers.iter().filter_map(|(node, broker)| {
        let (host, port) = endpoint(&image, *node, &call.session.listener)?;
        let rack = broker.rack.clone().map(Text::from);
        Some(DescribeClusterBroker { broker_id: node.0, host, port, rack })
    });
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: Text::from(image.cluster.to_string()),
        controller_id: call.node.node.0,
        brokers: brokers.collect(),
        cluster_authorized_operations: i32::MIN,
        ..Default::default()
    }
}
