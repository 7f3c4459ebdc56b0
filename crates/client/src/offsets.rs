use std::collections::BTreeMap;

use forebay_wire::Text;
use forebay_wire::kafka::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

use crate::client::ANY_VERSION;
use crate::pool::Purpose;
use crate::{Client, ClientError};

/// A place in a partition, to be turned into an offset by its leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetAt {
    /// The first record that is still there.
    Earliest,
    /// After the last visible record.
    Latest,
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record of that time or later, in ms since the Unix epoch.
    Timestamp(i64),
}

impl OffsetAt {
    /// Kafka's number for it.
    fn timestamp(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::Timestamp(time) => time,
        }
    }
}

/// What a leader found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset; -1 if no record is that new.
    pub offset: i64,
    /// The record's timestamp; -1 where a place and not a record was asked for.
    pub timestamp: i64,
}

impl Client {
    /// Offsets of places in partitions of one topic, by partition. All are found or none.
    pub async fn list_offsets(
        &self,
        topic: &str,
        places: &[(i32, OffsetAt)],
    ) -> Result<BTreeMap<i32, FoundOffset>, ClientError> {
        let mut attempts = self.attempts();
        loop {
            match self.list_offsets_once(topic, places).await {
                Err(error) if attempts.again(&error, Some(topic)).await => {}
                done => return done,
            }
        }
    }

    async fn list_offsets_once(
        &self,
        topic: &str,
        places: &[(i32, OffsetAt)],
    ) -> Result<BTreeMap<i32, FoundOffset>, ClientError> {
        let mut by_leader: BTreeMap<String, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for (partition, at) in places {
            let leader = self.leader_addr(topic, *partition).await?;
            by_leader.entry(leader).or_default().push(ListOffsetsPartition {
                partition_index: *partition,
                current_leader_epoch: -1,
                timestamp: at.timestamp(),
            });
        }
        let mut found = BTreeMap::new();
        for (leader, partitions) in by_leader {
            let topics = vec![ListOffsetsTopic { name: Text::from(topic), partitions }];
            let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
            let answer = self.call_addr(&leader, Purpose::General, &request, ANY_VERSION).await?;
            for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
                let index = partition.partition_index;
                ClientError::check_code(partition.error_code, || format!("offsets of {topic}-{index}"))?;
                found.insert(index, FoundOffset { offset: partition.offset, timestamp: partition.timestamp });
            }
        }
        match places.iter().find(|(partition, _)| !found.contains_key(partition)) {
            None => Ok(found),
            Some((partition, _)) => {
                let reason = format!("an answer without the offset of {topic}-{partition}");
                let addr = self.leader_addr(topic, *partition).await?;
                Err(ClientError::Protocol { addr, reason })
            }
        }
    }
}
