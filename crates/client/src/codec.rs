use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Bytes;
use forebay_base::Piece;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use forebay_wire::{Message, Request, Text, frame};
use tokio::time::timeout;

use crate::connection::Connection;
use crate::{ClientConfig, ClientError};

/// The version asked in first; a server that does not speak it answers in version 0 with the ones it does (KIP-511).
const API_VERSIONS_VERSION: i16 = 3;

/// The versions that a server speaks, by API key.
pub(crate) type Versions = BTreeMap<i16, RangeInclusive<i16>>;

pub(crate) fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation: i32,
    client_id: &str,
) -> Result<Vec<Piece>, ClientError> {
    frame::request(correlation, Some(client_id), version, request)
        .map_err(|error| ClientError::Invalid(format!("a {} request cannot be sent: {error}", R::API.name())))
}

pub(crate) fn decode_response<M: Message>(body: Bytes, version: i16, addr: &str) -> Result<M, ClientError> {
    match frame::open_response::<M>(body, version) {
        Ok((_, response)) => Ok(response),
        Err(error) => Err(ClientError::Protocol {
            addr: addr.to_owned(),
            reason: format!("its answer to {} version {version} cannot be read: {error}", M::API.name()),
        }),
    }
}

/// Asks a new connection's server which versions it speaks.
pub(crate) async fn negotiate(
    connection: &Connection,
    config: &ClientConfig,
) -> Result<Versions, ClientError> {
    let patience = config.request_timeout;
    let asked = timeout(patience, ask(connection)).await;
    let response = asked
        .map_err(|_| ClientError::Timeout { addr: connection.addr().to_owned(), waited: patience })??;
    ClientError::check_code(response.error_code, || "ApiVersions".to_owned())?;
    let ranges = response.api_keys.into_iter().map(|api| (api.api_key, api.min_version..=api.max_version));
    Ok(ranges.collect())
}

async fn ask(connection: &Connection) -> Result<ApiVersionsResponse, ClientError> {
    let request = ApiVersionsRequest {
        client_software_name: Text::from_static("forebay"),
        client_software_version: Text::from_static(env!("CARGO_PKG_VERSION")),
    };
    let body = connection.send(&request, API_VERSIONS_VERSION).await?.body().await?;
    // The code comes first, after the correlation id, in every version.
    let code = body.get(4..6).and_then(|raw| raw.try_into().ok()).map(i16::from_be_bytes);
    if code == Some(ErrorCode::UnsupportedVersion.code()) {
        return connection.send(&ApiVersionsRequest::default(), 0).await?.wait::<ApiVersionsRequest>().await;
    }
    decode_response(body, API_VERSIONS_VERSION, connection.addr())
}
