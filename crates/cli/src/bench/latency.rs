use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use forebay_client::Compression;
use indicatif::ProgressBar;
use tokio::task::block_in_place;

use super::Target;
use super::appending::{Load, Schedule, Spread};
use super::fetching::Fetcher;
use super::figures::{COMMIT, Checked, Figures, Run, Samples, Setting};
use super::load::Template;
use super::machine::now;
use super::produce::{append, sockets};
use super::repeat::Repeat;
use super::routes::Routes;
use crate::cluster::wall_ms;
use crate::failure::{Exit, Failure};
use crate::output::note;
use crate::produce::AcksArg;
use crate::values::bytes;

/// Consumers wait this long for batches that were acknowledged.
const STRAGGLER_PATIENCE: Duration = Duration::from_secs(10);

/// A consumer is parked at the server for up to this long, in ms; so it notices within that time that all is over.
const PARKED_MS: i32 = 100;

/// Bound of one answer, in bytes.
const ANSWER_BYTES: i32 = 4 * 1024 * 1024;

/// Each partition has a consumer with a connection and a thread of its own.
const CONSUMERS_MAX: usize = 64;

/// `forebay bench latency`
#[derive(Debug, Args)]
pub(crate) struct LatencyArgs {
    /// Batches a second, all connections together
    #[arg(long, default_value_t = 1000)]
    rate: u64,

    /// Seconds to measure
    #[arg(long, default_value_t = 10)]
    duration: u64,

    /// TCP connections that append
    #[arg(long, default_value_t = 1)]
    connections: usize,

    /// Requests under way on each connection; those that are due and find no room wait
    #[arg(long, default_value_t = 64)]
    in_flight: usize,

    /// Bytes of a record's value
    #[arg(long, value_name = "BYTES", default_value = "100", value_parser = bytes)]
    record_bytes: u64,

    /// Bytes of a batch; one request carries one batch, which has at least one record
    #[arg(long, value_name = "BYTES", default_value = "1", value_parser = bytes)]
    batch_bytes: u64,

    /// Partitions of the topic, if it is made
    #[arg(long, default_value_t = 1)]
    partitions: i32,

    /// When an append counts as done: 1 or all
    #[arg(long, value_enum, default_value = "all")]
    acks: AcksArg,

    #[command(flatten)]
    repeat: Repeat,

    #[command(flatten)]
    target: Target,
}

impl LatencyArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let positive = self.rate > 0 && self.connections > 0 && self.in_flight > 0;
        if !positive || self.acks == AcksArg::None {
            return Err(Failure::usage(
                "--rate, --connections and --in-flight must be at least 1, and --acks 1 or all",
            ));
        }
        let routes = Routes::prepare(&self.target, self.partitions).await?;
        let partitions = routes.partitions();
        if partitions > CONSUMERS_MAX || routes.leaders().len() > self.connections {
            return Err(Failure::usage(format!(
                "{partitions} partitions of {} leaders: there may be {CONSUMERS_MAX} and --connections",
                routes.leaders().len()
            )));
        }
        let template = Template::build(self.batch_bytes, self.record_bytes, Compression::None, wall_ms())?;
        note(&format!("measuring for {} s ...", self.duration));
        let mut checked = Checked::default();
        let runs = self.repeat.runs(async || self.once(&routes, &template, &mut checked).await).await?;
        let setting = Setting {
            measured: "latency",
            commit: COMMIT,
            topic: self.target.topic.clone(),
            raw: self.target.raw,
            partitions,
            connections: self.connections,
            in_flight: self.in_flight,
            request_bytes: template.len(),
            acks: Some(self.acks.acks().code()),
            rate: Some(self.rate as f64),
            cache: "warm",
            warmed_up: self.repeat.warms_up(),
        };
        Figures::new(setting, runs, checked).report(self.target.output)
    }

    async fn once(
        &self,
        routes: &Routes,
        template: &Template,
        checked: &mut Checked,
    ) -> Result<Run, Failure> {
        let mut consumers = Vec::new();
        for (partition, next) in routes.ends().await? {
            let Some(addr) = routes.leader_of(partition) else { continue };
            let fetcher = Fetcher::connect(addr, &self.target.topic, PARKED_MS, ANSWER_BYTES)?;
            consumers.push(Consumer { fetcher, partition, next });
        }
        let sockets = sockets(routes, self.connections)?;
        let load = Load {
            topic: &self.target.topic,
            template,
            acks: self.acks.acks().code(),
            in_flight: self.in_flight,
            marked: true,
            spread: Spread::Turns,
            // Consumers are parked before the first is due.
            schedule: Schedule {
                begin: now() + Duration::from_millis(200),
                per_second: Some(self.rate as f64),
            },
            requests: self.rate * self.duration,
            next: AtomicU64::new(0),
        };
        let used = self.repeat.usage()?;
        let over = Over::default();
        let (joint, received) = block_in_place(|| {
            thread::scope(|scope| {
                let load = &load;
                let threads: Vec<_> =
                    consumers.into_iter().map(|consumer| scope.spawn(|| consumer.run(load, &over))).collect();
                let joint = append(load, routes, sockets, &ProgressBar::hidden());
                let expected = if joint.is_ok() { load.requests } else { 0 };
                over.wait(expected);
                let mut received = Samples::default();
                for thread in threads {
                    let lost = || Failure::new(Exit::Failed, "a consumer ended early");
                    received.merge(thread.join().map_err(|_| lost())??);
                }
                Ok::<_, Failure>((joint?, received))
            })
        })?;
        let usage = used.zip(self.repeat.usage()?);
        let (mut answers, mut requests) = (Samples::default(), 0);
        for sent in joint.done {
            answers.merge(sent.answers);
            requests += sent.requests;
        }
        let seen = received.len() as u64;
        checked.merge(Checked {
            records: seen * template.records(),
            bytes: seen * template.len(),
            lost: requests.saturating_sub(seen) * template.records(),
            damaged: 0,
        });
        let run = Run {
            requests,
            records: requests * template.records(),
            bytes: requests * template.len(),
            answered: answers.quantiles(),
            received: received.quantiles(),
            ..Run::default()
        };
        Ok(run.per_second(joint.took).seconds(&joint.by_second, self.repeat.series()).used(usage))
    }
}

/// How the consumers learn that all is over.
#[derive(Debug, Default)]
struct Over {
    /// Batches that all of them have seen.
    seen: AtomicU64,
    told: AtomicBool,
}

impl Over {
    /// Waits until `expected` batches were seen, or long enough, and says so.
    fn wait(&self, expected: u64) {
        let since = now();
        while self.seen.load(Ordering::Relaxed) < expected && since.elapsed() < STRAGGLER_PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        self.told.store(true, Ordering::Relaxed);
    }
}

/// Reads one partition as it grows.
struct Consumer {
    fetcher: Fetcher,
    partition: i32,
    next: i64,
}

impl Consumer {
    /// Reads until all is over; one sample for each batch of the load, from when it was due until it was here.
    fn run(mut self, load: &Load<'_>, over: &Over) -> Result<Samples, Failure> {
        let mut samples = Samples::default();
        while !over.told.load(Ordering::Relaxed) {
            let answer = self.fetcher.ask_ok(self.partition, self.next)?;
            let bytes = self.fetcher.take(answer.len)?;
            let (time, before) = (now(), samples.len());
            for (header, batch) in forebay_client::batches(bytes).flatten() {
                self.next = header.next_offset().0;
                let mark = load.template.mark_of(&batch).and_then(|mark| u64::try_from(mark).ok());
                // Others may use the topic too.
                if let Some(due) =
                    mark.filter(|mark| *mark < load.requests).and_then(|m| load.schedule.due(m))
                {
                    samples.add(time.saturating_duration_since(due));
                }
            }
            over.seen.fetch_add((samples.len() - before) as u64, Ordering::Relaxed);
        }
        Ok(samples)
    }
}
