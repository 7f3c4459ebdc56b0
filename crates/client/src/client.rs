use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_link::Net;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::metadata::{MetadataRequest, MetadataRequestTopic};
use forebay_wire::{Request, Text};
use tokio::time::{Instant, sleep, timeout};

use crate::connection::Connection;
use crate::pool::{Pool, Purpose};
use crate::{ClientConfig, ClientError, Metadata};

/// The newest version of everything: no cap but the one of room `wire`.
pub(crate) const ANY_VERSION: i16 = i16::MAX;

/// How long a topic that was made a moment ago may be unknown to the node that is asked.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(5);

/// A cluster, as a client sees it. Cheap to clone; clones share connections and metadata.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: Pool,
    config: Arc<ClientConfig>,
    bootstrap: Vec<String>,
    metadata: Mutex<Arc<Metadata>>,
}

impl Client {
    /// Asks the first of `bootstrap` (each `HOST:PORT`) that answers who is in the cluster. No retries: an error says
    /// why the last one could not be used.
    pub async fn connect(
        net: Arc<dyn Net>,
        bootstrap: &[String],
        config: ClientConfig,
    ) -> Result<Self, ClientError> {
        if bootstrap.is_empty() {
            return Err(ClientError::Invalid("no server is named: give at least one HOST:PORT".to_owned()));
        }
        let config = Arc::new(config);
        let inner = Inner {
            pool: Pool::new(net, config.clone()),
            config,
            bootstrap: bootstrap.to_vec(),
            metadata: Mutex::new(Arc::default()),
        };
        let client = Self { inner: Arc::new(inner) };
        client.refresh(Some(&[]), false).await?;
        Ok(client)
    }

    /// How this client behaves.
    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// What is known of the cluster, without asking.
    pub fn metadata(&self) -> Arc<Metadata> {
        self.inner.metadata.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Asks for the metadata of `topics` (`None`: all) and remembers it. With `create`, the server may make topics
    /// that are missing.
    pub async fn refresh(&self, topics: Option<&[&str]>, create: bool) -> Result<Arc<Metadata>, ClientError> {
        let named =
            |name: &&str| MetadataRequestTopic { name: Some(Text::from(*name)), ..Default::default() };
        let request = MetadataRequest {
            topics: topics.map(|names| names.iter().map(named).collect()),
            allow_auto_topic_creation: create,
            ..Default::default()
        };
        let answer = self.call_any(&request).await?;
        let mut metadata = self.inner.metadata.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if topics.is_none() {
            // Everything was asked for, so what is not in the answer is gone.
            *metadata = Arc::default();
        }
        *metadata = Arc::new(metadata.merge(answer));
        Ok(metadata.clone())
    }

    /// Calls the node `node`, once.
    pub async fn call<R: Request>(&self, node: i32, request: &R) -> Result<R::Response, ClientError> {
        let metadata = self.metadata();
        let unknown = || ClientError::Invalid(format!("the cluster has no node {node}"));
        let addr = metadata.brokers.get(&node).ok_or_else(unknown)?;
        self.call_addr(addr, Purpose::General, request, ANY_VERSION).await
    }

    /// Calls whichever node answers: known ones first, then those of the start.
    pub async fn call_any<R: Request>(&self, request: &R) -> Result<R::Response, ClientError> {
        let metadata = self.metadata();
        let mut last = None;
        for addr in metadata.brokers.values().chain(&self.inner.bootstrap) {
            match self.call_addr(addr, Purpose::General, request, ANY_VERSION).await {
                Err(error @ (ClientError::Unreachable { .. } | ClientError::Timeout { .. })) => {
                    last = Some(error)
                }
                answered => return answered,
            }
        }
        Err(last.unwrap_or_else(|| ClientError::Invalid("no server is known".to_owned())))
    }

    /// Calls the node that leads the metadata quorum.
    pub(crate) async fn call_controller<R: Request>(&self, request: &R) -> Result<R::Response, ClientError> {
        match self.metadata().controller {
            Some(node) => self.call(node, request).await,
            None => self.call_any(request).await,
        }
    }

    /// One request, one answer, within the time of one request.
    pub(crate) async fn call_addr<R: Request>(
        &self,
        addr: &str,
        purpose: Purpose,
        request: &R,
        version_max: i16,
    ) -> Result<R::Response, ClientError> {
        let connection = self.connection(addr, purpose).await?;
        let version = connection.version::<R>(version_max)?;
        let exchange = async { connection.send(request, version).await?.wait::<R>().await };
        let patience = self.inner.config.request_timeout;
        match timeout(patience, exchange).await {
            Ok(answer) => answer,
            Err(_) => {
                self.discard(purpose, &connection).await;
                Err(ClientError::Timeout { addr: addr.to_owned(), waited: patience })
            }
        }
    }

    pub(crate) async fn connection(
        &self,
        addr: &str,
        purpose: Purpose,
    ) -> Result<Arc<Connection>, ClientError> {
        self.inner.pool.connection(addr, purpose).await
    }

    pub(crate) async fn discard(&self, purpose: Purpose, connection: &Arc<Connection>) {
        self.inner.pool.discard(purpose, connection).await;
    }

    /// The address of the node that leads a partition, asked for if it is not known.
    pub async fn leader_addr(&self, topic: &str, partition: i32) -> Result<String, ClientError> {
        if let Some(addr) = self.metadata().leader_addr(topic, partition) {
            return Ok(addr.to_owned());
        }
        let metadata = self.refresh(Some(&[topic]), false).await?;
        let refused = |code| ClientError::Refused {
            what: format!("partition {topic}-{partition}"),
            code,
            message: None,
        };
        let Some(info) = metadata.topics.get(topic) else {
            return Err(refused(ErrorCode::UnknownTopicOrPartition));
        };
        if info.error != ErrorCode::None {
            return Err(refused(info.error));
        }
        match (info.partitions.get(&partition), metadata.leader_addr(topic, partition)) {
            (Some(_), Some(addr)) => Ok(addr.to_owned()),
            (Some(_), None) => Err(refused(ErrorCode::LeaderNotAvailable)),
            (None, _) => Err(refused(ErrorCode::UnknownTopicOrPartition)),
        }
    }

    /// Indexes of a topic's partitions. With `create`, the server may make the topic.
    pub async fn partitions(&self, topic: &str, create: bool) -> Result<Vec<i32>, ClientError> {
        let mut attempts = self.attempts();
        loop {
            match self.partitions_once(topic, create).await {
                Err(error) if error.code() != Some(ErrorCode::UnknownTopicOrPartition) => {
                    if !attempts.again(&error, None).await {
                        return Err(error);
                    }
                }
                answered => return answered,
            }
        }
    }

    async fn partitions_once(&self, topic: &str, create: bool) -> Result<Vec<i32>, ClientError> {
        let metadata = self.refresh(Some(&[topic]), create).await?;
        let Some(info) = metadata.topics.get(topic) else {
            let (what, code) = (format!("topic {topic}"), ErrorCode::UnknownTopicOrPartition);
            return Err(ClientError::Refused {
                what,
                code,
                message: Some("there is no such topic".to_owned()),
            });
        };
        ClientError::check_code(info.error.code(), || format!("topic {topic}"))?;
        Ok(info.partitions.keys().copied().collect())
    }

    /// The attempts of one operation.
    pub(crate) fn attempts(&self) -> Attempts<'_> {
        let config = &self.inner.config;
        Attempts { client: self, begun: Instant::now(), pause: config.backoff_min }
    }
}

/// Decides whether an operation that failed is tried again.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    client: &'a Client,
    begun: Instant,
    pause: Duration,
}

impl Attempts<'_> {
    /// After a failure: true when it is time for the next attempt, with fresh metadata of `topic`; false if there is
    /// none.
    pub(crate) async fn again(&mut self, error: &ClientError, topic: Option<&str>) -> bool {
        let patience = match error.code() {
            Some(ErrorCode::UnknownTopicOrPartition) => UNKNOWN_PATIENCE,
            Some(_) | None => self.client.config().retry_timeout,
        };
        if !error.is_retriable() || self.begun.elapsed() + self.pause >= patience {
            return false;
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(self.client.config().backoff_max);
        if let Some(topic) = topic {
            // If nobody answers, the next attempt will tell.
            let _ = self.client.refresh(Some(&[topic]), false).await;
        }
        true
    }
}
