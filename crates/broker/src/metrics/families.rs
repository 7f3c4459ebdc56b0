//! Every family of series, declared once: ours first, then the names under which Kafka's own exporters tell
//! the same.

use super::page::{Family, Type};

const fn family(
    name: &'static str,
    kind: Type,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family { name, kind, labels, help }
}

macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal)*] $help:literal;)+) => {
        $(pub(super) static $constant: Family = family($name, Type::$kind, &[$($label),*], $help);)+

        /// All of them, in the order of the page.
        #[cfg(test)]
        pub(super) static ALL: &[&Family] = &[$(&$constant),+];
    };
}

families! {
    BUILD_INFO = Gauge "forebay_build_info" ["version"] "Always 1; the version is a label.";
    READY = Gauge "forebay_ready" [] "1 if /readyz answers 200.";

    CONNECTIONS = Gauge "forebay_connections" [] "Kafka connections open now.";
    CONNECTIONS_OPENED = Counter "forebay_connections_opened_total" [] "Kafka connections accepted.";
    CONNECTIONS_CUT = Counter "forebay_connections_cut_total" ["reason"]
        "Kafka connections closed by the server: limit (max.connections), stalled (a request did not come in \
         time), protocol (the client broke it).";
    ACCEPT_FAILURES = Counter "forebay_accept_failures_total" []
        "Connections the operating system could not give.";
    LOG_SUPPRESSED = Counter "forebay_log_lines_suppressed_total" ["reason"]
        "Warnings and errors without a line of their own in the log: repeat (the same had one less than 60 s before; a \
         summary counts it), limit (the log takes 60 lines a minute, 20 of one kind).";
    LOG_TRANSITIONS = Counter "forebay_log_transition_lines_total" []
        "Lines of the log that tell of a change of state; they have no limit.";
    REQUEST_SECONDS = Histogram "forebay_request_duration_seconds" ["api"]
        "Time from a request's last byte to its answer being ready; a long poll's wait counts.";
    STAGE_SECONDS = Histogram "forebay_request_stage_seconds" ["api" "stage"]
        "Parts of a request's time: queue (until its writer, or else its handler, begins), write (until in the file), \
         sync (until committed, acks=all only), wait (all else until its answer is ready; a long poll), send (until \
         the socket has taken the answer).";
    SLOW_REQUESTS = Counter "forebay_slow_requests_total" []
        "Requests that took longer than slow.request.ms, long polls not counted; the log has some of them.";
    PRODUCE_THROTTLED_SECONDS = Counter "forebay_produce_throttled_seconds_total" []
        "Time for which connections were not heard because they sent records to a volume with little space.";
    FETCH_THROTTLED_SECONDS = Counter "forebay_fetch_throttled_seconds_total" []
        "Time for which connections were not heard because they are read for from the disk while appends come.";
    REQUEST_BYTES = Counter "forebay_request_bytes_total" ["api"] "Bytes of requests.";
    RESPONSE_BYTES = Counter "forebay_response_bytes_total" ["api"] "Bytes of answers.";
    ERRORS = Counter "forebay_errors_total" ["api" "error"]
        "Errors in answers, one for each item that carried one.";
    CLIENTS = Counter "forebay_clients_total" ["software" "version"]
        "Connections by the client software that named itself; from the 65th pair on counted as other.";
    CLIENT_CONNECTIONS = Gauge "forebay_client_connections" ["software" "version"]
        "Connections open now by the client software that named itself; bounded as forebay_clients_total.";
    REQUEST_MEMORY = Gauge "forebay_request_memory_bytes" []
        "Memory held by requests that are not answered yet.";
    REQUEST_MEMORY_LIMIT = Gauge "forebay_request_memory_limit_bytes" []
        "Bound of forebay_request_memory_bytes.";

    METADATA_INDEX = Gauge "forebay_metadata_index" []
        "Index of the last metadata record this node has replayed.";
    METADATA_USED = Gauge "forebay_metadata_log_used_bytes" [] "Space of the metadata log in use.";
    METADATA_LIMIT = Gauge "forebay_metadata_log_limit_bytes" []
        "Space of the metadata log in all; changes are refused while 80 % are in use.";
    RAFT_ALIVE = Gauge "forebay_raft_alive" [] "1 if this node's part of the metadata quorum is running.";
    RAFT_TERM = Gauge "forebay_raft_term" [] "Term of the metadata quorum, as this node knows it.";
    RAFT_RESTARTS = Counter "forebay_raft_restarts_total" [] "Times that part was restarted from disk.";

    VOLUME_FREE = Gauge "forebay_volume_free_bytes" ["directory" "path"]
        "Free space of a data directory's file system.";
    VOLUME_TOTAL = Gauge "forebay_volume_total_bytes" ["directory" "path"]
        "Size of a data directory's file system.";
    VOLUME_FILES = Gauge "forebay_volume_free_files" ["directory" "path"]
        "Files that can still be made there.";

    VOLUME_STATE = Gauge "forebay_volume_state" ["directory" "path" "state"]
        "1 for the state that a data directory's volume is in, 0 for the others.";
    VOLUME_IN_STATE = Gauge "forebay_volume_seconds_in_state" ["directory" "path"]
        "How long it has been in that state; a restart does not change it.";
    VOLUME_FULL_IN = Gauge "forebay_volume_full_in_seconds" ["directory" "path"]
        "Until it is full if it goes on filling as it does; no sample while it does not fill.";
    VOLUME_RESERVE = Gauge "forebay_volume_reserve_left_bytes" ["directory" "path"]
        "Space kept for what must go on when it is full.";
    VOLUME_TRANSITIONS = Counter "forebay_volume_transitions_total" ["directory" "path"]
        "Changes of its state.";
    VOLUME_REFUSED = Counter "forebay_produce_rejected_total" ["directory" "path" "reason"]
        "Batches that were refused because of its state.";
    VOLUME_NO_ROOM = Counter "forebay_volume_enospc_total" ["directory" "path" "operation"]
        "Calls that found no room on it (ENOSPC, EDQUOT).";
    VOLUME_FAULTS = Counter "forebay_volume_faults_total" ["directory" "path"]
        "Syncs that failed on it, and writes that failed for another reason than space.";

    PARTITIONS = Gauge "forebay_partitions" ["status"] "Partitions this node leads, by derived status.";
    HIGH_WATERMARK = Gauge "forebay_partition_high_watermark" ["topic" "partition"]
        "Offset below which consumers see records.";

    MESSAGES_IN = Counter "kafka_server_brokertopicmetrics_messagesin_total" ["topic"]
        "Records taken from producers; without a topic: of all topics together.";
    BYTES_IN = Counter "kafka_server_brokertopicmetrics_bytesin_total" ["topic"]
        "Bytes of records taken from producers; without a topic: of all topics together.";
    BYTES_OUT = Counter "kafka_server_brokertopicmetrics_bytesout_total" ["topic"]
        "Bytes of records given to consumers; without a topic: of all topics together.";
    PRODUCE_REQUESTS = Counter "kafka_server_brokertopicmetrics_totalproducerequests_total" ["topic"]
        "Batches that producers sent; without a topic: of all topics together.";
    PRODUCE_FAILURES = Counter "kafka_server_brokertopicmetrics_failedproducerequests_total" ["topic"]
        "Batches that were refused or not stored; without a topic: of all topics together.";
    FETCH_REQUESTS = Counter "kafka_server_brokertopicmetrics_totalfetchrequests_total" ["topic"]
        "Times a fetch answer covered the topic; without a topic: of all topics together.";
    FETCH_SESSIONS = Gauge "kafka_server_fetchsessioncache_numincrementalfetchsessions" []
        "Fetch sessions of clients; at most max.incremental.fetch.session.cache.slots.";
    FETCH_SESSION_PARTITIONS = Gauge "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached" []
        "Partitions of all fetch sessions together.";
    FETCH_SESSION_EVICTIONS = Counter "kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total" []
        "Fetch sessions that gave way to others.";
    PARTITION_COUNT = Gauge "kafka_server_replicamanager_partitioncount" [] "Replicas this node holds.";
    LEADER_COUNT = Gauge "kafka_server_replicamanager_leadercount" [] "Partitions this node leads.";
    UNDER_REPLICATED = Gauge "kafka_server_replicamanager_underreplicatedpartitions" []
        "Partitions this node leads with fewer in-sync replicas than assigned ones.";
    UNDER_MIN_ISR = Gauge "kafka_server_replicamanager_underminisrpartitioncount" []
        "Partitions this node leads with fewer in-sync replicas than acks=all needs.";
    ACTIVE_CONTROLLER = Gauge "kafka_controller_kafkacontroller_activecontrollercount" []
        "1 if this node leads the metadata quorum.";
    OFFLINE_PARTITIONS = Gauge "kafka_controller_kafkacontroller_offlinepartitionscount" []
        "Partitions without a leader.";
    KAFKA_CONNECTIONS = Gauge "kafka_server_socketservermetrics_connection_count" []
        "Kafka connections open now.";
    KAFKA_REQUESTS = Counter "kafka_network_requestmetrics_requests_total" ["request"] "Requests answered.";
    KAFKA_REQUEST_MS = Summary "kafka_network_requestmetrics_totaltimems" ["request"]
        "Time from a request's last byte to its answer being ready, in milliseconds.";
    LOG_SIZE = Gauge "kafka_log_log_size" ["topic" "partition"] "Bytes of a partition's log on this node.";
    LOG_END = Gauge "kafka_log_log_logendoffset" ["topic" "partition"]
        "Offset of the next record of a partition's log on this node.";
    LOG_START = Gauge "kafka_log_log_logstartoffset" ["topic" "partition"]
        "Offset of the first record of a partition's log on this node.";

    BROKERS = Gauge "kafka_brokers" [] "Brokers in the cluster.";
    TOPIC_PARTITIONS = Gauge "kafka_topic_partitions" ["topic"] "Partitions of a topic.";
    CURRENT_OFFSET = Gauge "kafka_topic_partition_current_offset" ["topic" "partition"]
        "Offset of the next record consumers will see.";
    OLDEST_OFFSET = Gauge "kafka_topic_partition_oldest_offset" ["topic" "partition"]
        "Offset of the oldest record.";
    PARTITION_LEADER = Gauge "kafka_topic_partition_leader" ["topic" "partition"]
        "Node that leads a partition; -1 for none.";
    PARTITION_PREFERRED = Gauge "kafka_topic_partition_leader_is_preferred" ["topic" "partition"]
        "1 if a partition is led by the first of its replicas.";
    PARTITION_REPLICAS = Gauge "kafka_topic_partition_replicas" ["topic" "partition"]
        "Replicas of a partition.";
    PARTITION_ISR = Gauge "kafka_topic_partition_in_sync_replica" ["topic" "partition"]
        "In-sync replicas of a partition.";
    PARTITION_UNDER = Gauge "kafka_topic_partition_under_replicated_partition" ["topic" "partition"]
        "1 if a partition has fewer in-sync replicas than assigned ones.";
}
