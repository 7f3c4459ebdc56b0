//! One test for each sync in the code: without it, the search finds a violation.

use std::collections::BTreeSet;

use forebay_sim::crash::{Search, extremes_and};
use forebay_sim::disk::{PathKind, SyncSite};

use crate::search::LogProgram;
use crate::workload::EVERYTHING;

fn everything() -> Search<LogProgram<'static>> {
    Search::new(LogProgram { steps: EVERYTHING, seed: 1 })
}

macro_rules! needed {
    ($($name:ident: $phase:literal, $kind:ident;)*) => {
        const NEEDED: &[(&str, PathKind)] = &[$(($phase, PathKind::$kind)),*];

        $(
            #[test]
            fn $name() {
                let site = SyncSite::new($phase, PathKind::$kind);
                let found = everything().without(site.clone()).every_cut(extremes_and(1));
                assert!(found.is_err(), "nothing breaks without the sync of \"{site}\"");
            }
        )*
    };
}

needed! {
    names_above_the_data_directory: "lock", OuterDir;
    names_left_by_a_killed_process: "lock", DataDir;
    subdirectories_of_a_fresh_directory: "format", DataDir;
    the_identity_before_its_name: "format", Identity;
    taking_the_clean_mark: "take the clean mark", DataDir;
    leaving_the_clean_mark: "leave the clean mark", CleanMark;
    the_name_of_the_clean_mark: "leave the clean mark", DataDir;
    the_name_of_a_new_partition: "append", PartitionsDir;
    the_names_in_a_new_partition: "append", PartitionDir;
    the_state_of_a_new_partition: "append", State;
    appended_batches: "sync", LogFile;
    a_segment_before_its_successor: "roll", LogFile;
    the_name_of_a_new_segment: "roll", PartitionDir;
    the_log_start_before_deleting: "advance start", State;
    the_state_before_truncating: "truncate", State;
    hints_and_segments_cut_off: "truncate", PartitionDir;
    the_truncated_segment: "truncate", LogFile;
    a_checkpoint: "checkpoint", State;
    batches_at_a_close: "close", LogFile;
    the_state_at_a_close: "close", State;
    the_recovered_segment: "open the log", LogFile;
    the_recovered_state: "open the log", State;
    the_recovered_names: "open the log", PartitionDir;
}

#[test]
fn every_sync_has_its_test() {
    let named: BTreeSet<SyncSite> = NEEDED.iter().map(|(phase, kind)| SyncSite::new(phase, *kind)).collect();
    assert_eq!(everything().sites().unwrap(), named);
}

#[test]
fn explore() {
    for site in everything().sites().unwrap() {
        let found = everything().without(site.clone()).every_cut(extremes_and(1));
        println!("{site}: {}", found.map_or_else(|v| v.why, |_| "NOTHING".to_owned()));
    }
}
