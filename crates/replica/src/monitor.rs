use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use forebay_base::{Clock, Instant, Turn, WallTime, Worker};
use forebay_log::volume::{
    Call, Effect, Entry, Fact, Ledger, Machine, Marks, Meaning, Reserve, SELF_TEST_BYTES_MAX, SelfTestError,
    Transition, VolumeState, meaning, self_test,
};
use forebay_log::{Disk, Space, take_clean_mark};

use crate::condition::{Condition, Found, Readmission, Readmit, Report};
use crate::neighbourhood::Neighbourhood;

/// A file system that does not tell its space is asked again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The one owner of a volume's state, on a thread of its own: samples the space, takes in what the writers tell, does the
/// exit test, and shows what it knows. A disk that hangs holds this thread and nobody else.
pub(crate) struct Monitor {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    condition: Arc<Condition>,
    /// `None` until the file system has told its size.
    machine: Option<Machine>,
    /// `None` while it cannot be made.
    ledger: Option<Ledger>,
    /// How often it has been written; the largest number while that is not known.
    writes: u64,
    since: WallTime,
    /// The state since then, as far as it is known: at a start, the one before it.
    before: Option<VolumeState>,
    due: Instant,
    filling: Filling,
    found: Found,
    neighbours: Neighbourhood,
}

impl Monitor {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        clock: Arc<dyn Clock>,
        condition: Arc<Condition>,
        found: Found,
    ) -> Self {
        let (since, due) = (clock.wall(), clock.now());
        Self {
            disk,
            dir,
            clock,
            condition,
            machine: None,
            ledger: None,
            writes: u64::MAX,
            since,
            before: None,
            due,
            filling: Filling::default(),
            found,
            neighbours: Neighbourhood::default(),
        }
    }

    /// Looks at the space, and tells the machine.
    fn sample(&mut self, facts: &mut VecDeque<Fact>) {
        let sampled = self.disk.space(&self.dir);
        let now = self.clock.now();
        match sampled {
            Ok(space) => {
                if self.machine.is_none() {
                    facts.extend(self.begin(space));
                }
                self.filling.sample(now, space.free_bytes);
                facts.push_back(Fact::Sampled(space));
            }
            Err(error) => facts.extend(fact_of(Call::Read, &error)),
        }
        self.due = now + self.machine.as_ref().map_or(ASK_AGAIN, Machine::sample_every);
    }

    /// The first look: what is remembered, and what is left in reserve.
    fn begin(&mut self, space: Space) -> Vec<Fact> {
        let marks = Marks::of(space.total_bytes);
        let own = self.open_ledger().unwrap_or_else(|error| {
            tracing::debug!(dir = %self.dir.display(), %error, "the volume's state is not kept");
            let (writes, known) = Ledger::peek(self.disk.as_ref(), &self.dir).unwrap_or((u64::MAX, None));
            self.writes = writes;
            known
        });
        let own = own.map(|entry| (entry.state, entry.since));
        let known = match self.found {
            Found::Failed { since } => Some((VolumeState::Failed, since)),
            Found::Nothing | Found::Refused => own,
        };
        self.since = known.map_or(self.since, |(_, since)| since);
        self.before = known.map(|(state, _)| state);
        self.machine = Some(Machine::new(marks, self.before));
        let found = Reserve::find(Arc::clone(&self.disk), &self.dir, marks.reserve_bytes).ok();
        let whole = found.as_ref().is_some_and(Reserve::is_whole);
        *self.condition.reserve() = found;
        // Whoever took the directory was refused, whatever a later try would say.
        let refused = (self.found == Found::Refused).then_some(Fact::Refused);
        let spent = (!whole).then_some(Fact::ReserveSpent);
        refused.into_iter().chain(spent).collect()
    }

    /// Opens the memory of the state; on a full disk it may have to wait until there is room for it.
    fn open_ledger(&mut self) -> io::Result<Option<Entry>> {
        let (ledger, known) = Ledger::open(self.disk.as_ref(), &self.dir)?;
        self.writes = ledger.writes();
        self.ledger = Some(ledger);
        Ok(known)
    }

    /// Steps the machine with all of `facts` and does what it wants, until it wants nothing more.
    fn step(&mut self, mut facts: VecDeque<Fact>) {
        let mut effects = Vec::new();
        while let Some(fact) = facts.pop_front() {
            let now = self.clock.now();
            let Some(machine) = &mut self.machine else { continue };
            machine.step(now, fact, &mut effects);
            if fact == Fact::Fault && machine.state() != VolumeState::Failed {
                // Is it one file, or all of it?
                facts.extend(self.check());
            }
            for effect in effects.drain(..) {
                match effect {
                    Effect::Test => facts.extend(self.test()),
                    Effect::Refill => facts.extend(self.refill().ok()),
                    Effect::Moved(transition) => self.moved(transition),
                }
            }
        }
    }

    fn moved(&mut self, transition: Transition) {
        let Transition { from, to, cause } = transition;
        // A restart alone does not change since when it has been so.
        if self.before != Some(to) {
            self.since = self.clock.wall();
        }
        self.before = Some(to);
        self.condition.note_transition();
        self.publish();
        let dir = self.dir.display();
        if from == VolumeState::Probing && to == VolumeState::Normal {
            tracing::debug!(%dir, "the volume takes writes");
        } else {
            // The hop may be one of two.
            let report = Report { state: to, cause, ..Report::clone(&self.condition.report()) };
            let sentence = report.sentence().unwrap_or_default();
            tracing::warn!(%dir, %from, %to, %cause, transition = true, "the volume is {to}: {sentence}");
        }
        // Not being able to remember it changes nothing of it.
        let _ = self.remember();
    }

    fn remember(&mut self) -> io::Result<()> {
        let Some(machine) = &self.machine else { return Ok(()) };
        let (state, cause) = (machine.state(), machine.cause().to_string());
        if self.ledger.is_none() {
            self.open_ledger()?;
        }
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        ledger.write(&Entry { state, since: self.since, cause })?;
        self.writes = ledger.writes();
        Ok(())
    }

    /// On a full volume only what must be: it has room for the file if it has it already.
    fn remember_neighbours(&mut self) {
        let may = match self.machine.as_ref().map(Machine::state) {
            Some(VolumeState::Normal | VolumeState::Low) => true,
            Some(VolumeState::Full | VolumeState::HardFull) => self.neighbours.is_troubled(),
            Some(VolumeState::Failed | VolumeState::Probing) | None => false,
        };
        if may && let Err(error) = self.neighbours.keep(self.disk.as_ref(), &self.dir) {
            self.step(fact_of(Call::Write, &error).into_iter().collect());
            self.publish();
        }
    }

    /// After a fault: a write of our own, with its sync, into blocks that we have.
    fn check(&mut self) -> Option<Fact> {
        self.ledger.as_ref()?;
        self.remember().err().and_then(|error| fact_of(Call::Sync, &error))
    }

    fn refill(&self) -> Result<Fact, io::Error> {
        match self.condition.reserve().as_mut() {
            Some(reserve) => reserve.fill().map(|()| Fact::ReserveWhole),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The exit test; see `forebay_log::volume`.
    fn test(&mut self) -> Vec<Fact> {
        if self.condition.reserve().is_none()
            && let Some(machine) = &self.machine
        {
            let bytes = machine.marks().reserve_bytes;
            *self.condition.reserve() = Reserve::find(Arc::clone(&self.disk), &self.dir, bytes).ok();
        }
        let mut facts = Vec::new();
        match self.refill() {
            Ok(whole) => facts.push(whole),
            Err(error) => {
                facts.extend(fact_of(Call::Write, &error).filter(|fact| *fact != Fact::NoRoom));
                facts.push(Fact::Tested(false));
                return facts;
            }
        }
        let probe_bytes = self.machine.as_ref().map_or(0, |machine| machine.marks().probe_bytes);
        let probed = self.condition.reserve().as_ref().map(|reserve| reserve.probe(probe_bytes));
        let passed = match probed {
            Some(Ok(())) => match self.remember() {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(dir = %self.dir.display(), %error, "volume.state cannot be written");
                    facts.extend(fact_of(Call::Write, &error).filter(|fact| *fact != Fact::NoRoom));
                    false
                }
            },
            Some(Err((call, error))) => {
                facts.extend(fact_of(call, &error).filter(|fact| *fact != Fact::NoRoom));
                false
            }
            None => false,
        };
        facts.push(Fact::Tested(passed));
        facts
    }

    /// Tests the volume as an operator asks, and lets it in again if it passes.
    fn readmit(&mut self, replies: Vec<Readmit>) {
        if replies.is_empty() {
            return;
        }
        let tested = self.self_test();
        let (facts, outcome) = match tested {
            Ok(tested_bytes) => {
                (vec![Fact::ReserveWhole, Fact::Readmitted], Ok(Readmission { tested_bytes }))
            }
            Err(Unfit { facts, sentence }) => {
                (facts.into_iter().filter(|fact| *fact != Fact::NoRoom).collect(), Err(sentence))
            }
        };
        self.step(facts.into());
        self.publish();
        if outcome.is_ok() {
            self.condition.note_readmission();
            self.neighbours.try_again();
        }
        for reply in replies {
            // Who asked may have gone.
            let _ = reply.send(outcome.clone());
        }
    }

    /// Writes to the volume in every way that it must take, and asks its device for what was written; the bytes compared.
    /// What it writes, it writes where nothing counts: into the reserve, into blocks beside it that it gives back, and the
    /// state that holds already.
    fn self_test(&mut self) -> Result<u64, Unfit> {
        let Some(machine) = &self.machine else {
            return Err(Unfit::new(None, "its file system does not tell its space"));
        };
        let marks = machine.marks();
        if self.condition.reserve().is_none() {
            let found = Reserve::find(Arc::clone(&self.disk), &self.dir, marks.reserve_bytes);
            *self.condition.reserve() = Some(found.map_err(Unfit::of("look for its reserves", Call::Read))?);
        }
        self.refill().map_err(Unfit::of("make its reserves whole", Call::Write))?;
        let (probed, ground) = match self.condition.reserve().as_ref() {
            Some(reserve) => (reserve.probe(marks.probe_bytes), reserve.ground()),
            None => return Err(Unfit::new(None, "its reserves are gone")),
        };
        probed.map_err(|(call, error)| Unfit::of("take and sync some more blocks", call)(error))?;
        let (file, bytes) = ground.map_err(Unfit::of("open its reserve", Call::Write))?;
        let (bytes, nonce) =
            (bytes.min(SELF_TEST_BYTES_MAX), self.clock.now().0 ^ self.clock.wall().0.cast_unsigned());
        self_test(file.as_ref(), bytes, nonce).map_err(Unfit::found)?;
        // By a descriptor of before the repair: logs that did not fail go on writing by theirs.
        self.remember().map_err(|error| {
            let advice =
                "; if its file system was mounted anew while the server ran, restart the server first";
            let Unfit { facts, sentence } = Unfit::of("write its state in place", Call::Sync)(error);
            Unfit { facts, sentence: sentence + advice }
        })?;
        // From now on logs change: what the last clean stop said of them must not be believed after a crash.
        take_clean_mark(self.disk.as_ref(), &self.dir)
            .map_err(|error| Unfit::new(None, &error.to_string()))?;
        Ok(bytes)
    }

    fn publish(&self) {
        let Some(machine) = &self.machine else { return };
        let reserve_left_bytes = self.condition.reserve().as_ref().map_or(0, Reserve::left_bytes);
        let before = self.condition.report();
        self.condition.publish(Report {
            path: before.path.clone(),
            state: machine.state(),
            cause: machine.cause(),
            since: self.since,
            space: machine.space(),
            sampled_at: self.filling.last.map_or(before.sampled_at, |(at, _)| at),
            marks: machine.marks(),
            reserve_left_bytes,
            full_in: self.filling.full_in(machine.marks().full_bytes),
            writes: self.writes,
        });
    }
}

impl Worker for Monitor {
    fn turn(&mut self) -> Turn {
        let told = self.condition.take();
        if told.stopped {
            // What closing the logs has met is part of the last report.
            self.step(told.facts.into());
            self.publish();
            return Turn::Done;
        }
        if let Some(failed) = told.neighbours {
            self.neighbours.tell(failed);
            self.remember_neighbours();
        }
        if self.clock.now() >= self.due || !told.facts.is_empty() || !told.readmits.is_empty() {
            // What the writers met is judged by what is free now.
            let mut facts = VecDeque::new();
            self.sample(&mut facts);
            facts.extend(told.facts);
            self.step(facts);
            self.publish();
            self.readmit(told.readmits);
            self.remember_neighbours();
        }
        Turn::Wait(Some(self.due))
    }
}

/// Why a volume is not let in again.
struct Unfit {
    facts: Vec<Fact>,
    sentence: String,
}

impl Unfit {
    fn new(fact: Option<Fact>, sentence: &str) -> Self {
        Self { facts: fact.into_iter().collect(), sentence: sentence.to_owned() }
    }

    fn of(doing: &'static str, call: Call) -> impl Fn(io::Error) -> Self {
        move |error| Self::new(fact_of(call, &error), &format!("cannot {doing}: {error}"))
    }

    fn found(error: SelfTestError) -> Self {
        let facts = match &error {
            SelfTestError::Io { call, source, .. } => fact_of(*call, source).into_iter().collect(),
            // A device that gives back other bytes than it took is as bad as one that fails twice.
            SelfTestError::Changed { .. } => vec![Fact::Fault; 2],
        };
        Self { facts, sentence: error.to_string() }
    }
}

/// What an error says to the machine.
fn fact_of(call: Call, error: &io::Error) -> Option<Fact> {
    match meaning(call, error) {
        Meaning::Full => Some(Fact::NoRoom),
        Meaning::ReadOnly => Some(Fact::ReadOnly),
        Meaning::Fault => Some(Fact::Fault),
        Meaning::TooLarge | Meaning::Descriptors | Meaning::Unrelated => None,
    }
}

/// How fast the volume fills: an average over some seconds, so that one write does not make a forecast.
#[derive(Debug, Default)]
struct Filling {
    last: Option<(Instant, u64)>,
    bytes_per_second: f64,
}

/// The share of a second's news in the average.
const NEWS_PER_SECOND: f64 = 0.2;

impl Filling {
    fn sample(&mut self, now: Instant, free: u64) {
        if let Some((at, before)) = self.last {
            let seconds = now.since(at).as_secs_f64();
            if seconds <= 0.0 {
                return;
            }
            let rate = (before as f64 - free as f64) / seconds;
            let news = (NEWS_PER_SECOND * seconds).min(1.0);
            self.bytes_per_second += (rate - self.bytes_per_second) * news;
        }
        self.last = Some((now, free));
    }

    /// When it will be full, if it fills at all and within a month.
    fn full_in(&self, full_bytes: u64) -> Option<Duration> {
        let (_, free) = self.last?;
        let left = free.saturating_sub(full_bytes) as f64;
        let seconds = left / self.bytes_per_second;
        (self.bytes_per_second > 1.0 && seconds < 30.0 * 86_400.0).then(|| Duration::from_secs_f64(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forecast_follows_the_rate() {
        let mut filling = Filling::default();
        for second in 0..60u64 {
            filling.sample(Instant(second * 1_000_000_000), 10_000 - second * 100);
        }
        let full_in = filling.full_in(100).unwrap().as_secs();
        assert!((35..=45).contains(&full_in), "{full_in}");
        for second in 60..120u64 {
            filling.sample(Instant(second * 1_000_000_000), 4_100);
        }
        assert_eq!(filling.full_in(100), None);
    }
}
