//! DescribeLogDirs, key 35, versions 1 to 4: data directories, their space and what lies in them.
//!
//! 2 flexible · 3 an error for all · 4 bytes of the file system (KIP-827).

use crate::Text;

messages! {
    /// Asks for the data directories of one broker.
    request DescribeLogDirsRequest: DescribeLogDirs => DescribeLogDirsResponse {
        /// Which topics are wanted; all if null.
        topics: Option<Vec<DescribableLogDirTopic>> [..] = Some(Vec::new());
    }

    /// Partitions of one topic.
    part DescribableLogDirTopic {
        /// Name of the topic.
        topic: Text [..];
        /// Indexes of the partitions.
        partitions: Vec<i32> [..];
    }

    /// Brings the data directories.
    response DescribeLogDirsResponse: DescribeLogDirs {
        /// How long the client is throttled, in milliseconds.
        throttle_time_ms: i32 [..];
        /// What went wrong, or 0.
        error_code: i16 [3..];
        /// The directories.
        results: Vec<DescribeLogDirsResult> [..];
    }

    /// One data directory.
    part DescribeLogDirsResult {
        /// What is wrong with it, or 0.
        error_code: i16 [..];
        /// Its path.
        log_dir: Text [..];
        /// What lies in it, by topic.
        topics: Vec<DescribeLogDirsTopic> [..];
        /// Bytes of its file system, or -1.
        total_bytes: i64 [4..] = -1;
        /// Bytes of it that may still be written, or -1.
        usable_bytes: i64 [4..] = -1;
    }

    /// Partitions of one topic.
    part DescribeLogDirsTopic {
        /// Name of the topic.
        name: Text [..];
        /// The partitions.
        partitions: Vec<DescribeLogDirsPartition> [..];
    }

    /// One partition.
    part DescribeLogDirsPartition {
        /// Its index.
        partition_index: i32 [..];
        /// Bytes of its log.
        partition_size: i64 [..];
        /// How far the end of this log is behind the high watermark.
        offset_lag: i64 [..];
        /// True while the log is being moved here.
        is_future_key: bool [..];
    }
}
