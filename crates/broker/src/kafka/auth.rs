use std::fmt;

use forebay_wire::kafka::ApiKey;

/// Who a connection speaks for. TLS and SASL will name others; without them everybody is anonymous.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Principal {
    /// `User:ANONYMOUS`
    Anonymous,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("User:ANONYMOUS"),
        }
    }
}

/// The name of the cluster as a resource, as in Kafka's ACLs.
pub(crate) const CLUSTER: &str = "kafka-cluster";

/// What a request does to a resource; Kafka's ACL operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Read,
    Write,
    Create,
    Delete,
    Alter,
    Describe,
    DescribeConfigs,
    AlterConfigs,
    IdempotentWrite,
}

/// What kind of thing a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Nothing that can be protected: the handshake.
    None,
    /// The cluster as a whole.
    Cluster,
    /// Each topic the request names.
    Topic,
}

/// The right that one API needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Right {
    pub(crate) api: ApiKey,
    pub(crate) operation: Operation,
    pub(crate) resource: Resource,
}

const fn right(api: ApiKey, operation: Operation, resource: Resource) -> Right {
    Right { api, operation, resource }
}

/// The one authorisation table: a row per API key served. A request without a row is refused.
pub(crate) const RIGHTS: [Right; 15] = [
    right(ApiKey::ApiVersions, Operation::Describe, Resource::None),
    right(ApiKey::Metadata, Operation::Describe, Resource::Topic),
    right(ApiKey::Produce, Operation::Write, Resource::Topic),
    right(ApiKey::Fetch, Operation::Read, Resource::Topic),
    right(ApiKey::ListOffsets, Operation::Describe, Resource::Topic),
    right(ApiKey::OffsetForLeaderEpoch, Operation::Describe, Resource::Topic),
    right(ApiKey::CreateTopics, Operation::Create, Resource::Topic),
    right(ApiKey::DeleteTopics, Operation::Delete, Resource::Topic),
    right(ApiKey::CreatePartitions, Operation::Alter, Resource::Topic),
    right(ApiKey::DeleteRecords, Operation::Delete, Resource::Topic),
    right(ApiKey::DescribeConfigs, Operation::DescribeConfigs, Resource::Topic),
    right(ApiKey::IncrementalAlterConfigs, Operation::AlterConfigs, Resource::Topic),
    right(ApiKey::DescribeCluster, Operation::Describe, Resource::Cluster),
    right(ApiKey::DescribeLogDirs, Operation::Describe, Resource::Cluster),
    right(ApiKey::InitProducerId, Operation::IdempotentWrite, Resource::Cluster),
];

/// The row of one API.
pub(crate) fn right_of(api: ApiKey) -> Option<&'static Right> {
    RIGHTS.iter().find(|right| right.api == api)
}

/// Decides. Everybody may do everything today; access lists will be consulted here and nowhere else.
pub(crate) fn allows(principal: &Principal, _right: &Right, _name: &str) -> bool {
    match principal {
        Principal::Anonymous => true,
    }
}

#[cfg(test)]
mod tests {
    use forebay_wire::kafka::api::SERVED;

    use super::*;

    #[test]
    fn every_api_served_has_exactly_one_row_and_no_other_has() {
        for served in SERVED {
            assert_eq!(RIGHTS.iter().filter(|right| right.api == served.key).count(), 1, "{}", served.key);
        }
        assert_eq!(RIGHTS.len(), SERVED.len());
    }
}
