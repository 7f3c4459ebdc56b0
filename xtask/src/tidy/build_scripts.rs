//! What a build script tells the compiler must not look like a setting.
//!
//! `cargo run` hands the variables of a build script to the program, and the server refuses a `FOREBAY_` variable that
//! it does not know: README's first command would then not start.

use super::{Finding, Tree};

const REFUSED: &str = "rustc-env=FOREBAY_";

pub(super) fn check(tree: &Tree, found: &mut Vec<Finding>) {
    for (path, text) in tree.files().filter(|(path, _)| path.ends_with("/build.rs")) {
        for (index, _) in text.lines().enumerate().filter(|(_, line)| line.contains(REFUSED)) {
            let what = "`cargo run` passes this variable on, and the server refuses unknown FOREBAY_ settings: \
                        let its name begin otherwise";
            found.push(Finding::new(path, index + 1, what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_script_sets_no_setting() {
        let found = |text| {
            let mut found = Vec::new();
            check(&Tree::of(&[("crates/cli/build.rs", text)]), &mut found);
            found.len()
        };
        assert_eq!(found(r#"println!("cargo::rustc-env=FOREBAY_COMMIT={commit}");"#), 1);
        assert_eq!(found(r#"println!("cargo::rustc-env=BUILD_COMMIT={commit}");"#), 0);
    }
}
