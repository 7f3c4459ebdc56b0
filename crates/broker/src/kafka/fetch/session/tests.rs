use forebay_base::{Id128, Rng, SeededRng};

use super::*;

/// A topic's name or id, and a partition of it.
type Place = (TopicKey, i32);

fn ask(from: i64) -> Ask {
    Ask { from: Offset(from), bytes_max: 100, epoch: LeaderEpoch(-1), last_epoch: LeaderEpoch(-1) }
}

fn named(name: &str) -> TopicKey {
    TopicKey::Name(name.into())
}

fn asked(places: &[(Place, i64)]) -> Vec<Asked> {
    places
        .iter()
        .map(|((key, index), from)| Asked::new(AskedTopic::new(key.clone()), *index, ask(*from)))
        .collect()
}

fn state(session: &FetchSession) -> Vec<(Place, i64)> {
    let partitions = session.partitions().iter();
    partitions.map(|known| ((known.topic.key.clone(), known.index), known.ask.from.0)).collect()
}

fn at(high_watermark: i64) -> Told {
    Told { high_watermark: Offset(high_watermark), stable: Offset(high_watermark), start: Offset(0) }
}

const QUIET: Outcome = Outcome {
    told: Told { high_watermark: Offset(5), stable: Offset(5), start: Offset(0) },
    records: false,
    diverging: false,
};

#[test]
fn cached_partitions_are_small() {
    assert!(size_of::<Asked>() <= 64, "{}", size_of::<Asked>());
}

#[test]
fn requests_add_change_and_forget() {
    let (a, b, other) = ((named("t"), 0), (named("t"), 1), (TopicKey::Id(TopicId(Id128([1; 16]))), 0));
    let mut session = FetchSession::default();
    session.merge(asked(&[(b.clone(), 1), (a.clone(), 2), (b.clone(), 3)]), &BTreeSet::new());
    assert_eq!(state(&session), [(a.clone(), 2), (b.clone(), 3)], "the last word counts");
    session.merge(asked(&[(other.clone(), 9), (a.clone(), 7)]), &BTreeSet::new());
    assert_eq!(state(&session), [(a.clone(), 7), (b.clone(), 3), (other.clone(), 9)]);
    session.merge(asked(&[(b.clone(), 4)]), &BTreeSet::from([a.clone(), b, (named("never"), 0)]));
    assert_eq!(state(&session), [(a, 7), (other, 9)].split_at(1).1, "forgetting comes last");
}

#[test]
fn only_news_is_told() {
    let place = (named("t"), 0);
    let mut session = FetchSession::default();
    session.merge(asked(&[(place.clone(), 0)]), &BTreeSet::new());
    let mut tell = |outcome: Outcome, full: bool| session.tell(&[outcome], full)[0];
    assert!(tell(QUIET, false), "the first time");
    assert!(!tell(QUIET, false));
    assert!(tell(QUIET, true), "a full answer lists all");
    assert!(tell(Outcome { records: true, ..QUIET }, false));
    assert!(tell(Outcome { diverging: true, ..QUIET }, false));
    for told in [
        Told { high_watermark: Offset(6), ..QUIET.told },
        Told { stable: Offset(4), ..QUIET.told },
        Told { start: Offset(1), ..QUIET.told },
    ] {
        assert!(tell(Outcome { told, ..QUIET }, false), "{told:?}");
        assert!(!tell(Outcome { told, ..QUIET }, false));
        assert!(tell(QUIET, false), "back again is news too");
    }
    for _ in 0..2 {
        assert!(tell(Outcome { told: Told::NOTHING, ..QUIET }, false), "an error, each time");
    }
    assert!(tell(QUIET, false), "the error is gone");
    assert!(!tell(QUIET, false));
}

#[test]
fn who_gave_records_comes_last() {
    let places: Vec<(Place, i64)> = (0..5).map(|index| ((named("t"), index), 0)).collect();
    let mut session = FetchSession::default();
    session.merge(asked(&places), &BTreeSet::new());
    let mut turn = |served: [i32; 2]| {
        let order: Vec<i32> = session.partitions().iter().map(|known| known.index).collect();
        let records = |index: &i32| Outcome { records: served.contains(index), ..QUIET };
        session.rotate(&order.iter().map(records).collect::<Vec<_>>());
        session.partitions().iter().map(|known| known.index).collect::<Vec<_>>()
    };
    assert_eq!(turn([1, 3]), [0, 2, 4, 1, 3]);
    assert_eq!(turn([0, 2]), [4, 1, 3, 0, 2]);
    assert_eq!(turn([9, 9]), [4, 1, 3, 0, 2]);
}

/// A broker's partitions and a client that follows the protocol, both as small as they can be.
struct Model {
    dice: SeededRng,
    /// What each partition is like now; `None` is an error.
    truth: BTreeMap<Place, Option<Told>>,
    /// Where the log of each ends.
    client: BTreeMap<Place, (i64, Option<Told>)>,
    session: Option<FetchSession>,
}

impl Model {
    fn roll(&self, sides: u64) -> u64 {
        self.dice.next_u64() % sides
    }

    fn place(&self) -> Place {
        let index = self.roll(4) as i32;
        if self.roll(2) == 0 { (named("t"), index) } else { (TopicKey::Id(TopicId(Id128([7; 16]))), index) }
    }

    fn happen(&mut self) {
        for _ in 0..self.roll(4) {
            let (place, news) = (self.place(), self.roll(6));
            let seen = self.truth.entry(place).or_insert(Some(at(0)));
            *seen = match (*seen, news) {
                (_, 0) => None,
                (None, _) => Some(at(9)),
                (Some(told), 1) => Some(Told { start: told.high_watermark, ..told }),
                (Some(told), 2) => Some(Told { stable: told.stable.plus(1), ..told }),
                (Some(told), _) => Some(Told { high_watermark: told.high_watermark.plus(1), ..told }),
            };
        }
    }

    /// The client assigns itself other partitions and seeks; what it must say of it.
    fn wish(&mut self) -> (Vec<(Place, i64)>, BTreeSet<Place>) {
        let (mut said, mut forgotten) = (BTreeMap::new(), BTreeSet::new());
        for _ in 0..self.roll(3) {
            let place = self.place();
            if self.roll(3) == 0 && self.client.len() > 1 && !said.contains_key(&place) {
                if self.client.remove(&place).is_some() {
                    forgotten.insert(place);
                }
            } else if !forgotten.contains(&place) {
                let from = self.roll(20) as i64;
                self.client.entry(place.clone()).or_insert((from, None)).0 = from;
                said.insert(place, from);
            }
        }
        (said.into_iter().collect(), forgotten)
    }

    fn fetch(&mut self, full: bool) {
        let (said, forgotten) = self.wish();
        let session = self.session.get_or_insert_default();
        if full {
            *session = FetchSession::default();
            let all: Vec<_> = self.client.iter().map(|(place, (from, _))| (place.clone(), *from)).collect();
            session.merge(asked(&all), &BTreeSet::new());
        } else {
            session.merge(asked(&said), &forgotten);
        }
        let keys: Vec<Place> = state(session).into_iter().map(|(place, _)| place).collect();
        let outcome = |place: &Place| {
            let told = self.truth.get(place).copied().unwrap_or(Some(at(0)));
            let records = told.is_some_and(|told| self.client[place].0 < told.high_watermark.0);
            Outcome { told: told.unwrap_or(Told::NOTHING), records, diverging: false }
        };
        let outcomes: Vec<Outcome> = keys.iter().map(outcome).collect();
        let listed = session.tell(&outcomes, full);
        session.rotate(&outcomes);
        for ((place, outcome), _) in keys.iter().zip(&outcomes).zip(listed).filter(|(_, listed)| *listed) {
            let known = &mut self.client.get_mut(place).unwrap().1;
            *known = (outcome.told != Told::NOTHING).then_some(outcome.told);
        }
    }

    fn check(&self) {
        let session = self.session.as_ref().unwrap();
        let wanted: BTreeMap<Place, i64> =
            self.client.iter().map(|(place, (from, _))| (place.clone(), *from)).collect();
        assert_eq!(state(session).into_iter().collect::<BTreeMap<_, _>>(), wanted, "what is read");
        assert_eq!(session.len(), wanted.len(), "nothing twice");
        for (place, (_, known)) in &self.client {
            assert_eq!(*known, self.truth.get(place).copied().unwrap_or(Some(at(0))), "{place:?}");
        }
    }
}

/// Whatever happens to partitions and whatever the client assigns itself: after each answer it knows what a full fetch
/// would have told it.
#[test]
fn a_client_of_a_session_knows_what_full_fetches_would_tell() {
    for seed in 0..300 {
        let dice = SeededRng::new(seed);
        let mut model = Model { dice, truth: BTreeMap::new(), client: BTreeMap::new(), session: None };
        model.client.insert((named("t"), 0), (0, None));
        for step in 0..40 {
            model.happen();
            model.fetch(step == 0 || model.roll(15) == 0);
            model.check();
        }
    }
}
