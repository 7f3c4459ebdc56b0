//! Chores of the checkout: `cargo xtask tidy` holds the rules of the code, `cargo xtask clients` runs the client
//! matrix, `cargo xtask faults` breaks disks, `cargo xtask mutants` plants bugs. Depends on nothing but the standard
//! library, so that it builds in a second.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to a terminal")]

use std::path::Path;
use std::process::{Command, ExitCode};

mod faults;
mod mutants;
mod tidy;

const USAGE: &str = "usage: cargo xtask COMMAND

  tidy             check the rules of the code (arrows, pure files, lengths, words, formats)
  tidy --ratchet   the same, and write today's lengths to xtask/ratchet.txt
  clients [NAME]   real clients against the real binary; NAME picks some (see tests/clients/run.sh)
  faults [NAME]    breaks disks, crowds the server; NAME picks some of power_cut, freeze, full, readmit, live_faults, slow_parts
  mutants [NAME]   plants bugs, each of which a test must notice; NAME picks some";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["tidy"] => tidy::check(root()),
        ["tidy", "--ratchet"] => tidy::ratchet(root()).and_then(|()| tidy::check(root())),
        ["clients", names @ ..] => clients(names),
        ["faults", names @ ..] => faults::run(root(), names),
        ["mutants", names @ ..] => mutants::run(root(), names),
        [] | [..] => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

/// The top of the checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

fn clients(names: &[&str]) -> Result<(), String> {
    let script = root().join("tests/clients/run.sh");
    let status = Command::new("bash")
        .arg(&script)
        .args(names)
        .status()
        .map_err(|error| format!("cannot run {}: {error}", script.display()))?;
    if status.success() { Ok(()) } else { Err(format!("the client matrix failed ({status})")) }
}
