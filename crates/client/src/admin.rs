use std::collections::BTreeMap;

use forebay_base::TopicId;
use forebay_wire::Text;
use forebay_wire::kafka::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use forebay_wire::kafka::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreatableTopicResult, CreateTopicsRequest,
};
use forebay_wire::kafka::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use forebay_wire::kafka::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use forebay_wire::kafka::describe_cluster::DescribeClusterRequest;
use forebay_wire::kafka::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use forebay_wire::kafka::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use crate::client::ANY_VERSION;
use crate::metadata::host_port;
use crate::pool::Purpose;
use crate::{Client, ClientError};

const TOPIC_RESOURCE: i8 = 2;

/// A topic to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None` for the server's default.
    pub partitions: Option<i32>,
    /// How many replicas of each; `None` for the server's default.
    pub replication_factor: Option<i16>,
    /// Settings, under Kafka's names.
    pub configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic with the server's defaults.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), partitions: None, replication_factor: None, configs: BTreeMap::new() }
    }
}

/// A topic that was made, or would have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id; all zero if it was only checked.
    pub id: TopicId,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas of each.
    pub replication_factor: i16,
}

/// What to do with a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlterOp {
    /// Give it a value.
    Set,
    /// Go back to the default.
    Delete,
    /// Add to a list.
    Append,
    /// Take from a list.
    Subtract,
}

impl AlterOp {
    fn code(self) -> i8 {
        match self {
            Self::Set => 0,
            Self::Delete => 1,
            Self::Append => 2,
            Self::Subtract => 3,
        }
    }
}

/// A change of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// Kafka's name of it.
    pub name: String,
    /// What to do.
    pub op: AlterOp,
    /// The value; none for [`AlterOp::Delete`].
    pub value: Option<String>,
}

/// One setting as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Kafka's name of it.
    pub name: String,
    /// Its value, unless it is secret.
    pub value: Option<String>,
    /// True if it was not set for the topic itself.
    pub is_default: bool,
    /// True if it cannot be changed.
    pub read_only: bool,
    /// What it does, where the server tells.
    pub documentation: Option<String>,
}

/// The cluster as a node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    /// Its id.
    pub id: String,
    /// The node that leads the metadata quorum.
    pub controller: Option<i32>,
    /// Its nodes.
    pub nodes: Vec<Node>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: i32,
    /// `HOST:PORT` as told to clients.
    pub addr: String,
    /// Where it stands, if it says.
    pub rack: Option<String>,
}

impl Client {
    /// Makes one topic. With `validate_only`, says only whether it could be made.
    pub async fn create_topic(
        &self,
        topic: &NewTopic,
        validate_only: bool,
    ) -> Result<CreatedTopic, ClientError> {
        let created = self.create_topics(std::slice::from_ref(topic), validate_only).await?;
        let missing = || ClientError::Invalid(format!("the server did not answer for topic {}", topic.name));
        created.into_iter().next().ok_or_else(missing)?.1
    }

    /// Makes topics, with an answer for each. Fails as a whole only if the server cannot be asked.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<(String, Result<CreatedTopic, ClientError>)>, ClientError> {
        let request = CreateTopicsRequest {
            topics: topics.iter().map(creatable).collect(),
            timeout_ms: self.patience_ms(),
            validate_only,
        };
        let answer = self.call_controller(&request).await?;
        Ok(answer.topics.into_iter().map(|result| (result.name.to_string(), created(result))).collect())
    }

    /// Deletes a topic and all its records.
    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let topic = DeleteTopicState { name: Some(Text::from(name)), ..Default::default() };
        let request =
            DeleteTopicsRequest { topics: vec![topic], timeout_ms: self.patience_ms(), ..Default::default() };
        for result in self.call_controller(&request).await?.responses {
            ClientError::check(result.error_code, || format!("delete topic {name}"), result.error_message)?;
        }
        Ok(())
    }

    /// Raises a topic's number of partitions to `count`.
    pub async fn add_partitions(
        &self,
        name: &str,
        count: i32,
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let topic = CreatePartitionsTopic { name: Text::from(name), count, assignments: None };
        let request =
            CreatePartitionsRequest { topics: vec![topic], timeout_ms: self.patience_ms(), validate_only };
        for result in self.call_controller(&request).await?.results {
            let what = || format!("raise topic {name} to {count} partitions");
            ClientError::check(result.error_code, what, result.error_message)?;
        }
        Ok(())
    }

    /// Changes settings of a topic: all of them or none.
    pub async fn alter_topic(
        &self,
        name: &str,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let configs = changes.iter().map(|change| AlterableConfig {
            name: Text::from(&change.name),
            config_operation: change.op.code(),
            value: change.value.as_ref().map(Text::from),
        });
        let resource = AlterConfigsResource {
            resource_type: TOPIC_RESOURCE,
            resource_name: Text::from(name),
            configs: configs.collect(),
        };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only };
        for result in self.call_controller(&request).await?.responses {
            ClientError::check(result.error_code, || format!("alter topic {name}"), result.error_message)?;
        }
        Ok(())
    }

    /// A topic's settings, defaults included.
    pub async fn topic_configs(&self, name: &str) -> Result<Vec<ConfigEntry>, ClientError> {
        const SET_FOR_THE_TOPIC: i8 = 1;
        let resource = DescribeConfigsResource {
            resource_type: TOPIC_RESOURCE,
            resource_name: Text::from(name),
            configuration_keys: None,
        };
        let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
        let mut entries = Vec::new();
        for result in self.call_any(&request).await?.results {
            ClientError::check(
                result.error_code,
                || format!("settings of topic {name}"),
                result.error_message,
            )?;
            entries.extend(result.configs.into_iter().map(|config| ConfigEntry {
                name: config.name.to_string(),
                value: config.value.map(String::from),
                is_default: config.config_source != SET_FOR_THE_TOPIC,
                read_only: config.read_only,
                documentation: config.documentation.map(String::from),
            }));
        }
        Ok(entries)
    }

    /// Deletes a partition's records below `before` (-1: all that are visible). Answers with the first offset left.
    pub async fn delete_records(&self, topic: &str, partition: i32, before: i64) -> Result<i64, ClientError> {
        let partitions = vec![DeleteRecordsPartition { partition_index: partition, offset: before }];
        let topics = vec![DeleteRecordsTopic { name: Text::from(topic), partitions }];
        let request = DeleteRecordsRequest { topics, timeout_ms: self.patience_ms() };
        let mut attempts = self.attempts();
        loop {
            match self.delete_records_once(topic, partition, &request).await {
                Err(error) if attempts.again(&error, Some(topic)).await => {}
                done => return done,
            }
        }
    }

    async fn delete_records_once(
        &self,
        topic: &str,
        partition: i32,
        request: &DeleteRecordsRequest,
    ) -> Result<i64, ClientError> {
        let leader = self.leader_addr(topic, partition).await?;
        let answer = self.call_addr(&leader, Purpose::General, request, ANY_VERSION).await?;
        let mut results = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let Some(result) = results.next() else {
            return Err(ClientError::Protocol {
                addr: leader,
                reason: "an answer without the partition".to_owned(),
            });
        };
        ClientError::check_code(result.error_code, || format!("delete records of {topic}-{partition}"))?;
        Ok(result.low_watermark)
    }

    /// Who is in the cluster.
    pub async fn describe_cluster(&self) -> Result<ClusterView, ClientError> {
        let answer = self.call_any(&DescribeClusterRequest::default()).await?;
        ClientError::check(answer.error_code, || "describe the cluster".to_owned(), answer.error_message)?;
        let nodes = answer.brokers.iter().map(|broker| Node {
            id: broker.broker_id,
            addr: host_port(&broker.host, broker.port),
            rack: broker.rack.as_deref().map(str::to_owned),
        });
        Ok(ClusterView {
            id: answer.cluster_id.to_string(),
            controller: (answer.controller_id >= 0).then_some(answer.controller_id),
            nodes: nodes.collect(),
        })
    }

    /// How long a server may take over a change.
    fn patience_ms(&self) -> i32 {
        i32::try_from(self.config().request_timeout.as_millis()).unwrap_or(i32::MAX)
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let configs = topic
        .configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig { name: Text::from(name), value: Some(Text::from(value)) });
    CreatableTopic {
        name: Text::from(&topic.name),
        num_partitions: topic.partitions.unwrap_or(-1),
        replication_factor: topic.replication_factor.unwrap_or(-1),
        configs: configs.collect(),
        ..Default::default()
    }
}

fn created(result: CreatableTopicResult) -> Result<CreatedTopic, ClientError> {
    let what = || format!("create topic {}", result.name);
    ClientError::check(result.error_code, what, result.error_message.as_deref())?;
    Ok(CreatedTopic {
        id: TopicId(result.topic_id),
        partitions: result.num_partitions,
        replication_factor: result.replication_factor,
    })
}
