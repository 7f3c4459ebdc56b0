use std::collections::BTreeMap;
use std::path::Path;

use super::ConfigError;

/// Reads `name=value` lines. Blank lines and lines that start with `#` or `!` are passed over; spaces around
/// names and values are dropped; a name may come once. `path` is for the errors.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let (mut pairs, mut seen) = (Vec::new(), BTreeMap::new());
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let refuse = |reason| ConfigError::Line { path: path.to_owned(), line: index + 1, reason };
        let (name, value) =
            line.split_once('=').ok_or_else(|| refuse(format!("'{line}' is not a comment or name=value")))?;
        let (name, value) = (name.trim(), value.trim());
        if let Some(first) = seen.insert(name, index + 1) {
            return Err(refuse(format!("'{name}' was already set on line {first}")));
        }
        pairs.push((name.to_owned(), value.to_owned()));
    }
    Ok(pairs)
}
