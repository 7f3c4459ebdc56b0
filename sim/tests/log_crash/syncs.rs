//! One test for each sync in the code: without it, the search finds a violation.

use std::collections::BTreeSet;

use forebay_sim::crash::{Search, each_item, extremes_and};
use forebay_sim::disk::{PathKind, SyncSite};

use crate::search::LogProgram;
use crate::workload::{EVERYTHING, REPLACING, Step};

fn program(steps: &'static [Step], seed: u64) -> Search<LogProgram<'static>> {
    Search::new(LogProgram { steps, seed })
}

macro_rules! needed {
    ($($name:ident: $phase:literal, $kind:ident, $nth:literal;)*) => {
        const NEEDED: &[(&str, PathKind, u32)] = &[$(($phase, PathKind::$kind, $nth)),*];

        $(
            #[test]
            fn $name() {
                let site = SyncSite::nth($phase, PathKind::$kind, $nth);
                let found = program(EVERYTHING, 1).without(site.clone()).every_cut(extremes_and(1));
                assert!(found.is_err(), "nothing breaks without the sync of \"{site}\"");
            }
        )*
    };
}

needed! {
    names_above_the_directory_above: "lock", OuterDir, 1;
    names_above_the_data_directory: "lock", OuterDir, 2;
    names_left_by_a_killed_process: "lock", DataDir, 1;
    the_identity_before_its_name: "format", Identity, 1;
    the_name_of_the_identity: "format", DataDir, 1;
    taking_the_clean_mark: "take the clean mark", DataDir, 1;
    leaving_the_clean_mark: "leave the clean mark", CleanMark, 1;
    the_name_of_the_clean_mark: "leave the clean mark", DataDir, 1;
    the_name_of_a_new_partition: "append", PartitionsDir, 1;
    the_state_of_a_new_partition: "append", State, 1;
    the_names_in_a_new_partition: "append", PartitionDir, 1;
    appended_batches: "sync", LogFile, 1;
    a_segment_before_its_successor: "roll", LogFile, 1;
    the_name_of_a_new_segment: "roll", PartitionDir, 1;
    the_log_start_before_deleting_records: "advance start", State, 1;
    the_log_start_before_deleting_all_records: "drop all", State, 1;
    that_no_segment_is_left: "drop all", State, 2;
    the_log_start_before_retention: "retain", State, 1;
    the_state_before_truncating: "truncate", State, 1;
    segments_that_are_truncated: "truncate", PartitionDir, 2;
    the_truncated_segment: "truncate", LogFile, 1;
    the_recovery_point_of_a_checkpoint: "checkpoint", State, 1;
    batches_at_a_close: "close", LogFile, 1;
    the_recovery_point_at_a_close: "close", State, 1;
    the_recovered_state: "open the log", State, 1;
    the_recovered_segment: "open the log", LogFile, 1;
    the_recovered_names: "open the log", PartitionDir, 1;
}

/// Needs a program of its own: producer state comes back that was written where other batches end now.
#[test]
fn hints_of_what_is_truncated() {
    let breaks = |seed| {
        let search = program(REPLACING, seed).without(SyncSite::new(HINTS.0, HINTS.1));
        search.every_cut(|disk, _| each_item(disk)).is_err()
    };
    assert!((0..6).any(breaks));
}

const HINTS: (&str, PathKind, u32) = ("truncate", PathKind::PartitionDir, 1);

#[test]
fn replaced_batches_have_their_own_hints() {
    for seed in 0..6 {
        program(REPLACING, seed).every_cut(|disk, _| each_item(disk)).unwrap();
    }
}

#[test]
fn every_sync_has_its_test() {
    let named = NEEDED.iter().chain([&HINTS]).map(|(phase, kind, nth)| SyncSite::nth(phase, *kind, *nth));
    assert_eq!(program(EVERYTHING, 1).sites().unwrap(), named.collect::<BTreeSet<_>>());
}
