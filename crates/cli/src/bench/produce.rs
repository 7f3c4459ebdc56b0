use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use clap::Args;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use super::Target;
use super::appending::{Acknowledged, Appender, Load, Schedule, Sent, Spread};
use super::fetching::Fetcher;
use super::figures::{COMMIT, Checked, Figures, Run, Samples, Setting};
use super::load::Template;
use super::machine::now;
use super::reading::Stretch;
use super::repeat::Repeat;
use super::routes::{Offsets, Routes};
use super::socket::Socket;
use super::threads;
use crate::cluster::wall_ms;
use crate::failure::Failure;
use crate::output::Output;
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
    /// TCP connections, each with a thread of its own
    #[arg(long, default_value_t = 4)]
    pub(super) connections: usize,

    /// Requests under way on each connection
    #[arg(long, default_value_t = 4)]
    pub(super) in_flight: usize,

    /// Bytes of a batch, before compression; one request carries one batch
    #[arg(long, value_name = "BYTES", default_value = "64K", value_parser = bytes)]
    pub(super) batch_bytes: u64,

    /// Bytes of a record's value
    #[arg(long, value_name = "BYTES", default_value = "1K", value_parser = bytes)]
    pub(super) record_bytes: u64,

    /// Bytes to send in all, in each run
    #[arg(long, value_name = "BYTES", default_value = "1G", value_parser = bytes)]
    pub(super) total_bytes: u64,

    /// Send so many requests a second, all connections together, and count waiting times from when each was due
    #[arg(long, value_name = "REQUESTS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) rate: Option<u64>,

    /// The same as bytes a second
    #[arg(long, value_name = "BYTES", value_parser = bytes, conflicts_with = "rate")]
    pub(super) rate_bytes: Option<u64>,

    /// Partitions of the topic, if it is made
    #[arg(long, default_value_t = 8)]
    pub(super) partitions: i32,

    /// Which partition each batch goes to
    #[arg(long, value_enum, default_value = "turns")]
    pub(super) spread: Spread,

    /// When an append counts as done
    #[arg(long, value_enum, default_value = "all")]
    pub(super) acks: AcksArg,

    /// How batches are compressed, once and not for each request
    #[arg(long, value_enum, default_value = "none")]
    pub(super) compression: Codec,

    /// Send the same batch always, and do not read back what was acknowledged; only count it
    #[arg(long)]
    pub(super) no_check: bool,

    #[command(flatten)]
    pub(super) repeat: Repeat,

    #[command(flatten)]
    pub(super) target: Target,
}

impl ProduceArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let output = self.target.output;
        self.measure().await?.report(output)
    }

    /// Measures, without printing anything.
    pub(super) async fn measure(&self) -> Result<Figures, Failure> {
        if self.connections == 0 || self.in_flight == 0 || self.rate_bytes == Some(0) {
            return Err(Failure::usage("--connections, --in-flight and --rate-bytes must be at least 1"));
        }
        let routes = Routes::prepare(&self.target, self.partitions).await?;
        if routes.leaders().len() > self.connections {
            return Err(Failure::usage("there are more leaders than --connections"));
        }
        let codec = self.compression.compression();
        let template = Template::build(self.batch_bytes, self.record_bytes, codec, wall_ms())?;
        let mut checked = Checked::default();
        let runs = self.repeat.runs(async || self.once(&routes, &template, &mut checked).await).await?;
        let setting = Setting {
            measured: "produce",
            commit: COMMIT,
            topic: self.target.topic.clone(),
            raw: self.target.raw,
            partitions: routes.partitions(),
            connections: self.connections,
            in_flight: self.in_flight,
            request_bytes: template.len(),
            acks: Some(self.acks.acks().code()),
            rate: self.per_second(&template),
            cache: "warm",
            warmed_up: self.repeat.warms_up(),
        };
        Ok(Figures::new(setting, runs, checked))
    }

    fn per_second(&self, template: &Template) -> Option<f64> {
        let by_bytes = self.rate_bytes.map(|bytes| bytes as f64 / template.len() as f64);
        self.rate.map(|rate| rate as f64).or(by_bytes)
    }

    async fn once(
        &self,
        routes: &Routes,
        template: &Template,
        checked: &mut Checked,
    ) -> Result<Run, Failure> {
        let before = routes.ends().await?;
        let sockets = sockets(routes, self.connections)?;
        let load = Load {
            topic: &self.target.topic,
            template,
            acks: self.acks.acks().code(),
            in_flight: self.in_flight,
            marked: !self.no_check,
            spread: self.spread,
            schedule: Schedule { begin: now(), per_second: self.per_second(template) },
            requests: self.total_bytes.div_ceil(template.len()).max(1),
            next: AtomicU64::new(0),
        };
        let used = self.repeat.usage()?;
        let bar = progress::bytes("sent", Some(load.requests * template.len()), self.target.output);
        let joint = block_in_place(|| append(&load, routes, sockets, &bar))?;
        bar.finish_and_clear();
        let usage = used.zip(self.repeat.usage()?);
        let (mut answers, mut acknowledged, mut requests) = (Samples::default(), Vec::new(), 0);
        for sent in joint.done {
            answers.merge(sent.answers);
            acknowledged.push(sent.acknowledged);
            requests += sent.requests;
        }
        let run = Run {
            requests,
            records: requests * template.records(),
            bytes: requests * template.len(),
            answered: answers.quantiles(),
            ..Run::default()
        };
        let after = visible(routes, &before, run.records).await?;
        let unseen = run.records.saturating_sub(grown(&before, &after));
        let mut found = Checked { lost: unseen, ..Checked::default() };
        if !self.no_check {
            let back = ReadBack { routes, template, topic: &self.target.topic, output: self.target.output };
            found = block_in_place(|| back.check(&before, &after, acknowledged))?;
            // Without acks nobody knows which those are.
            found.lost = found.lost.max(unseen);
        }
        checked.merge(found);
        Ok(run.per_second(joint.took).seconds(&joint.by_second, self.repeat.series()).used(usage))
    }
}

/// `connections` connections to the leaders in turn.
pub(super) fn sockets(routes: &Routes, connections: usize) -> Result<Vec<Socket>, Failure> {
    let leaders = routes.leaders().iter().cycle().take(connections);
    leaders.map(|leader| Socket::connect(&leader.addr)).collect()
}

/// Appends all of `load` over connections as [`sockets`] makes them.
pub(super) fn append(
    load: &Load<'_>,
    routes: &Routes,
    sockets: Vec<Socket>,
    bar: &indicatif::ProgressBar,
) -> Result<threads::Joint<Sent>, Failure> {
    let progress: Vec<AtomicU64> = sockets.iter().map(|_| AtomicU64::new(0)).collect();
    let leaders = routes.leaders().iter().cycle();
    let jobs: Vec<_> = sockets
        .into_iter()
        .zip(leaders)
        .zip(&progress)
        .enumerate()
        .map(|(number, ((socket, leader), progress))| {
            let appender = Appender::new(load, number, socket, &leader.partitions, progress);
            move || appender.run()
        })
        .collect();
    threads::run(jobs, &progress, bar)
}

/// Records between two states of the topic.
fn grown(before: &Offsets, after: &Offsets) -> u64 {
    let grown = |(partition, end): (&i32, &i64)| end - before.get(partition).copied().unwrap_or(0);
    u64::try_from(after.iter().map(grown).sum::<i64>()).unwrap_or(0)
}

/// The ends of the partitions once `records` more than `before` can be seen, or after long enough. Without acks=all
/// that may be later than the last answer.
async fn visible(routes: &Routes, before: &Offsets, records: u64) -> Result<Offsets, Failure> {
    let asked = Instant::now();
    loop {
        let after = routes.ends().await?;
        if grown(before, &after) >= records || asked.elapsed() > VISIBLE_PATIENCE {
            return Ok(after);
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Looks for every batch that was acknowledged.
struct ReadBack<'a> {
    routes: &'a Routes,
    template: &'a Template,
    topic: &'a str,
    output: Output,
}

impl ReadBack<'_> {
    /// Reads what was appended meanwhile and ticks off what was acknowledged; what is left is lost.
    fn check(
        &self,
        before: &Offsets,
        after: &Offsets,
        acknowledged: Vec<Vec<Acknowledged>>,
    ) -> Result<Checked, Failure> {
        let mut marks: BTreeMap<i32, HashMap<i64, u64>> = BTreeMap::new();
        let mut count = 0;
        for Acknowledged { partition, base, mark } in acknowledged.into_iter().flatten() {
            marks.entry(partition).or_default().insert(base, mark);
            count += 1;
        }
        let bar = progress::bytes("checked", Some(count * self.template.len()), self.output);
        let mut all = Checked::default();
        for (partition, upto) in after {
            let mut open = marks.remove(partition).unwrap_or_default();
            let from = before.get(partition).copied().unwrap_or(0);
            let stretch = Stretch { partition: *partition, from, upto: *upto };
            let checked = self.tick_off(stretch, &mut open, |bytes| bar.inc(bytes))?;
            // A gap is told by what is still open.
            all.merge(Checked { lost: open.len() as u64 * self.template.records(), ..checked });
        }
        bar.finish_and_clear();
        Ok(all)
    }

    fn tick_off(
        &self,
        stretch: Stretch,
        open: &mut HashMap<i64, u64>,
        progress: impl Fn(u64),
    ) -> Result<Checked, Failure> {
        if stretch.from >= stretch.upto {
            return Ok(Checked::default());
        }
        let Some(addr) = self.routes.leader_of(stretch.partition) else { return Ok(Checked::default()) };
        let mut fetcher = Fetcher::connect(addr, self.topic, 500, ANSWER_BYTES)?;
        let found = stretch.check(
            &mut fetcher,
            |header, batch| match open.get(&header.base_offset.0) {
                // Somebody else's.
                None => true,
                Some(mark) => {
                    let right = self.template.is_marked(batch, u128::from(*mark));
                    if right {
                        open.remove(&header.base_offset.0);
                    }
                    right
                }
            },
            progress,
        )?;
        Ok(found.checked)
    }
}
