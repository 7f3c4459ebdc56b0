use super::{Kind, TopicConfig};

const INT_MAX: i32 = i32::MAX;
const FOREVER: &str = "9223372036854775807";

/// Every topic setting, by name. Names, types, defaults and bounds are Kafka 4.2's (`TopicConfig`, `LogConfig`) but
/// for the bounds that a sentence here explains.
pub const TOPIC_CONFIGS: &[TopicConfig] = &[
    active(
        "cleanup.policy",
        "log.cleanup.policy",
        Kind::SomeOf(&["compact", "delete"]),
        "delete",
        "What happens to old records: 'delete' drops them by retention, 'compact' keeps the last record of every key.",
    ),
    inert(
        "compression.gzip.level",
        "compression.gzip.level",
        Kind::Int { min: -1, max: 9 },
        "-1",
        "Level of gzip if the broker compressed; it never does.",
    ),
    inert(
        "compression.lz4.level",
        "compression.lz4.level",
        Kind::Int { min: 1, max: 17 },
        "9",
        "Level of lz4 if the broker compressed; it never does.",
    ),
    active(
        "compression.type",
        "compression.type",
        Kind::OneOf(&["producer"]),
        "producer",
        "Always 'producer': batches are stored as they were sent.",
    ),
    inert(
        "compression.zstd.level",
        "compression.zstd.level",
        Kind::Int { min: -131_072, max: 22 },
        "3",
        "Level of zstd if the broker compressed; it never does.",
    ),
    inert(
        "delete.retention.ms",
        "log.cleaner.delete.retention.ms",
        Kind::Long { min: 0 },
        "86400000",
        "How long the marks of deleted keys stay in a compacted topic, in milliseconds.",
    ),
    active(
        "disk.full.error",
        "log.disk.full.error",
        Kind::OneOf(&["retry", "fail"]),
        "retry",
        "What a producer is told while the disk is full: retry, an error that clients try again after \
         (KAFKA_STORAGE_ERROR); fail, one that they give up at (POLICY_VIOLATION).",
    ),
    active(
        "disk.full.policy",
        "log.disk.full.policy",
        Kind::OneOf(&["reject", "delete-oldest"]),
        "reject",
        "What happens while the disk is full: reject, records are refused; delete-oldest, the oldest records of this \
         topic are deleted, whatever retention says, until there is room.",
    ),
    inert(
        "file.delete.delay.ms",
        "log.segment.delete.delay.ms",
        Kind::Long { min: 0 },
        "60000",
        "Files are removed at once and stay readable for whoever is reading them.",
    ),
    inert(
        "flush.messages",
        "log.flush.interval.messages",
        Kind::Long { min: 1 },
        FOREVER,
        "Records are synced before they are acknowledged to acks=all, whatever this says.",
    ),
    active(
        "flush.mode",
        "log.flush.mode",
        Kind::OneOf(&["sync", "async"]),
        "sync",
        "What commits a batch: sync, stable storage; async, the write into memory. UNSAFE: with async a power cut \
         takes acknowledged records of about the last second.",
    ),
    inert(
        "flush.ms",
        "log.flush.interval.ms",
        Kind::Long { min: 0 },
        FOREVER,
        "Records are synced before they are acknowledged to acks=all, whatever this says.",
    ),
    inert(
        "follower.replication.throttled.replicas",
        "follower.replication.throttled.replicas",
        Kind::List,
        "",
        "Replicas whose replication is throttled on the follower's side.",
    ),
    active(
        "index.interval.bytes",
        "log.index.interval.bytes",
        Kind::Int { min: 0, max: INT_MAX },
        "4096",
        "Bytes of records between two entries of the offset index.",
    ),
    inert(
        "leader.replication.throttled.replicas",
        "leader.replication.throttled.replicas",
        Kind::List,
        "",
        "Replicas whose replication is throttled on the leader's side.",
    ),
    inert(
        "local.retention.bytes",
        "log.local.retention.bytes",
        Kind::Long { min: -2 },
        "-2",
        "Bytes kept locally where remote storage holds the rest; -2 stands for retention.bytes.",
    ),
    inert(
        "local.retention.ms",
        "log.local.retention.ms",
        Kind::Long { min: -2 },
        "-2",
        "Milliseconds kept locally where remote storage holds the rest; -2 stands for retention.ms.",
    ),
    inert(
        "max.compaction.lag.ms",
        "log.cleaner.max.compaction.lag.ms",
        Kind::Long { min: 1 },
        FOREVER,
        "Longest time a record of a compacted topic may wait for compaction, in milliseconds.",
    ),
    active(
        "max.message.bytes",
        "message.max.bytes",
        Kind::Int { min: 0, max: INT_MAX },
        "1048588",
        "Largest record batch accepted, in bytes, as sent.",
    ),
    active(
        "message.timestamp.after.max.ms",
        "log.message.timestamp.after.max.ms",
        Kind::Long { min: 0 },
        "3600000",
        "How far a record's timestamp may lie ahead of the broker's clock, in milliseconds.",
    ),
    active(
        "message.timestamp.before.max.ms",
        "log.message.timestamp.before.max.ms",
        Kind::Long { min: 0 },
        FOREVER,
        "How far a record's timestamp may lie behind the broker's clock, in milliseconds.",
    ),
    active(
        "message.timestamp.type",
        "log.message.timestamp.type",
        Kind::OneOf(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "Whose clock stamps records: the producer's or the broker's.",
    ),
    inert(
        "min.cleanable.dirty.ratio",
        "log.cleaner.min.cleanable.ratio",
        Kind::Fraction,
        "0.5",
        "Share of uncompacted bytes from which a compacted topic is compacted.",
    ),
    inert(
        "min.compaction.lag.ms",
        "log.cleaner.min.compaction.lag.ms",
        Kind::Long { min: 0 },
        "0",
        "Shortest time a record of a compacted topic stays as it is, in milliseconds.",
    ),
    active(
        "min.insync.replicas",
        "min.insync.replicas",
        Kind::Int { min: 1, max: INT_MAX },
        "1",
        "In-sync replicas that must have a record before acks=all is answered.",
    ),
    inert(
        "preallocate",
        "log.preallocate",
        Kind::Boolean,
        "false",
        "Whether a new segment's blocks are reserved when it is made.",
    ),
    inert(
        "remote.log.copy.disable",
        "remote.log.copy.disable",
        Kind::Boolean,
        "false",
        "Stops copying to remote storage, which this cluster does not have.",
    ),
    inert(
        "remote.log.delete.on.disable",
        "remote.log.delete.on.disable",
        Kind::Boolean,
        "false",
        "Deletes remote data when remote storage is turned off; this cluster has none.",
    ),
    inert(
        "remote.storage.enable",
        "remote.storage.enable",
        Kind::Boolean,
        "false",
        "Whether old segments move to remote storage; this cluster has none.",
    ),
    active(
        "retention.bytes",
        "log.retention.bytes",
        Kind::Long { min: -1 },
        "-1",
        "Bytes kept per partition before old segments are dropped; -1 for no bound.",
    ),
    active(
        "retention.ms",
        "log.retention.ms",
        Kind::Long { min: -1 },
        "604800000",
        "Milliseconds that records are kept before old segments are dropped; -1 for ever.",
    ),
    // Kafka 4 wants 1 MiB; small segments are useful for trying out retention and cost only files.
    active(
        "segment.bytes",
        "log.segment.bytes",
        Kind::Int { min: 1_024, max: INT_MAX },
        "1073741824",
        "Size at which a new segment is begun, or up to a sixteenth earlier, in bytes; at least 1024.",
    ),
    inert(
        "segment.index.bytes",
        "log.index.size.max.bytes",
        Kind::Int { min: 4, max: INT_MAX },
        "10485760",
        "Indexes here grow as needed and are not reserved.",
    ),
    inert(
        "segment.jitter.ms",
        "log.roll.jitter.ms",
        Kind::Long { min: 0 },
        "0",
        "Spread of the times at which segments are begun, in milliseconds.",
    ),
    active(
        "segment.ms",
        "log.roll.ms",
        Kind::Long { min: 1 },
        "604800000",
        "Age at which a new segment is begun, in milliseconds.",
    ),
    inert(
        "unclean.leader.election.enable",
        "unclean.leader.election.enable",
        Kind::Boolean,
        "false",
        "Whether a replica that is not in sync may lead when no other is left, losing records.",
    ),
];

const fn active(
    name: &'static str,
    server_name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> TopicConfig {
    TopicConfig { name, server_name, kind, default, doc, inert: false }
}

const fn inert(
    name: &'static str,
    server_name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> TopicConfig {
    TopicConfig { name, server_name, kind, default, doc, inert: true }
}
