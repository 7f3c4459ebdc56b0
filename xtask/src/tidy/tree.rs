use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Names of what is not written by hand, folders most often: in a linked worktree `.git` is a file.
const SKIPPED: [&str; 4] = ["target", ".git", "node_modules", "__pycache__"];

/// The text files of the checkout by their path relative to its top, with `/` between the parts.
#[derive(Debug, Default)]
pub(crate) struct Tree(BTreeMap<String, String>);

impl Tree {
    /// Reads every text file below `root`; what is not UTF-8 counts as an empty file.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let mut tree = Self::default();
        tree.read_dir(root, "")?;
        Ok(tree)
    }

    fn read_dir(&mut self, dir: &Path, prefix: &str) -> Result<(), String> {
        let failed = |error| format!("cannot read {}: {error}", dir.display());
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if SKIPPED.contains(&name.as_str()) {
                continue;
            }
            if entry.path().is_dir() {
                self.read_dir(&entry.path(), &format!("{path}/"))?;
            } else {
                // A file may vanish between listing and reading (an editor's); that is nobody's finding.
                self.0.insert(path, fs::read_to_string(entry.path()).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// How many files.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Every file, in order of path.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Every Rust file.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// One file.
    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// A tree made by hand.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }
}
