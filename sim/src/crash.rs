//! Looks for a power cut, or a kill, after which a program breaks a promise.
//!
//! ```text
//!   run to the cut --+-- restart with survivors -- recover, check --+-- cut again in recovery -- recover, check
//!                    |                                              +-- lose all that is unsynced -- recover, check
//!                    |                                              +-- go on, lose all that is unsynced -- check
//!                    +-- kill (nothing lost) ------ recover, check -- the same
//! ```
//! Everything is deterministic, so a [`Violation`] names all that is needed to see it again. The search is itself
//! tested by taking a sync away: [`Search::without`].

use std::collections::BTreeSet;

use forebay_base::{Rng, SeededRng};

use crate::disk::{Call, SimDisk, Survivors, SyncSite};

/// What the code under test did wrong, in a sentence; or why it stopped.
pub type Verdict<T> = Result<T, String>;

/// Code under test with an oracle: a model of what it has promised so far.
pub trait Program {
    /// What was asked and what was answered. It must be told of a change before the call, and that the change is
    /// durable after the call: in between, both outcomes are right.
    type Oracle: Clone;

    /// Nothing has happened yet.
    fn oracle(&self) -> Self::Oracle;

    /// Runs the whole program on an empty disk. An error that is not a power cut is a violation.
    fn run(&self, disk: &SimDisk, oracle: &mut Self::Oracle) -> Verdict<()>;

    /// Starts on what a crash left and checks all of it. From then on the oracle takes what is there for the truth,
    /// and what the code calls durable for durable.
    fn recover(&self, disk: &SimDisk, oracle: &mut Self::Oracle) -> Verdict<()>;

    /// Starts again, does a little more, and waits for it to be durable.
    fn go_on(&self, disk: &SimDisk, oracle: &mut Self::Oracle) -> Verdict<()>;

    /// Anything else that must hold on the disk that kept nothing unsynced; `disk` may be spoiled.
    fn inspect(&self, _disk: &SimDisk, _oracle: Self::Oracle) -> Verdict<()> {
        Ok(())
    }
}

/// A broken promise.
#[derive(Debug)]
pub struct Violation {
    /// Number of the call at which the power went; `None` if the program failed without a cut.
    pub cut: Option<u64>,
    /// What survived; `None` if only the process died.
    pub survivors: Option<Survivors>,
    /// The sentence.
    pub why: String,
}

/// The search over one program.
#[derive(Debug)]
pub struct Search<P> {
    program: P,
    ignored: Option<SyncSite>,
}

/// Recovery is cut again within so many calls.
const RECOVERY_CALLS: u64 = 40;

impl<P: Program> Search<P> {
    /// A search with every sync in its place.
    pub fn new(program: P) -> Self {
        Self { program, ignored: None }
    }

    /// The same search, as if the code had no sync at `site`.
    pub fn without(self, site: SyncSite) -> Self {
        Self { ignored: Some(site), ..self }
    }

    /// Every site that syncs in the whole program.
    ///
    /// # Errors
    /// If the program fails without a cut.
    pub fn sites(&self) -> Verdict<BTreeSet<SyncSite>> {
        let (disk, _, verdict) = self.play(None);
        verdict.map(|()| disk.sync_sites())
    }

    /// Cuts at every call that changes something, and looks at the survivors that `choose` names for that cut; says
    /// how many outcomes were looked at.
    ///
    /// # Errors
    /// The first violation found.
    pub fn every_cut(&self, choose: impl Fn(&SimDisk, u64) -> Vec<Survivors>) -> Result<u64, Violation> {
        let (disk, _, verdict) = self.play(None);
        verdict.map_err(|why| Violation { cut: None, survivors: None, why })?;
        let mut outcomes = 0;
        for cut in
            (0..).zip(disk.calls()).filter(|(_, call): &(u64, Call)| call.changes()).map(|(cut, _)| cut)
        {
            let (disk, oracle, _) = self.play(Some(cut));
            for survivors in choose(&disk, cut) {
                self.lose_power(&disk, &oracle, survivors).map_err(|why| Violation {
                    cut: Some(cut),
                    survivors: Some(survivors),
                    why,
                })?;
                outcomes += 1;
            }
            self.kill(&disk, oracle).map_err(|why| Violation { cut: Some(cut), survivors: None, why })?;
        }
        Ok(outcomes)
    }

    /// Runs the program, to its end or to the cut.
    fn play(&self, cut: Option<u64>) -> (SimDisk, P::Oracle, Verdict<()>) {
        let (disk, mut oracle) = (self.spoiled(SimDisk::default()), self.program.oracle());
        if let Some(cut) = cut {
            disk.cut_at(cut);
        }
        let verdict = self.program.run(&disk, &mut oracle);
        let verdict = if disk.is_cut() { Ok(()) } else { verdict };
        (disk, oracle, verdict)
    }

    /// The code without that sync runs on every disk, after a restart too.
    fn spoiled(&self, disk: SimDisk) -> SimDisk {
        if let Some(site) = &self.ignored {
            disk.ignore_sync(site.clone());
        }
        disk
    }

    fn restart(&self, disk: &SimDisk, survivors: Survivors) -> SimDisk {
        self.spoiled(disk.restart_with(survivors))
    }

    fn lose_power(&self, disk: &SimDisk, oracle: &P::Oracle, survivors: Survivors) -> Verdict<()> {
        let after = self.restart(disk, survivors);
        let mut recovered = oracle.clone();
        self.program.recover(&after, &mut recovered)?;
        if survivors == Survivors::Nothing {
            self.program.inspect(&self.restart(disk, survivors), oracle.clone())?;
        }
        if let Survivors::Random(seed) = survivors {
            self.cut_again(&self.restart(disk, survivors), oracle.clone(), seed)?;
        }
        match survivors {
            Survivors::Everything | Survivors::AllBut(_) | Survivors::Random(_) => {
                self.lasts(&after, recovered)
            }
            // As many outcomes for the same time: what follows is much the same as after those.
            Survivors::Nothing | Survivors::Only(_) => Ok(()),
        }
    }

    /// The power goes once more while the code recovers.
    fn cut_again(&self, disk: &SimDisk, mut oracle: P::Oracle, seed: u64) -> Verdict<()> {
        disk.cut_at(SeededRng::new(seed).next_u64() % RECOVERY_CALLS);
        let recovered = self.program.recover(disk, &mut oracle);
        if !disk.is_cut() {
            return recovered;
        }
        self.program
            .recover(&self.restart(disk, Survivors::Random(seed)), &mut oracle)
            .map_err(|why| format!("cut again in recovery: {why}"))
    }

    /// What recovery calls durable is durable; work goes on, and that lasts too.
    fn lasts(&self, disk: &SimDisk, mut oracle: P::Oracle) -> Verdict<()> {
        let bare = |oracle: &P::Oracle| {
            self.program.recover(&self.restart(disk, Survivors::Nothing), &mut oracle.clone())
        };
        bare(&oracle).map_err(|why| format!("after recovery the power went again: {why}"))?;
        self.program.go_on(disk, &mut oracle).map_err(|why| format!("going on after recovery: {why}"))?;
        bare(&oracle).map_err(|why| format!("after going on the power went again: {why}"))
    }

    /// The process dies and the machine lives: the next process sees all that was written, and nothing that it calls
    /// durable may rest on the page cache.
    fn kill(&self, disk: &SimDisk, mut oracle: P::Oracle) -> Verdict<()> {
        disk.revive();
        self.program.recover(disk, &mut oracle)?;
        self.lasts(disk, oracle)
    }
}

/// The seeds of drawn programs: `usual` many, or as many as `FOREBAY_SIM_SEEDS` says, for a longer search.
pub fn seeds(usual: u64) -> std::ops::Range<u64> {
    0..std::env::var("FOREBAY_SIM_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(usual)
}

/// The extremes, one item lost or kept alone, and `random` subsets drawn for this cut.
pub fn extremes_and(random: u64) -> impl Fn(&SimDisk, u64) -> Vec<Survivors> {
    move |disk, cut| {
        let rng = SeededRng::new(cut);
        let items = disk.unsynced_items().max(1) as u64;
        let mut all = vec![Survivors::Nothing, Survivors::Everything];
        all.push(Survivors::AllBut((rng.next_u64() % items) as usize));
        all.push(Survivors::Only((rng.next_u64() % items) as usize));
        all.extend((0..random).map(|_| Survivors::Random(rng.next_u64())));
        all
    }
}

/// Every item lost alone, and kept alone.
pub fn each_item(disk: &SimDisk) -> Vec<Survivors> {
    (0..disk.unsynced_items()).flat_map(|item| [Survivors::AllBut(item), Survivors::Only(item)]).collect()
}
