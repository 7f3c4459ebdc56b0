//! Whole frames: a message with its header and the 4-byte length before them.

use bytes::Bytes;
use forebay_base::Piece;

use crate::kafka::header::{RequestHeader, ResponseHeader};
use crate::{DecodeError, Decoder, EncodeError, Encoder, Message, Request, Text};

/// Bytes of the length prefix.
pub const PREFIX_LEN: usize = 4;

/// The length of the frame that follows `prefix`, if it is in `0..=max`. Nothing should be allocated on its word
/// beyond what is known to be affordable.
pub fn len(prefix: [u8; PREFIX_LEN], max: usize) -> Result<usize, DecodeError> {
    let len = i32::from_be_bytes(prefix);
    usize::try_from(len).ok().filter(|len| *len <= max).ok_or(DecodeError::Frame { len, max })
}

/// A request of `version`, ready to be sent.
pub fn request<R: Request>(
    correlation_id: i32,
    client_id: Option<&str>,
    version: i16,
    request: &R,
) -> Result<Vec<Piece>, EncodeError> {
    let header = RequestHeader {
        request_api_key: R::API.code(),
        request_api_version: version,
        correlation_id,
        client_id: client_id.map(Text::from),
    };
    sealed(|encoder| {
        header.encode(encoder)?;
        request.encode(version, encoder)
    })
}

/// A response in `version`, ready to be sent.
pub fn response<M: Message>(
    correlation_id: i32,
    version: i16,
    response: &M,
) -> Result<Vec<Piece>, EncodeError> {
    sealed(|encoder| {
        ResponseHeader { correlation_id }.encode(encoder, M::API, version);
        response.encode(version, encoder)
    })
}

/// Reads a response in `version` from a frame without its length prefix: its correlation id and its body.
pub fn open_response<M: Message>(frame: Bytes, version: i16) -> Result<(i32, M), DecodeError> {
    let mut decoder = Decoder::new(frame);
    let header = ResponseHeader::decode(&mut decoder, M::API, version)?;
    Ok((header.correlation_id, M::decode(&mut decoder, version)?))
}

/// What `write` writes, behind its length.
fn sealed(write: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>) -> Result<Vec<Piece>, EncodeError> {
    let mut encoder = Encoder::new();
    encoder.i32(0);
    write(&mut encoder)?;
    let len = encoder.len() - PREFIX_LEN as u64;
    let prefix = i32::try_from(len).map_err(|_| EncodeError::TooLong(len))?;
    encoder.patch(0, &prefix.to_be_bytes());
    Ok(encoder.into_pieces())
}
