//! What comes before the body of a request and of a response.

use bytes::Bytes;

use crate::codec::Tags;
use crate::kafka::ApiKey;
use crate::{DecodeError, Decoder, EncodeError, Encoder, Field, Form, Text};

/// Header of a request, version 1 or 2. Version 0 had no client id and went with ControlledShutdown 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestHeader {
    /// What is asked for; see [`ApiKey::from_code`].
    pub request_api_key: i16,
    /// In which version of it.
    pub request_api_version: i16,
    /// Chosen by the client, returned in the response.
    pub correlation_id: i32,
    /// Name the client gives itself, for logs, metrics and quotas.
    pub client_id: Option<Text>,
}

/// The client id keeps its old form in a flexible header too, so that a broker can read it from a request of any
/// version it has never heard of (KIP-511).
const CLIENT_ID: Form = Form { version: 1, flexible: false };

impl RequestHeader {
    /// Reads a header, and leaves `decoder` at the body. Of an API or version that is not served, the header's
    /// version is not known for certain, and neither is where the body starts.
    pub fn decode(decoder: &mut Decoder) -> Result<Self, DecodeError> {
        let header = Self::begin(decoder)?;
        header.finish(decoder)?;
        Ok(header)
    }

    /// Reads the fields that every request has, whatever its API and version.
    pub fn begin(decoder: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self {
            request_api_key: decoder.i16()?,
            request_api_version: decoder.i16()?,
            correlation_id: decoder.i32()?,
            client_id: Field::read(decoder, CLIENT_ID)?,
        })
    }

    /// Reads the rest of a header whose API and version are served, and leaves `decoder` at the body.
    pub fn finish(&self, decoder: &mut Decoder) -> Result<(), DecodeError> {
        if self.is_flexible() { decoder.tagged(|_, _| Ok(false)) } else { Ok(()) }
    }

    /// Writes the header in the version that goes with its API and version.
    pub fn encode(&self, encoder: &mut Encoder) -> Result<(), EncodeError> {
        encoder.i16(self.request_api_key);
        encoder.i16(self.request_api_version);
        encoder.i32(self.correlation_id);
        self.client_id.write(encoder, CLIENT_ID)?;
        if self.is_flexible() {
            Tags::default().finish(encoder);
        }
        Ok(())
    }

    /// The API, if Kafka has one with this key.
    pub fn api(&self) -> Option<ApiKey> {
        ApiKey::from_code(self.request_api_key)
    }

    /// True if the header is of version 2: it ends with tagged fields.
    pub fn is_flexible(&self) -> bool {
        self.api().is_some_and(|api| self.request_api_version >= api.flexible_from())
    }
}

/// Header of a response: version 0, or 1 that ends with tagged fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResponseHeader {
    /// That of the request.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// The correlation id, which comes first in any response. Nothing is consumed.
    pub fn peek(frame: &Bytes) -> Result<Self, DecodeError> {
        Ok(Self { correlation_id: Decoder::new(frame.clone()).i32()? })
    }

    /// Reads the header of an answer to `api` in `version`, and leaves `decoder` at the body.
    pub fn decode(decoder: &mut Decoder, api: ApiKey, version: i16) -> Result<Self, DecodeError> {
        let correlation_id = decoder.i32()?;
        if Self::is_flexible(api, version) {
            decoder.tagged(|_, _| Ok(false))?;
        }
        Ok(Self { correlation_id })
    }

    /// Writes the header of an answer to `api` in `version`.
    pub fn encode(self, encoder: &mut Encoder, api: ApiKey, version: i16) {
        encoder.i32(self.correlation_id);
        if Self::is_flexible(api, version) {
            Tags::default().finish(encoder);
        }
    }

    /// True if the header is of version 1. Never for ApiVersions: its client does not know yet which versions the
    /// broker speaks and must be able to read the answer whatever it asked (KIP-511).
    pub fn is_flexible(api: ApiKey, version: i16) -> bool {
        api != ApiKey::ApiVersions && version >= api.flexible_from()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(header: &RequestHeader) -> Bytes {
        let mut encoder = Encoder::new();
        header.encode(&mut encoder).unwrap();
        encoder.into_pieces()[0].read().unwrap()
    }

    #[test]
    fn the_beginning_of_any_request_can_be_read() {
        let begun = |frame: Bytes| RequestHeader::begin(&mut Decoder::new(frame));
        let mut header = RequestHeader {
            request_api_key: 999,
            request_api_version: 77,
            correlation_id: -5,
            client_id: Some("gauge".into()),
        };
        let mut frame = written(&header).to_vec();
        frame.extend([0xFF; 40]);
        assert_eq!(begun(frame.into()), Ok(header.clone()));
        header.client_id = None;
        assert_eq!(begun(written(&header)), Ok(header.clone()));
        assert_eq!(begun(written(&header).slice(..9)), Err(DecodeError::Short));
    }

    #[test]
    fn tagged_fields_come_with_flexible_versions_only() {
        let mut header = RequestHeader { request_api_version: 8, ..RequestHeader::default() };
        assert_eq!(written(&header).len(), 10);
        header.request_api_version = 9;
        assert_eq!(written(&header).len(), 11);
        // One tagged field that nobody knows.
        let mut frame = written(&header).to_vec();
        frame.pop();
        frame.extend([1, 42, 3, b'a', b'b', b'c', 0x77]);
        let mut decoder = Decoder::new(frame.into());
        assert_eq!(RequestHeader::decode(&mut decoder), Ok(header));
        assert_eq!(decoder.remaining(), 1);
    }

    #[test]
    fn api_versions_is_answered_with_header_0() {
        assert!(!ResponseHeader::is_flexible(ApiKey::ApiVersions, 4));
        assert!(!ResponseHeader::is_flexible(ApiKey::Fetch, 11));
        assert!(ResponseHeader::is_flexible(ApiKey::Fetch, 12));
        assert!(ResponseHeader::is_flexible(ApiKey::DescribeCluster, 0));
    }
}
