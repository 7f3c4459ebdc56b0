use std::time::Duration;

use forebay_records::BatchError;
use forebay_wire::kafka::ErrorCode;

/// What went wrong, by what the caller can do about it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// No connection could be made, or it broke. Whether a request that was under way took effect is unknown.
    /// Try again; if it stays so, the address is wrong or nothing listens there.
    #[error("cannot reach {addr}: {reason}")]
    Unreachable {
        /// `HOST:PORT`.
        addr: String,
        /// What the operating system said.
        reason: String,
    },
    /// Connected, but no answer in time. Whether the request took effect is unknown. Try again with more patience.
    #[error("{addr} did not answer within {} ms", waited.as_millis())]
    Timeout {
        /// `HOST:PORT`.
        addr: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The server understood and said no. Its code says whether trying again can help.
    #[error("{what}: {}", sentence(*code, message.as_deref()))]
    Refused {
        /// What was asked, in words.
        what: String,
        /// Kafka's error code.
        code: ErrorCode,
        /// The server's own sentence, where it sent one.
        message: Option<String>,
    },
    /// The server does not speak a version we speak, or its answer makes no sense. Trying again does not help.
    #[error("{addr} does not speak the expected protocol: {reason}")]
    Protocol {
        /// `HOST:PORT`.
        addr: String,
        /// What is wrong.
        reason: String,
    },
    /// Records came back damaged. The bytes on the way or on the server's disk are bad.
    #[error("{topic}-{partition}: the batch at offset {offset} is damaged: {reason}")]
    Damaged {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Base offset of the damaged batch, or the offset asked for if it cannot be read.
        offset: i64,
        /// What is wrong with it.
        reason: BatchError,
    },
    /// The caller's own input cannot be sent: correct it.
    #[error("{0}")]
    Invalid(String),
}

fn sentence(code: ErrorCode, message: Option<&str>) -> String {
    match message {
        Some(message) if !message.is_empty() => format!("{message} ({})", code.name()),
        Some(_) | None => format!("{} ({})", code.message().trim_end_matches('.'), code.name()),
    }
}

impl ClientError {
    /// True if the same call may succeed later, after a look at fresh metadata.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } => true,
            Self::Refused { code, .. } => code.retriable(),
            Self::Protocol { .. } | Self::Damaged { .. } | Self::Invalid(_) => false,
        }
    }

    /// The server's code, if it answered with one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Protocol { .. }
            | Self::Damaged { .. }
            | Self::Invalid(_) => None,
        }
    }

    /// `Ok` for code 0, else the refusal of `what`.
    pub(crate) fn check(
        code: i16,
        what: impl FnOnce() -> String,
        message: Option<impl AsRef<str>>,
    ) -> Result<(), ClientError> {
        let message = message.map(|text| text.as_ref().to_owned());
        match ErrorCode::from_code(code) {
            Some(ErrorCode::None) => Ok(()),
            Some(code) => Err(Self::Refused { what: what(), code, message }),
            None => {
                let message = Some(message.unwrap_or_else(|| format!("unknown error code {code}")));
                Err(Self::Refused { what: what(), code: ErrorCode::UnknownServerError, message })
            }
        }
    }

    /// [`ClientError::check`] for answers that carry no sentence.
    pub fn check_code(code: i16, what: impl FnOnce() -> String) -> Result<(), ClientError> {
        Self::check(code, what, None::<&str>)
    }
}
