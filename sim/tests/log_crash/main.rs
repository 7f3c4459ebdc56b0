//! Power cuts and kills at every change of a log's data directory: what was acknowledged is there, nothing torn is
//! visible, and no sync can be taken out without a test that notices.

mod oracle;
mod search;
mod syncs;
mod workload;

use forebay_base::{Rng, SeededRng};
use forebay_sim::SimDisk;
use forebay_sim::disk::Survivors;
use search::Search;

/// The extremes, and a few subsets drawn for this cut.
fn extremes_and(random: u64) -> impl Fn(&SimDisk, u64) -> Vec<Survivors> {
    move |disk, cut| {
        let rng = SeededRng::new(cut);
        let item = |rng: &SeededRng| rng.next_u64() as usize % disk.unsynced_items().max(1);
        let mut all = vec![Survivors::Nothing, Survivors::Everything];
        all.extend([Survivors::AllBut(item(&rng)), Survivors::Only(item(&rng))]);
        all.extend((0..random).map(|_| Survivors::Random(rng.next_u64())));
        all
    }
}

#[test]
fn every_cut_of_a_program_that_does_everything() {
    let search = Search { steps: workload::EVERYTHING, seed: 1, ignored: None };
    let outcomes = search.every_cut(extremes_and(4)).unwrap();
    assert!(outcomes > 1_000, "only {outcomes} outcomes were looked at");
}

#[test]
fn every_item_lost_alone_and_kept_alone() {
    let steps = &workload::EVERYTHING[..28];
    let search = Search { steps, seed: 2, ignored: None };
    search
        .every_cut(|disk, cut| {
            // The same unsynced changes are there at many cuts in a row: every fifth is enough.
            let items = if cut % 5 == 0 { disk.unsynced_items() } else { 0 };
            (0..items).flat_map(|item| [Survivors::AllBut(item), Survivors::Only(item)]).collect()
        })
        .unwrap();
}

#[test]
fn drawn_programs_cut_here_and_there() {
    for seed in 0..30 {
        let steps = workload::drawn(seed, 40);
        let search = Search { steps: &steps, seed, ignored: None };
        let few = |disk: &SimDisk, cut: u64| {
            if (cut ^ seed) % 16 == 0 { extremes_and(1)(disk, cut) } else { Vec::new() }
        };
        if let Err(violation) = search.every_cut(few) {
            panic!("program {seed}: {violation:?}\n{steps:?}");
        }
    }
}
