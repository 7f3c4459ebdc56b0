//! The messages of Kafka's protocol, one module per API. Names of structs and fields are those of Kafka's own
//! message definitions, in snake case.

pub mod api;
pub mod error_code;
pub mod header;

pub mod api_versions;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_log_dirs;
pub mod fetch;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod list_offsets;
pub mod metadata;
pub mod offset_for_leader_epoch;
pub mod produce;

pub use api::{Api, ApiKey};
pub use error_code::ErrorCode;
pub use header::RequestHeader;
