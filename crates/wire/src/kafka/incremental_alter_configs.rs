//! IncrementalAlterConfigs, key 44, versions 0 and 1: changes to single settings (KIP-339).
//!
//! 1 flexible.

use crate::Text;

messages! {
    /// Asks to change settings.
    request IncrementalAlterConfigsRequest: IncrementalAlterConfigs => IncrementalAlterConfigsResponse {
        /// Of what.
        resources: Vec<AlterConfigsResource> [..];
        /// Only say whether it would work.
        validate_only: bool [..];
    }

    /// Changes to one topic or broker: all of them or none.
    part AlterConfigsResource {
        /// 2 topic, 4 broker, 8 broker logger.
        resource_type: i8 [..];
        /// Name of the topic or number of the broker.
        resource_name: Text [..];
        /// The changes.
        configs: Vec<AlterableConfig> [..];
    }

    /// A change to one setting.
    part AlterableConfig {
        /// Name of the setting.
        name: Text [..];
        /// 0 set, 1 delete, 2 append to a list, 3 subtract from a list.
        config_operation: i8 [..];
        /// The value set, appended or subtracted.
        value: Option<Text> [..];
    }

    /// Says what was changed.
    response IncrementalAlterConfigsResponse: IncrementalAlterConfigs {
        /// How long the client is throttled, in milliseconds.
        throttle_time_ms: i32 [..];
        /// The answers, by resource.
        responses: Vec<AlterConfigsResourceResponse> [..];
    }

    /// The answer for one resource.
    part AlterConfigsResourceResponse {
        /// What went wrong, or 0.
        error_code: i16 [..];
        /// Why.
        error_message: Option<Text> [..];
        /// 2 topic, 4 broker, 8 broker logger.
        resource_type: i8 [..];
        /// Name of the topic or number of the broker.
        resource_name: Text [..];
    }
}
