use std::collections::BTreeMap;

use crate::{Client, ClientError, FetchFrom, FetchOptions, FetchedPartition, RawPartition};

/// Reads assigned partitions on and on, without a group. The caller keeps positions if it needs them later.
#[derive(Debug)]
pub struct Consumer {
    client: Client,
    options: FetchOptions,
    /// The next offset of each partition, by topic and index.
    positions: BTreeMap<(String, i32), i64>,
}

impl Consumer {
    /// A consumer of nothing yet.
    pub fn new(client: Client, options: FetchOptions) -> Self {
        Self { client, options, positions: BTreeMap::new() }
    }

    /// Reads `partition` from `offset` on, from the next poll on. Replaces its position.
    pub fn assign(&mut self, topic: &str, partition: i32, offset: i64) {
        self.positions.insert((topic.to_owned(), partition), offset);
    }

    /// Stops reading `partition`.
    pub fn unassign(&mut self, topic: &str, partition: i32) {
        self.positions.remove(&(topic.to_owned(), partition));
    }

    /// The next offset of `partition`.
    pub fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        self.positions.get(&(topic.to_owned(), partition)).copied()
    }

    /// True if nothing is assigned.
    pub fn is_idle(&self) -> bool {
        self.positions.is_empty()
    }

    /// One fetch from every leader at once. Every partition that answered comes back, with or without records, and
    /// its position moves past what came. What can be mended by waiting is tried again up to the client's
    /// `retry_timeout`; nothing is lost by an error.
    pub async fn poll(&mut self) -> Result<Vec<FetchedPartition>, ClientError> {
        let client = self.client.clone();
        let mut attempts = client.attempts();
        loop {
            match self.poll_once().await {
                Ok(fetched) => return Ok(fetched),
                Err((topic, error)) => {
                    if !attempts.again(&error, topic.as_deref()).await {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Fails, with the topic to look up again, only if no records came.
    async fn poll_once(&mut self) -> Result<Vec<FetchedPartition>, (Option<String>, ClientError)> {
        let mut by_leader: BTreeMap<String, Vec<FetchFrom>> = BTreeMap::new();
        for ((topic, partition), offset) in &self.positions {
            let leader = self.client.leader_addr(topic, *partition).await;
            let leader = leader.map_err(|error| (Some(topic.clone()), error))?;
            let from = FetchFrom { topic: topic.clone(), partition: *partition, offset: *offset };
            by_leader.entry(leader).or_default().push(from);
        }
        let mut under_way = Vec::with_capacity(by_leader.len());
        for (leader, from) in by_leader {
            let (client, options) = (self.client.clone(), self.options);
            let topic = from.first().map(|first| first.topic.clone());
            let fetch = tokio::spawn(async move { client.fetch_raw(&leader, &from, &options).await });
            under_way.push((topic, fetch));
        }
        let (mut fetched, mut first_error) = (Vec::new(), None);
        for (topic, fetch) in under_way {
            let answer = fetch.await.unwrap_or_else(|lost| Err(ClientError::Invalid(lost.to_string())));
            match answer {
                Ok(parts) => self.take(parts, &mut fetched, &mut first_error),
                Err(error) => {
                    first_error.get_or_insert((topic, error));
                }
            }
        }
        // What came is handed out first; an error that stays is met again by the next poll.
        match first_error {
            Some(error) if fetched.iter().all(|part| part.records.is_empty()) => Err(error),
            Some(_) | None => Ok(fetched),
        }
    }

    fn take(
        &mut self,
        parts: Vec<RawPartition>,
        fetched: &mut Vec<FetchedPartition>,
        first_error: &mut Option<(Option<String>, ClientError)>,
    ) {
        for part in parts {
            let key = (part.from.topic.clone(), part.from.partition);
            match part.decode() {
                Ok(part) => {
                    self.positions.insert(key, part.next_offset);
                    fetched.push(part);
                }
                Err(error) => {
                    first_error.get_or_insert((Some(key.0), error));
                }
            }
        }
    }
}
