use forebay_base::{LeaderEpoch, Offset};

use super::super::session::{Ask, Asked, AskedTopic, TopicKey};
use super::*;

const START: Instant = Instant(0);
const JUST: Duration = Duration::from_millis(1);

fn owner() -> Owner {
    Owner { listener: "PLAINTEXT".into(), principal: Principal::Anonymous, names_ids: true }
}

fn session(partitions: i32) -> FetchSession {
    let topic = AskedTopic::new(TopicKey::Name("t".into()));
    let ask = Ask { from: Offset(0), bytes_max: 1, epoch: LeaderEpoch(-1), last_epoch: LeaderEpoch(-1) };
    let mut session = FetchSession::default();
    let asked = (0..partitions).map(|index| Asked::new(Arc::clone(&topic), index, ask)).collect();
    session.merge(asked, &Default::default());
    session
}

/// Dice that show 1, 2, 3 ... as ids.
fn dice() -> impl FnMut() -> u64 {
    let mut next = 0;
    move || {
        next += 1;
        next << 33
    }
}

fn full(sizes: &[i32]) -> Slots {
    let mut slots = Slots::new(sizes.len(), 1_000);
    let mut dice = dice();
    for (place, size) in sizes.iter().enumerate() {
        let id = slots.open(START, owner(), session(*size), &mut dice);
        assert_eq!(id, Some(place as i32 + 1));
    }
    slots
}

fn refusal(slots: &mut Slots, id: i32, epoch: i32, owner: &Owner) -> ErrorCode {
    slots.lend(START, id, epoch, owner).unwrap_err()
}

#[test]
fn epochs_count_the_requests_of_a_session() {
    let mut slots = full(&[3]);
    for epoch in 1..5 {
        for wrong in [epoch - 1, epoch + 1, -2] {
            assert_eq!(refusal(&mut slots, 1, wrong, &owner()), ErrorCode::InvalidFetchSessionEpoch);
        }
        let (ticket, session) = slots.lend(START, 1, epoch, &owner()).unwrap();
        for copy in [epoch, epoch + 1] {
            let refused = refusal(&mut slots, 1, copy, &owner());
            assert_eq!(refused, ErrorCode::InvalidFetchSessionEpoch, "one request of a session at a time");
        }
        slots.give_back(ticket, session);
    }
    assert_eq!(refusal(&mut slots, 0, 1, &owner()), ErrorCode::FetchSessionIdNotFound);
    assert_eq!(refusal(&mut slots, 2, 1, &owner()), ErrorCode::FetchSessionIdNotFound);
}

#[test]
fn the_epoch_after_the_last_is_the_first() {
    assert_eq!(next_epoch(EPOCH_INITIAL), 1);
    assert_eq!(next_epoch(i32::MAX - 1), i32::MAX);
    assert_eq!(next_epoch(i32::MAX), 1);
    let mut slots = full(&[1]);
    slots.slots.get_mut(&1).unwrap().epoch = i32::MAX;
    let (ticket, session) = slots.lend(START, 1, i32::MAX, &owner()).unwrap();
    slots.give_back(ticket, session);
    assert!(slots.lend(START, 1, 1, &owner()).is_ok());
}

#[test]
fn a_session_is_used_by_its_own_client_and_in_its_own_way() {
    let mut slots = full(&[1]);
    let stranger = Owner { listener: "OTHER".into(), ..owner() };
    assert_eq!(refusal(&mut slots, 1, 1, &stranger), ErrorCode::FetchSessionIdNotFound);
    slots.close(1, &stranger);
    assert_eq!(slots.len(), 1, "nor is it closed by others");
    let other_way = Owner { names_ids: false, ..owner() };
    assert_eq!(refusal(&mut slots, 1, 1, &other_way), ErrorCode::FetchSessionTopicIdError);
    assert!(slots.lend(START, 1, 1, &owner()).is_ok(), "a refused request is none");
    slots.close(1, &other_way);
    assert_eq!((slots.len(), slots.partitions()), (0, 0));
}

#[test]
fn what_was_closed_or_lost_while_lent_stays_gone() {
    let mut slots = full(&[2, 3]);
    let (closed, first) = slots.lend(START, 1, 1, &owner()).unwrap();
    slots.close(1, &owner());
    let (lost, _) = slots.lend(START, 2, 1, &owner()).unwrap();
    slots.lose(lost);
    assert_eq!((slots.len(), slots.partitions()), (0, 0));
    // Another session under the same id is not the one that was lent.
    assert_eq!(slots.open(START, owner(), session(7), dice()), Some(1));
    slots.give_back(closed, first);
    slots.lose(closed);
    assert_eq!((slots.len(), slots.partitions()), (1, 7));
    assert_eq!(slots.lend(START, 1, 1, &owner()).unwrap().1.len(), 7);
}

#[test]
fn the_longest_unused_gives_way_after_two_minutes() {
    let mut slots = full(&[9, 9]);
    let later = START + EVICTION_AGE;
    let (ticket, used) = slots.lend(later, 1, 1, &owner()).unwrap();
    slots.give_back(ticket, used);
    assert_eq!(slots.open(later, owner(), session(100), dice()), None, "not a moment earlier");
    assert_eq!(slots.evictions(), 0);
    let mut dice = || 5 << 33;
    assert_eq!(slots.open(later + JUST, owner(), session(1), &mut dice), Some(5));
    assert_eq!((slots.len(), slots.evictions(), slots.partitions()), (2, 1, 10));
    assert_eq!(refusal(&mut slots, 2, 1, &owner()), ErrorCode::FetchSessionIdNotFound);
}

#[test]
fn an_old_session_in_use_gives_way_to_a_larger_one_only() {
    let mut slots = full(&[4, 3]);
    let later = START + EVICTION_AGE + JUST;
    for id in [1, 2] {
        let (ticket, session) = slots.lend(later, id, 1, &owner()).unwrap();
        slots.give_back(ticket, session);
    }
    assert_eq!(slots.open(later, owner(), session(3), dice()), None);
    let mut dice = || 5 << 33;
    assert_eq!(slots.open(later, owner(), session(4), &mut dice), Some(5));
    assert_eq!(refusal(&mut slots, 2, 2, &owner()), ErrorCode::FetchSessionIdNotFound, "the smallest went");
    assert_eq!(slots.open(later, owner(), session(5), &mut dice), None, "no id is free on these dice");
}

#[test]
fn slots_and_partitions_are_bounded() {
    assert_eq!(Slots::new(0, 10).open(START, owner(), session(1), dice()), None);
    let mut slots = Slots::new(10, 10);
    assert_eq!(slots.open(START, owner(), session(0), dice()), None, "a session of nothing");
    assert_eq!(slots.open(START, owner(), session(11), dice()), None);
    assert_eq!(slots.open(START, owner(), session(6), dice()), Some(1));
    assert_eq!(slots.open(START, owner(), session(5), dice()), None);
    let (ticket, _) = slots.lend(START, 1, 1, &owner()).unwrap();
    slots.give_back(ticket, session(10));
    assert_eq!((slots.len(), slots.partitions()), (1, 10));
    let (ticket, _) = slots.lend(START, 1, 2, &owner()).unwrap();
    slots.give_back(ticket, session(11));
    assert_eq!((slots.len(), slots.partitions()), (0, 0), "it has outgrown its room");
}

#[test]
fn ids_are_positive_and_never_taken_twice() {
    let mut slots = Slots::new(10, 10);
    let mut rolls = [0, u64::MAX, u64::MAX, 1 << 62].into_iter();
    let mut dice = || rolls.next().unwrap();
    assert_eq!(slots.open(START, owner(), session(1), &mut dice), Some(i32::MAX));
    assert_eq!(slots.open(START, owner(), session(1), &mut dice), Some(1 << 29));
}
