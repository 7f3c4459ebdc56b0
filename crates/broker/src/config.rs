//! The server's settings: one declared table, from which the struct, its manual, the parser, `--print-config`
//! and DescribeConfigs all come.
//!
//! Names are Kafka's own wherever Kafka has the setting; a field is its name with dots turned into
//! underscores. Values come from four places, later ones winning: defaults, the file, the environment, flags.

mod file;
mod load;
mod setting;
mod table;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

pub use setting::{Kind, Setting};
pub use table::Config;
pub use value::{ListenerConfig, LogFormat};

/// Where a value came from. Later variants win over earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A line of the configuration file.
    File,
    /// A `FOREBAY_...` variable.
    Environment,
    /// A flag of the command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::Flag => "flag",
        })
    }
}

/// What [`Config::load`] reads. Empty sources give the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigSources {
    /// A file of `name=value` lines, as Kafka's `server.properties`.
    pub file: Option<PathBuf>,
    /// Environment variables, all of them: those that are not settings are passed over.
    pub env: Vec<(String, String)>,
    /// Flags as (setting name, value). A list setting given more than once gathers its values.
    pub overrides: Vec<(String, String)>,
}

/// Why a configuration was refused. Every text names the setting, the value and what would do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of the file is neither a comment nor `name=value`, or repeats a name.
    #[error("{}, line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// No setting has that name.
    #[error("unknown setting '{name}' ({from}){}", hint(*near))]
    Unknown {
        /// The name as given.
        name: String,
        /// Where it was given.
        from: Source,
        /// The known name most like it, if one is near enough.
        near: Option<&'static str>,
    },
    /// A value is of the wrong form or out of bounds.
    #[error("{name}={value} ({from}): {reason}")]
    Value {
        /// The setting.
        name: &'static str,
        /// The value as given.
        value: String,
        /// Where it was given.
        from: Source,
        /// What a value must be.
        reason: String,
    },
    /// Two settings that are fine alone do not fit together.
    #[error("{0}")]
    Conflict(String),
}

impl Config {
    /// The settings' names, kinds, defaults and documentation, in the order of the manual.
    pub fn describe() -> &'static [Setting] {
        table::settings()
    }

    /// Every setting's name, current value as text, and where the value came from, in the order of the
    /// manual.
    pub fn values(&self) -> Vec<(&'static str, String, Source)> {
        let texts = self.texts();
        Self::describe()
            .iter()
            .zip(texts)
            .map(|(row, text)| (row.name, text, self.source(row.name)))
            .collect()
    }

    /// Where the value of the setting `name` came from.
    pub fn source(&self, name: &str) -> Source {
        self.sources.get(name).copied().unwrap_or(Source::Default)
    }

    /// The whole configuration as a file that [`Config::load`] reads back: each value with its manual above
    /// it.
    pub fn print(&self) -> String {
        let mut page = String::new();
        for ((name, value, source), row) in self.values().into_iter().zip(Self::describe()) {
            let facts = format!("Type: {}. Default: {}. This value: {source}.", row.kind, row.default_text());
            for line in wrap(row.doc, 108).into_iter().chain(wrap(&facts, 108)) {
                page.push_str(&format!("# {line}\n"));
            }
            page.push_str(&format!("{name}={value}\n\n"));
        }
        page
    }

    /// The address that clients of the listener `name` are told to use, where one is configured. Without one
    /// they are told the address that was bound.
    pub fn advertised(&self, name: &str) -> Option<&ListenerConfig> {
        self.advertised_listeners.iter().find(|advertised| advertised.name == name)
    }
}

fn hint(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default()
}

/// Breaks `text` at spaces into lines of at most `width` characters.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines.last().is_some_and(|line| !line.is_empty() && line.len() + 1 + word.len() > width);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
