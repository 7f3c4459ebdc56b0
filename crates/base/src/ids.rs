use std::fmt;
use std::str::FromStr;

/// A 128-bit random id. Written as Kafka writes its UUIDs: 22 characters of unpadded URL-safe base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id128(pub [u8; 16]);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Id128 {
    /// The reserved id that means "none" on the wire.
    pub const ZERO: Id128 = Id128([0; 16]);

    /// True for the reserved id that means "none".
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl fmt::Display for Id128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(22);
        for chunk in self.0.chunks(3) {
            let word = chunk.iter().fold(0u32, |word, byte| (word << 8) | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            for position in 0..=chunk.len() {
                let sextet = (word >> (18 - 6 * position)) & 63;
                text.push(char::from(ALPHABET[sextet as usize]));
            }
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for Id128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an id: it must be 22 characters of URL-safe base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 22 characters of A-Z a-z 0-9 - _")]
pub struct ParseIdError;

impl FromStr for Id128 {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        if text.len() != 22 {
            return Err(ParseIdError);
        }
        let (mut bytes, mut filled, mut word, mut bits) = ([0u8; 16], 0, 0u32, 0u32);
        for character in text.bytes() {
            let sextet = ALPHABET.iter().position(|known| *known == character).ok_or(ParseIdError)?;
            word = (word << 6) | sextet as u32;
            bits += 6;
            if bits >= 8 && filled < 16 {
                bits -= 8;
                bytes[filled] = (word >> bits) as u8;
                filled += 1;
            }
        }
        if word & ((1 << bits) - 1) == 0 { Ok(Self(bytes)) } else { Err(ParseIdError) }
    }
}

macro_rules! id128 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub Id128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.parse().map(Self)
            }
        }
    };
}

id128!(
    /// Identity of a topic. A topic that is deleted and made again under the same name has a new one (KIP-516).
    TopicId
);
id128!(
    /// Identity of one data directory, drawn when the directory is formatted (KIP-858).
    DirectoryId
);
id128!(
    /// Identity of the cluster, drawn when its first node is formatted.
    ClusterId
);

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// A node of the cluster; Kafka's broker id. Never negative for a real node.
    NodeId(i32)
);
number!(
    /// Position of a record in its partition, counted from 0 without gaps by the leader.
    Offset(i64)
);
number!(
    /// Raised by one on every change of a partition's leader. -1 where Kafka's protocol means "unknown".
    LeaderEpoch(i32)
);
number!(
    /// Raised on every registration of a node: the metadata index of its registration record (KIP-903, rule R1).
    BrokerEpoch(i64)
);
number!(
    /// An idempotent producer's identity (KIP-98). -1 means "none".
    ProducerId(i64)
);

impl Offset {
    /// The offset `records` further on; saturates at the end of the number range.
    pub fn plus(self, records: i64) -> Offset {
        Offset(self.0.saturating_add(records))
    }
}

/// One partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PartitionId {
    /// The topic.
    pub topic: TopicId,
    /// Index of the partition in the topic, from 0.
    pub index: i32,
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}

impl FromStr for PartitionId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let (topic, rest) = text.split_at_checked(22).ok_or(ParseIdError)?;
        let index = rest.strip_prefix('-').and_then(|digits| digits.parse().ok()).ok_or(ParseIdError)?;
        if index < 0 {
            return Err(ParseIdError);
        }
        Ok(Self { topic: topic.parse()?, index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_kafka_writes_them() {
        let id = Id128([
            0x69, 0x91, 0x10, 0x0d, 0, 0x51, 0x4a, 0x30, 0x9d, 0x32, 0x69, 0xc4, 0xd4, 0xa6, 0xb0, 0xff,
        ]);
        let text = id.to_string();
        assert_eq!(text, "aZEQDQBRSjCdMmnE1Kaw_w");
        assert_eq!(text.parse(), Ok(id));
        assert!("aZEQDQBRSjCdMmnE1Kaw_".parse::<Id128>().is_err());
        assert!("aZEQDQBRSjCdMmnE1Kaw_x".parse::<Id128>().is_err());
    }

    #[test]
    fn partition_ids_survive_their_text_form() {
        let id = PartitionId { topic: TopicId(Id128([7; 16])), index: 12 };
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("short-1".parse::<PartitionId>().is_err());
        assert!(format!("{}--1", id.topic).parse::<PartitionId>().is_err());
    }
}
