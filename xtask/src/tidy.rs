//! The rules of the code, as functions from a tree of files to findings.
//!
//! A rule sees a [`Tree`], never the disk, so each has a test with a small tree that breaks it: a rule that cannot
//! fail is a defect.

mod arrows;
mod build_scripts;
mod formats;
mod length;
mod mutants;
mod pure;
mod source;
mod tree;
mod words;

use std::fmt;
use std::path::Path;

#[cfg(test)]
pub(crate) use mutants::MUTANTS;
pub(crate) use source::Source;
pub(crate) use tree::Tree;

/// One broken rule at one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// File, relative to the top of the checkout.
    pub(crate) path: String,
    /// Line from 1; 0 for the file as a whole.
    pub(crate) line: usize,
    /// What is wrong and what to do.
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Every finding of every rule, sorted.
pub(crate) fn findings(tree: &Tree) -> Vec<Finding> {
    let mut all = Vec::new();
    arrows::check(tree, &mut all);
    build_scripts::check(tree, &mut all);
    pure::check(tree, &mut all);
    pure::check_list(tree, &mut all);
    length::check(tree, &mut all);
    words::check(tree, &mut all);
    formats::check(tree, &mut all);
    mutants::check(tree, &mut all);
    all.sort();
    all
}

/// `cargo xtask tidy`.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let tree = Tree::read(root)?;
    let mut found = findings(&tree);
    mutants::check_built(&mutants::target(root), &mut found)?;
    if found.is_empty() {
        println!("tidy: {} files, nothing found; {}", tree.len(), length::summary(&tree));
        return Ok(());
    }
    let lines: Vec<String> = found.iter().map(Finding::to_string).collect();
    Err(format!("{}\ntidy: {} findings", lines.join("\n"), found.len()))
}

/// `cargo xtask tidy --ratchet`.
pub(crate) fn ratchet(root: &Path) -> Result<(), String> {
    let text = length::ratchet(&Tree::read(root)?);
    let path = root.join(length::RATCHET);
    std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_checkout_is_tidy() {
        check(crate::root()).unwrap();
    }
}
