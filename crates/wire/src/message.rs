use std::fmt;
use std::ops::RangeInclusive;

use crate::kafka::ApiKey;
use crate::{DecodeError, Decoder, EncodeError, Encoder, Field, Form};

/// A request or a response of one API, in every version served.
pub trait Message: Field + Default + Clone + PartialEq + fmt::Debug {
    /// Which API it belongs to.
    const API: ApiKey;

    /// The versions it can be written and read in: what [`crate::kafka::api`] says is served.
    const VERSIONS: RangeInclusive<i16> = Self::API.served();

    /// The first flexible version (KIP-482).
    const FLEXIBLE: i16 = Self::API.flexible_from();

    /// Writes the body. A response field that the version does not have is left out, as the reader could not know
    /// it; a request field whose loss would change what is asked is refused instead.
    fn encode(&self, version: i16, encoder: &mut Encoder) -> Result<(), EncodeError> {
        match Self::form(version) {
            Some(form) => self.write(encoder, form),
            None => Err(EncodeError::Version { api: Self::API, version }),
        }
    }

    /// Reads the body, which must end where the bytes do. Fields that the version does not have get their
    /// default; unknown tagged fields are skipped.
    fn decode(decoder: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        let form = Self::form(version).ok_or(DecodeError::Version { api: Self::API, version })?;
        let message = Self::read(decoder, form)?;
        decoder.finish()?;
        Ok(message)
    }

    /// The form of `version`, if it is served.
    fn form(version: i16) -> Option<Form> {
        Self::VERSIONS.contains(&version).then_some(Form { version, flexible: version >= Self::FLEXIBLE })
    }
}

/// A message that is answered by another.
pub trait Request: Message {
    /// What answers it.
    type Response: Message;
}
