//! Kafka's error codes.

use std::fmt;

macro_rules! error_codes {
    ($($name:ident $code:literal $kafka:literal $retriable:ident $message:literal;)+) => {
        /// An error code of Kafka's protocol. Messages carry it as a plain `i16`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(
                #[doc = concat!("`", $kafka, "` (", $code, "): ", $message)]
                $name = $code,
            )+
        }

        impl ErrorCode {
            /// Every code known.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Kafka's name of it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $kafka,)+
                }
            }

            /// One sentence for a person.
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $message,)+
                }
            }

            /// True if the same request may succeed later: the codes that Kafka's own client retries.
            pub const fn retriable(self) -> bool {
                match self {
                    $(Self::$name => error_codes!($retriable),)+
                }
            }

            /// The error with this number, if it is known.
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)+
                    _ => None,
                }
            }
        }
    };
    (retry) => { true };
    (final) => { false };
}

error_codes! {
    UnknownServerError -1 "UNKNOWN_SERVER_ERROR" final "The server failed in a way it did not expect.";
    None 0 "NONE" final "No error.";
    OffsetOutOfRange 1 "OFFSET_OUT_OF_RANGE" final "The offset is outside the partition's log.";
    CorruptMessage 2 "CORRUPT_MESSAGE" retry "The checksum, size or format of a batch is wrong.";
    UnknownTopicOrPartition 3 "UNKNOWN_TOPIC_OR_PARTITION" retry "This broker has no such partition.";
    InvalidFetchSize 4 "INVALID_FETCH_SIZE" final "The fetch size is not valid.";
    LeaderNotAvailable 5 "LEADER_NOT_AVAILABLE" retry "The partition has no leader right now.";
    NotLeaderOrFollower 6 "NOT_LEADER_OR_FOLLOWER" retry "This broker does not lead, or does not hold, the partition.";
    RequestTimedOut 7 "REQUEST_TIMED_OUT" retry "The request timed out; it may or may not have taken effect.";
    BrokerNotAvailable 8 "BROKER_NOT_AVAILABLE" final "The broker is not available.";
    ReplicaNotAvailable 9 "REPLICA_NOT_AVAILABLE" retry "The replica is not available.";
    MessageTooLarge 10 "MESSAGE_TOO_LARGE" final "The batch is larger than the topic allows.";
    StaleControllerEpoch 11 "STALE_CONTROLLER_EPOCH" final "The controller has moved to another broker.";
    OffsetMetadataTooLarge 12 "OFFSET_METADATA_TOO_LARGE" final "The metadata of an offset is too long.";
    NetworkException 13 "NETWORK_EXCEPTION" retry "The server went away before it answered.";
    CoordinatorLoadInProgress 14 "COORDINATOR_LOAD_IN_PROGRESS" retry "The coordinator is still loading.";
    CoordinatorNotAvailable 15 "COORDINATOR_NOT_AVAILABLE" retry "The coordinator is not available.";
    NotCoordinator 16 "NOT_COORDINATOR" retry "This broker is not the coordinator.";
    InvalidTopicException 17 "INVALID_TOPIC_EXCEPTION" final "The topic's name is not valid.";
    RecordListTooLarge 18 "RECORD_LIST_TOO_LARGE" final "The batch is larger than a segment.";
    NotEnoughReplicas 19 "NOT_ENOUGH_REPLICAS" retry "Fewer replicas are in sync than required; nothing was written.";
    NotEnoughReplicasAfterAppend 20 "NOT_ENOUGH_REPLICAS_AFTER_APPEND" retry "Written, but to fewer in-sync replicas than required.";
    InvalidRequiredAcks 21 "INVALID_REQUIRED_ACKS" final "acks must be -1, 0 or 1.";
    IllegalGeneration 22 "ILLEGAL_GENERATION" final "The group's generation is another one.";
    InconsistentGroupProtocol 23 "INCONSISTENT_GROUP_PROTOCOL" final "The member's protocols do not fit the group's.";
    InvalidGroupId 24 "INVALID_GROUP_ID" final "The group's name is not valid.";
    UnknownMemberId 25 "UNKNOWN_MEMBER_ID" final "The group has no such member.";
    InvalidSessionTimeout 26 "INVALID_SESSION_TIMEOUT" final "The session timeout is outside the allowed range.";
    RebalanceInProgress 27 "REBALANCE_IN_PROGRESS" final "The group rebalances; the member must rejoin.";
    InvalidCommitOffsetSize 28 "INVALID_COMMIT_OFFSET_SIZE" final "The offsets are too large to commit.";
    TopicAuthorizationFailed 29 "TOPIC_AUTHORIZATION_FAILED" final "Not allowed on this topic.";
    GroupAuthorizationFailed 30 "GROUP_AUTHORIZATION_FAILED" final "Not allowed on this group.";
    ClusterAuthorizationFailed 31 "CLUSTER_AUTHORIZATION_FAILED" final "Not allowed on this cluster.";
    InvalidTimestamp 32 "INVALID_TIMESTAMP" final "A record's timestamp is outside the range the topic allows.";
    UnsupportedSaslMechanism 33 "UNSUPPORTED_SASL_MECHANISM" final "The SASL mechanism is not supported.";
    IllegalSaslState 34 "ILLEGAL_SASL_STATE" final "The request does not fit the state of authentication.";
    UnsupportedVersion 35 "UNSUPPORTED_VERSION" final "This version of the API is not served.";
    TopicAlreadyExists 36 "TOPIC_ALREADY_EXISTS" final "A topic of this name exists.";
    InvalidPartitions 37 "INVALID_PARTITIONS" final "The number of partitions is not valid.";
    InvalidReplicationFactor 38 "INVALID_REPLICATION_FACTOR" final "The replication factor is below 1 or above the number of brokers.";
    InvalidReplicaAssignment 39 "INVALID_REPLICA_ASSIGNMENT" final "The assignment of replicas is not valid.";
    InvalidConfig 40 "INVALID_CONFIG" final "A setting is not valid.";
    NotController 41 "NOT_CONTROLLER" retry "This broker is not the controller.";
    InvalidRequest 42 "INVALID_REQUEST" final "The request contradicts itself or the protocol.";
    UnsupportedForMessageFormat 43 "UNSUPPORTED_FOR_MESSAGE_FORMAT" final "The message format cannot serve this request.";
    PolicyViolation 44 "POLICY_VIOLATION" final "The request breaks a policy.";
    OutOfOrderSequenceNumber 45 "OUT_OF_ORDER_SEQUENCE_NUMBER" final "The producer's sequence has a gap.";
    DuplicateSequenceNumber 46 "DUPLICATE_SEQUENCE_NUMBER" final "The producer's sequence number was used before.";
    InvalidProducerEpoch 47 "INVALID_PRODUCER_EPOCH" final "The producer's epoch is old.";
    InvalidTxnState 48 "INVALID_TXN_STATE" final "The transaction is not in a state that allows this.";
    InvalidProducerIdMapping 49 "INVALID_PRODUCER_ID_MAPPING" final "The producer id is not that of the transactional id.";
    InvalidTransactionTimeout 50 "INVALID_TRANSACTION_TIMEOUT" final "The transaction timeout is longer than the broker allows.";
    ConcurrentTransactions 51 "CONCURRENT_TRANSACTIONS" retry "Another operation on the transaction is under way.";
    TransactionCoordinatorFenced 52 "TRANSACTION_COORDINATOR_FENCED" final "The transaction coordinator has been replaced.";
    TransactionalIdAuthorizationFailed 53 "TRANSACTIONAL_ID_AUTHORIZATION_FAILED" final "Not allowed on this transactional id.";
    SecurityDisabled 54 "SECURITY_DISABLED" final "Security is not switched on.";
    OperationNotAttempted 55 "OPERATION_NOT_ATTEMPTED" final "Not attempted, because another part of the request failed.";
    KafkaStorageError 56 "KAFKA_STORAGE_ERROR" retry "The broker cannot write to or read from its disk.";
    LogDirNotFound 57 "LOG_DIR_NOT_FOUND" final "The broker has no such data directory.";
    SaslAuthenticationFailed 58 "SASL_AUTHENTICATION_FAILED" final "Authentication failed.";
    UnknownProducerId 59 "UNKNOWN_PRODUCER_ID" final "The broker has forgotten this producer.";
    ReassignmentInProgress 60 "REASSIGNMENT_IN_PROGRESS" final "The partition is being moved.";
    DelegationTokenAuthDisabled 61 "DELEGATION_TOKEN_AUTH_DISABLED" final "Delegation tokens are not switched on.";
    DelegationTokenNotFound 62 "DELEGATION_TOKEN_NOT_FOUND" final "The delegation token is not known.";
    DelegationTokenOwnerMismatch 63 "DELEGATION_TOKEN_OWNER_MISMATCH" final "The delegation token belongs to someone else.";
    DelegationTokenRequestNotAllowed 64 "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED" final "Delegation tokens cannot be had over this channel.";
    DelegationTokenAuthorizationFailed 65 "DELEGATION_TOKEN_AUTHORIZATION_FAILED" final "Not allowed on this delegation token.";
    DelegationTokenExpired 66 "DELEGATION_TOKEN_EXPIRED" final "The delegation token has expired.";
    InvalidPrincipalType 67 "INVALID_PRINCIPAL_TYPE" final "The type of principal is not supported.";
    NonEmptyGroup 68 "NON_EMPTY_GROUP" final "The group has members.";
    GroupIdNotFound 69 "GROUP_ID_NOT_FOUND" final "There is no such group.";
    FetchSessionIdNotFound 70 "FETCH_SESSION_ID_NOT_FOUND" retry "There is no such fetch session.";
    InvalidFetchSessionEpoch 71 "INVALID_FETCH_SESSION_EPOCH" retry "The fetch session is at another epoch.";
    ListenerNotFound 72 "LISTENER_NOT_FOUND" retry "The leader has no listener of this name.";
    TopicDeletionDisabled 73 "TOPIC_DELETION_DISABLED" final "Deleting topics is switched off.";
    FencedLeaderEpoch 74 "FENCED_LEADER_EPOCH" retry "The leader epoch in the request is older than the broker's.";
    UnknownLeaderEpoch 75 "UNKNOWN_LEADER_EPOCH" retry "The leader epoch in the request is newer than the broker's.";
    UnsupportedCompressionType 76 "UNSUPPORTED_COMPRESSION_TYPE" final "This version of the API does not allow the compression used.";
    StaleBrokerEpoch 77 "STALE_BROKER_EPOCH" final "The broker's epoch has changed.";
    OffsetNotAvailable 78 "OFFSET_NOT_AVAILABLE" retry "The new leader's high watermark has not caught up yet.";
    MemberIdRequired 79 "MEMBER_ID_REQUIRED" final "The member must join again with the id it was given.";
    PreferredLeaderNotAvailable 80 "PREFERRED_LEADER_NOT_AVAILABLE" retry "The preferred leader is not available.";
    GroupMaxSizeReached 81 "GROUP_MAX_SIZE_REACHED" final "The group is full.";
    FencedInstanceId 82 "FENCED_INSTANCE_ID" final "Another member has taken over this static membership.";
    EligibleLeadersNotAvailable 83 "ELIGIBLE_LEADERS_NOT_AVAILABLE" retry "No replica that may lead is available.";
    ElectionNotNeeded 84 "ELECTION_NOT_NEEDED" retry "The partition already has the right leader.";
    NoReassignmentInProgress 85 "NO_REASSIGNMENT_IN_PROGRESS" final "The partition is not being moved.";
    GroupSubscribedToTopic 86 "GROUP_SUBSCRIBED_TO_TOPIC" final "The group is still subscribed to the topic.";
    InvalidRecord 87 "INVALID_RECORD" final "A record breaks a rule of the topic or of the protocol.";
    UnstableOffsetCommit 88 "UNSTABLE_OFFSET_COMMIT" retry "Some offsets belong to a transaction that is still open.";
    ThrottlingQuotaExceeded 89 "THROTTLING_QUOTA_EXCEEDED" retry "The quota is used up for now.";
    ProducerFenced 90 "PRODUCER_FENCED" final "A newer producer has taken over the transactional id.";
    ResourceNotFound 91 "RESOURCE_NOT_FOUND" final "The request names something that does not exist.";
    DuplicateResource 92 "DUPLICATE_RESOURCE" final "The request names the same thing twice.";
    UnacceptableCredential 93 "UNACCEPTABLE_CREDENTIAL" final "The credential does not meet the rules.";
    InconsistentVoterSet 94 "INCONSISTENT_VOTER_SET" final "The sender or receiver is not among the voters.";
    InvalidUpdateVersion 95 "INVALID_UPDATE_VERSION" final "The version of the update is not valid.";
    FeatureUpdateFailed 96 "FEATURE_UPDATE_FAILED" final "The features could not be updated.";
    PrincipalDeserializationFailure 97 "PRINCIPAL_DESERIALIZATION_FAILURE" final "The principal of a forwarded request cannot be read.";
    SnapshotNotFound 98 "SNAPSHOT_NOT_FOUND" final "There is no such snapshot.";
    PositionOutOfRange 99 "POSITION_OUT_OF_RANGE" final "The position is outside the snapshot.";
    UnknownTopicId 100 "UNKNOWN_TOPIC_ID" retry "This broker has no topic of this id.";
    DuplicateBrokerRegistration 101 "DUPLICATE_BROKER_REGISTRATION" final "The broker's id is in use.";
    BrokerIdNotRegistered 102 "BROKER_ID_NOT_REGISTERED" final "The broker's id is not registered.";
    InconsistentTopicId 103 "INCONSISTENT_TOPIC_ID" retry "The log belongs to a topic of another id.";
    InconsistentClusterId 104 "INCONSISTENT_CLUSTER_ID" final "The request is meant for another cluster.";
    TransactionalIdNotFound 105 "TRANSACTIONAL_ID_NOT_FOUND" final "There is no such transactional id.";
    FetchSessionTopicIdError 106 "FETCH_SESSION_TOPIC_ID_ERROR" retry "The fetch session mixes topic ids and names.";
    IneligibleReplica 107 "INELIGIBLE_REPLICA" final "The new ISR holds a replica that may not be in it.";
    NewLeaderElected 108 "NEW_LEADER_ELECTED" final "The partition was changed, and has a new leader.";
    OffsetMovedToTieredStorage 109 "OFFSET_MOVED_TO_TIERED_STORAGE" final "The offset has been moved to tiered storage.";
    FencedMemberEpoch 110 "FENCED_MEMBER_EPOCH" final "The member's epoch is fenced; it must rejoin.";
    UnreleasedInstanceId 111 "UNRELEASED_INSTANCE_ID" final "Another member still holds this static membership.";
    UnsupportedAssignor 112 "UNSUPPORTED_ASSIGNOR" final "The group does not support this assignor.";
    StaleMemberEpoch 113 "STALE_MEMBER_EPOCH" final "The member's epoch is old; it must heartbeat and retry.";
    MismatchedEndpointType 114 "MISMATCHED_ENDPOINT_TYPE" final "The request was sent to the wrong type of endpoint.";
    UnsupportedEndpointType 115 "UNSUPPORTED_ENDPOINT_TYPE" final "This type of endpoint is not supported.";
    UnknownControllerId 116 "UNKNOWN_CONTROLLER_ID" final "There is no such controller.";
    UnknownSubscriptionId 117 "UNKNOWN_SUBSCRIPTION_ID" final "The telemetry subscription is not known.";
    TelemetryTooLarge 118 "TELEMETRY_TOO_LARGE" final "The telemetry is too large.";
    InvalidRegistration 119 "INVALID_REGISTRATION" final "The broker's registration is not valid.";
    TransactionAbortable 120 "TRANSACTION_ABORTABLE" final "The transaction failed; the client may abort it and go on.";
    InvalidRecordState 121 "INVALID_RECORD_STATE" final "The record is not in a state that can be acknowledged.";
    ShareSessionNotFound 122 "SHARE_SESSION_NOT_FOUND" retry "There is no such share session.";
    InvalidShareSessionEpoch 123 "INVALID_SHARE_SESSION_EPOCH" retry "The share session is at another epoch.";
    FencedStateEpoch 124 "FENCED_STATE_EPOCH" final "The share group's state is at another epoch.";
    InvalidVoterKey 125 "INVALID_VOTER_KEY" final "The voter's key is not the replica's.";
    DuplicateVoter 126 "DUPLICATE_VOTER" final "The voter is already one.";
    VoterNotFound 127 "VOTER_NOT_FOUND" final "The voter is none.";
    InvalidRegularExpression 128 "INVALID_REGULAR_EXPRESSION" final "The regular expression is not valid.";
    RebootstrapRequired 129 "REBOOTSTRAP_REQUIRED" final "The client must bootstrap again.";
}

impl ErrorCode {
    /// The number as the wire has it.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// True if it is an error.
    pub const fn is_error(self) -> bool {
        !matches!(self, Self::None)
    }
}

impl From<ErrorCode> for i16 {
    fn from(error: ErrorCode) -> i16 {
        error.code()
    }
}

/// Kafka's name of the error.
impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::ResponseError;

    use super::*;

    /// "NotLeaderOrFollower" becomes "NOT_LEADER_OR_FOLLOWER".
    fn shouted(name: &str) -> String {
        let mut shouted = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !shouted.is_empty() {
                shouted.push('_');
            }
            shouted.extend(letter.to_uppercase());
        }
        shouted
    }

    #[test]
    fn names_and_numbers_are_those_of_kafka() {
        for (index, error) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(usize::try_from(error.code() + 1).unwrap(), index);
            assert_eq!(ErrorCode::from_code(error.code()), Some(*error));
            assert_eq!(shouted(&format!("{error:?}")), error.to_string());
            assert!(error.message().ends_with('.'));
            if let Some(theirs) = ResponseError::try_from_code(error.code()) {
                assert_eq!(format!("{theirs:?}"), format!("{error:?}"));
                // The crate has error 51 as final; Kafka's own client retries it.
                if *error != ErrorCode::ConcurrentTransactions {
                    assert_eq!(theirs.is_retriable(), error.retriable(), "{error}");
                }
            }
        }
        assert_eq!(ErrorCode::from_code(4321), None);
    }
}
