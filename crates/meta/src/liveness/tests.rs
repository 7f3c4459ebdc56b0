use forebay_base::{DirectoryId, Id128};
use proptest::prelude::*;

use super::*;
use crate::VolumeReport;

const NODE: NodeId = NodeId(1);

fn at(ms: u64) -> Instant {
    Instant(ms * 1_000_000)
}

fn report(state: VolumeState) -> Arc<NodeReport> {
    let volume = VolumeReport {
        path: "/data".to_owned(),
        state,
        cause: String::new(),
        since: WallTime(0),
        sentence: None,
        age: Duration::ZERO,
        space: None,
        full_bytes: 0,
        resume_bytes: 0,
        reserve_left_bytes: 0,
        full_in: None,
    };
    let volumes = BTreeMap::from([(DirectoryId(Id128([1; 16])), volume)]);
    Arc::new(NodeReport { volumes, ..NodeReport::default() })
}

/// A controller and one node's side of it.
#[derive(Default)]
struct Pair {
    liveness: Liveness,
    effects: Vec<Effect>,
}

impl Pair {
    fn step(&mut self, now: Instant, event: Event) -> Result<SessionId, Stale> {
        self.liveness.step(now, event, &mut self.effects);
        match self.effects.pop() {
            Some(Effect::Answer(answer)) => answer,
            other => panic!("no answer: {other:?}"),
        }
    }

    /// An event that nobody has asked for.
    fn happens(&mut self, now: Instant, event: Event) -> Vec<Effect> {
        self.liveness.step(now, event, &mut self.effects);
        std::mem::take(&mut self.effects)
    }

    fn open(&mut self, now: Instant, epoch: i64) -> Result<SessionId, Stale> {
        self.step(now, Event::Opened { node: NODE, epoch: BrokerEpoch(epoch) })
    }

    fn beat(
        &mut self,
        now: Instant,
        session: SessionId,
        (epoch, sequence): (i64, u64),
        state: VolumeState,
    ) -> Result<SessionId, Stale> {
        let epoch = BrokerEpoch(epoch);
        let (made_at, report) = (WallTime(sequence as i64), report(state));
        self.step(now, Event::Heard(Heartbeat { session, epoch, sequence, made_at, report }))
    }

    fn contact(&self, now: Instant) -> Contact {
        self.liveness.view(now, NODE).contact
    }

    fn last(&self, now: Instant) -> Option<VolumeState> {
        let last = self.liveness.view(now, NODE).last?;
        last.volumes.values().next().map(|volume| volume.state)
    }
}

#[test]
fn only_a_report_in_the_session_of_the_moment_makes_a_node_reachable() {
    let mut pair = Pair::default();
    assert_eq!(pair.contact(at(0)), Contact::Unheard);
    let first = pair.open(at(0), 1).unwrap();
    assert_eq!((pair.contact(at(0)), pair.last(at(0))), (Contact::Awaited, None));
    pair.beat(at(1), first, (1, 1), VolumeState::Full).unwrap();
    assert_eq!((pair.contact(at(1)), pair.last(at(1))), (Contact::Reachable, Some(VolumeState::Full)));

    assert_eq!(pair.happens(at(2), Event::Reset), []);
    assert_eq!((pair.contact(at(2)), pair.last(at(2))), (Contact::Broken, Some(VolumeState::Full)));
    assert!(!pair.liveness.holds(first));
    let late = pair.beat(at(3), first, (1, 2), VolumeState::Normal);
    assert_eq!(late, Err(Stale::Session(first)));
    assert_eq!((pair.contact(at(3)), pair.last(at(3))), (Contact::Broken, Some(VolumeState::Full)));

    let second = pair.open(at(4), 1).unwrap();
    assert_eq!((pair.contact(at(4)), pair.last(at(4))), (Contact::Awaited, Some(VolumeState::Full)));
    pair.beat(at(5), second, (1, 3), VolumeState::Full).unwrap();
    assert_eq!(pair.contact(at(5)), Contact::Reachable);
    pair.step(at(6), Event::Closed(second)).unwrap();
    assert_eq!((pair.contact(at(6)), pair.last(at(6))), (Contact::Left, Some(VolumeState::Full)));
}

#[test]
fn what_is_older_than_what_was_heard_is_refused() {
    let mut pair = Pair::default();
    let session = pair.open(at(0), 5).unwrap();
    pair.beat(at(0), session, (5, 7), VolumeState::Full).unwrap();
    let stale = pair.beat(at(1), session, (5, 7), VolumeState::Normal);
    assert_eq!(stale, Err(Stale::Sequence(7)));
    let stale = pair.beat(at(1), session, (4, 8), VolumeState::Normal);
    assert_eq!(stale, Err(Stale::Epoch(BrokerEpoch(5))));
    assert_eq!(pair.open(at(1), 4), Err(Stale::Epoch(BrokerEpoch(5))));
    assert_eq!(pair.last(at(1)), Some(VolumeState::Full));
    assert_eq!(pair.contact(at(1)), Contact::Reachable, "an old start's attempts break no session");
    // A new registration counts from the beginning.
    let session = pair.open(at(2), 6).unwrap();
    pair.beat(at(2), session, (6, 1), VolumeState::Normal).unwrap();
    assert_eq!(pair.last(at(2)), Some(VolumeState::Normal));
}

#[test]
fn a_silent_node_is_told_of_once_and_its_return_too() {
    let mut pair = Pair::default();
    let session = pair.open(at(0), 1).unwrap();
    assert_eq!(pair.liveness.next_timeout(), None);
    pair.beat(at(0), session, (1, 1), VolumeState::Full).unwrap();
    assert_eq!(pair.liveness.next_timeout(), Some(at(3_000)));
    assert_eq!(pair.happens(at(2_999), Event::Passed), []);
    assert_eq!(pair.contact(at(2_999)), Contact::Reachable);
    // Whether or not anybody looked at the clock.
    assert_eq!(pair.contact(at(3_000)), Contact::Silent);
    assert_eq!(pair.happens(at(3_000), Event::Passed), [Effect::FellSilent(NODE)]);
    assert_eq!(pair.happens(at(4_000), Event::Passed), []);
    assert_eq!((pair.liveness.next_timeout(), pair.last(at(9_000))), (None, Some(VolumeState::Full)));
    pair.beat(at(9_000), session, (1, 2), VolumeState::Full).unwrap();
    assert_eq!(pair.effects, [Effect::CameBack(NODE)]);
    assert_eq!(pair.contact(at(9_000)), Contact::Reachable);
}

#[test]
fn a_controller_that_leads_anew_knows_nothing_of_the_present() {
    let mut pair = Pair::default();
    pair.happens(at(0), Event::Led { term: 1 });
    let session = pair.open(at(0), 1).unwrap();
    pair.beat(at(0), session, (1, 1), VolumeState::Full).unwrap();
    pair.happens(at(1), Event::Led { term: 1 });
    assert_eq!(pair.contact(at(1)), Contact::Reachable);
    pair.happens(at(1), Event::Led { term: 2 });
    assert_eq!((pair.contact(at(1)), pair.last(at(1))), (Contact::Broken, Some(VolumeState::Full)));
}

/// What may happen to a session, in any order; the numbers choose which session, epoch and sequence is named.
#[derive(Debug, Clone)]
enum Doing {
    Open(i64),
    Beat { session: u64, epoch: i64, sequence: u64, full: bool },
    Close(u64),
    Reset,
    Lead(u64),
    Wait(u64),
}

fn doings() -> impl Strategy<Value = Vec<Doing>> {
    let doing = prop_oneof![
        (0..4i64).prop_map(Doing::Open),
        (0..8u64, 0..4i64, 0..20u64, any::<bool>())
            .prop_map(|(session, epoch, sequence, full)| Doing::Beat { session, epoch, sequence, full }),
        (0..8u64).prop_map(Doing::Close),
        Just(Doing::Reset),
        (0..3u64).prop_map(Doing::Lead),
        (0..5_000u64).prop_map(Doing::Wait),
    ];
    proptest::collection::vec(doing, 0..60)
}

proptest! {
    /// Whatever happens, what is known never becomes better but by a report that was accepted, a reachable node's report
    /// is fresh and of its newest session, and (epoch, sequence) of what was accepted only grows.
    #[test]
    fn nothing_but_a_report_changes_what_is_known(doings in doings()) {
        let (mut pair, mut now) = (Pair::default(), 0);
        let (mut said, mut newest, mut reported) = (None, None, None);
        let mut order = (0, 0);
        for doing in doings {
            match doing {
                Doing::Open(epoch) => newest = pair.open(at(now), epoch).ok().or(newest),
                Doing::Beat { session, epoch, sequence, full } => {
                    let state = if full { VolumeState::Full } else { VolumeState::Normal };
                    if let Ok(session) = pair.beat(at(now), SessionId(session), (epoch, sequence), state) {
                        prop_assert_eq!(newest, Some(session));
                        prop_assert!((epoch, sequence) > order, "{:?} after {:?}", (epoch, sequence), order);
                        (said, order, reported) = (Some(state), (epoch, sequence), Some((session, now)));
                    }
                }
                Doing::Close(session) => drop(pair.step(at(now), Event::Closed(SessionId(session)))),
                Doing::Reset => drop(pair.happens(at(now), Event::Reset)),
                Doing::Lead(term) => drop(pair.happens(at(now), Event::Led { term })),
                Doing::Wait(ms) => {
                    now += ms;
                    pair.happens(at(now), Event::Passed);
                }
            }
            pair.effects.clear();
            prop_assert_eq!(pair.last(at(now)), said);
            if pair.contact(at(now)) == Contact::Reachable {
                let (session, heard) = reported.unwrap();
                prop_assert!(pair.liveness.holds(session) && now - heard < 3_000);
            }
        }
    }
}
