//! Every bound of a queue, map, buffer or message, in one place, with its unit in its name.

/// Largest request frame accepted, in bytes; Kafka's `socket.request.max.bytes`.
pub const REQUEST_BYTES_MAX: usize = 100 * 1024 * 1024;

/// A frame is read into memory in steps of at most this many bytes, so that a claimed length costs nothing.
pub const FRAME_STEP_BYTES: usize = 64 * 1024;

/// Longest topic name, in bytes (Kafka's rule: a directory name must fit).
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// Most partitions that one topic may have.
pub const TOPIC_PARTITIONS_MAX: i32 = 10_000;

/// Requests of one connection that may be in work at once; more are left in the socket.
pub const CONNECTION_REQUESTS_MAX: usize = 64;

/// A connection takes no more requests while those in work have so many bytes: four gathered writes' worth. With `acks=all`
/// they are in work until they are synced, so this is also what one connection can send during a sync.
pub const CONNECTION_WORK_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A connection takes no more requests while this many bytes of answers wait for its client to read them.
pub const CONNECTION_OUT_BYTES_MAX: u64 = 1024 * 1024;

/// Idempotent producers remembered per partition.
pub const PARTITION_PRODUCERS_MAX: usize = 10_000;

/// Batches remembered per idempotent producer and partition (Kafka's window of five).
pub const PRODUCER_BATCHES: usize = 5;

/// A compressed batch may inflate to at most this many bytes.
pub const INFLATED_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Memory for looking into a compressed batch while it is inflated, in bytes.
pub const INFLATE_MEMORY_BYTES: usize = 32 * 1024 * 1024;

/// Appends waiting for one writer thread.
pub const WRITER_QUEUE_MAX: usize = 4_096;

/// Partitions of all fetch sessions of a node together; each takes 64 bytes.
pub const FETCH_SESSION_PARTITIONS_MAX: usize = 1_000_000;

/// Metadata commands waiting for a decision.
pub const PROPOSALS_MAX: usize = 1_024;

/// What nodes say in their sessions, waiting for the controller; each has one thing said and waits for the answer.
pub const SESSION_EVENTS_MAX: usize = 256;

/// Calls waiting for a storage thread of the metadata quorum; the Raft task makes a handful at a time.
pub const METADATA_CALLS_MAX: usize = 64;

/// A connection hands its worker thread on after sending or receiving this many bytes.
pub const YIELD_BYTES: usize = 256 * 1024;

/// Reads waiting for a reader thread of one volume. A connection has at most one at a time.
pub const READS_MAX: usize = 20_000;

/// Files waiting for a sync helper of one volume.
pub const SYNC_QUEUE_MAX: usize = 4_096;

/// Memory of the indexes of segments that are read and not written, in bytes, for all logs of a process.
pub const INDEX_CACHE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most descriptors that the logs of a process hold, however many the system allows.
pub const LOG_DESCRIPTORS_MAX: usize = 7_168;

/// Descriptors that a process keeps back for its logs, for when connections have taken all others.
pub const SPARE_DESCRIPTORS: usize = 64;

/// Lines that a process writes to its log in any minute, changes of state and lines about its own start and end not
/// counted.
pub const LOG_LINES_PER_MINUTE: usize = 60;

/// Of these, lines of one kind.
pub const LOG_KIND_LINES_PER_MINUTE: usize = 20;

/// Partitions, listeners and the like that the log remembers to have told of; the others of a kind count as one.
pub const LOG_SUBJECTS_MAX: usize = 4_096;

/// What is kept of a line, in bytes, to be told again.
pub const LOG_LINE_TEXT_MAX: usize = 200;
