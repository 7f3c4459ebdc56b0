//! Power cuts and kills at every change of a log's data directory: what was acknowledged is there, nothing torn is
//! visible, and no sync can be taken out without a test that notices.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod oracle;
mod search;
mod syncs;
mod workload;

use forebay_sim::crash::{Search, each_item, extremes_and, seeds};
use search::LogProgram;

#[test]
fn every_cut_of_a_program_that_does_everything() {
    let search = Search::new(LogProgram { steps: workload::EVERYTHING, seed: 1 });
    let outcomes = search.every_cut(extremes_and(4)).unwrap();
    assert!(outcomes > 1_000, "only {outcomes} outcomes were looked at");
}

#[test]
fn every_item_lost_alone_and_kept_alone() {
    let search = Search::new(LogProgram { steps: &workload::EVERYTHING[..28], seed: 2 });
    // The same unsynced changes are there at many cuts in a row: every fifth is enough.
    search.every_cut(|disk, cut| if cut % 5 == 0 { each_item(disk) } else { Vec::new() }).unwrap();
}

#[test]
fn drawn_programs_cut_here_and_there() {
    for seed in seeds(10) {
        let steps = workload::drawn(seed, 40);
        let search = Search::new(LogProgram { steps: &steps, seed });
        let few =
            |disk: &_, cut| if (cut ^ seed) % 16 == 0 { extremes_and(1)(disk, cut) } else { Vec::new() };
        if let Err(violation) = search.every_cut(few) {
            panic!("program {seed}: {violation:?}\n{steps:?}");
        }
    }
}
