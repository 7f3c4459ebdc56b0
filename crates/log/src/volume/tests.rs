//! The machine against any order of facts, and against volumes that fill and are freed.

use std::time::Duration;

use forebay_base::Instant;
use proptest::prelude::*;

use super::*;
use crate::disk::Space;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn space(total: u64, free_bytes: u64) -> Space {
    Space { total_bytes: total, free_bytes, free_files: 100_000 }
}

#[test]
fn a_small_volume_keeps_its_space_for_records() {
    let total = 64 * MIB;
    let marks = Marks::of(total);
    let (log, snapshot) = Marks::metadata_bytes_max(total);
    let preallocated = log + 2 * snapshot + 2 * marks.reserve_bytes;
    assert!(preallocated * 4 <= total, "{preallocated}");
    assert!(total - preallocated - marks.full_bytes >= 40 * MIB);
    assert!(marks.resume_bytes + 2 * marks.reserve_bytes <= 8 * MIB, "8 MiB that are freed are enough");
    let probed = marks.resume_bytes - marks.probe_bytes;
    assert!(probed > marks.full_bytes, "the test does not fill the volume");
}

#[test]
fn marks_are_in_order_on_every_size() {
    for shift in 0..40 {
        let total = (16 * MIB) << (shift / 2) | if shift % 2 == 1 { 7 * MIB } else { 0 };
        let marks = Marks::of(total);
        let order = [marks.full_bytes, marks.resume_bytes, marks.low_bytes, marks.calm_bytes, total];
        assert!(order.windows(2).all(|pair| pair[0] < pair[1]), "{total}: {marks:?}");
        let (log, snapshot) = Marks::metadata_bytes_max(total);
        assert!(total > GIB || (log + 2 * snapshot + 2 * marks.reserve_bytes) * 4 <= total);
    }
    let large = Marks::of(100 << 40);
    assert_eq!((large.full_bytes, large.low_bytes, large.reserve_bytes), (512 * MIB, 4 * GIB, 64 * MIB));
}

#[test]
fn producers_are_slowed_the_more_the_less_is_free() {
    let total = 100 * GIB;
    let marks = Marks::of(total);
    let throttle = |state, free| marks.throttle_per_mib(state, Some(space(total, free))).as_millis();
    let (full, low) = (marks.full_bytes, marks.low_bytes);
    let waits: Vec<_> =
        (0..=10).map(|tenth| throttle(VolumeState::Low, low - (low - full) * tenth / 10)).collect();
    assert!(waits.windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
    assert_eq!((waits[0], waits[5], waits[10]), (0, 250, 1_000));
    assert_eq!((throttle(VolumeState::Low, marks.calm_bytes), throttle(VolumeState::Low, 0)), (0, 1_000));
    assert_eq!((throttle(VolumeState::Normal, 0), throttle(VolumeState::Full, total)), (0, 1_000));
}

/// A volume under its machine: effects are done as its owner would do them.
struct Rig {
    machine: Machine,
    now: Instant,
    total: u64,
    /// What the file system says is free.
    free: u64,
    /// It says more than there is: a quota that does not show.
    hidden: bool,
    moves: Vec<(VolumeState, VolumeState)>,
    tests: u32,
}

impl Rig {
    fn new(total: u64, last: Option<VolumeState>) -> Self {
        let machine = Machine::new(Marks::of(total), last);
        Self { machine, now: Instant(0), total, free: total, hidden: false, moves: Vec::new(), tests: 0 }
    }

    fn tell(&mut self, fact: Fact) {
        let mut facts = vec![fact];
        while let Some(fact) = facts.pop() {
            let mut effects = Vec::new();
            self.machine.step(self.now, fact, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Moved(Transition { from, to, .. }) => {
                        assert!(from.leads_to(to));
                        self.moves.push((from, to));
                    }
                    Effect::Test => {
                        self.tests += 1;
                        let passes = !self.hidden && self.free >= self.machine.marks().probe_bytes;
                        facts.push(Fact::Tested(passes));
                        facts.extend(passes.then_some(Fact::ReserveWhole));
                    }
                    Effect::Refill => {}
                }
            }
        }
    }

    /// Lets time pass, with the samples that the machine wants.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now = self.now + self.machine.sample_every();
            self.tell(Fact::Sampled(space(self.total, self.free)));
        }
    }

    fn times_full(&self) -> usize {
        self.moves.iter().filter(|(_, to)| *to == VolumeState::Full).count()
    }

    fn times_freed(&self) -> usize {
        self.moves.iter().filter(|(from, to)| (*from, *to) == (VolumeState::Full, VolumeState::Low)).count()
    }
}

#[test]
fn each_time_it_fills_and_is_freed_is_one_transition_each_way() {
    for total in [64 * MIB, 300 * MIB, 20 * GIB, 4 << 40] {
        let mut rig = Rig::new(total, None);
        rig.pass(Duration::from_secs(1));
        assert_eq!(rig.machine.state(), VolumeState::Normal);
        let marks = rig.machine.marks();
        for cycle in 1..=20 {
            rig.free = marks.full_bytes - 1;
            rig.pass(Duration::from_secs(3));
            assert_eq!((rig.times_full(), rig.times_freed()), (cycle, cycle - 1));
            rig.free = marks.resume_bytes;
            rig.pass(Duration::from_secs(3));
            assert_eq!((rig.times_full(), rig.times_freed()), (cycle, cycle), "of {total}");
            assert_eq!(rig.machine.state(), VolumeState::Low);
        }
        rig.free = total / 2;
        rig.pass(Duration::from_secs(40));
        assert_eq!(rig.machine.state(), VolumeState::Normal);
    }
}

#[test]
fn space_between_the_marks_changes_nothing() {
    let mut rig = Rig::new(64 * MIB, None);
    let marks = rig.machine.marks();
    rig.pass(Duration::from_secs(1));
    rig.free = marks.resume_bytes - 1;
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.machine.state(), VolumeState::Low);
    rig.tell(Fact::NoRoom);
    rig.pass(Duration::from_secs(60));
    assert_eq!(
        (rig.machine.state(), rig.tests),
        (VolumeState::Full, 1),
        "the first test was that of the start"
    );
    rig.free = marks.low_bytes;
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.machine.state(), VolumeState::Low);
    rig.pass(Duration::from_secs(100));
    assert_eq!(rig.machine.state(), VolumeState::Low, "not calm yet");
}

#[test]
fn room_that_only_shows_is_not_believed() {
    let mut rig = Rig::new(GIB, None);
    rig.pass(Duration::from_secs(1));
    rig.hidden = true;
    rig.tell(Fact::NoRoom);
    rig.pass(Duration::from_secs(20));
    assert_eq!(rig.machine.state(), VolumeState::Full);
    assert!(rig.tests > 5);
    // The test finds room, and the next write does not, again and again.
    rig.hidden = false;
    rig.pass(Duration::from_secs(3));
    let before = rig.times_freed();
    for _ in 0..600 {
        if rig.machine.state().takes_writes() {
            rig.tell(Fact::NoRoom);
        }
        rig.pass(Duration::from_millis(200));
    }
    assert!(rig.times_freed() - before < 10, "{} times in 2 min", rig.times_freed() - before);
}

#[test]
fn a_start_on_a_full_volume_is_full_at_once_and_one_that_was_full_is_tested() {
    let mut rig = Rig::new(64 * MIB, Some(VolumeState::Normal));
    assert_eq!(rig.machine.state(), VolumeState::Probing);
    rig.free = 0;
    rig.pass(Duration::from_millis(200));
    assert_eq!((rig.machine.state(), rig.tests), (VolumeState::Full, 0));
    let mut rig = Rig::new(64 * MIB, Some(VolumeState::HardFull));
    rig.tell(Fact::ReserveSpent);
    rig.pass(Duration::from_millis(200));
    assert_eq!(rig.machine.state(), VolumeState::HardFull);
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.machine.state(), VolumeState::Low);
    assert!(rig.moves.contains(&(VolumeState::HardFull, VolumeState::Full)));
}

#[test]
fn one_fault_is_borne_and_a_second_one_is_the_end() {
    let mut rig = Rig::new(GIB, None);
    rig.pass(Duration::from_secs(1));
    rig.tell(Fact::Fault);
    rig.pass(Duration::from_secs(601));
    rig.tell(Fact::Fault);
    assert_eq!(rig.machine.state(), VolumeState::Normal);
    rig.tell(Fact::Fault);
    assert_eq!(rig.machine.state(), VolumeState::Failed);
    rig.pass(Duration::from_secs(10_000));
    assert_eq!(rig.machine.state(), VolumeState::Failed);
    assert_eq!(Machine::new(Marks::of(GIB), Some(VolumeState::Failed)).state(), VolumeState::Failed);
    rig.tell(Fact::Readmitted);
    rig.tell(Fact::Fault);
    assert_eq!(rig.machine.state(), VolumeState::Normal, "what was before is forgotten");
    rig.tell(Fact::ReadOnly);
    assert_eq!(rig.machine.state(), VolumeState::Failed);
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let free = prop_oneof![Just(0), 0..64 * MIB, Just(64 * MIB)];
    prop_oneof![
        8 => free.prop_map(|free| Fact::Sampled(space(64 * MIB, free))),
        1 => (0u64..400).prop_map(|files| Fact::Sampled(Space {
            total_bytes: 64 * MIB, free_bytes: 60 * MIB, free_files: files
        })),
        2 => Just(Fact::NoRoom),
        1 => Just(Fact::Fault),
        1 => Just(Fact::ReadOnly),
        1 => Just(Fact::ReserveSpent),
        1 => Just(Fact::ReserveWhole),
        3 => any::<bool>().prop_map(Fact::Tested),
        1 => Just(Fact::Readmitted),
    ]
}

fn any_start() -> impl Strategy<Value = Option<VolumeState>> {
    (0..=VolumeState::ALL.len()).prop_map(|at| VolumeState::ALL.get(at).copied())
}

proptest! {
    /// Only drawn arrows (`Machine::go` asserts it), in a chain; writes only after a test that was asked for and passed;
    /// Failed is left by readmission only.
    #[test]
    fn no_order_of_facts_breaks_the_drawing(
        start in any_start(),
        facts in prop::collection::vec((any_fact(), 0u64..4_000), 1..200),
    ) {
        let mut machine = Machine::new(Marks::of(64 * MIB), start);
        let (mut now, mut asked) = (Instant(0), false);
        let mut effects = Vec::new();
        for (fact, ms) in facts {
            now = now + Duration::from_millis(ms);
            let before = machine.state();
            machine.step(now, fact, &mut effects);
            let mut at = before;
            for effect in effects.drain(..) {
                match effect {
                    Effect::Moved(Transition { from, to, .. }) => {
                        prop_assert_eq!(from, at);
                        prop_assert!(from.leads_to(to));
                        if !from.takes_writes() && to.takes_writes() && from != VolumeState::Failed {
                            prop_assert!(asked && fact == Fact::Tested(true), "{from} to {to} on {fact:?}");
                        }
                        if from == VolumeState::Failed {
                            prop_assert_eq!(fact, Fact::Readmitted);
                        }
                        at = to;
                    }
                    Effect::Test => asked = true,
                    Effect::Refill => prop_assert_eq!(at, VolumeState::HardFull),
                }
            }
            prop_assert_eq!(machine.state(), at);
            if let Fact::Tested(_) = fact {
                asked = false;
            }
            if let (Fact::Sampled(space), true) = (fact, machine.state().takes_writes()) {
                prop_assert!(!machine.marks().is_full(space));
            }
        }
    }
}
