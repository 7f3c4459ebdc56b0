use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use tokio::task::block_in_place;

use super::Target;
use super::fetching::Fetcher;
use super::figures::{COMMIT, Checked, Figures, Run, Setting};
use super::machine::drop_cache;
use super::reading::{Read, Stretch};
use super::repeat::Repeat;
use super::routes::Routes;
use super::threads;
use crate::failure::Failure;
use crate::progress;
use crate::values::bytes;

/// How long an answer may wait for bytes, in ms. None should: only what is there is asked for.
const WAIT_MS: i32 = 500;

/// `forebay bench consume`
#[derive(Debug, Args)]
pub(crate) struct ConsumeArgs {
    /// TCP connections; the partitions are spread over them, each with one fetch under way
    #[arg(long, default_value_t = 4)]
    pub(super) connections: usize,

    /// Bound of one answer
    #[arg(long, value_name = "BYTES", default_value = "4M", value_parser = bytes)]
    pub(super) fetch_bytes: u64,

    /// Read all of it so many times in each run
    #[arg(long, default_value_t = 1)]
    pub(super) rounds: u32,

    /// Only count, by the batches' headers: check neither checksums nor records
    #[arg(long)]
    pub(super) no_check: bool,

    /// Drop the data from the page cache before each run; needs --data-dir
    #[arg(long, requires = "data_dir")]
    pub(super) cold: bool,

    /// The data directory of a server on this machine. Repeatable
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) repeat: Repeat,

    #[command(flatten)]
    pub(super) target: Target,
}

impl ConsumeArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let output = self.target.output;
        self.measure().await?.report(output)
    }

    /// Measures, without printing anything.
    pub(super) async fn measure(&self) -> Result<Figures, Failure> {
        if self.connections == 0 {
            return Err(Failure::usage("--connections must be at least 1"));
        }
        let answer_bytes =
            i32::try_from(self.fetch_bytes).map_err(|_| Failure::usage("--fetch-bytes is above 2G"))?;
        let routes = Routes::find(&self.target).await?;
        let stretches = routes.stretches().await?;
        if stretches.is_empty() {
            let topic = &self.target.topic;
            return Err(Failure::usage(format!("there are no records in topic {topic}"))
                .advise("`forebay bench produce` makes some."));
        }
        let mut checked = Checked::default();
        let runs = self
            .repeat
            .runs(async || block_in_place(|| self.once(&routes, &stretches, answer_bytes, &mut checked)))
            .await?;
        let setting = Setting {
            measured: "consume",
            commit: COMMIT,
            topic: self.target.topic.clone(),
            raw: self.target.raw,
            partitions: stretches.len(),
            connections: self.connections.min(stretches.len()),
            in_flight: 1,
            request_bytes: self.fetch_bytes,
            acks: None,
            rate: None,
            cache: if self.cold { "cold" } else { "warm" },
            warmed_up: self.repeat.warms_up(),
        };
        Ok(Figures::new(setting, runs, checked))
    }

    fn once(
        &self,
        routes: &Routes,
        stretches: &[Stretch],
        answer_bytes: i32,
        checked: &mut Checked,
    ) -> Result<Run, Failure> {
        if self.cold {
            self.data_dir.iter().try_for_each(|dir| drop_cache(dir))?;
        }
        let mut shares: Vec<Share<'_>> = Vec::new();
        for first in 0..self.connections.min(stretches.len()) {
            let mine = stretches.iter().skip(first).step_by(self.connections);
            shares.push(Share::connect(routes, &self.target.topic, mine.copied().collect(), answer_bytes)?);
        }
        let progress: Vec<AtomicU64> = shares.iter().map(|_| AtomicU64::new(0)).collect();
        let used = self.repeat.usage()?;
        let bar = progress::bytes("read", None, self.target.output);
        let jobs = shares
            .into_iter()
            .zip(&progress)
            .map(|(share, progress)| move || share.read(self.rounds, self.no_check, progress))
            .collect();
        let joint = threads::run(jobs, &progress, &bar)?;
        bar.finish_and_clear();
        let usage = used.zip(self.repeat.usage()?);
        let mut all = Read::default();
        joint.done.into_iter().for_each(|read| all.merge(read));
        checked.merge(all.checked);
        let Read { records, bytes, answers, .. } = all;
        let run = Run {
            requests: answers.len() as u64,
            records,
            bytes,
            answered: answers.quantiles(),
            ..Run::default()
        };
        Ok(run.per_second(joint.took).seconds(&joint.by_second, self.repeat.series()).used(usage))
    }
}

/// What one thread reads: its stretches one after the other, with a connection to each of their leaders.
struct Share<'a> {
    stretches: Vec<(Stretch, &'a str)>,
    fetchers: BTreeMap<&'a str, Fetcher>,
}

impl<'a> Share<'a> {
    fn connect(
        routes: &'a Routes,
        topic: &str,
        stretches: Vec<Stretch>,
        answer_bytes: i32,
    ) -> Result<Self, Failure> {
        let led = |stretch: Stretch| routes.leader_of(stretch.partition).map(|addr| (stretch, addr));
        let stretches: Vec<_> = stretches.into_iter().filter_map(led).collect();
        let mut fetchers = BTreeMap::new();
        for (_, addr) in &stretches {
            if !fetchers.contains_key(addr) {
                fetchers.insert(*addr, Fetcher::connect(addr, topic, WAIT_MS, answer_bytes)?);
            }
        }
        Ok(Self { stretches, fetchers })
    }

    fn read(mut self, rounds: u32, no_check: bool, progress: &AtomicU64) -> Result<Read, Failure> {
        let count = |bytes| {
            progress.fetch_add(bytes, Ordering::Relaxed);
        };
        let mut all = Read::default();
        for _ in 0..rounds {
            for (stretch, addr) in &self.stretches {
                let Some(fetcher) = self.fetchers.get_mut(addr) else { continue };
                all.merge(if no_check {
                    stretch.skim(fetcher, count)?
                } else {
                    stretch.check(fetcher, |_, _| true, count)?
                });
            }
        }
        Ok(all)
    }
}
