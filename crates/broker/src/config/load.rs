use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::setting::VARIABLE_PREFIX;
use super::{Config, ConfigError, ConfigSources, Source, file};
use crate::kafka::Budget;

/// Variables of ours that are not server settings: the command line's own.
const OTHER_VARIABLES: [&str; 3] = ["FOREBAY_CONFIG", "FOREBAY_BOOTSTRAP", "FOREBAY_OUTPUT"];

/// Kubernetes sets variables that start so in every pod beside a service called "forebay".
const SERVICE_LINKS: [&str; 2] = ["FOREBAY_SERVICE_", "FOREBAY_PORT"];

impl Config {
    /// Builds the configuration: defaults, then the file, the environment and the flags, later ones winning.
    /// Every name must be known and every value in bounds.
    pub fn load(sources: ConfigSources) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        if let Some(path) = sources.file {
            let text = fs::read_to_string(&path)
                .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
            for (name, value) in file::parse(&path, &text)? {
                config.apply(&name, &value, Source::File)?;
            }
        }
        for (name, value) in from_variables(sources.env)? {
            config.apply(name, &value, Source::Environment)?;
        }
        for (name, value) in gather(sources.overrides) {
            config.apply(&name, &value, Source::Flag)?;
        }
        config.check()?;
        Ok(config)
    }

    fn apply(&mut self, name: &str, value: &str, from: Source) -> Result<(), ConfigError> {
        let Some(row) = Self::describe().iter().find(|row| row.name == name) else {
            let near = nearest(name, Self::describe().iter().map(|row| row.name));
            return Err(ConfigError::Unknown { name: name.to_owned(), from, near });
        };
        let value = value.trim();
        row.kind
            .check(value)
            .and_then(|()| self.assign(name, value))
            .map_err(|reason| ConfigError::Value { name: row.name, value: value.to_owned(), from, reason })?;
        self.sources.insert(row.name, from);
        Ok(())
    }

    /// Checks what no single setting can: a configuration that passes can be run.
    pub fn check(&self) -> Result<(), ConfigError> {
        let conflict = |sentence: String| Err(ConfigError::Conflict(sentence));
        if self.log_dirs.is_empty() {
            return conflict("log.dirs is empty: name at least one data directory".to_owned());
        }
        if self.log_dirs.iter().collect::<BTreeSet<_>>().len() < self.log_dirs.len() {
            return conflict(format!("log.dirs={:?} names a directory twice", self.log_dirs));
        }
        if self.listeners.is_empty() {
            return conflict(
                "listeners is empty: name at least one address, such as 127.0.0.1:9092".to_owned(),
            );
        }
        if let Some(stray) = self.advertised_listeners.iter().find(|stray| !self.has_listener(&stray.name)) {
            return conflict(format!(
                "advertised.listeners has '{stray}', but no listener is named {}",
                stray.name
            ));
        }
        if let Some(wildcard) = self.advertised_listeners.iter().find(|listener| listener.is_wildcard()) {
            return conflict(format!(
                "advertised.listeners has '{wildcard}', which no client can connect to"
            ));
        }
        let least = Budget::least(self.socket_request_max_bytes) as u64;
        if self.queued_max_request_bytes < least {
            return conflict(format!(
                "queued.max.request.bytes={} has no room for a request of socket.request.max.bytes={} beside \
                 small ones and a batch being inflated: allow at least {least}, or smaller requests",
                self.queued_max_request_bytes, self.socket_request_max_bytes
            ));
        }
        if self.message_max_bytes > self.socket_request_max_bytes {
            return conflict(format!(
                "message.max.bytes={} is more than socket.request.max.bytes={}: no request could carry \
                 such a batch",
                self.message_max_bytes, self.socket_request_max_bytes
            ));
        }
        Ok(())
    }

    fn has_listener(&self, name: &str) -> bool {
        self.listeners.iter().any(|listener| listener.name == name)
    }
}

/// The settings among the environment's variables.
fn from_variables(variables: Vec<(String, String)>) -> Result<Vec<(&'static str, String)>, ConfigError> {
    let rows: BTreeMap<String, &'static str> =
        Config::describe().iter().map(|row| (row.variable(), row.name)).collect();
    let mut settings = Vec::new();
    for (variable, value) in variables {
        if let Some(name) = rows.get(&variable) {
            settings.push((*name, value));
        } else if is_meant_for_us(&variable) {
            let near =
                nearest(&variable, rows.keys().map(String::as_str)).and_then(|near| rows.get(near).copied());
            return Err(ConfigError::Unknown { name: variable, from: Source::Environment, near });
        }
    }
    Ok(settings)
}

fn is_meant_for_us(variable: &str) -> bool {
    variable.starts_with(VARIABLE_PREFIX)
        && !OTHER_VARIABLES.contains(&variable)
        && !SERVICE_LINKS.iter().any(|prefix| variable.starts_with(prefix))
}

/// Joins the values of list settings that were given more than once; of others the last one counts.
fn gather(overrides: Vec<(String, String)>) -> Vec<(String, String)> {
    let is_list = |name: &str| Config::describe().iter().any(|row| row.name == name && row.kind.is_list());
    let mut gathered: Vec<(String, String)> = Vec::new();
    for (name, value) in overrides {
        match gathered.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) if is_list(&name) => *values = format!("{values},{value}"),
            Some((_, last)) => *last = value,
            None => gathered.push((name, value)),
        }
    }
    gathered
}

/// The candidate that needs the fewest edits to become `name`, unless it needs more than a third of its
/// length.
fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase().replace('_', ".");
    let ranked = candidates.map(|known| (edits(&wanted, &known.to_lowercase().replace('_', ".")), known));
    ranked.min().filter(|(edits, known)| *edits <= known.len() / 3).map(|(_, known)| known)
}

/// Insertions, removals and replacements that turn `from` into `to` (Levenshtein's distance).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, have) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, want) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(have != want);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}
