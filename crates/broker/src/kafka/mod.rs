//! The Kafka door: listeners, connections, one handler per API.

mod api_versions;
mod auth;
mod budget;
mod call;
mod codes;
mod conn;
mod connections;
mod course;
mod create_partitions;
mod create_topics;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod dispatch;
mod fetch;
mod incremental_alter_configs;
mod init_producer_id;
mod list_offsets;
mod listen;
mod metadata;
mod nudges;
mod offset_for_leader_epoch;
mod produce;
mod producer_ids;
mod routes;
mod sending;
mod session;
mod slow;
mod stopping;

pub(crate) use budget::Budget;
pub(crate) use connections::Connections;
pub(crate) use fetch::{FetchSessionCounts, FetchSessions};
pub(crate) use listen::serve;
pub(crate) use producer_ids::ProducerIds;
pub(crate) use slow::SlowRequests;
