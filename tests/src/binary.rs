use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// The `forebay` binary under test: `FOREBAY_BIN`, or the one of this build, made anew if it is old.
fn binary() -> &'static Path {
    BINARY.get_or_init(|| match std::env::var_os("FOREBAY_BIN") {
        Some(path) => path.into(),
        None => build(),
    })
}

/// A command of the binary that hears nothing of this process's own settings: every `FOREBAY_...` variable is one of
/// the server's.
pub fn forebay() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"FOREBAY_"))
    {
        command.env_remove(name);
    }
    command
}

/// The test runs from TARGET/PROFILE/deps; the binary lands in TARGET/PROFILE.
fn build() -> PathBuf {
    let own = std::env::current_exe().expect("a running test has a path");
    let profile = own.parent().and_then(Path::parent).expect("tests run from TARGET/PROFILE/deps");
    let target = profile.parent().expect("tests run from TARGET/PROFILE/deps");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "forebay", "--target-dir"]).arg(target);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo runs").success(), "the binary does not build");
    profile.join("forebay")
}
