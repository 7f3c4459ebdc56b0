use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use forebay_client::{Acks, Client, ClientError, OffsetAt};
use indicatif::ProgressBar;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Target;
use super::figures::{Checked, Figures, Samples};
use super::load::Template;
use super::reading::Stretch;
use crate::cluster::wall_ms;
use crate::failure::{Exit, Failure};
use crate::produce::{AcksArg, Codec};
use crate::progress;
use crate::values::bytes;

/// Answers of the read that checks, in bytes.
const ANSWER_BYTES: i32 = 4 * 1024 * 1024;

/// How long records that were sent may take to become visible.
const VISIBLE_PATIENCE: Duration = Duration::from_secs(10);

/// `forebay bench produce`
#[derive(Debug, Args)]
pub(crate) struct ProduceArgs {
    /// TCP connections
    #[arg(long, default_value_t = 4)]
    connections: usize,

    /// Requests under way on each connection
    #[arg(long, default_value_t = 4)]
    in_flight: usize,

    /// Bytes of a batch, before compression; one request carries one batch
    #[arg(long, value_name = "BYTES", default_value = "64K", value_parser = bytes)]
    batch_bytes: u64,

    /// Bytes of a record's value
    #[arg(long, value_name = "BYTES", default_value = "1K", value_parser = bytes)]
    record_bytes: u64,

    /// Bytes to send in all
    #[arg(long, value_name = "BYTES", default_value = "1G", value_parser = bytes)]
    total_bytes: u64,

    /// Partitions of the topic, if it is made
    #[arg(long, default_value_t = 8)]
    partitions: i32,

    /// When an append counts as done
    #[arg(long, value_enum, default_value = "all")]
    acks: AcksArg,

    /// How batches are compressed, once and not for each request
    #[arg(long, value_enum, default_value = "none")]
    compression: Codec,

    /// Do not read back what was acknowledged; only count it
    #[arg(long)]
    no_check: bool,

    #[command(flatten)]
    target: Target,
}

/// What every request needs.
#[derive(Debug)]
struct Plan {
    topic: String,
    partitions: Vec<i32>,
    template: Template,
    acks: Acks,
    /// Batches that nobody has taken yet; their numbers count down and are their marks.
    left: AtomicU64,
    bar: ProgressBar,
}

/// Batches acknowledged: mark by base offset, by partition.
type Acknowledged = BTreeMap<i32, HashMap<i64, u128>>;

#[derive(Debug, Default)]
struct Sent {
    answers: Samples,
    acknowledged: Acknowledged,
    batches: u64,
}

impl ProduceArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        if self.connections == 0 || self.in_flight == 0 {
            return Err(Failure::usage("--connections and --in-flight must be at least 1"));
        }
        let client = self.target.connect().await?;
        let partitions = self.target.prepare(&client, self.partitions).await?;
        let codec = self.compression.compression();
        let template = Template::build(self.batch_bytes, self.record_bytes, codec, wall_ms())?;
        let batches = self.total_bytes.div_ceil(template.len()).max(1);
        let plan = Arc::new(Plan {
            topic: self.target.topic.clone(),
            partitions,
            acks: self.acks.acks(),
            left: AtomicU64::new(batches),
            bar: progress::bytes("sent", Some(batches * template.len()), self.target.output),
            template,
        });
        let before = ends(&client, &plan).await?;
        let mut clients = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            clients.push(self.target.connect().await?);
        }
        let begun = Instant::now();
        let sent = send_all(&plan, &clients, self.in_flight).await?;
        let took = begun.elapsed();
        plan.bar.finish_and_clear();
        let (records, bytes) = (sent.batches * plan.template.records(), sent.batches * plan.template.len());
        let (partitions, answers) = (plan.partitions.len(), sent.answers);
        let checked = self.check(&plan, &clients, &before, sent.acknowledged, records).await?;
        let figures = Figures {
            measured: "produce",
            topic: plan.topic.clone(),
            partitions,
            connections: self.connections,
            records,
            bytes,
            seconds: 0.0,
            megabytes_per_second: 0.0,
            records_per_second: 0.0,
            answered: answers.quantiles(),
            received: None,
            checked,
        };
        figures.per_second(took).report(self.target.output)
    }

    /// Looks for every record that was acknowledged.
    async fn check(
        &self,
        plan: &Arc<Plan>,
        clients: &[Client],
        before: &BTreeMap<i32, i64>,
        acknowledged: Acknowledged,
        records: u64,
    ) -> Result<Checked, Failure> {
        let Some(client) = clients.first() else { return Ok(Checked::default()) };
        let after = visible(client, plan, before, records).await?;
        let unseen = records.saturating_sub(grown(before, &after));
        if self.no_check {
            return Ok(Checked { lost: unseen, ..Checked::default() });
        }
        let checked = read_back(plan, client, before, &after, acknowledged, self.target.output).await?;
        Ok(Checked { lost: checked.lost.max(unseen), ..checked })
    }
}

async fn ends(client: &Client, plan: &Plan) -> Result<BTreeMap<i32, i64>, Failure> {
    let places: Vec<_> = plan.partitions.iter().map(|partition| (*partition, OffsetAt::Latest)).collect();
    let found = client.list_offsets(&plan.topic, &places).await?;
    Ok(found.into_iter().map(|(partition, found)| (partition, found.offset)).collect())
}

/// Records between two states of the topic.
fn grown(before: &BTreeMap<i32, i64>, after: &BTreeMap<i32, i64>) -> u64 {
    let grown = |(partition, end): (&i32, &i64)| end - before.get(partition).copied().unwrap_or(0);
    u64::try_from(after.iter().map(grown).sum::<i64>()).unwrap_or(0)
}

/// The ends of the partitions once `records` more than `before` can be seen, or after long enough. Without acks=all
/// that may be later than the last answer.
async fn visible(
    client: &Client,
    plan: &Plan,
    before: &BTreeMap<i32, i64>,
    records: u64,
) -> Result<BTreeMap<i32, i64>, Failure> {
    let asked = Instant::now();
    loop {
        let after = ends(client, plan).await?;
        if grown(before, &after) >= records || asked.elapsed() > VISIBLE_PATIENCE {
            return Ok(after);
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Sends every batch, `in_flight` at a time on each connection.
async fn send_all(plan: &Arc<Plan>, clients: &[Client], in_flight: usize) -> Result<Sent, Failure> {
    let mut senders = JoinSet::new();
    for number in 0..clients.len() * in_flight {
        let (plan, client) = (plan.clone(), clients[number % clients.len()].clone());
        senders.spawn(async move { send(&plan, &client, number).await });
    }
    let mut all = Sent::default();
    while let Some(sent) = senders.join_next().await {
        let sent = sent.map_err(|lost| Failure::new(Exit::Failed, lost.to_string()))??;
        all.answers.merge(sent.answers);
        all.batches += sent.batches;
        for (partition, batches) in sent.acknowledged {
            all.acknowledged.entry(partition).or_default().extend(batches);
        }
    }
    Ok(all)
}

/// Takes batches as long as there are any, and sends one at a time, to the partitions in turn.
async fn send(plan: &Plan, client: &Client, number: usize) -> Result<Sent, ClientError> {
    let mut sent = Sent::default();
    for turn in number.. {
        let take = |left: u64| left.checked_sub(1);
        let Ok(serial) = plan.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) else { break };
        let partition = plan.partitions[turn % plan.partitions.len()];
        let mark = u128::from(serial);
        let batch = plan.template.marked(mark);
        let asked = Instant::now();
        let base = client.produce(&plan.topic, partition, batch, plan.acks).await?;
        sent.answers.add(asked.elapsed());
        sent.batches += 1;
        // Without acks nobody knows where it went.
        if plan.acks != Acks::None {
            sent.acknowledged.entry(partition).or_default().insert(base, mark);
        }
        plan.bar.inc(plan.template.len());
    }
    Ok(sent)
}

/// Reads what was appended meanwhile and ticks off what was acknowledged; what is left is lost.
async fn read_back(
    plan: &Arc<Plan>,
    client: &Client,
    before: &BTreeMap<i32, i64>,
    after: &BTreeMap<i32, i64>,
    mut acknowledged: Acknowledged,
    output: crate::output::Output,
) -> Result<Checked, Failure> {
    let total = acknowledged.values().map(|batches| batches.len() as u64).sum::<u64>() * plan.template.len();
    let bar = progress::bytes("checked", Some(total), output);
    let mut all = Checked::default();
    for (partition, upto) in after {
        let mut open = acknowledged.remove(partition).unwrap_or_default();
        let from = before.get(partition).copied().unwrap_or(0);
        let stretch = Stretch { topic: plan.topic.clone(), partition: *partition, from, upto: *upto };
        let tick_off = |header: &forebay_client::BatchHeader, batch: &bytes::Bytes| match open
            .get(&header.base_offset.0)
        {
            // Somebody else's.
            None => true,
            Some(mark) => {
                let right = plan.template.is_marked(batch, *mark) == Ok(true);
                if right {
                    open.remove(&header.base_offset.0);
                }
                right
            }
        };
        let read = stretch.read(client, ANSWER_BYTES, tick_off, |bytes| bar.inc(bytes)).await?;
        // A gap is told by what is still open.
        all.merge(Checked { lost: open.len() as u64 * plan.template.records(), ..read.checked });
    }
    bar.finish_and_clear();
    Ok(all)
}
