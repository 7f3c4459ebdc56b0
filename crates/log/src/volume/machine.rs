use std::time::Duration;

use forebay_base::{Instant, Mutant};

use super::{Cause, Marks, VolumeState};
use crate::disk::Space;

/// Samples at or above the resume mark that come before an exit test ...
const SAMPLES: u32 = 3;
/// ... and how long they last at least.
const HOLD: Duration = Duration::from_secs(1);
/// Where the file system says that there is room and writes find none (a quota), each try waits twice as long as the one
/// before, up to this.
const HOLD_MAX: Duration = Duration::from_secs(60);
/// A volume that is full again so soon after a passed test, with space to be seen, has a bound that does not show.
const RELAPSE: Duration = Duration::from_secs(60);

/// Space stays above the calm mark for so long before it counts as plenty.
const CALM: Duration = Duration::from_secs(30);

/// Two faults within this time are the end.
const FAULTS_WITHIN: Duration = Duration::from_secs(600);

/// How often space is looked at while there is plenty of it, and while there is not.
const EVERY: Duration = Duration::from_secs(1);
const EVERY_WHEN_SHORT: Duration = Duration::from_millis(200);

/// What the machine is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// What the file system says of its space.
    Sampled(Space),
    /// A write found no room; it was undone.
    NoRoom,
    /// A write or sync failed for another reason than space.
    Fault,
    /// The file system takes no writes any more.
    ReadOnly,
    /// It refused what every start does.
    Refused,
    /// A reserve was used up and could not be made again.
    ReserveSpent,
    /// Both reserves have their whole length.
    ReserveWhole,
    /// The test that the last [`Effect::Test`] asked for is over: true if it passed.
    Tested(bool),
    /// An operator wants it in again, and its self-test passed.
    Readmitted,
}

/// What the machine wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Make the reserves whole, allocate some more and give it back, write and sync: then report `Tested`. Asked once at
    /// a time.
    Test,
    /// Try to make the reserves whole, and report `ReserveWhole` if they are.
    Refill,
    /// The state has changed: make it durable, show it, and say so once.
    Moved(Transition),
}

/// One arrow of the drawing, taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// From here ...
    pub from: VolumeState,
    /// ... to here ...
    pub to: VolumeState,
    /// ... because of this.
    pub cause: Cause,
}

/// The state of one volume: a pure core. See the module's drawing.
#[derive(Debug, Clone)]
pub struct Machine {
    state: VolumeState,
    cause: Cause,
    marks: Marks,
    space: Option<Space>,
    /// It was full when the node stopped: only an exit test may say otherwise.
    was_full: bool,
    /// A reserve is missing.
    spent: bool,
    /// A test is asked for and not reported.
    testing: bool,
    /// Since when, and over how many samples, there has been enough to resume.
    roomy: Option<(Instant, u32)>,
    /// How long that must last.
    hold: Duration,
    /// When an exit test last passed.
    resumed_at: Option<Instant>,
    /// Since when space has been above the calm mark.
    calm_since: Option<Instant>,
    last_fault: Option<Instant>,
}

impl Machine {
    /// A volume at the start of its node, which `last` knew it as; `None` if nothing is known.
    pub fn new(marks: Marks, last: Option<VolumeState>) -> Self {
        let (state, cause) = match last {
            Some(VolumeState::Failed) => (VolumeState::Failed, Cause::HadFailed),
            Some(_) | None => (VolumeState::Probing, Cause::Started),
        };
        Self {
            state,
            cause,
            marks,
            space: None,
            was_full: matches!(last, Some(VolumeState::Full | VolumeState::HardFull)),
            spent: false,
            testing: false,
            roomy: None,
            hold: HOLD,
            resumed_at: None,
            calm_since: None,
            last_fault: None,
        }
    }

    /// The state.
    pub fn state(&self) -> VolumeState {
        self.state
    }

    /// Why it is so.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// The marks in use.
    pub fn marks(&self) -> Marks {
        self.marks
    }

    /// The last sample.
    pub fn space(&self) -> Option<Space> {
        self.space
    }

    /// How long until space is to be looked at again.
    pub fn sample_every(&self) -> Duration {
        match self.state {
            VolumeState::Normal | VolumeState::Failed => EVERY,
            VolumeState::Low | VolumeState::Full | VolumeState::HardFull | VolumeState::Probing => {
                EVERY_WHEN_SHORT
            }
        }
    }

    /// Takes in a fact; adds to `effects` what is to be done.
    pub fn step(&mut self, now: Instant, fact: Fact, effects: &mut Vec<Effect>) {
        match fact {
            Fact::Sampled(space) => {
                self.space = Some(space);
                self.sampled(now, space, effects);
            }
            Fact::NoRoom => self.no_room(now, effects),
            Fact::Fault => {
                let again = self.last_fault.is_some_and(|last| now.since(last) <= FAULTS_WITHIN);
                self.last_fault = Some(now);
                if again {
                    self.fail(Cause::Faults, effects);
                }
            }
            Fact::ReadOnly => self.fail(Cause::ReadOnly, effects),
            Fact::Refused => self.fail(Cause::Refused, effects),
            Fact::ReserveSpent => {
                self.spent = true;
                if self.state == VolumeState::Full {
                    self.go(VolumeState::HardFull, Cause::ReserveSpent, effects);
                }
            }
            Fact::ReserveWhole => {
                self.spent = false;
                if self.state == VolumeState::HardFull {
                    self.go(VolumeState::Full, Cause::ReserveWhole, effects);
                }
            }
            Fact::Tested(passed) => self.tested(now, passed, effects),
            Fact::Readmitted => {
                // Faults before the test are not added to those after it.
                self.last_fault = None;
                if self.state == VolumeState::Failed {
                    self.was_full = false;
                    self.go(VolumeState::Normal, Cause::Readmitted, effects);
                }
            }
        }
    }

    fn sampled(&mut self, now: Instant, space: Space, effects: &mut Vec<Effect>) {
        match self.state {
            VolumeState::Probing => self.probe(space, effects),
            VolumeState::Normal | VolumeState::Low => {
                let full = self.marks.is_full(space);
                if self.state == VolumeState::Normal && (full || self.marks.is_low(space)) {
                    self.go(VolumeState::Low, self.shortage(space, false), effects);
                }
                if full {
                    self.fill(self.shortage(space, true), effects);
                } else if self.state == VolumeState::Low {
                    self.calm_down(now, space, effects);
                }
            }
            VolumeState::Full | VolumeState::HardFull => self.seek_exit(now, space, effects),
            VolumeState::Failed => {}
        }
    }

    /// The first look after a start: full is full at once; anything better must be shown by the test.
    fn probe(&mut self, space: Space, effects: &mut Vec<Effect>) {
        if self.marks.is_full(space) {
            self.fill(self.shortage(space, true), effects);
        } else if self.was_full {
            self.fill(Cause::WasFull, effects);
        } else if !self.testing {
            self.testing = true;
            effects.push(Effect::Test);
        }
    }

    fn no_room(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        match self.state {
            VolumeState::Normal | VolumeState::Low => {
                let missing = self.missing();
                let hidden = self.space.is_some_and(|space| self.marks.may_resume(space, missing))
                    && self.resumed_at.is_some_and(|at| now.since(at) <= RELAPSE);
                self.hold = if hidden { (self.hold * 2).min(HOLD_MAX) } else { HOLD };
                if self.state == VolumeState::Normal {
                    self.go(VolumeState::Low, Cause::NoRoom, effects);
                }
                self.fill(Cause::NoRoom, effects);
            }
            VolumeState::Probing => self.fill(Cause::NoRoom, effects),
            // Whatever made it seem roomy is not true.
            VolumeState::Full | VolumeState::HardFull => self.roomy = None,
            VolumeState::Failed => {}
        }
    }

    /// To Full, from Low or Probing; and on to HardFull if nothing is left in reserve.
    fn fill(&mut self, cause: Cause, effects: &mut Vec<Effect>) {
        (self.roomy, self.calm_since, self.testing) = (None, None, false);
        self.go(VolumeState::Full, cause, effects);
        if self.spent {
            self.go(VolumeState::HardFull, Cause::ReserveSpent, effects);
        }
    }

    fn seek_exit(&mut self, now: Instant, space: Space, effects: &mut Vec<Effect>) {
        let roomy = self.marks.may_resume(space, self.missing());
        self.roomy = roomy.then(|| self.roomy.map_or((now, 1), |(since, samples)| (since, samples + 1)));
        let lasted =
            self.roomy.is_some_and(|(since, samples)| samples >= SAMPLES && now.since(since) >= self.hold);
        if self.testing {
            return;
        }
        if lasted {
            self.testing = true;
            match Mutant::ExitByStatvfs.is_planted() {
                true => self.tested(now, true, effects),
                false => effects.push(Effect::Test),
            }
        } else if self.state == VolumeState::HardFull && space.free_bytes > 0 {
            effects.push(Effect::Refill);
        }
    }

    fn tested(&mut self, now: Instant, passed: bool, effects: &mut Vec<Effect>) {
        // A fact that came meanwhile may have made it pointless.
        if !std::mem::take(&mut self.testing) {
            return;
        }
        self.roomy = None;
        if self.state == VolumeState::Full && Mutant::FullNeverClears.is_planted() {
            return;
        }
        match (self.state, passed) {
            (VolumeState::Full, true) => {
                (self.was_full, self.resumed_at) = (false, Some(now));
                self.go(VolumeState::Low, Cause::TestPassed, effects);
            }
            (VolumeState::Probing, true) => {
                let low = self.space.filter(|space| self.marks.is_low(*space));
                let (to, cause) = match low {
                    Some(space) => (VolumeState::Low, self.shortage(space, false)),
                    None => (VolumeState::Normal, Cause::TestPassed),
                };
                self.go(to, cause, effects);
            }
            (VolumeState::Probing, false) => self.fill(Cause::NoRoom, effects),
            // Without its reserve whole it has not passed, whatever the test says.
            (VolumeState::HardFull, _)
            | (VolumeState::Full, false)
            | (VolumeState::Normal | VolumeState::Low | VolumeState::Failed, _) => {}
        }
    }

    fn calm_down(&mut self, now: Instant, space: Space, effects: &mut Vec<Effect>) {
        if !self.marks.is_calm(space) {
            self.calm_since = None;
            return;
        }
        let since = *self.calm_since.get_or_insert(now);
        if now.since(since) >= CALM {
            (self.calm_since, self.hold) = (None, HOLD);
            self.go(VolumeState::Normal, Cause::Calm, effects);
        }
    }

    fn fail(&mut self, cause: Cause, effects: &mut Vec<Effect>) {
        if self.state != VolumeState::Failed {
            (self.roomy, self.calm_since, self.testing) = (None, None, false);
            self.go(VolumeState::Failed, cause, effects);
        }
    }

    /// Bytes that making the reserves whole will take.
    fn missing(&self) -> u64 {
        if self.spent { 2 * self.marks.reserve_bytes } else { 0 }
    }

    fn shortage(&self, space: Space, full: bool) -> Cause {
        let mark = if full { self.marks.full_bytes } else { self.marks.low_bytes };
        if space.free_bytes < mark {
            Cause::FreeBelow { free: space.free_bytes, mark }
        } else {
            Cause::FilesBelow { free: space.free_files, mark: Marks::files(full) }
        }
    }

    /// The only place where the state changes.
    ///
    /// # Panics
    /// In tests and simulations, if the arrow is not drawn: a bug of this file. A product looks at the volume anew.
    fn go(&mut self, to: VolumeState, cause: Cause, effects: &mut Vec<Effect>) {
        let from = self.state;
        debug_assert!(from.leads_to(to), "no arrow leads from {from} to {to}");
        let to = if from.leads_to(to) { to } else { VolumeState::Probing };
        (self.state, self.cause) = (to, cause);
        effects.push(Effect::Moved(Transition { from, to, cause }));
    }
}
