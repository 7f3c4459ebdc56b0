use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::LazyLock;

use forebay_base::{NodeId, limits};
use forebay_meta::topic_config::TimestampType;

use super::value::Value;
use super::{Kind, ListenerConfig, LogFormat, Setting, Source};

const MIB: i64 = 1024 * 1024;
const INT: i64 = i32::MAX as i64;
const LONG: i64 = i64::MAX;
const WEEK_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// Declares every setting once: documentation, field, type, default, name and what its values may be.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr, $name:literal, $kind:expr;)+) => {
        /// The settings of a server. Every field is documented as its users read it: this is the manual.
        ///
        /// Values that were set by hand, not by [`Config::load`], are checked by [`Config::check`] only as
        /// far as they contradict each other.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $field: $type,)+
            /// Where each value that was set came from, by setting name; what is missing is a default.
            pub sources: BTreeMap<&'static str, Source>,
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($field: $default,)+ sources: BTreeMap::new() }
            }
        }

        impl Config {
            /// Sets one value from its text. The name must be of the table.
            pub(super) fn assign(&mut self, name: &str, text: &str) -> Result<(), String> {
                match name {
                    $($name => self.$field = Value::parse(text)?,)+
                    _ => return Err("there is no such setting".to_owned()),
                }
                Ok(())
            }

            /// All values as text, in the order of the table.
            pub(super) fn texts(&self) -> Vec<String> {
                vec![$(self.$field.print(),)+]
            }
        }

        static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
            let defaults = Config::default();
            vec![$(Setting {
                name: $name,
                kind: $kind,
                default: defaults.$field.print(),
                doc: concat!($($doc),+).trim_ascii_start(),
            },)+]
        });
    };
}

/// The rows of the table.
pub(super) fn settings() -> &'static [Setting] {
    &SETTINGS
}

const fn integer(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max }
}

settings! {
    /// Identity of this node in its cluster. A data directory keeps the identity it was formatted with, and
    /// is refused under another one.
    node_id: NodeId = NodeId(1), "node.id", integer(0, INT);

    /// Data directories, separated by commas. Each is made if it is missing, and locked while the server
    /// runs. The first one also holds the metadata log. Put each on a disk of its own: a stalled one stalls
    /// only itself.
    log_dirs: Vec<PathBuf> = vec![PathBuf::from("./forebay-data")], "log.dirs", Kind::List;

    /// Where in the building this node stands; empty for unknown. Clients may prefer replicas of their own
    /// rack.
    broker_rack: Option<String> = None, "broker.rack", Kind::Text;

    /// Addresses that Kafka clients connect to, as NAME://HOST:PORT separated by commas; plain HOST:PORT is
    /// named PLAINTEXT. IPv6 addresses stand in brackets. Port 0 picks a free port and logs it. Several
    /// addresses may share a name. There is no encryption and no password yet: keep to loopback or a trusted
    /// network.
    listeners: Vec<ListenerConfig> = vec![
        ListenerConfig::plaintext("127.0.0.1", 9092),
        ListenerConfig::plaintext("::1", 9092),
    ], "listeners", Kind::List;

    /// Addresses that clients are told to connect to, by listener name; empty to tell what was bound. Needed
    /// when a listener is bound to all interfaces (0.0.0.0) or stands behind a proxy. Port 0 means the port
    /// bound.
    advertised_listeners: Vec<ListenerConfig> = Vec::new(), "advertised.listeners", Kind::List;

    /// Address of the HTTP door (health, metrics, /v1) as IP:PORT; empty for none. Port 0 picks a free port
    /// and logs it.
    http_listen: Option<SocketAddr> = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9644))), "http.listen",
        Kind::Text;

    /// Most connections at once on all Kafka listeners together; further ones are closed at once.
    max_connections: usize = 10_000, "max.connections", integer(1, 1_000_000);

    /// A connection without a request for this long is closed.
    connections_max_idle_ms: u64 = 600_000, "connections.max.idle.ms", integer(1_000, LONG);

    /// Largest request accepted; the connection that announces a larger one is closed before any of it is
    /// read.
    socket_request_max_bytes: usize = limits::REQUEST_BYTES_MAX, "socket.request.max.bytes",
        integer(1_024, limits::REQUEST_BYTES_MAX as i64);

    /// Memory for requests that were admitted and not yet answered, all connections together. A request is
    /// admitted by its whole size before it is read; while there is no room, connections wait and stay
    /// unread. A quarter is kept for requests of up to 64 KiB, and 32 MiB for inflating a batch that must be
    /// looked into.
    queued_max_request_bytes: u64 = 256 * 1024 * 1024, "queued.max.request.bytes", integer(1_024, LONG);

    /// True to make a topic when a client asks for the metadata of one that is missing (and allows it).
    auto_create_topics_enable: bool = true, "auto.create.topics.enable", Kind::Boolean;

    /// Partitions of a topic that is made without saying how many.
    num_partitions: i32 = 1, "num.partitions", integer(1, limits::TOPIC_PARTITIONS_MAX as i64);

    /// Replicas of each partition of a topic that is made without saying how many.
    default_replication_factor: i16 = 1, "default.replication.factor", integer(1, i16::MAX as i64);

    /// Replicas that must hold a record on stable storage before acks=all is answered. Where a topic has
    /// fewer replicas than this, all of them.
    min_insync_replicas: i32 = 1, "min.insync.replicas", integer(1, i16::MAX as i64);

    /// Largest record batch accepted from a producer, as sent (compressed). A topic's max.message.bytes
    /// overrides it.
    message_max_bytes: usize = 1_048_588, "message.max.bytes", integer(0, limits::REQUEST_BYTES_MAX as i64);

    /// Most bytes of records in one fetch answer, whatever the client allows. The first batch is always sent
    /// whole, even if it is larger.
    fetch_max_bytes: usize = 55 * 1024 * 1024, "fetch.max.bytes", integer(1_024, INT);

    /// Most fetch sessions at once: clients that have one are sent only what is new to them. Clients beyond are served
    /// without.
    max_incremental_fetch_session_cache_slots: usize = 1_000, "max.incremental.fetch.session.cache.slots",
        integer(0, 100_000);

    /// Consumers who lag behind so far that they are read for from the disk give way to producers. All of those of a data
    /// directory together get at least so many bytes a second, and as many as can be while no append waits for them.
    lagging_consumer_byte_rate_min: u64 = 64 * 1024 * 1024, "lagging.consumer.byte.rate.min", integer(MIB, LONG);

    /// A partition's file is closed and a new one begun at this size, or up to a sixteenth earlier. A topic's segment.bytes
    /// overrides it.
    log_segment_bytes: u64 = 1_073_741_824, "log.segment.bytes", integer(1_024, INT);

    /// A partition's file is closed and a new one begun at this age. A topic's segment.ms overrides it.
    log_roll_ms: u64 = WEEK_MS, "log.roll.ms", integer(1, LONG);

    /// One index entry is written for each so many bytes of records. A topic's index.interval.bytes overrides
    /// it.
    log_index_interval_bytes: u64 = 4_096, "log.index.interval.bytes", integer(0, INT);

    /// Closed files whose newest record is older than this are deleted. A topic's retention.ms overrides it.
    log_retention_ms: Option<u64> = Some(WEEK_MS), "log.retention.ms", Kind::Limit { min: 0, max: LONG };

    /// The oldest closed files of a partition are deleted while it is larger than this. A topic's
    /// retention.bytes overrides it.
    log_retention_bytes: Option<u64> = None, "log.retention.bytes", Kind::Limit { min: 0, max: LONG };

    /// How often partitions are looked at for what retention may delete.
    log_retention_check_interval_ms: u64 = 300_000, "log.retention.check.interval.ms", integer(1, LONG);

    /// Which time a record carries: the producer's (CreateTime) or the broker's (LogAppendTime). A topic's
    /// message.timestamp.type overrides it.
    log_message_timestamp_type: TimestampType = TimestampType::CreateTime, "log.message.timestamp.type",
        Kind::Choice(&["CreateTime", "LogAppendTime"]);

    /// A record whose producer's time is further than this behind the broker's clock is refused. A topic's
    /// message.timestamp.before.max.ms overrides it.
    log_message_timestamp_before_max_ms: i64 = i64::MAX, "log.message.timestamp.before.max.ms",
        integer(0, LONG);

    /// A record whose producer's time is further than this ahead of the broker's clock is refused. A topic's
    /// message.timestamp.after.max.ms overrides it.
    log_message_timestamp_after_max_ms: i64 = 3_600_000, "log.message.timestamp.after.max.ms",
        integer(0, LONG);

    /// An idempotent producer that wrote nothing to a partition for this long is forgotten there.
    producer_id_expiration_ms: u64 = 86_400_000, "producer.id.expiration.ms", integer(1, LONG);

    /// Disk space reserved for the metadata log when a data directory is formatted. Changes of metadata are
    /// refused while 80 % of it is in use, so that a full disk cannot stop the quorum.
    metadata_log_preallocated_bytes: u64 = 32 * 1024 * 1024, "metadata.log.preallocated.bytes",
        integer(MIB, 4_096 * MIB);

    /// Disk space reserved for each of the two metadata snapshots when a data directory is formatted.
    metadata_snapshot_preallocated_bytes: u64 = 16 * 1024 * 1024, "metadata.snapshot.preallocated.bytes",
        integer(MIB, 4_096 * MIB);

    /// Threads that write to each data directory; a partition belongs to one of them.
    writer_threads: usize = 2, "writer.threads", integer(1, 64);

    /// Threads that wait for stable storage, for each data directory.
    sync_threads: usize = 4, "sync.threads", integer(1, 64);

    /// A request that took this long is written to the log, with where its time went; at most a few a second. The
    /// long poll of a fetch does not count. 0 for none.
    slow_request_ms: u64 = 1_000, "slow.request.ms", integer(0, LONG);

    /// How long a stop may take to answer what was begun; after it the process ends, and the next start
    /// recovers as after a crash.
    shutdown_deadline_ms: u64 = 30_000, "shutdown.deadline.ms", integer(0, INT);

    /// How the server's own log lines are written to standard error: text for people, json for programs.
    log_format: LogFormat = LogFormat::Text, "log.format", Kind::Choice(&["text", "json"]);

    /// Which of the server's own log lines are written: error, warn, info, debug or trace, and by part of the
    /// server where wanted, as in info,forebay_broker=debug.
    log_level: String = "info".to_owned(), "log.level", Kind::Text;
}
