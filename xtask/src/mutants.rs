//! `cargo xtask mutants`: plants one bug after the other and wants a test to fail that passes without it. A promise
//! whose bug nobody notices has no test.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Names the bug to a program that was built with `--cfg mutants`. Not a `FOREBAY_...` variable: each of those is a
/// setting of the server.
pub(crate) const VARIABLE: &str = "PLANTED_MUTANT";

/// A planted bug and the test that notices it.
struct Witness {
    /// The variant of `forebay_base::Mutant`.
    mutant: &'static str,
    /// The test program ...
    program: &'static str,
    /// ... and the test in it.
    test: &'static str,
}

const fn witness(mutant: &'static str, program: &'static str, test: &'static str) -> Witness {
    Witness { mutant, program, test }
}

const WITNESSES: [Witness; 14] = [
    witness(
        "DescriptorClosedUnderReader",
        "promises",
        "doors::an_answer_under_way_outlives_the_descriptors_that_are_closed",
    ),
    witness("AckBeforeSync", "promises", "storage::what_was_acknowledged_survives_a_power_cut_at_any_call"),
    witness(
        "SyncErrorRetried",
        "promises",
        "storage::a_record_whose_sync_failed_is_not_acknowledged_and_then_lost",
    ),
    witness(
        "UnsyncedDescriptorClosed",
        "promises",
        "storage::what_the_device_lost_behind_a_closed_descriptor_is_not_acknowledged",
    ),
    witness("TailNotTruncated", "log_crash", "drawn_programs_cut_here_and_there"),
    witness("DescriptorClosedOnFailure", "promises", "full::an_append_that_fails_takes_nothing_from_readers"),
    witness("IndexFailureFailsAppend", "promises", "full::an_index_that_cannot_be_written_fails_no_append"),
    witness("FullNeverClears", "promises", "full::writes_come_back_by_themselves_when_space_is_free"),
    witness("ExitByStatvfs", "promises", "full::space_that_is_only_said_to_be_free_ends_nothing"),
    witness("LogLinePerFailure", "quiet_logs", "appends_that_fail_have_one_line_and_are_counted"),
    witness(
        "ViewBeforeWrite",
        "promises",
        "storage::a_consumer_is_never_told_of_an_offset_that_is_not_there",
    ),
    witness("YieldRemoved", "promises", "doors::a_client_that_never_stops_sending_does_not_hold_up_another"),
    witness("EagerBuffers", "idle_memory", "idle_connections_take_little_memory"),
    witness("StatusClearedBySessionReset", "promises", "status::a_full_volume_is_never_shown_as_online"),
];

/// A build with bugs in it, far from every other.
struct Build<'a> {
    root: &'a Path,
    target: PathBuf,
}

impl Build<'_> {
    /// Cargo for the whole workspace, as CI builds it: fewer packages would have other features.
    fn cargo(&self, words: &[&str]) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(self.root).args(words).args(["--locked", "--workspace"]);
        // The variable replaces the flags of `.cargo/config.toml`, so those are repeated.
        cargo.env("RUSTFLAGS", "--cfg tokio_unstable --cfg mutants").env_remove(VARIABLE);
        cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env("CARGO_TARGET_DIR", &self.target);
        cargo.env("FOREBAY_BIN", self.binary());
        cargo
    }

    fn binary(&self) -> PathBuf {
        self.target.join("debug/forebay")
    }

    fn make(&self) -> Result<(), String> {
        // In one call, so that all of it has the same features.
        let mut all = self.cargo(&["build", "--quiet", "--bin", "forebay"]);
        let mut programs = WITNESSES.map(|witness| witness.program).to_vec();
        programs.sort_unstable();
        programs.dedup();
        for program in programs {
            all.args(["--test", program]);
        }
        succeed(all)?;
        // Tidy trusts in this mark, so it must be there.
        match has_mark(&self.binary())? {
            true => Ok(()),
            false => Err("no bug can be planted in what was built".to_owned()),
        }
    }

    /// Runs the test, with its bug or without: `None` if it passed, else the first thing it said.
    fn symptom(&self, witness: &Witness, planted: bool) -> Result<Option<String>, String> {
        let mut cargo = self.cargo(&["test", "--quiet", "--test", witness.program]);
        cargo.args(["--", "--exact", witness.test]);
        if planted {
            cargo.env(VARIABLE, witness.mutant);
        }
        let done = cargo.output().map_err(|error| format!("cannot run cargo: {error}"))?;
        let said = String::from_utf8_lossy(&done.stdout);
        if said.contains("1 passed") {
            return Ok(None);
        }
        if said.contains("1 failed") {
            let panic = said.lines().skip_while(|line| !line.contains("panicked at")).nth(1);
            return Ok(Some(panic.unwrap_or("it said nothing").to_owned()));
        }
        Err(format!("{} did not run:\n{said}{}", witness.test, String::from_utf8_lossy(&done.stderr)))
    }
}

/// Plants the named bugs, or all. An error if a test passes with its bug or fails without.
#[allow(clippy::disallowed_methods, reason = "a tool says how long it took")]
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<(), String> {
    if let Some(name) = names.iter().find(|name| WITNESSES.iter().all(|witness| witness.mutant != **name)) {
        let known: Vec<&str> = WITNESSES.iter().map(|witness| witness.mutant).collect();
        return Err(format!("there is no mutant '{name}'; there are {}", known.join(", ")));
    }
    let build = Build { root, target: cache()?.join("mutants") };
    let began = Instant::now();
    build.make()?;
    println!("built in {} s", began.elapsed().as_secs());
    let mut missed = 0;
    for witness in WITNESSES.iter().filter(|it| names.is_empty() || names.contains(&it.mutant)) {
        let began = Instant::now();
        let (without, planted) = (build.symptom(witness, false)?, build.symptom(witness, true)?);
        let (verdict, saw) = match (&without, &planted) {
            (None, Some(symptom)) => ("ok  ", symptom.as_str()),
            (None, None) => ("FAIL", "the test passes with the bug, too"),
            (Some(symptom), Some(_) | None) => ("FAIL", symptom.as_str()),
        };
        let seconds = began.elapsed().as_secs_f64();
        println!("{verdict} {} ({seconds:.1} s), by {}: {saw}", witness.mutant, witness.test);
        missed += usize::from(verdict == "FAIL");
    }
    if missed == 0 { Ok(()) } else { Err(format!("{missed} mutants were not told from the product")) }
}

/// Where CI keeps what it builds.
fn cache() -> Result<PathBuf, String> {
    let given = std::env::var_os("FOREBAY_CACHE").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/forebay"));
    given.or_else(home).ok_or_else(|| "neither FOREBAY_CACHE nor HOME is set".to_owned())
}

/// True if bugs can be planted in the program at `path`.
pub(crate) fn has_mark(path: &Path) -> Result<bool, String> {
    let failed = |error| format!("cannot read {}: {error}", path.display());
    // Cut at the first letter of the mark: a program may have hundreds of megabytes, and this looks at few of them.
    let (first, rest) = (VARIABLE.as_bytes()[0], &VARIABLE.as_bytes()[1..]);
    for part in BufReader::new(File::open(path).map_err(failed)?).split(first).skip(1) {
        if part.map_err(failed)?.starts_with(rest) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn succeed(mut command: Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the build with planted bugs failed".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_known_is_refused() {
        let refused = run(Path::new("."), &["EagerBuffers", "Typo"]).unwrap_err();
        assert!(refused.contains("'Typo'") && refused.contains("AckBeforeSync"), "{refused}");
    }

    #[test]
    fn every_mutant_has_a_witness_and_a_place() {
        let declared = std::fs::read_to_string(crate::root().join(crate::tidy::MUTANTS)).unwrap();
        assert!(declared.contains(&format!("\"{VARIABLE}\"")));
        let (_, variants) = declared.split_once("pub enum Mutant {").unwrap();
        let (variants, _) = variants.split_once("\n}").unwrap();
        let variants: Vec<&str> = variants.lines().filter_map(|line| line.trim().strip_suffix(',')).collect();
        assert_eq!(variants, WITNESSES.map(|witness| witness.mutant));
    }

    #[test]
    fn a_mark_is_found() {
        let own = std::env::current_exe().unwrap();
        assert!(has_mark(&own).unwrap(), "this program names the variable");
        assert!(!has_mark(Path::new("/bin/sh")).unwrap());
    }
}
