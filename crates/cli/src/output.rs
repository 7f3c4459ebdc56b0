use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;

use crate::failure::{Exit, Failure};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
    /// For programs and people
    Yaml,
}

impl Output {
    /// Prints `result`, as a table made by `table` or as data.
    pub(crate) fn print<T: Serialize>(
        self,
        result: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let text = match self {
            Self::Table => table(result),
            Self::Json => serde_json::to_string_pretty(result).map_err(unprintable)?,
            Self::Yaml => serde_norway::to_string(result).map_err(unprintable)?,
        };
        write(format!("{}\n", text.trim_end()).as_bytes())
    }
}

fn unprintable(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("the result cannot be printed: {error}"))
}

/// Writes to standard output. A reader that has had enough (`| head`) is no error: the process ends quietly.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        outcome => Ok(outcome?),
    }
}

/// Tells a person something that is not the result.
pub(crate) fn note(sentence: &str) {
    // Nobody listens if standard error is gone.
    let _ = writeln!(io::stderr().lock(), "{sentence}");
}

/// A line below the header and nothing else, so that columns can be cut out by other tools.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table with these columns.
pub(crate) fn table<const N: usize>(columns: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(columns);
    if io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}
