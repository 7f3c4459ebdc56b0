//! Power cuts and kills at every change of the metadata store: votes, entries and snapshots that were answered are
//! there, what was truncated or purged does not come back, and no sync can be taken out without a test that notices.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod oracle;
mod syncs;
mod workload;

use forebay_sim::crash::{Search, each_item, extremes_and, seeds};
use workload::{EVERYTHING, StoreProgram, drawn};

#[test]
fn every_cut_of_a_program_that_does_everything() {
    let search = Search::new(StoreProgram { steps: EVERYTHING, seed: 1 });
    let outcomes = search.every_cut(extremes_and(3)).unwrap();
    assert!(outcomes > 1_000, "only {outcomes} outcomes were looked at");
}

#[test]
fn every_item_lost_alone_and_kept_alone() {
    let search = Search::new(StoreProgram { steps: EVERYTHING, seed: 2 });
    search.every_cut(|disk, cut| if cut % 6 == 0 { each_item(disk) } else { Vec::new() }).unwrap();
}

#[test]
fn drawn_programs_cut_here_and_there() {
    for seed in seeds(6) {
        let steps = drawn(seed, 40);
        let search = Search::new(StoreProgram { steps: &steps, seed });
        let few = |disk: &_, cut| if (cut ^ seed) % 8 == 0 { extremes_and(1)(disk, cut) } else { Vec::new() };
        if let Err(violation) = search.every_cut(few) {
            panic!("program {seed}: {violation:?}\n{steps:?}");
        }
    }
}
