use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use forebay_broker::FLUSH_ASYNC_WARNING;
use forebay_client::{AlterOp, Client, ConfigChange, ConfigEntry, ErrorCode, NewTopic, OffsetAt, TopicInfo};
use serde::Serialize;

use crate::cluster::{ClusterArgs, block_on};
use crate::failure::{Exit, Failure};
use crate::output::{Output, note, table};
use crate::topic_status::{PartitionStatus, Statuses, beside};
use crate::values::pair;

const CLIENT_ID: &str = "forebay-topic";

/// `forebay topic ...`
#[derive(Debug, Subcommand)]
pub(crate) enum TopicCommand {
    /// Make a topic
    Create(CreateArgs),
    /// List the topics
    List(ListArgs),
    /// Show topics with their partitions, offsets and settings
    Describe(DescribeArgs),
    /// Change a topic's settings
    Alter(AlterArgs),
    /// Delete topics and all their records
    Delete(DeleteArgs),
    /// Raise the number of a topic's partitions
    AddPartitions(AddPartitionsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    name: String,
    /// How many partitions [default: the server's num.partitions]
    #[arg(long, short)]
    partitions: Option<i32>,
    /// How many replicas of each [default: the server's default.replication.factor]
    #[arg(long, short)]
    replication_factor: Option<i16>,
    /// A setting under Kafka's name, such as retention.ms=86400000. Repeatable
    #[arg(long = "config", short, value_name = "NAME=VALUE", value_parser = pair)]
    configs: Vec<(String, String)>,
    /// Succeed if the topic is there already, whatever its settings
    #[arg(long)]
    if_not_exists: bool,
    /// Only say whether it could be made
    #[arg(long)]
    validate_only: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Also those that the system made for itself
    #[arg(long)]
    internal: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// Which topics [default: all]
    names: Vec<String>,
    /// Also settings that have their default value
    #[arg(long)]
    all_configs: bool,
    /// The HTTP door of a server of the cluster, which tells the status [default: port 9644 of the first server]
    #[arg(long, env = "FOREBAY_HTTP", value_name = "HOST:PORT")]
    http: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct AlterArgs {
    name: String,
    /// Give a setting a value. Repeatable
    #[arg(long = "config", short, value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Put a setting back to its default. Repeatable
    #[arg(long = "delete-config", value_name = "NAME")]
    delete: Vec<String>,
    /// Add a value to a list setting, such as cleanup.policy. Repeatable
    #[arg(long = "append-config", value_name = "NAME=VALUE", value_parser = pair)]
    append: Vec<(String, String)>,
    /// Take a value from a list setting. Repeatable
    #[arg(long = "subtract-config", value_name = "NAME=VALUE", value_parser = pair)]
    subtract: Vec<(String, String)>,
    /// Only say whether it could be done
    #[arg(long)]
    validate_only: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[arg(required = true)]
    names: Vec<String>,
    /// Succeed for topics that are not there
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct AddPartitionsArgs {
    name: String,
    /// How many partitions the topic has afterwards
    #[arg(long, short)]
    partitions: i32,
    /// Only say whether it could be done
    #[arg(long)]
    validate_only: bool,
    #[command(flatten)]
    target: Target,
}

/// Which cluster, and how the result is printed.
#[derive(Debug, Args)]
struct Target {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t, env = "FOREBAY_OUTPUT")]
    output: Output,
}

/// A topic as `list` shows it.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    id: String,
    partitions: usize,
    internal: bool,
}

/// A topic as `describe` shows it.
#[derive(Debug, Serialize)]
struct Described {
    name: String,
    id: String,
    internal: bool,
    partitions: Vec<DescribedPartition>,
    configs: BTreeMap<String, Option<String>>,
    /// What its owner should know.
    warnings: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct DescribedPartition {
    partition: i32,
    leader: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    /// None while nobody leads it.
    first_offset: Option<i64>,
    end_offset: Option<i64>,
    /// None if no HTTP door of the cluster told it.
    status: Option<PartitionStatus>,
}

/// What a change did, as data.
#[derive(Debug, Serialize)]
struct Changed<'a> {
    topic: &'a str,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitions: Option<i32>,
    only_checked: bool,
}

impl TopicCommand {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<(), Failure> {
        block_on(async {
            match self {
                Self::Create(args) => args.run().await,
                Self::List(args) => args.run().await,
                Self::Describe(args) => args.run().await,
                Self::Alter(args) => args.run().await,
                Self::Delete(args) => args.run().await,
                Self::AddPartitions(args) => args.run().await,
            }
        })
    }
}

impl Target {
    async fn connect(&self) -> Result<Client, Failure> {
        self.cluster.connect(CLIENT_ID).await
    }

    fn changed(&self, change: &Changed<'_>) -> Result<(), Failure> {
        self.output.print(change, |change| {
            let checked = if change.only_checked { " (only checked, nothing was changed)" } else { "" };
            let partitions =
                change.partitions.map(|count| format!(", {count} partitions")).unwrap_or_default();
            format!("{} {}{partitions}{checked}", change.action, change.topic)
        })
    }
}

impl CreateArgs {
    async fn run(self) -> Result<(), Failure> {
        let client = self.target.connect().await?;
        let topic = NewTopic {
            name: self.name,
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            configs: self.configs.into_iter().collect(),
        };
        let created = match client.create_topic(&topic, self.validate_only).await {
            Err(error) if self.if_not_exists && error.code() == Some(ErrorCode::TopicAlreadyExists) => {
                note(&format!("topic {} is there already", topic.name));
                return Ok(());
            }
            created => created?,
        };
        self.target.changed(&Changed {
            topic: &topic.name,
            action: "created",
            id: (!created.id.0.is_zero()).then(|| created.id.to_string()),
            partitions: Some(created.partitions),
            only_checked: self.validate_only,
        })
    }
}

impl ListArgs {
    async fn run(self) -> Result<(), Failure> {
        let metadata = self.target.connect().await?.refresh(None, false).await?;
        let shown = metadata.topics.iter().filter(|(_, info)| self.internal || !info.internal);
        let topics: Vec<Listed> = shown.map(|(name, info)| listed(name, info)).collect();
        self.target.output.print(&topics, |topics| {
            if topics.is_empty() {
                return "There are no topics; `forebay topic create NAME` makes one.".to_owned();
            }
            let mut rows = table(["topic", "partitions", "id"]);
            for topic in topics {
                rows.add_row([topic.name.clone(), topic.partitions.to_string(), topic.id.clone()]);
            }
            rows.to_string()
        })
    }
}

fn listed(name: &str, info: &TopicInfo) -> Listed {
    Listed {
        name: name.to_owned(),
        id: info.id.to_string(),
        partitions: info.partitions.len(),
        internal: info.internal,
    }
}

impl DescribeArgs {
    async fn run(self) -> Result<(), Failure> {
        let client = self.target.connect().await?;
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let asked = if names.is_empty() { None } else { Some(names.as_slice()) };
        let metadata = client.refresh(asked, false).await?;
        let mut topics = Vec::new();
        for name in &self.names {
            if !metadata.topics.contains_key(name) {
                return Err(Failure::new(Exit::Refused, format!("there is no topic {name}"))
                    .advise("`forebay topic list` shows what is there."));
            }
        }
        for (name, info) in &metadata.topics {
            if names.is_empty() && info.internal {
                continue;
            }
            topics.push(describe(&client, name, info, self.all_configs).await?);
        }
        let door = self.http.unwrap_or_else(|| beside(self.target.cluster.first()));
        let mut statuses = Statuses::at(door);
        for topic in &mut topics {
            let mut told = statuses.of(&topic.name, &topic.id);
            topic.partitions.iter_mut().for_each(|at| at.status = told.remove(&at.partition));
        }
        self.target
            .output
            .print(&topics, |topics| topics.iter().map(described_text).collect::<Vec<_>>().join("\n"))
    }
}

async fn describe(
    client: &Client,
    name: &str,
    info: &TopicInfo,
    all_configs: bool,
) -> Result<Described, Failure> {
    let led: Vec<i32> =
        info.partitions.iter().filter(|(_, part)| part.leader.is_some()).map(|(at, _)| *at).collect();
    let at = |place| led.iter().map(|partition| (*partition, place)).collect::<Vec<_>>();
    let first = client.list_offsets(name, &at(OffsetAt::Earliest)).await?;
    let end = client.list_offsets(name, &at(OffsetAt::Latest)).await?;
    let partitions = info.partitions.iter().map(|(index, partition)| DescribedPartition {
        partition: *index,
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        replicas: partition.replicas.clone(),
        isr: partition.isr.clone(),
        first_offset: first.get(index).map(|found| found.offset),
        end_offset: end.get(index).map(|found| found.offset),
        status: None,
    });
    let configs = client.topic_configs(name).await?;
    let is_async =
        |config: &ConfigEntry| config.name == "flush.mode" && config.value.as_deref() == Some("async");
    let warnings = configs.iter().any(is_async).then_some(FLUSH_ASYNC_WARNING).into_iter().collect();
    let shown = configs.into_iter().filter(|config| all_configs || !config.is_default);
    Ok(Described {
        name: name.to_owned(),
        id: info.id.to_string(),
        internal: info.internal,
        partitions: partitions.collect(),
        configs: shown.map(|config| (config.name, config.value)).collect(),
        warnings,
    })
}

fn described_text(topic: &Described) -> String {
    let list = |nodes: &[i32]| nodes.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let number = |offset: Option<i64>| offset.map_or_else(|| "?".to_owned(), |offset| offset.to_string());
    let mut rows = table([
        "partition",
        "status",
        "leader",
        "epoch",
        "replicas",
        "in sync",
        "first offset",
        "end offset",
    ]);
    for partition in &topic.partitions {
        rows.add_row([
            partition.partition.to_string(),
            partition.status.as_ref().map_or_else(|| "?".to_owned(), PartitionStatus::shown),
            partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
            partition.leader_epoch.to_string(),
            list(&partition.replicas),
            list(&partition.isr),
            number(partition.first_offset),
            number(partition.end_offset),
        ]);
    }
    let mut text = format!("topic {}, id {}\n", topic.name, topic.id);
    for (name, value) in &topic.configs {
        text.push_str(&format!("  {name}={}\n", value.as_deref().unwrap_or("(secret)")));
    }
    for warning in &topic.warnings {
        text.push_str(&format!("  {warning}\n"));
    }
    let told = topic.partitions.iter().filter_map(|at| Some((at.partition, at.status.as_ref()?.finding()?)));
    let findings: String = told.map(|(index, finding)| format!("partition {index}: {finding}\n")).collect();
    format!("{text}{rows}\n{findings}")
}

impl AlterArgs {
    async fn run(self) -> Result<(), Failure> {
        let change = |op| move |(name, value)| ConfigChange { name, op, value: Some(value) };
        let mut changes: Vec<ConfigChange> = self.set.into_iter().map(change(AlterOp::Set)).collect();
        changes.extend(self.append.into_iter().map(change(AlterOp::Append)));
        changes.extend(self.subtract.into_iter().map(change(AlterOp::Subtract)));
        let deleted = |name| ConfigChange { name, op: AlterOp::Delete, value: None };
        changes.extend(self.delete.into_iter().map(deleted));
        if changes.is_empty() {
            return Err(Failure::usage(
                "nothing to change: give --config NAME=VALUE or --delete-config NAME",
            ));
        }
        let client = self.target.connect().await?;
        client.alter_topic(&self.name, &changes, self.validate_only).await?;
        let (topic, only_checked) = (self.name.as_str(), self.validate_only);
        self.target.changed(&Changed { topic, action: "altered", id: None, partitions: None, only_checked })
    }
}

impl DeleteArgs {
    async fn run(self) -> Result<(), Failure> {
        let client = self.target.connect().await?;
        for topic in &self.names {
            match client.delete_topic(topic).await {
                Err(error) if self.if_exists && error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {
                    note(&format!("there is no topic {topic}"));
                    continue;
                }
                deleted => deleted?,
            }
            let action = "deleted";
            self.target.changed(&Changed {
                topic,
                action,
                id: None,
                partitions: None,
                only_checked: false,
            })?;
        }
        Ok(())
    }
}

impl AddPartitionsArgs {
    async fn run(self) -> Result<(), Failure> {
        let client = self.target.connect().await?;
        client.add_partitions(&self.name, self.partitions, self.validate_only).await?;
        self.target.changed(&Changed {
            topic: &self.name,
            action: "extended",
            id: None,
            partitions: Some(self.partitions),
            only_checked: self.validate_only,
        })
    }
}
