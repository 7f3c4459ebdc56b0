use forebay_base::Short;

use crate::kafka::ApiKey;

/// Why bytes are not the message they should be. The connection they came from cannot be trusted to be in step
/// any more and is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a field, or a length claims more than remains.
    #[error("the message ends before its last field does")]
    Short,
    /// A count or length below -1, the null of Kafka.
    #[error("a count or length is {0}")]
    Negative(i64),
    /// More elements than the bytes that remain can hold. Nothing was allocated for them.
    #[error("{count} elements do not fit in the {remaining} bytes that remain")]
    Count {
        /// Elements claimed.
        count: u64,
        /// Bytes that remain in the message.
        remaining: usize,
    },
    /// The elements are so small on the wire, and so many, that holding them decoded is out of proportion to the
    /// message. Nothing was allocated for the ones that broke the bound.
    #[error("the decoded elements would take {0} bytes more than a message of this size may")]
    Memory(usize),
    /// Null where the version of the message has no null.
    #[error("null in a field that cannot be null")]
    Null,
    /// A string is not UTF-8.
    #[error("a string is not valid UTF-8")]
    Text,
    /// Bytes follow the last field.
    #[error("{0} bytes follow the last field")]
    Trailing(usize),
    /// The version has no declaration here.
    #[error("{} version {version} is not served", .api.name())]
    Version {
        /// The API.
        api: ApiKey,
        /// The version asked for.
        version: i16,
    },
    /// A frame's length prefix is negative or above the limit.
    #[error("a frame of {len} bytes is outside 0..={max}")]
    Frame {
        /// The length claimed.
        len: i32,
        /// The largest length accepted.
        max: usize,
    },
}

impl From<Short> for DecodeError {
    fn from(_: Short) -> Self {
        Self::Short
    }
}

/// Why a message cannot be written in the version asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A string, array or frame is longer than its length field can say.
    #[error("{0} bytes or elements are more than the length field can say")]
    TooLong(u64),
    /// Null where the version of the message has no null.
    #[error("field {0} cannot be null in this version")]
    Null(&'static str),
    /// The field carries meaning that this version cannot say, and leaving it out would change what is asked.
    #[error("version {version} cannot say {field}")]
    NotInVersion {
        /// Name of the field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// The version has no declaration here.
    #[error("{} version {version} is not served", .api.name())]
    Version {
        /// The API.
        api: ApiKey,
        /// The version asked for.
        version: i16,
    },
}
