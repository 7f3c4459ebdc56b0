use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use forebay_client::{Client, ClientError, Compression, Consumer, FetchOptions, OffsetAt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Target;
use super::figures::{Checked, Figures, Samples};
use super::load::{Template, mark_of};
use crate::cluster::wall_ms;
use crate::failure::{Exit, Failure};
use crate::output::note;
use crate::produce::AcksArg;
use crate::values::bytes;

/// Consumers wait this long for records that were acknowledged.
const STRAGGLER_PATIENCE: Duration = Duration::from_secs(10);

/// `forebay bench latency`
#[derive(Debug, Args)]
pub(crate) struct LatencyArgs {
    /// Records a second, all connections together
    #[arg(long, default_value_t = 1000)]
    rate: u64,

    /// Seconds to measure
    #[arg(long, default_value_t = 10)]
    duration: u64,

    /// TCP connections that append
    #[arg(long, default_value_t = 1)]
    connections: usize,

    /// Bytes of a record's value
    #[arg(long, value_name = "BYTES", default_value = "100", value_parser = bytes)]
    record_bytes: u64,

    /// Partitions of the topic, if it is made
    #[arg(long, default_value_t = 1)]
    partitions: i32,

    /// When an append counts as done: 1 or all
    #[arg(long, value_enum, default_value = "all")]
    acks: AcksArg,

    #[command(flatten)]
    target: Target,
}

/// When each record is due: waiting times count from then, so that a stall is seen in full by all the records that it
/// held up.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    begin: Instant,
    rate: u64,
    records: u64,
}

impl Schedule {
    fn due(&self, number: u64) -> Instant {
        self.begin + Duration::from_secs_f64(number as f64 / self.rate as f64)
    }
}

impl LatencyArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        if self.rate == 0 || self.connections == 0 || self.acks == AcksArg::None {
            return Err(Failure::usage("--rate and --connections must be at least 1, and --acks 1 or all"));
        }
        let client = self.target.connect().await?;
        let partitions = self.target.prepare(&client, self.partitions).await?;
        let template = Template::build(1, self.record_bytes, Compression::None, wall_ms())?;
        note(&format!("measuring for {} s ...", self.duration));
        let mut clients = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            let sender = self.target.connect().await?;
            // Connections are made before the clock runs.
            sender.refresh(Some(&[&self.target.topic]), false).await?;
            clients.push(sender);
        }
        let begin = Instant::now() + Duration::from_millis(200);
        let schedule = Schedule { begin, rate: self.rate, records: self.rate * self.duration };
        let (stop, stopped) = watch::channel(false);
        let receiver = self.receive(&client, &partitions, schedule, stopped).await?;
        let receiving = tokio::spawn(receiver);
        let (answers, acknowledged) = self.send(&clients, &partitions, &template, schedule).await?;
        let took = begin.elapsed();
        let waiter = tokio::spawn(async move {
            tokio::time::sleep(STRAGGLER_PATIENCE).await;
            stop.send_replace(true);
        });
        let received = receiving.await.map_err(|lost| Failure::new(Exit::Failed, lost.to_string()))??;
        waiter.abort();
        let checked = Checked {
            records: received.1,
            bytes: received.1 * template.len(),
            lost: acknowledged.saturating_sub(received.1),
            damaged: 0,
        };
        let figures = Figures {
            measured: "latency",
            topic: self.target.topic,
            partitions: partitions.len(),
            connections: self.connections,
            records: acknowledged,
            bytes: acknowledged * template.len(),
            seconds: 0.0,
            megabytes_per_second: 0.0,
            records_per_second: 0.0,
            answered: answers.quantiles(),
            received: received.0.quantiles(),
            checked,
        };
        figures.per_second(took).report(self.target.output)
    }

    /// Sends each record when it is due, whatever became of those before.
    async fn send(
        &self,
        clients: &[Client],
        partitions: &[i32],
        template: &Template,
        schedule: Schedule,
    ) -> Result<(Samples, u64), Failure> {
        let (topic, acks): (Arc<str>, _) = (self.target.topic.as_str().into(), self.acks.acks());
        let mut requests = JoinSet::new();
        for number in 0..schedule.records {
            let due = schedule.due(number);
            sleep_until(due).await;
            let client = clients[number as usize % clients.len()].clone();
            let (topic, partition) = (topic.clone(), partitions[number as usize % partitions.len()]);
            let batch = template.marked(u128::from(number));
            requests.spawn(async move {
                client.produce(&topic, partition, batch, acks).await?;
                Ok::<_, ClientError>(due.elapsed())
            });
        }
        let (mut answers, mut acknowledged) = (Samples::default(), 0);
        while let Some(answer) = requests.join_next().await {
            let answer = answer.map_err(|lost| Failure::new(Exit::Failed, lost.to_string()))?;
            answers.add(answer?);
            acknowledged += 1;
        }
        Ok((answers, acknowledged))
    }

    /// A task that reads from now on, until it has every record or is stopped. Each record counts once.
    async fn receive(
        &self,
        client: &Client,
        partitions: &[i32],
        schedule: Schedule,
        stopped: watch::Receiver<bool>,
    ) -> Result<impl Future<Output = Result<(Samples, u64), Failure>> + Send + 'static, Failure> {
        let topic = self.target.topic.clone();
        let places: Vec<_> = partitions.iter().map(|partition| (*partition, OffsetAt::Latest)).collect();
        let options = FetchOptions { max_wait: Duration::from_millis(100), ..FetchOptions::default() };
        let mut consumer = Consumer::new(client.clone(), options);
        for (partition, end) in client.list_offsets(&topic, &places).await? {
            consumer.assign(&topic, partition, end.offset);
        }
        Ok(async move {
            let mut seen = vec![false; usize::try_from(schedule.records).unwrap_or(0)];
            let (mut samples, mut count) = (Samples::default(), 0);
            while count < schedule.records && !*stopped.borrow() {
                for part in consumer.poll().await? {
                    let now = Instant::now();
                    for record in part.records {
                        let number = record
                            .value
                            .as_deref()
                            .and_then(mark_of)
                            .and_then(|mark| u64::try_from(mark).ok());
                        let slot = number.and_then(|number| seen.get_mut(usize::try_from(number).ok()?));
                        if let (Some(number), Some(slot @ false)) = (number, slot) {
                            *slot = true;
                            samples.add(now.saturating_duration_since(schedule.due(number)));
                            count += 1;
                        }
                    }
                }
            }
            Ok((samples, count))
        })
    }
}
