use std::time::Duration;

use bytes::Bytes;
use forebay_records::{BatchError, Record, Records, batches, verify_crc};
use forebay_wire::Text;
use forebay_wire::kafka::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};

use crate::pool::Purpose;
use crate::{Client, ClientError};

/// Later versions name topics by id; this client names them by name.
const FETCH_VERSION_MAX: i16 = 12;

/// Where to read on in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchFrom {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset wanted.
    pub offset: i64,
}

/// How much to read and how long to wait for it.
#[derive(Debug, Clone, Copy)]
pub struct FetchOptions {
    /// The server answers by then, whatever there is. Must be shorter than the client's request timeout.
    pub max_wait: Duration,
    /// The server answers as soon as there is this much, in bytes.
    pub min_bytes: i32,
    /// Bound of one answer, in bytes; the first batch may pass it.
    pub max_bytes: i32,
    /// Bound of one partition's part of it, in bytes.
    pub partition_max_bytes: i32,
    /// Only records of finished transactions.
    pub read_committed: bool,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 50 * 1024 * 1024,
            partition_max_bytes: 8 * 1024 * 1024,
            read_committed: false,
        }
    }
}

/// One partition's part of an answer, its records as they came.
#[derive(Debug, Clone)]
pub struct RawPartition {
    /// What was asked.
    pub from: FetchFrom,
    /// The refusal, if there was one.
    pub refused: Option<ClientError>,
    /// Offset after the last visible record.
    pub high_watermark: i64,
    /// Offset of the first record that is still there; -1 if not told.
    pub log_start: i64,
    /// Whole batches, the first of which may begin before the offset asked for.
    pub batches: Bytes,
}

/// One partition's part of an answer, checked and taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Offset after the last visible record.
    pub high_watermark: i64,
    /// Offset of the first record that is still there; -1 if not told.
    pub log_start: i64,
    /// Records from the offset asked for on.
    pub records: Vec<Record>,
    /// Where to read on.
    pub next_offset: i64,
}

impl Client {
    /// Reads one partition from `offset`, trying again while its leader moves.
    pub async fn fetch(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
        options: &FetchOptions,
    ) -> Result<FetchedPartition, ClientError> {
        let from = FetchFrom { topic: topic.to_owned(), partition, offset };
        let mut attempts = self.attempts();
        loop {
            match self.fetch_once(&from, options).await {
                Err(error) if attempts.again(&error, Some(topic)).await => {}
                done => return done?.decode(),
            }
        }
    }

    async fn fetch_once(
        &self,
        from: &FetchFrom,
        options: &FetchOptions,
    ) -> Result<RawPartition, ClientError> {
        let leader = self.leader_addr(&from.topic, from.partition).await?;
        let mut answered = self.fetch_raw(&leader, std::slice::from_ref(from), options).await?;
        match answered.pop() {
            Some(RawPartition { refused: Some(refused), .. }) => Err(refused),
            Some(sound) => Ok(sound),
            None => Err(ClientError::Protocol {
                addr: leader,
                reason: "an answer without the partition".to_owned(),
            }),
        }
    }

    /// Reads partitions that the node at `leader` leads, once, in one request. The records are not looked at.
    pub async fn fetch_raw(
        &self,
        leader: &str,
        from: &[FetchFrom],
        options: &FetchOptions,
    ) -> Result<Vec<RawPartition>, ClientError> {
        let request = request(from, options);
        let answer = self.call_addr(leader, Purpose::Fetch, &request, FETCH_VERSION_MAX).await?;
        ClientError::check_code(answer.error_code, || format!("fetch from {leader}"))?;
        let mut parts = Vec::with_capacity(from.len());
        for topic in answer.responses {
            for data in topic.partitions {
                let asked = from.iter().find(|asked| {
                    topic.topic == asked.topic.as_str() && asked.partition == data.partition_index
                });
                if let Some(asked) = asked {
                    parts.push(raw(leader, asked, data)?);
                }
            }
        }
        Ok(parts)
    }
}

fn request(from: &[FetchFrom], options: &FetchOptions) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for asked in from {
        let partition = FetchPartition {
            partition: asked.partition,
            fetch_offset: asked.offset,
            partition_max_bytes: options.partition_max_bytes,
            ..Default::default()
        };
        match topics.iter_mut().find(|topic| topic.topic == asked.topic.as_str()) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(FetchTopic {
                topic: Text::from(&asked.topic),
                partitions: vec![partition],
                ..Default::default()
            }),
        }
    }
    FetchRequest {
        max_wait_ms: i32::try_from(options.max_wait.as_millis()).unwrap_or(i32::MAX),
        min_bytes: options.min_bytes,
        max_bytes: options.max_bytes,
        isolation_level: i8::from(options.read_committed),
        // No fetch session: every request says all it wants.
        session_epoch: -1,
        topics,
        ..Default::default()
    }
}

fn raw(leader: &str, asked: &FetchFrom, data: PartitionData) -> Result<RawPartition, ClientError> {
    let what = || format!("fetch of {}-{} from offset {}", asked.topic, asked.partition, asked.offset);
    let batches = data
        .records
        .unwrap_or_default()
        .read()
        .map_err(|error| ClientError::Protocol { addr: leader.to_owned(), reason: error.to_string() })?;
    Ok(RawPartition {
        from: asked.clone(),
        refused: ClientError::check_code(data.error_code, what).err(),
        high_watermark: data.high_watermark,
        log_start: data.log_start_offset,
        batches,
    })
}

impl RawPartition {
    /// Checks every batch's CRC and takes the records out. Records before the offset asked for and control batches
    /// are left out. A refusal is returned as the error it is.
    pub fn decode(self) -> Result<FetchedPartition, ClientError> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        let asked = self.from.offset;
        let damaged = |offset: i64, reason: BatchError| ClientError::Damaged {
            topic: self.from.topic.clone(),
            partition: self.from.partition,
            offset,
            reason,
        };
        let (mut records, mut next_offset) = (Vec::new(), asked);
        for batch in batches(self.batches) {
            let (header, bytes) = match batch {
                Ok(whole) => whole,
                // Servers may cut the last batch at the size limit; it is asked for again.
                Err(BatchError::Short) if next_offset > asked => break,
                Err(reason) => return Err(damaged(next_offset, reason)),
            };
            let base = header.base_offset.0;
            verify_crc(&bytes).map_err(|reason| damaged(base, reason))?;
            if !header.is_control() {
                for record in Records::of(&bytes).map_err(|reason| damaged(base, reason))? {
                    let record = record.map_err(|reason| damaged(base, reason))?;
                    if record.offset.0 >= asked {
                        records.push(record);
                    }
                }
            }
            next_offset = next_offset.max(header.next_offset().0);
        }
        Ok(FetchedPartition {
            topic: self.from.topic,
            partition: self.from.partition,
            high_watermark: self.high_watermark,
            log_start: self.log_start,
            records,
            next_offset,
        })
    }
}
