//! Files that hold decisions only: no waiting, no clock, no randomness, no files, no sockets.

use super::{Finding, Source, Tree};

/// Pure files and folders, by how their path begins. `base` is pure but for the seams it states; in `replica` the
/// cores live beside the threads that host them.
const PURE: [&str; 16] = [
    "crates/base/src/",
    "crates/broker/src/kafka/fetch/session.rs",
    "crates/broker/src/kafka/fetch/slots.rs",
    "crates/log/src/volume/errno.rs",
    "crates/log/src/volume/machine.rs",
    "crates/log/src/volume/marks.rs",
    "crates/log/src/volume/state.rs",
    "crates/records/src/",
    "crates/wire/src/",
    "crates/meta/src/",
    "crates/replica/src/event.rs",
    "crates/replica/src/intake",
    "crates/replica/src/producers",
    "crates/replica/src/refused.rs",
    "crates/replica/src/replica",
    "crates/replica/src/retention_clock.rs",
];

/// What a pure file does not say, and the trade it belongs to.
const IMPURE: [(&str, &str); 17] = [
    ("async", "waiting"),
    (".await", "waiting"),
    ("tokio", "waiting"),
    ("futures_util", "waiting"),
    ("Instant::now", "a clock"),
    ("SystemTime", "a clock"),
    ("std::time::Instant", "a clock"),
    ("rand", "randomness"),
    ("thread_rng", "randomness"),
    ("RandomState", "randomness"),
    ("std::fs", "files"),
    ("std::thread", "threads"),
    ("rustix", "the system"),
    ("std::net", "sockets"),
    ("std::env", "the environment"),
    ("forebay_log", "files"),
    ("tracing", "logging (a caller logs where it handles)"),
];

pub(super) fn check(tree: &Tree, found: &mut Vec<Finding>) {
    for (path, text) in tree.rust().filter(|(path, _)| is_pure(path)) {
        let source = Source::new(text, super::words::is_test_file(path));
        for (word, trade) in IMPURE {
            for line in source.lines_with(word) {
                found.push(Finding::new(
                    path,
                    line,
                    format!("a pure file names `{word}`: it knows nothing of {trade}"),
                ));
            }
        }
    }
}

/// A rule about a file that is gone holds nothing.
pub(super) fn check_list(tree: &Tree, found: &mut Vec<Finding>) {
    for pure in PURE.iter().filter(|pure| !tree.rust().any(|(path, _)| path.starts_with(**pure))) {
        found.push(Finding::new(pure, 0, "listed in xtask/src/tidy/pure.rs, but not there: was it renamed?"));
    }
}

fn is_pure(path: &str) -> bool {
    // Which bug is planted is read from the environment, in no product: see `mutants.rs`.
    path != super::mutants::MUTANTS && PURE.iter().any(|pure| path.starts_with(pure))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        let mut found = Vec::new();
        check(&Tree::of(&[(path, text)]), &mut found);
        found.len()
    }

    #[test]
    fn a_pure_file_does_nothing_but_decide() {
        let impure = "pub async fn f() {}";
        assert_eq!(found("crates/meta/src/decide.rs", impure), 1);
        assert_eq!(found("crates/replica/src/producers.rs", "let now = SystemTime::now();"), 1);
        assert_eq!(found("crates/wire/src/kafka/produce.rs", "use std::net::TcpStream;"), 1);
        assert_eq!(found("crates/replica/src/volume.rs", impure), 0);
        let mut gone = Vec::new();
        check_list(&Tree::of(&[("crates/meta/src/lib.rs", "")]), &mut gone);
        assert_eq!(gone.len(), PURE.len() - 1);
        assert_eq!(found("crates/broker/src/lib.rs", impure), 0);
    }

    #[test]
    fn words_inside_names_comments_and_tests_are_free() {
        assert_eq!(
            found("crates/meta/src/lib.rs", "//! no async here\nlet operand = 1; fn asynchronous() {}"),
            0
        );
        assert_eq!(found("crates/meta/src/lib.rs", "#[cfg(test)]\nmod tests { use std::fs; }"), 0);
        assert_eq!(found("crates/meta/src/decide/tests.rs", "use std::fs;"), 0);
    }
}
