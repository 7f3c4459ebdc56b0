use std::collections::BTreeMap;

use forebay_client::{Client, ClientError, ErrorCode, NewTopic, OffsetAt};

use super::Target;
use super::fetching::Fetcher;
use super::reading::Stretch;
use crate::failure::Failure;

/// A node and the partitions that it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leader {
    /// `HOST:PORT`.
    pub(super) addr: String,
    pub(super) partitions: Vec<i32>,
}

/// Where the partitions of the topic are. A raw server is not asked: it has them all.
#[derive(Debug)]
pub(super) struct Routes {
    topic: String,
    leaders: Vec<Leader>,
    client: Option<Client>,
}

/// Offsets by partition.
pub(super) type Offsets = BTreeMap<i32, i64>;

impl Routes {
    /// The partitions of the topic, which is made with `partitions` of them if it is missing and not raw.
    pub(super) async fn prepare(target: &Target, partitions: i32) -> Result<Self, Failure> {
        if target.raw {
            return Self::raw(target, (0..partitions).collect());
        }
        let client = target.connect().await?;
        let topic = NewTopic { partitions: Some(partitions), ..NewTopic::named(&target.topic) };
        match client.create_topic(&topic, false).await {
            Err(error) if error.code() != Some(ErrorCode::TopicAlreadyExists) => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
        let partitions = client.partitions(&target.topic, true).await?;
        Self::discovered(target, client, partitions).await
    }

    /// The partitions of a topic that should be there.
    pub(super) async fn find(target: &Target) -> Result<Self, Failure> {
        if target.raw {
            let mut partitions = Vec::new();
            let mut fetcher = Fetcher::connect(target.cluster.first(), &target.topic, 0, 1)?;
            while let Some(partition) = probe(&mut fetcher, partitions.len() as i32)? {
                partitions.push(partition.partition);
            }
            return Self::raw(target, partitions);
        }
        let client = target.connect().await?;
        let partitions = match client.partitions(&target.topic, false).await {
            Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => Vec::new(),
            partitions => partitions?,
        };
        Self::discovered(target, client, partitions).await
    }

    fn raw(target: &Target, partitions: Vec<i32>) -> Result<Self, Failure> {
        let leader = Leader { addr: target.cluster.first().to_owned(), partitions };
        Ok(Self { topic: target.topic.clone(), leaders: vec![leader], client: None })
    }

    async fn discovered(target: &Target, client: Client, partitions: Vec<i32>) -> Result<Self, Failure> {
        let mut by_addr: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for partition in partitions {
            let addr = client.leader_addr(&target.topic, partition).await?;
            by_addr.entry(addr).or_default().push(partition);
        }
        let leaders = by_addr.into_iter().map(|(addr, partitions)| Leader { addr, partitions }).collect();
        Ok(Self { topic: target.topic.clone(), leaders, client: Some(client) })
    }

    /// How many partitions there are.
    pub(super) fn partitions(&self) -> usize {
        self.leaders.iter().map(|leader| leader.partitions.len()).sum()
    }

    /// The nodes, each once.
    pub(super) fn leaders(&self) -> &[Leader] {
        &self.leaders
    }

    /// The address of a partition's leader.
    pub(super) fn leader_of(&self, partition: i32) -> Option<&str> {
        let leader = self.leaders.iter().find(|leader| leader.partitions.contains(&partition))?;
        Some(&leader.addr)
    }

    /// Everything that can be read now.
    pub(super) async fn stretches(&self) -> Result<Vec<Stretch>, Failure> {
        let (first, end) = (self.offsets(OffsetAt::Earliest).await?, self.offsets(OffsetAt::Latest).await?);
        let stretch = |(partition, from): (&i32, &i64)| {
            let upto = *end.get(partition)?;
            (*from < upto).then_some(Stretch { partition: *partition, from: *from, upto })
        };
        Ok(first.iter().filter_map(stretch).collect())
    }

    /// The offsets after the last visible records.
    pub(super) async fn ends(&self) -> Result<Offsets, Failure> {
        self.offsets(OffsetAt::Latest).await
    }

    async fn offsets(&self, place: OffsetAt) -> Result<Offsets, Failure> {
        let mut offsets = Offsets::new();
        let partitions = self.leaders.iter().flat_map(|leader| &leader.partitions);
        if let Some(client) = &self.client {
            let places: Vec<_> = partitions.map(|partition| (*partition, place)).collect();
            let found = client.list_offsets(&self.topic, &places).await?;
            return Ok(found.into_iter().map(|(partition, found)| (partition, found.offset)).collect());
        }
        for leader in &self.leaders {
            let mut fetcher = Fetcher::connect(&leader.addr, &self.topic, 0, 1)?;
            for partition in &leader.partitions {
                let known = probe(&mut fetcher, *partition)?;
                let Some(known) = known else {
                    return Err(Failure::usage(format!("the server has no partition {partition}")));
                };
                let offset = if place == OffsetAt::Latest { known.upto } else { known.from };
                offsets.insert(*partition, offset);
            }
        }
        Ok(offsets)
    }
}

/// Asks a raw server for its first batch, to learn from the answer where the partition begins and ends; `None` if there
/// is no such partition.
fn probe(fetcher: &mut Fetcher, partition: i32) -> Result<Option<Stretch>, Failure> {
    let answer = fetcher.ask(partition, 0)?;
    if answer.error == ErrorCode::UnknownTopicOrPartition.code() {
        return Ok(None);
    }
    // The first offset may be gone; where it begins now is told all the same.
    if answer.error != ErrorCode::OffsetOutOfRange.code() || answer.high_watermark < 0 {
        ClientError::check_code(answer.error, || format!("read partition {partition}"))?;
    }
    fetcher.skim(answer.len, |_| {})?;
    Ok(Some(Stretch { partition, from: answer.log_start.max(0), upto: answer.high_watermark }))
}
