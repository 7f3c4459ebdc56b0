//! Files and functions stay short: hard bounds, and a ratchet that may only fall.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::words::is_test_file;
use super::{Finding, Source, Tree};

/// Where the ratchet lives.
pub(super) const RATCHET: &str = "xtask/ratchet.txt";

/// No file has more production lines than this.
const FILE_LINES_MAX: usize = 800;

/// A file with more production lines than this stands in the ratchet.
const FILE_LINES: usize = 450;

/// A function with more lines than this is counted by the ratchet.
const FUNCTION_LINES: usize = 70;

/// The key that counts long functions in the ratchet.
const FUNCTIONS: &str = "functions-over-70";

/// What is long today.
#[derive(Default, PartialEq, Eq, Debug)]
struct Lengths {
    files: BTreeMap<String, usize>,
    functions: Vec<(String, usize, String, usize)>,
    lines: Vec<usize>,
}

fn measure(tree: &Tree) -> Lengths {
    let mut lengths = Lengths::default();
    for (path, text) in tree.rust() {
        let source = Source::new(text, is_test_file(path));
        let lines = source.production_lines();
        if lines == 0 {
            continue;
        }
        lengths.lines.push(lines);
        if lines > FILE_LINES {
            lengths.files.insert(path.to_owned(), lines);
        }
        for function in source.functions().into_iter().filter(|function| function.lines > FUNCTION_LINES) {
            lengths.functions.push((path.to_owned(), function.line, function.name, function.lines));
        }
    }
    lengths.lines.sort_unstable();
    lengths
}

pub(super) fn check(tree: &Tree, found: &mut Vec<Finding>) {
    let now = measure(tree);
    let ratchet = parse(tree.get(RATCHET).unwrap_or_default());
    for (path, lines) in &now.files {
        let allowed = ratchet.get(path).copied().unwrap_or(FILE_LINES).min(FILE_LINES_MAX);
        if *lines > allowed {
            found.push(Finding::new(
                path,
                0,
                format!("{lines} production lines; at most {allowed} here: split it"),
            ));
        }
    }
    for path in ratchet.keys().filter(|path| path.as_str() != FUNCTIONS && !now.files.contains_key(*path)) {
        found.push(Finding::new(
            RATCHET,
            0,
            format!("{path} is short now: run `cargo xtask tidy --ratchet`"),
        ));
    }
    let allowed = ratchet.get(FUNCTIONS).copied().unwrap_or(0);
    if now.functions.len() > allowed {
        for (path, line, name, lines) in &now.functions {
            found.push(Finding::new(
                path,
                *line,
                format!("fn {name} has {lines} lines; {allowed} such are allowed in all"),
            ));
        }
    }
    if now.functions.len() < allowed {
        found.push(Finding::new(
            RATCHET,
            0,
            "fewer long functions than it says: run `cargo xtask tidy --ratchet`",
        ));
    }
}

/// The ratchet of today's tree; numbers only fall unless a person edits the file.
pub(super) fn ratchet(tree: &Tree) -> String {
    let now = measure(tree);
    let before = parse(tree.get(RATCHET).unwrap_or_default());
    let lowest = |key: &str, value: usize| before.get(key).map_or(value, |old| value.min(*old));
    let mut text = String::from("# Written by `cargo xtask tidy --ratchet`. Numbers may only fall.\n");
    let _ = writeln!(text, "{FUNCTIONS} = {}", lowest(FUNCTIONS, now.functions.len()));
    for (path, lines) in &now.files {
        let _ = writeln!(text, "{path} = {}", lowest(path, *lines));
    }
    text
}

/// One line about the shape of the tree.
pub(super) fn summary(tree: &Tree) -> String {
    let lines = measure(tree).lines;
    let at = |percent: usize| lines.get(lines.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0);
    format!("{} Rust files, lines p50 {} p90 {} max {}", lines.len(), at(50), at(90), at(100))
}

fn parse(text: &str) -> BTreeMap<String, usize> {
    let pairs = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
    pairs.filter_map(|(key, value)| Some((key.to_owned(), value.trim().parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> usize {
        let mut found = Vec::new();
        check(&Tree::of(files), &mut found);
        found.len()
    }

    #[test]
    fn files_grow_only_below_their_mark() {
        let (short, long, over) = ("x\n".repeat(450), "x\n".repeat(451), "x\n".repeat(801));
        assert_eq!(found(&[("a.rs", &short)]), 0);
        assert_eq!(found(&[("a.rs", &long)]), 1);
        assert_eq!(found(&[("a.rs", &long), (RATCHET, "a.rs = 451\n")]), 0);
        assert_eq!(found(&[("a.rs", &over), (RATCHET, "a.rs = 900\n")]), 1);
        assert_eq!(found(&[("a.rs", &short), (RATCHET, "a.rs = 451\n")]), 1, "a stale mark is removed");
        assert_eq!(found(&[("crates/log/src/log/tests.rs", &over)]), 0);
    }

    #[test]
    fn long_functions_may_only_become_fewer() {
        let long = format!("fn a() {{\n{}}}\n", "x;\n".repeat(70));
        assert_eq!(found(&[("a.rs", &long)]), 1);
        assert_eq!(found(&[("a.rs", &long), (RATCHET, "functions-over-70 = 1\n")]), 0);
        assert_eq!(found(&[("a.rs", "fn a() {}"), (RATCHET, "functions-over-70 = 1\n")]), 1);
    }

    #[test]
    fn the_ratchet_never_rises() {
        let long = format!("fn a() {{\n{}}}\n", "x;\n".repeat(470));
        let tree = Tree::of(&[("a.rs", &long), (RATCHET, "functions-over-70 = 0\na.rs = 460\n")]);
        assert_eq!(parse(&ratchet(&tree))["a.rs"], 460);
        assert_eq!(parse(&ratchet(&tree))[FUNCTIONS], 0);
        let fresh = Tree::of(&[("a.rs", &long)]);
        assert_eq!(parse(&ratchet(&fresh))["a.rs"], 472);
    }
}
