//! DescribeConfigs, key 32, versions 1 to 4: settings of topics and brokers.
//!
//! 1 source and synonyms · 3 type and documentation · 4 flexible.

use crate::Text;

messages! {
    /// Asks for settings.
    request DescribeConfigsRequest: DescribeConfigs => DescribeConfigsResponse {
        /// Of what.
        resources: Vec<DescribeConfigsResource> [..];
        /// Whether to list the places a value could come from.
        include_synonyms: bool [..];
        /// Whether to explain each setting.
        include_documentation: bool [3..] or refuse;
    }

    /// A topic or broker.
    part DescribeConfigsResource {
        /// 2 topic, 4 broker, 8 broker logger.
        resource_type: i8 [..];
        /// Name of the topic or number of the broker.
        resource_name: Text [..];
        /// Which settings; null means all.
        configuration_keys: Option<Vec<Text>> [..];
    }

    /// Brings settings.
    response DescribeConfigsResponse: DescribeConfigs {
        /// How long the client is throttled, in milliseconds.
        throttle_time_ms: i32 [..];
        /// The answers, by resource.
        results: Vec<DescribeConfigsResult> [..];
    }

    /// The answer for one resource.
    part DescribeConfigsResult {
        /// What went wrong, or 0.
        error_code: i16 [..];
        /// Why.
        error_message: Option<Text> [..];
        /// 2 topic, 4 broker, 8 broker logger.
        resource_type: i8 [..];
        /// Name of the topic or number of the broker.
        resource_name: Text [..];
        /// Its settings.
        configs: Vec<DescribeConfigsResourceResult> [..];
    }

    /// A setting.
    part DescribeConfigsResourceResult {
        /// Its name.
        name: Text [..];
        /// Its value.
        value: Option<Text> [..];
        /// True if it cannot be changed.
        read_only: bool [..];
        /// Where the value comes from: 1 topic, 2 dynamic broker, 3 dynamic default broker, 4 static broker,
        /// 5 default, 6 dynamic broker logger; -1 unknown.
        config_source: i8 [..] = -1;
        /// True if the value must not be shown.
        is_sensitive: bool [..];
        /// All places the value could come from, the one that counts first.
        synonyms: Vec<DescribeConfigsSynonym> [..];
        /// 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password; 0 unknown.
        config_type: i8 [3..];
        /// What it does.
        documentation: Option<Text> [3..];
    }

    /// A place a value could come from.
    part DescribeConfigsSynonym {
        /// Name of the setting there.
        name: Text [..];
        /// Its value there.
        value: Option<Text> [..];
        /// The place, as in `config_source`.
        source: i8 [..];
    }
}
