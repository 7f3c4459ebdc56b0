//! One test for each sync in the store: without it, the search finds a violation.

use std::collections::BTreeSet;

use forebay_sim::crash::{Search, extremes_and};
use forebay_sim::disk::{PathKind, SyncSite};

use crate::workload::{EVERYTHING, PREPARE, StoreProgram};

fn everything() -> Search<StoreProgram<'static>> {
    Search::new(StoreProgram { steps: EVERYTHING, seed: 1 })
}

macro_rules! needed {
    ($($name:ident: $phase:literal, $kind:ident;)*) => {
        const NEEDED: &[(&str, PathKind)] = &[$(($phase, PathKind::$kind)),*];

        $(
            #[test]
            fn $name() {
                let site = SyncSite::new($phase, PathKind::$kind);
                let found = everything().without(site.clone()).every_cut(extremes_and(2));
                assert!(found.is_err(), "nothing breaks without the sync of \"{site}\"");
            }
        )*
    };
}

needed! {
    the_name_of_the_directory: "open", OuterDir;
    the_names_of_the_files: "open", MetadataDir;
    the_recovered_snapshots: "open", Snapshot;
    the_recovered_state: "open", MetadataState;
    the_recovered_log: "open", MetadataLog;
    a_vote: "vote", MetadataState;
    appended_entries: "append", MetadataLog;
    the_first_index: "append", MetadataState;
    the_mark_of_a_truncation: "truncate", MetadataState;
    the_mark_of_a_purge: "purge", MetadataState;
    a_snapshot: "snapshot", Snapshot;
}

#[test]
fn every_sync_has_its_test() {
    let mut sites = everything().sites().unwrap();
    sites.retain(|site| site.phase != PREPARE);
    let named: BTreeSet<SyncSite> = NEEDED.iter().map(|(phase, kind)| SyncSite::new(phase, *kind)).collect();
    assert_eq!(sites, named);
}

#[test]
fn explore() {
    for site in everything().sites().unwrap() {
        let found = everything().without(site.clone()).every_cut(extremes_and(1));
        println!("{site}: {}", found.map_or_else(|v| v.why, |_| "NOTHING".to_owned()));
    }
}
