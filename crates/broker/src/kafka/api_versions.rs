//! ApiVersions 0-4: the table of what is served. The first request of every connection; a version that is not known
//! is answered in version 0 with the range that is, so that the client can ask again (KIP-511).

use forebay_wire::kafka::api::{Api, SERVED};
use forebay_wire::kafka::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use forebay_wire::kafka::{ApiKey, ErrorCode};

use super::call::Call;

pub(super) fn answer(call: &Call, request: &ApiVersionsRequest) -> ApiVersionsResponse {
    if call.version >= 3 {
        if !is_software_word(&request.client_software_name)
            || !is_software_word(&request.client_software_version)
        {
            return ApiVersionsResponse {
                error_code: ErrorCode::InvalidRequest.code(),
                ..Default::default()
            };
        }
        let (name, version) = (&request.client_software_name, &request.client_software_version);
        call.session.name_software(&call.node.metrics, name, version);
    }
    ApiVersionsResponse { api_keys: SERVED.iter().map(range).collect(), ..Default::default() }
}

/// The answer to a version that is not served; to be encoded in version 0.
pub(super) fn unsupported() -> ApiVersionsResponse {
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: SERVED.iter().filter(|api| api.key == ApiKey::ApiVersions).map(range).collect(),
        ..Default::default()
    }
}

fn range(api: &Api) -> ApiVersion {
    ApiVersion {
        api_key: api.key.code(),
        min_version: *api.advertised.start(),
        max_version: *api.advertised.end(),
    }
}

/// KIP-511: letters, digits, dots and dashes, with one of the first two at both ends.
fn is_software_word(word: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'.' || *byte == b'-';
    let bytes = word.as_bytes();
    ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_are_checked_as_kafka_checks_them() {
        for word in ["librdkafka", "confluent-kafka-python", "2.16.1-rdkafka-2.16.0", "a"] {
            assert!(is_software_word(word), "{word}");
        }
        for word in ["", "-a", "a.", "a b", "ü"] {
            assert!(!is_software_word(word), "{word}");
        }
    }
}
