//! Words that do not belong in the tree.

use super::source::holds;
use super::{Finding, Source, Tree};

/// Unfinished work and shortcuts, in product code; named with a sentence.
const SHORTCUTS: [(&str, &str); 6] = [
    ("todo!", "unfinished work"),
    ("unimplemented!", "unfinished work"),
    ("dbg!", "a left-over"),
    (".unwrap()", "answer the error or state the invariant without a panic"),
    (".expect(", "answer the error or state the invariant without a panic"),
    ("unsafe", "the workspace has no unsafe code"),
];

/// Notes to self, in any text.
const NOTES: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Words in a type's or file's name that say nothing about what it is.
const EMPTY: [&str; 7] = ["Manager", "Helper", "Helpers", "Util", "Utils", "Common", "Impl"];

/// Things of the workplace or of a registry, in any text. Written in pieces, so that this list does not find itself.
const FOREIGN: [(&str, &str); 18] = [
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("clau", "de"), "a tool's name"),
    (concat!("anthro", "pic"), "a tool's name"),
    (concat!("chat", "gpt"), "a tool's name"),
    (concat!("open", "ai"), "a tool's name"),
    (concat!("co", "pilot"), "a tool's name"),
    (concat!("gemi", "ni"), "a tool's name"),
    (concat!("cod", "ex"), "a tool's name"),
    (concat!("crates", ".io"), "a registry's host"),
    (concat!("py", "pi.org"), "a registry's host"),
    (concat!("python", "hosted.org"), "a registry's host"),
    (concat!("npm", "js.org"), "a registry's host"),
    (concat!("npm", "js.com"), "a registry's host"),
    (concat!("maven", ".org"), "a registry's host"),
    (concat!("maven.", "apache.org/maven2"), "a registry's host"),
    (concat!("proxy.", "golang.org"), "a registry's host"),
    (concat!("deb.", "debian.org"), "a registry's host"),
    (concat!("docker", ".io"), "a registry's host"),
];

/// Files that tools write and that name their registry.
const WRITTEN_BY_TOOLS: [&str; 2] = ["Cargo.lock", "fuzz/Cargo.lock"];

/// Maven calls its schema by a host's name; it is never asked.
const SCHEMAS: &str = concat!("maven.", "apache.org/POM");

pub(super) fn check(tree: &Tree, found: &mut Vec<Finding>) {
    let by_hand = |path: &str| !WRITTEN_BY_TOOLS.iter().any(|file| path.ends_with(file));
    for (path, text) in tree.files().filter(|(path, _)| by_hand(path)) {
        any_text(path, text, found);
    }
    for (path, text) in tree.rust() {
        let stem =
            path.trim_end_matches("/mod.rs").trim_end_matches(".rs").rsplit('/').next().unwrap_or_default();
        if EMPTY.iter().any(|word| stem.eq_ignore_ascii_case(word)) {
            found.push(Finding::new(path, 0, format!("`{stem}` says nothing: name what the file holds")));
        }
        if is_product(path) {
            product(path, text, found);
        }
    }
}

fn any_text(path: &str, text: &str, found: &mut Vec<Finding>) {
    for (index, line) in text.lines().enumerate() {
        for note in NOTES.iter().filter(|note| holds(line, note)) {
            found.push(Finding::new(path, index + 1, format!("`{note}`: do it, or write an issue")));
        }
        let lower = line.to_lowercase();
        for (word, why) in FOREIGN.iter().filter(|(word, _)| holds(&lower, word)) {
            if !lower.contains(&SCHEMAS.to_lowercase()) {
                found.push(Finding::new(path, index + 1, format!("`{word}` is {why}")));
            }
        }
    }
}

fn product(path: &str, text: &str, found: &mut Vec<Finding>) {
    let source = Source::new(text, is_test_file(path));
    for (word, why) in SHORTCUTS {
        for line in source.lines_with(word) {
            found.push(Finding::new(path, line, format!("`{word}`: {why}")));
        }
    }
    for (line, name) in source.types() {
        if let Some(word) = camel_words(&name).into_iter().find(|word| EMPTY.contains(&word.as_str())) {
            found.push(Finding::new(
                path,
                line,
                format!("type `{name}`: `{word}` says nothing about what it is"),
            ));
        }
    }
}

/// True for a file of the product (and of this tool), tests included.
fn is_product(path: &str) -> bool {
    (path.starts_with("crates/") && path.contains("/src/")) || path.starts_with("xtask/src/")
}

/// True if the whole file is compiled for tests only: by its name or its folder.
pub(super) fn is_test_file(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let in_crate = parts.iter().skip_while(|part| **part != "src");
    let own = matches!(
        parts.as_slice(),
        ["crates", _, "tests" | "benches", ..] | ["sim" | "tests" | "xtask", "tests", ..]
    );
    own || in_crate.into_iter().any(|part| ["tests", "tests.rs", "testing", "testing.rs"].contains(part))
}

/// `PartitionLog` is `Partition`, `Log`.
fn camel_words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for c in name.chars() {
        match words.last_mut() {
            Some(word) if !c.is_uppercase() => word.push(c),
            Some(_) | None => words.push(c.to_string()),
        }
    }
    words
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
    fn product_code_takes_no_shortcuts() {
        for (word, _) in SHORTCUTS {
            let text = format!("fn f() {{ a{word} }}").replace("atodo", "todo").replace("adbg", "dbg");
            let text = text.replace("aunimplemented", "unimplemented").replace("aunsafe", "unsafe");
            assert_eq!(found("crates/log/src/log.rs", &text), 1, "{text}");
            assert_eq!(found("crates/log/src/log/tests.rs", &text), 0, "{text}");
            assert_eq!(found("sim/src/disk.rs", &text), 0, "{text}");
        }
        assert_eq!(found("crates/log/src/log.rs", "// .unwrap() is not for us\n#![forbid(unsafe_code)]"), 0);
    }

    #[test]
    fn notes_to_self_are_found_everywhere() {
        for note in NOTES {
            assert_eq!(found("docs/formats.md", &format!("a {note}: b")), 1);
            assert_eq!(found("docs/formats.md", &format!("{note}S are fine, they are another word")), 0);
        }
    }

    #[test]
    fn names_say_something() {
        assert_eq!(found("crates/log/src/log.rs", "struct SegmentManager;"), 1);
        assert_eq!(found("crates/log/src/log.rs", "struct Implicit; enum Utility {}"), 0);
        assert_eq!(found("crates/log/src/helpers.rs", ""), 1);
        assert_eq!(found("crates/log/src/util/mod.rs", ""), 1);
    }

    #[test]
    fn the_workplace_leaves_no_trace() {
        for (word, _) in FOREIGN {
            assert_eq!(found("README.md", &format!("see {} here", word.to_uppercase())), 1, "{word}");
        }
        for written in WRITTEN_BY_TOOLS {
            assert_eq!(found(written, concat!("registry+https://crates", ".io")), 0);
        }
        assert_eq!(found("pom.xml", concat!("http://maven", ".apache.org/POM/4.0.0")), 0);
        assert_eq!(found("README.md", "the codecs, and the network/ folder"), 0);
    }

    #[test]
    fn test_files_are_known_by_name() {
        for path in [
            "crates/log/tests/a.rs",
            "crates/log/src/tests.rs",
            "crates/log/src/log/tests/x.rs",
            "tests/tests/a.rs",
        ] {
            assert!(is_test_file(path), "{path}");
        }
        for path in ["crates/log/src/log.rs", "tests/src/lib.rs", "crates/log/src/contests.rs"] {
            assert!(!is_test_file(path), "{path}");
        }
    }
}
