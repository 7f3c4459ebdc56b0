//! What was once written to a disk must open for ever: every format version in the code has a frozen example.
//!
//! A fixture is a folder `fixtures/v<N>` with a list `formats.txt` of lines `FILE CONSTANT VALUE`: the constants as
//! they were when the fixture was made. A constant whose value is in no list was changed without a fixture.

use super::words::is_test_file;
use super::{Finding, Source, Tree};

/// Rooms that write to disk.
const WRITERS: [&str; 5] = ["records", "log", "replica", "meta", "controller"];

/// A constant with this in its name is a format version.
const MARK: &str = "VERSION";

pub(super) fn check(tree: &Tree, found: &mut Vec<Finding>) {
    let lists: Vec<&str> = tree.files().filter(|(path, _)| is_list(path)).map(|(_, text)| text).collect();
    let mut seen = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| writes(path) && !is_test_file(path)) {
        for (line, name, value) in versions(&Source::new(text, false).code) {
            let entry = format!("{path} {name} {value}");
            if !lists.iter().any(|list| list.lines().any(|known| known == entry)) {
                let advice = "a new format version comes with a fixture; list it in its formats.txt";
                found.push(Finding::new(path, line, format!("`{entry}` is in no fixture: {advice}")));
            }
            seen.push(format!("{path} {name} "));
        }
    }
    for (path, text) in tree.files().filter(|(path, _)| is_list(path)) {
        for (index, entry) in
            text.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.is_empty())
        {
            if !seen.iter().any(|known| entry.starts_with(known.as_str())) {
                found.push(Finding::new(
                    path,
                    index + 1,
                    format!("`{entry}`: no such constant; was the file renamed?"),
                ));
            }
        }
    }
}

fn is_list(path: &str) -> bool {
    path.starts_with("fixtures/v") && path.ends_with("/formats.txt")
}

fn writes(path: &str) -> bool {
    WRITERS.iter().any(|room| path.starts_with(&format!("crates/{room}/src/")))
}

/// Constants that are a format's version, by line, name and value: integers with the mark in their name, and values of
/// a type `Format` with a field `version`.
fn versions(code: &str) -> Vec<(usize, &str, &str)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("const ") {
        let Some((declared, _)) = code[at + "const ".len()..].split_once(';') else { continue };
        let Some((name, rest)) = declared.split_once(':') else { continue };
        let Some((kind, value)) = rest.split_once('=') else { continue };
        let value = match kind.trim() {
            "u8" | "u16" | "u32" | "u64" | "i8" | "i16" | "i32" if name.contains(MARK) => Some(value.trim()),
            "Format" => value
                .split_once("version:")
                .map(|(_, value)| value.trim().trim_end_matches([' ', '}', ',', '\n'])),
            _ => None,
        };
        if let Some(value) =
            value.filter(|value| !value.is_empty() && value.chars().all(|c| c.is_ascii_digit()))
        {
            found.push((code[..at].matches('\n').count() + 1, name.trim(), value));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIR: &str = "crates/log/src/dir.rs";
    const LIST: &str = "fixtures/v1/formats.txt";

    fn found(files: &[(&str, &str)]) -> usize {
        let mut found = Vec::new();
        check(&Tree::of(files), &mut found);
        found.len()
    }

    #[test]
    fn a_changed_version_needs_a_fixture() {
        let list = "# comment\ncrates/log/src/dir.rs FORMAT_VERSION 1\n";
        assert_eq!(found(&[(DIR, "pub const FORMAT_VERSION: u16 = 1;"), (LIST, list)]), 0);
        assert_eq!(found(&[(DIR, "pub const FORMAT_VERSION: u16 = 2;"), (LIST, list)]), 1);
        let both = [
            (DIR, "const FORMAT_VERSION: u16 = 2;"),
            (LIST, list),
            ("fixtures/v2/formats.txt", "crates/log/src/dir.rs FORMAT_VERSION 2"),
        ];
        assert_eq!(found(&both), 0);
        assert_eq!(found(&[(DIR, "const VERSION: u8 = 1;")]), 1);
        assert_eq!(found(&[(DIR, "const CLEAN: Format = Format { magic: *b\"ABCD\", version: 3 };")]), 1);
        assert_eq!(
            found(&[(DIR, "const CLEAN: Format = Format {\n    magic: MAGIC,\n    version: 3,\n};")]),
            1
        );
    }

    #[test]
    fn a_list_does_not_go_stale() {
        assert_eq!(found(&[(DIR, ""), (LIST, "crates/log/src/dir.rs FORMAT_VERSION 1\n")]), 1);
    }

    #[test]
    fn ranges_of_a_protocol_are_no_formats() {
        assert_eq!(found(&[("crates/wire/src/lib.rs", "const VERSION: u16 = 1;")]), 0);
        assert_eq!(found(&[(DIR, "const VERSIONS: RangeInclusive<i16> = 0..=4;")]), 0);
    }
}
