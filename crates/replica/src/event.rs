use std::sync::Arc;
use std::time::Duration;

use forebay_base::{Instant, LeaderEpoch, Offset, WallTime};
use forebay_records::{BatchHeader, TimestampType};

use crate::Refused;

/// Names one request while it is in work; the answer carries it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What commits a batch: a topic's `flush.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flush {
    /// Stable storage. Nothing acknowledged to `acks=all` is lost in a power cut.
    #[default]
    Sync,
    /// The write into the page cache. A power cut may take what was acknowledged in the last second.
    Async,
}

/// When an append is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// `acks=1`: once the leader has it in its file, durable or not.
    Leader,
    /// `acks=all`: once the high watermark has passed it in the same leader epoch.
    All,
}

/// Where an appended batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record; of the original where the batch was a duplicate.
    pub base_offset: Offset,
    /// Its timestamp, where the topic sets log append time.
    pub log_append_time: Option<i64>,
    /// The partition's log start at the time of the answer.
    pub log_start: Offset,
    /// How it came there.
    pub passage: Passage,
}

/// When an append got how far, by its writer's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// Its writer took it up.
    pub taken: Instant,
    /// Its batch was in the file; of a duplicate, the original's was.
    pub written: Instant,
    /// It was committed; `None` if it was answered without waiting for that.
    pub committed: Option<Instant>,
}

/// What can happen to a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client wants a checked batch appended; it arrived at wall time `at`.
    Append {
        /// Whom to answer.
        ticket: Ticket,
        /// The batch's header, as sent.
        header: BatchHeader,
        /// When to answer.
        acks: Acks,
        /// The topic's `message.timestamp.type`.
        timestamp_type: TimestampType,
        /// Wall time, for log append time and the ages of producers.
        at: WallTime,
    },
    /// All batches of the `Write` effects so far are in the file, whole and in order.
    Written {
        /// Their bytes.
        bytes: u64,
        /// True if a fetch waits for the high watermark to move.
        watched: bool,
    },
    /// The segment is full soon, and the roll syncs what is not durable then, while appends wait.
    RollNears,
    /// None of the batches of the open `Write` effects is in the file.
    WriteFailed {
        /// What the clients are told.
        refused: Refused,
    },
    /// The sync that the last `Sync` effect asked for has made everything below `upto` durable.
    Synced {
        /// First offset that may not be durable.
        upto: Offset,
        /// True if a fetch waits for the high watermark to move.
        watched: bool,
    },
    /// A sync failed, so nothing written since the last success may be believed (rule R32).
    SyncFailed {
        /// A sentence for the clients.
        reason: String,
    },
    /// A fetch has begun to wait for the high watermark to move.
    Watched,
    /// Everything below `upto` is durable, and no sync is to begin for what is not: a roll has made it so, or comes next.
    Durable {
        /// First offset that may not be durable.
        upto: Offset,
    },
    /// A client wants records below `to` deleted; `None` means all below the high watermark.
    DeleteRecords {
        /// Whom to answer.
        ticket: Ticket,
        /// First offset to keep.
        to: Option<Offset>,
    },
    /// The log durably starts at `to`, by retention or as an `AdvanceStart` effect asked.
    StartMoved {
        /// First offset kept.
        to: Offset,
    },
    /// What an `AdvanceStart` effect asked for failed.
    StartStuck {
        /// A sentence for the clients.
        reason: String,
    },
    /// The metadata says that this node leads in `epoch`; an epoch that is not newer changes nothing.
    Lead {
        /// The leader epoch.
        epoch: LeaderEpoch,
    },
    /// The node's settings changed.
    Configure {
        /// `producer.id.expiration.ms`.
        producer_expiry: Duration,
        /// `flush.mode`.
        flush: Flush,
    },
    /// [`next_timeout`](crate::Replica::next_timeout) has come.
    Timeout {
        /// Wall time, for the ages of producers.
        at: WallTime,
    },
    /// The replica is about to be closed or deleted: whoever waits is sent away.
    Stop,
}

/// What a replica wants done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write the batch of `ticket` at the end of the log, stamped with these values.
    Write {
        /// The append it belongs to.
        ticket: Ticket,
        /// Offset of its first record.
        base: Offset,
        /// Leader epoch.
        epoch: LeaderEpoch,
        /// Log append time to stamp, where the topic wants it.
        append_time: Option<i64>,
    },
    /// Make the log durable and report it with `Synced` or `SyncFailed`; asked once at a time.
    Sync,
    /// Move the log's start to `to`, durably, and report it with `StartMoved` or `StartStuck`.
    AdvanceStart {
        /// First offset to keep.
        to: Offset,
    },
    /// Show readers the new positions, before any answer that follows.
    Publish,
    /// Answer an append.
    Answer {
        /// Whom.
        ticket: Ticket,
        /// With what.
        result: Result<Appended, Refused>,
    },
    /// Answer a deletion of records with the log's start.
    Deleted {
        /// Whom.
        ticket: Ticket,
        /// With what.
        result: Result<Offset, Refused>,
    },
    /// The replica has failed for good: tell the operator, once.
    Fail {
        /// A sentence.
        reason: Arc<str>,
    },
}
