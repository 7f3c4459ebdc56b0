//! What each room's refusals are called on the wire: one table a room.

use forebay_controller::ProposeError;
use forebay_log::LogError;
use forebay_meta::Refusal;
use forebay_replica::Refused;
use forebay_wire::kafka::ErrorCode;

use crate::shared::{Shared, Unavailable};

/// An error as a client is told it.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) code: ErrorCode,
    /// A sentence for APIs that carry one.
    pub(crate) message: Option<String>,
    /// Records at fault by their index in the batch (KIP-467).
    pub(crate) records: Vec<(i32, String)>,
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None, records: Vec::new() }
    }
}

impl Failure {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()), records: Vec::new() }
    }

    /// A refusal for want of space, as the topic's `disk.full.error` wants it told; any other as it is.
    pub(crate) fn in_the_topics_way(mut self, refused: &Refused, fails_when_full: bool) -> Self {
        if fails_when_full && matches!(refused, Refused::OutOfSpace(_)) {
            self.code = ErrorCode::PolicyViolation;
        }
        self
    }

    /// The code for a Produce request of that version: `KAFKA_STORAGE_ERROR` was unknown before version 4.
    pub(crate) fn code_for_produce(&self, version: i16) -> ErrorCode {
        if self.code == ErrorCode::KafkaStorageError && version < 4 {
            ErrorCode::NotLeaderOrFollower
        } else {
            self.code
        }
    }
}

/// The code for a Fetch request of that version: `KAFKA_STORAGE_ERROR` was unknown before version 6.
pub(crate) fn code_for_fetch(code: ErrorCode, version: i16) -> ErrorCode {
    if code == ErrorCode::KafkaStorageError && version <= 5 { ErrorCode::NotLeaderOrFollower } else { code }
}

pub(crate) fn of_unavailable(unavailable: &Unavailable) -> Failure {
    match unavailable {
        Unavailable::Unknown => ErrorCode::UnknownTopicOrPartition.into(),
        Unavailable::NotLeader => ErrorCode::NotLeaderOrFollower.into(),
        Unavailable::Storage(reason) => Failure::new(ErrorCode::KafkaStorageError, &**reason),
    }
}

pub(crate) fn of_log_error(error: &LogError) -> ErrorCode {
    match error {
        LogError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        LogError::Corrupt { .. } => ErrorCode::CorruptMessage,
        LogError::Io { .. }
        | LogError::Poisoned { .. }
        | LogError::Misplaced { .. }
        | LogError::Newer { .. } => ErrorCode::KafkaStorageError,
    }
}

pub(crate) fn of_propose_error(error: &ProposeError) -> Failure {
    let code = match error {
        ProposeError::NotLeader { .. } => ErrorCode::NotController,
        ProposeError::Full { .. } | ProposeError::TooLarge { .. } => ErrorCode::PolicyViolation,
        ProposeError::Down { .. } => ErrorCode::KafkaStorageError,
        ProposeError::OutcomeUnknown | ProposeError::Stopped | ProposeError::Timeout { .. } => {
            ErrorCode::RequestTimedOut
        }
    };
    Failure::new(code, error.to_string())
}

/// No data directory takes new partitions, as `sentence` says; without a metadata log that is the lesser trouble.
pub(crate) fn of_no_place(node: &Shared, sentence: String) -> Failure {
    match node.outage() {
        Some(outage) => Failure::new(ErrorCode::KafkaStorageError, &*outage),
        None => Failure::new(ErrorCode::PolicyViolation, sentence),
    }
}

pub(crate) fn of_refused(refused: &Refused) -> Failure {
    let (code, records) = match refused {
        Refused::Corrupt(_) => (ErrorCode::CorruptMessage, None),
        Refused::TooLarge { .. } => (ErrorCode::MessageTooLarge, None),
        Refused::LargerThanSegment { .. } => (ErrorCode::RecordListTooLarge, None),
        Refused::InvalidRecord { errors, .. } => (ErrorCode::InvalidRecord, Some(errors)),
        Refused::InvalidTimestamp { errors, .. } => (ErrorCode::InvalidTimestamp, Some(errors)),
        Refused::UnsupportedCompression(_) => (ErrorCode::UnsupportedCompressionType, None),
        Refused::InvalidTransaction => (ErrorCode::InvalidTxnState, None),
        Refused::OutOfOrderSequence { .. } => (ErrorCode::OutOfOrderSequenceNumber, None),
        Refused::DuplicateSequence { .. } => (ErrorCode::DuplicateSequenceNumber, None),
        Refused::InvalidProducerEpoch { .. } => (ErrorCode::InvalidProducerEpoch, None),
        Refused::NotLeader => (ErrorCode::NotLeaderOrFollower, None),
        Refused::FencedEpoch { .. } => (ErrorCode::FencedLeaderEpoch, None),
        Refused::UnknownEpoch { .. } => (ErrorCode::UnknownLeaderEpoch, None),
        Refused::OffsetOutOfRange { .. } => (ErrorCode::OffsetOutOfRange, None),
        Refused::Storage(_) | Refused::OutOfSpace(_) => (ErrorCode::KafkaStorageError, None),
        // Nothing was appended; the client backs off and tries again.
        Refused::Busy => (ErrorCode::RequestTimedOut, None),
    };
    Failure { code, message: Some(refused.to_string()), records: records.cloned().unwrap_or_default() }
}

pub(crate) fn of_refusal(refusal: &Refusal) -> Failure {
    let code = match refusal {
        Refusal::TopicAlreadyExists(_) => ErrorCode::TopicAlreadyExists,
        Refusal::InvalidTopic(_) => ErrorCode::InvalidTopicException,
        Refusal::UnknownTopic(_) => ErrorCode::UnknownTopicOrPartition,
        Refusal::UnknownTopicId(_) => ErrorCode::UnknownTopicId,
        Refusal::InvalidPartitions(_) => ErrorCode::InvalidPartitions,
        Refusal::InvalidReplicationFactor(_) => ErrorCode::InvalidReplicationFactor,
        Refusal::InvalidReplicaAssignment(_) => ErrorCode::InvalidReplicaAssignment,
        Refusal::InvalidConfig(_) => ErrorCode::InvalidConfig,
        Refusal::InvalidRequest(_) => ErrorCode::InvalidRequest,
        Refusal::PolicyViolation(_) => ErrorCode::PolicyViolation,
        Refusal::StaleBrokerEpoch { .. } => ErrorCode::StaleBrokerEpoch,
        Refusal::BrokerNotRegistered(_) => ErrorCode::BrokerIdNotRegistered,
        Refusal::InconsistentCluster { .. } => ErrorCode::InconsistentClusterId,
        Refusal::UnsupportedFeature { .. } => ErrorCode::UnsupportedVersion,
        Refusal::NotFormatted => ErrorCode::CoordinatorNotAvailable,
    };
    Failure::new(code, refusal.to_string())
}

/// How each item of a request ended, in the order of the request: refused at the door, or decided by the metadata
/// quorum, which was asked about the others only.
pub(crate) fn outcomes<T>(
    refused: Vec<Option<Failure>>,
    decided: Result<Vec<Result<T, Refusal>>, Failure>,
) -> Vec<Result<T, Failure>> {
    let mut decided = decided.map(Vec::into_iter);
    let outcome = |refused| match (refused, &mut decided) {
        (Some(failure), _) => Err(failure),
        (None, Err(failure)) => Err(failure.clone()),
        (None, Ok(results)) => match results.next() {
            Some(result) => result.map_err(|refusal| of_refusal(&refusal)),
            None => Err(ErrorCode::UnknownServerError.into()),
        },
    };
    refused.into_iter().map(outcome).collect()
}

/// Kafka's "no error" for the item, or what went wrong with it.
pub(crate) fn failure_of<T>(outcome: Result<T, Failure>) -> Failure {
    outcome.err().unwrap_or_else(|| ErrorCode::None.into())
}
