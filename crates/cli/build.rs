//! Tells the binary which commit it is built from.

use std::path::Path;
use std::process::Command;

fn main() {
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    // `cargo run` hands this on to the program, where a name that begins with FOREBAY_ would be a setting.
    println!("cargo::rustc-env=BUILD_COMMIT={commit}");
    // HEAD moves on a checkout, its log with every commit. Without a repository nothing moves.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(moved) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={moved}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}

/// What git prints, if it is there and succeeds.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
