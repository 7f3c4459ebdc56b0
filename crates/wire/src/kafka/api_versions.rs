//! ApiVersions, key 18, versions 0 to 4: what the broker speaks. The first request of every connection.
//!
//! 1 throttle time · 3 flexible, name and version of the client (KIP-511), features (KIP-584) · 4 features whose
//! lowest level is 0. Always answered with response header 0; a version that is not served is answered in version 0
//! with error 35 and the range of this API.

use crate::Text;

messages! {
    /// Asks what the broker speaks.
    request ApiVersionsRequest: ApiVersions => ApiVersionsResponse {
        /// Name of the client's software.
        client_software_name: Text [3..];
        /// Version of the client's software.
        client_software_version: Text [3..];
    }

    /// Says what the broker speaks.
    response ApiVersionsResponse: ApiVersions {
        /// What went wrong, or 0.
        error_code: i16 [..];
        /// The APIs.
        api_keys: Vec<ApiVersion> [..];
        /// How long the client is throttled, in milliseconds.
        throttle_time_ms: i32 [1..];
        /// Features the broker could run.
        supported_features: Vec<SupportedFeatureKey> [3..] tag 0;
        /// Epoch of `finalized_features`, or -1 if it is not known.
        finalized_features_epoch: i64 [3..] tag 1 = -1;
        /// Features the cluster runs.
        finalized_features: Vec<FinalizedFeatureKey> [3..] tag 2;
        /// Whether a controller is ready to take over from ZooKeeper.
        zk_migration_ready: bool [3..] tag 3;
    }

    /// An API.
    part ApiVersion {
        /// Its key.
        api_key: i16 [..];
        /// The first version.
        min_version: i16 [..];
        /// The last version.
        max_version: i16 [..];
    }

    /// A feature the broker could run.
    part SupportedFeatureKey {
        /// Its name.
        name: Text [3..];
        /// The lowest level.
        min_version: i16 [3..];
        /// The highest level.
        max_version: i16 [3..];
    }

    /// A feature the cluster runs.
    part FinalizedFeatureKey {
        /// Its name.
        name: Text [3..];
        /// The highest level in use.
        max_version_level: i16 [3..];
        /// The lowest level in use.
        min_version_level: i16 [3..];
    }
}
