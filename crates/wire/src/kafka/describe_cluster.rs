//! DescribeCluster, key 60, versions 0 and 1, all flexible.
//!
//! 1 endpoint type: brokers or controllers (KIP-919).

use crate::Text;

messages! {
    /// Asks for the brokers.
    request DescribeClusterRequest: DescribeCluster => DescribeClusterResponse {
        /// Whether to say what the client may do to the cluster.
        include_cluster_authorized_operations: bool [..];
        /// 1 brokers, 2 controllers.
        endpoint_type: i8 [1..] or refuse = 1;
    }

    /// Brings the brokers.
    response DescribeClusterResponse: DescribeCluster {
        /// How long the client is throttled, in milliseconds.
        throttle_time_ms: i32 [..];
        /// What went wrong, or 0.
        error_code: i16 [..];
        /// Why.
        error_message: Option<Text> [..];
        /// 1 brokers, 2 controllers.
        endpoint_type: i8 [1..] = 1;
        /// Id of the cluster.
        cluster_id: Text [..];
        /// The controller's node, or -1.
        controller_id: i32 [..] = -1;
        /// The brokers.
        brokers: Vec<DescribeClusterBroker> [..];
        /// What the client may do to the cluster, as bits; `i32::MIN` if it was not asked.
        cluster_authorized_operations: i32 [..] = i32::MIN;
    }

    /// A broker.
    part DescribeClusterBroker {
        /// Its node.
        broker_id: i32 [..];
        /// Host name or address.
        host: Text [..];
        /// TCP port.
        port: i32 [..];
        /// The rack it stands in.
        rack: Option<Text> [..];
    }
}
