//! Tells the binary which commit it is built from.

use std::path::Path;
use std::process::Command;

fn main() {
    let described = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output().ok();
    let commit = described
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned());
    println!("cargo::rustc-env=FOREBAY_COMMIT={commit}");
    // HEAD moves on a checkout, its log with every commit. Without a repository nothing moves.
    for moved in ["../../.git/HEAD", "../../.git/logs/HEAD"] {
        if Path::new(moved).exists() {
            println!("cargo::rerun-if-changed={moved}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}
