//! Planted bugs (`cargo xtask mutants`) stand at listed places, and no product is built with them.

use std::path::{Path, PathBuf};

use super::{Finding, Source, Tree};

/// Where they are declared.
pub(crate) const MUTANTS: &str = "crates/base/src/mutants.rs";

/// Where they stand.
const PLACES: [&str; 10] = [
    "crates/base/src/quiet.rs",
    "crates/broker/src/kafka/conn.rs",
    "crates/log/src/append.rs",
    "crates/log/src/rest.rs",
    "crates/log/src/slice.rs",
    "crates/log/src/sync.rs",
    "crates/log/src/volume/machine.rs",
    "crates/meta/src/liveness.rs",
    "crates/replica/src/tenant.rs",
    "crates/replica/src/tenant/act.rs",
];

/// What only code with a planted bug says.
const WORDS: [&str; 2] = ["Mutant", "mutants"];

pub(super) fn check(tree: &Tree, found: &mut Vec<Finding>) {
    for place in PLACES.iter().filter(|place| tree.get(place).is_none_or(|text| lines(text).is_empty())) {
        found.push(Finding::new(place, 0, "listed in xtask/src/tidy/mutants.rs, but no mutant is there"));
    }
    for (path, text) in tree.rust().filter(|(path, _)| path.starts_with("crates/")) {
        if path.ends_with("/build.rs") && text.contains("mutants") {
            found.push(Finding::new(path, 0, "a build script says `mutants`: no product is built with them"));
        }
        let known = path == MUTANTS || path == "crates/base/src/lib.rs" || PLACES.contains(&path);
        for line in lines(text).into_iter().filter(|_| !known) {
            found.push(Finding::new(path, line, "a mutant at a place that xtask/src/tidy/mutants.rs lacks"));
        }
    }
    for (path, text) in tree.files().filter(|(path, _)| builds(path)) {
        for (index, line) in text.lines().enumerate().filter(|(_, line)| sets(line)) {
            let what = format!("`{}`: no product is built with planted bugs", line.trim());
            found.push(Finding::new(path, index + 1, what));
        }
    }
}

fn lines(text: &str) -> Vec<usize> {
    let source = Source::new(text, false);
    WORDS.iter().flat_map(|word| source.lines_with(word)).collect()
}

/// Files that say how something is built.
fn builds(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.starts_with(".ci/") || path.starts_with(".cargo/") || name == "Cargo.toml" || name.ends_with(".sh")
}

/// Declaring the flag and running the command set nothing.
fn sets(line: &str) -> bool {
    let said = line.split('#').next().unwrap_or(line);
    let rest = said.replace("cfg(mutants)", "").replace("xtask mutants", "");
    rest.contains("mutants") || rest.contains(crate::mutants::VARIABLE)
}

/// The programs that were built here, if there are any: no bug can be planted in them.
pub(super) fn check_built(target: &Path, found: &mut Vec<Finding>) -> Result<(), String> {
    for profile in ["debug", "release"] {
        let program = target.join(profile).join("forebay");
        if program.exists() && crate::mutants::has_mark(&program)? {
            let path = program.display().to_string();
            found.push(Finding::new(&path, 0, "bugs can be planted in it (`--cfg mutants`): build it anew"));
        }
    }
    Ok(())
}

/// Where cargo builds.
pub(super) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        check(&Tree::of(&[]), &mut before);
        check(&Tree::of(&[(path, text)]), &mut after);
        after.retain(|finding| !before.contains(finding));
        after.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_mutant_stands_at_a_listed_place() {
        let site = "if Mutant::AckBeforeSync.is_planted() { answer(); }";
        assert_eq!(found("crates/log/src/append.rs", site), [""; 0]);
        assert_eq!(found("crates/log/src/index.rs", site).len(), 1);
        assert_eq!(found("crates/log/src/index.rs", "#[cfg(mutants)]\nfn f() {}").len(), 1);
        assert_eq!(found("crates/log/src/index.rs", "// No Mutant here.").len(), 0);
        let mut missing = Vec::new();
        check(&Tree::of(&[("crates/log/src/append.rs", site)]), &mut missing);
        assert_eq!(missing.len(), PLACES.len() - 1);
    }

    #[test]
    fn no_product_is_built_with_them() {
        let flags = "rustflags = [\"--cfg\", \"mutants\"]";
        assert_eq!(found(".cargo/config.toml", flags).len(), 1);
        assert_eq!(found("crates/log/Cargo.toml", "mutants = []").len(), 1);
        assert_eq!(found(".ci/run", "RUSTFLAGS='--cfg mutants' cargo build --release").len(), 1);
        assert_eq!(found(".ci/run", "PLANTED_MUTANT=AckBeforeSync cargo test").len(), 1);
        assert_eq!(found(".ci/run", "step \"planted bugs\" cargo xtask mutants").len(), 0);
        assert_eq!(found("Cargo.toml", "check-cfg = [\"cfg(mutants)\"]").len(), 0);
        let script = "fn main() { println!(\"cargo:rustc-cfg=mutants\"); }";
        assert_eq!(found("crates/cli/build.rs", script).len(), 1);
    }

    #[test]
    fn a_program_with_planted_bugs_is_found() {
        let target = std::env::temp_dir().join(format!("forebay-tidy-{}", std::process::id()));
        std::fs::create_dir_all(target.join("release")).unwrap();
        let (program, mut found) = (target.join("release/forebay"), Vec::new());
        std::fs::write(&program, "a product").unwrap();
        check_built(&target, &mut found).unwrap();
        assert_eq!(found, []);
        std::fs::write(&program, format!("reads {}!", crate::mutants::VARIABLE)).unwrap();
        check_built(&target, &mut found).unwrap();
        assert_eq!(found.len(), 1);
        std::fs::remove_dir_all(&target).unwrap();
    }
}
