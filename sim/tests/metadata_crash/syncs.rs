//! One test for each sync in the store: without it, the search finds a violation.

use std::collections::BTreeSet;

use forebay_sim::crash::{Search, extremes_and};
use forebay_sim::disk::{PathKind, SyncSite};

use crate::workload::{EVERYTHING, PREPARE, StoreProgram};

fn everything() -> Search<StoreProgram<'static>> {
    Search::new(StoreProgram { steps: EVERYTHING, seed: 1 })
}

macro_rules! needed {
    ($($name:ident: $phase:literal, $kind:ident, $nth:literal;)*) => {
        const NEEDED: &[(&str, PathKind, u32)] = &[$(($phase, PathKind::$kind, $nth)),*];

        $(
            #[test]
            fn $name() {
                let site = SyncSite::nth($phase, PathKind::$kind, $nth);
                let found = everything().without(site.clone()).every_cut(extremes_and(2));
                assert!(found.is_err(), "nothing breaks without the sync of \"{site}\"");
            }
        )*
    };
}

needed! {
    the_name_of_the_directory: "open", OuterDir, 1;
    the_names_of_log_and_state: "open", MetadataDir, 1;
    the_names_of_the_snapshots: "open", MetadataDir, 2;
    the_recovered_log: "open", MetadataLog, 1;
    what_recovery_wiped: "open", MetadataLog, 2;
    the_recovered_state: "open", MetadataState, 1;
    the_recovered_first_snapshot: "open", Snapshot, 1;
    the_recovered_second_snapshot: "open", Snapshot, 2;
    a_vote: "vote", MetadataState, 1;
    the_first_index: "append", MetadataState, 1;
    appended_entries: "append", MetadataLog, 1;
    entries_in_the_next_segment: "append", MetadataLog, 2;
    entries_in_the_third_segment: "append", MetadataLog, 3;
    entries_in_the_fourth_segment: "append", MetadataLog, 4;
    the_mark_of_a_truncation: "truncate", MetadataState, 1;
    the_mark_of_a_purge: "purge", MetadataState, 1;
    a_snapshot: "snapshot", Snapshot, 1;
}

/// Lines that are reached once more where they have nothing to do: a store just made is settled as any other.
const AGAIN: &[(&str, PathKind, u32)] = &[("open", PathKind::MetadataState, 2)];

#[test]
fn every_sync_has_its_test() {
    let mut sites = everything().sites().unwrap();
    sites.retain(|site| site.phase != PREPARE);
    let named = NEEDED.iter().chain(AGAIN).map(|(phase, kind, nth)| SyncSite::nth(phase, *kind, *nth));
    assert_eq!(sites, named.collect::<BTreeSet<_>>());
}
