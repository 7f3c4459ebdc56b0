use forebay_base::LeaderEpoch;
use forebay_records::NO_PRODUCER;
use proptest::prelude::*;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn batch(id: i64, epoch: i16, first: i32, count: i32, base: i64) -> BatchHeader {
    BatchHeader {
        base_offset: Offset(base),
        len: 100,
        leader_epoch: LeaderEpoch(0),
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: 0,
        max_timestamp: 5,
        producer_id: ProducerId(id),
        producer_epoch: epoch,
        base_sequence: first,
        record_count: count,
    }
}

fn store(producers: &mut Producers, batch: &BatchHeader) {
    assert_eq!(producers.judge(batch), Verdict::Fresh, "sequence {}", batch.base_sequence);
    producers.note(batch, WallTime(0));
    producers.settle();
}

fn kind(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fresh => "fresh",
        Verdict::Duplicate(_) => "duplicate",
        Verdict::Refuse(Refused::OutOfOrderSequence { .. }) => "45",
        Verdict::Refuse(Refused::DuplicateSequence { .. }) => "46",
        Verdict::Refuse(Refused::InvalidProducerEpoch { .. }) => "47",
        Verdict::Refuse(other) => panic!("{other}"),
    }
}

#[test]
fn codes_are_kafkas() {
    let mut producers = Producers::default();
    store(&mut producers, &batch(1, 2, 40, 10, 0));
    let judge = |epoch, first, count| kind(producers.judge(&batch(1, epoch, first, count, 100)));
    assert_eq!(judge(2, 40, 10), "duplicate");
    assert_eq!(judge(2, 50, 1), "fresh");
    assert_eq!(judge(2, 51, 1), "45");
    assert_eq!(judge(2, 40, 9), "45", "a batch cut anew is not the one stored");
    assert_eq!(judge(2, 30, 10), "45", "never called a duplicate unless the window proves it");
    assert_eq!(judge(1, 50, 1), "47");
    assert_eq!(judge(3, 0, 1), "fresh");
    assert_eq!(judge(3, 50, 1), "45");
    assert_eq!(kind(producers.judge(&batch(9, 5, 77, 1, 100))), "fresh", "no state: any sequence (KIP-360)");
}

#[test]
fn sequences_wrap() {
    let mut producers = Producers::default();
    store(&mut producers, &batch(1, 0, i32::MAX - 1, 2, 0));
    store(&mut producers, &batch(1, 0, 0, 3, 2));
    store(&mut producers, &batch(2, 0, i32::MAX, 3, 5));
    assert_eq!(kind(producers.judge(&batch(2, 0, i32::MAX, 3, 9))), "duplicate");
    store(&mut producers, &batch(2, 0, 2, 1, 8));
}

#[test]
fn a_full_window_knows_what_is_older() {
    let mut producers = Producers::default();
    for n in 0..6 {
        store(&mut producers, &batch(1, 0, n * 10, 10, i64::from(n) * 10));
    }
    assert_eq!(kind(producers.judge(&batch(1, 0, 0, 10, 60))), "46");
    assert_eq!(kind(producers.judge(&batch(1, 0, 10, 10, 60))), "duplicate");
    assert_eq!(kind(producers.judge(&batch(1, 0, 5, 10, 60))), "45");
    assert_eq!(kind(producers.judge(&batch(1, 0, 70, 10, 60))), "45");
}

#[test]
fn what_was_not_written_is_forgotten() {
    let mut producers = Producers::default();
    store(&mut producers, &batch(1, 0, 0, 1, 0));
    producers.note(&batch(1, 0, 1, 1, 1), WallTime(0));
    assert_eq!(kind(producers.judge(&batch(1, 0, 1, 1, 2))), "duplicate");
    producers.discard();
    assert_eq!(kind(producers.judge(&batch(1, 0, 1, 1, 1))), "fresh");
    assert_eq!(kind(producers.judge(&batch(1, 0, 0, 1, 1))), "duplicate");
}

#[test]
fn silent_producers_expire_and_the_longest_silent_goes_first() {
    let mut producers = Producers::default();
    for id in 0..4 {
        producers.note(&batch(id, 0, 0, 1, id), WallTime(id * 1_000));
        producers.settle();
    }
    producers.shrink(3);
    assert_eq!(kind(producers.judge(&batch(0, 0, 9, 1, 9))), "fresh");
    producers.expire(WallTime(86_400_000 + 2_000), DAY);
    assert_eq!(producers.len(), 1);
    assert_eq!(producers.by_age.len(), 1);
    assert_eq!(kind(producers.judge(&batch(3, 0, 9, 1, 9))), "45");
}

#[test]
fn a_damaged_or_newer_snapshot_is_refused() {
    let mut producers = Producers::default();
    store(&mut producers, &batch(1, 0, 0, 1, 0));
    let sound = producers.encode();
    for at in 0..sound.len() {
        let mut damaged = sound.to_vec();
        damaged[at] ^= 0x10;
        assert!(Producers::decode(damaged.into()).is_err(), "byte {at}");
        assert!(Producers::decode(sound.slice(..at)).is_err(), "cut at {at}");
    }
    let mut newer = sound.to_vec();
    newer[5] = 2;
    assert_eq!(Producers::decode(newer.into()).unwrap_err(), SnapshotError::Newer(2));
}

/// The model keeps every batch ever stored and searches it.
#[derive(Default)]
struct Model(Vec<BatchHeader>);

impl Model {
    fn judge(&self, sent: &BatchHeader) -> &'static str {
        let stored: Vec<_> = self.0.iter().filter(|known| known.producer_id == sent.producer_id).collect();
        let Some(newest) = stored.last() else { return "fresh" };
        if sent.producer_epoch != newest.producer_epoch {
            return match (sent.producer_epoch > newest.producer_epoch, sent.base_sequence) {
                (true, 0) => "fresh",
                (true, _) => "45",
                (false, _) => "47",
            };
        }
        let epoch: Vec<_> =
            stored.iter().filter(|known| known.producer_epoch == sent.producer_epoch).collect();
        let window = &epoch[epoch.len().saturating_sub(5)..];
        let ends = |batch: &BatchHeader| (batch.base_sequence, batch.last_sequence());
        if window.iter().any(|known| ends(known) == ends(sent)) {
            "duplicate"
        } else if sent.base_sequence == newest.last_sequence().wrapping_add(1) & i32::MAX {
            "fresh"
        } else if window.len() == 5 && sent.last_sequence() < window[0].base_sequence {
            "46"
        } else {
            "45"
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_a_model_that_remembers_everything(
        sends in proptest::collection::vec((0i64..3, 0i16..3, 0i32..30, 1i32..4, 0u8..10), 1..200),
    ) {
        let (mut producers, mut model, mut end) = (Producers::default(), Model::default(), 0i64);
        for (id, epoch, random, count, luck) in sends {
            let newest = model.0.iter().rev().find(|known| known.producer_id == ProducerId(id));
            // Mostly the sequence that comes next, so that histories grow.
            let first = match newest {
                Some(newest) if luck > 2 && newest.producer_epoch == epoch => newest.last_sequence() + 1,
                Some(_) if luck > 2 => 0,
                Some(_) | None => random,
            };
            let sent = batch(id, epoch, first, count, end);
            let verdict = kind(producers.judge(&sent));
            prop_assert_eq!(verdict, model.judge(&sent), "{:?}", sent);
            if verdict == "fresh" {
                producers.note(&sent, WallTime(end));
                match luck {
                    9 => producers.discard(),
                    _ => {
                        producers.settle();
                        model.0.push(sent);
                        end += i64::from(count);
                    }
                }
            }
            let back = Producers::decode(producers.encode()).unwrap();
            prop_assert_eq!(&back.known, &producers.known);
            prop_assert_eq!(&back.by_age, &producers.by_age);
        }
    }

    #[test]
    fn noise_is_not_a_snapshot(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Producers::decode(noise.into()).is_err());
    }
}

#[test]
fn batches_without_a_producer_leave_no_trace() {
    let mut producers = Producers::default();
    producers.recover(&batch(NO_PRODUCER.0, -1, -1, 1, 0), WallTime(0));
    assert!(producers.is_empty());
}
