//! `cargo xtask faults`: the tests that break disks and crowd the server, which plain `cargo test` leaves out or runs
//! small. What this machine cannot do is skipped, and said so.

use std::path::Path;
use std::process::Command;

/// A test of room `tests` that is run here.
struct Fault {
    name: &'static str,
    /// Mounts file systems of its own.
    mounts: bool,
    /// Arguments of the test program.
    arguments: &'static [&'static str],
    /// Settings that are not given from outside.
    settings: &'static [(&'static str, &'static str)],
}

const FAULTS: [Fault; 6] = [
    Fault {
        name: "power_cut",
        mounts: true,
        arguments: &["--ignored", "--nocapture", "--test-threads=1"],
        settings: &[("FOREBAY_CUT_ROUNDS", "10")],
    },
    Fault {
        name: "freeze",
        mounts: true,
        arguments: &["--ignored", "--nocapture", "--test-threads=1"],
        settings: &[],
    },
    Fault {
        name: "full",
        mounts: true,
        arguments: &["--ignored", "--nocapture", "--test-threads=2"],
        settings: &[],
    },
    Fault {
        name: "readmit",
        mounts: true,
        arguments: &["--ignored", "--nocapture", "--test-threads=1"],
        settings: &[],
    },
    Fault {
        name: "live_faults",
        mounts: true,
        arguments: &["--ignored", "--nocapture", "--test-threads=1"],
        settings: &[],
    },
    Fault {
        name: "slow_parts",
        mounts: false,
        arguments: &["--nocapture"],
        settings: &[("FOREBAY_SLOW_FULL", "1")],
    },
];

/// Programs that the mounting tests call, and where Debian has them.
const TOOLS: [(&str, &str); 10] = [
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("xfs_io", "xfsprogs"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("fsfreeze", "util-linux"),
    ("findmnt", "util-linux"),
    ("strace", "strace"),
    ("nbdkit", "nbdkit"),
    ("nbdfuse", "libnbd-bin"),
    ("mount", "mount"),
];

/// Makes, mounts and unmounts a small file system.
const PROBE: &str = "set -e
home=$(mktemp -d)
trap 'umount \"$home/mnt\" 2>/dev/null || true; rm -rf \"$home\"' EXIT
mkdir \"$home/mnt\"
truncate -s 16M \"$home/image\"
mkfs.ext4 -q -F \"$home/image\"
mount -o loop \"$home/image\" \"$home/mnt\"
umount \"$home/mnt\"";

/// Runs the named tests, or all. An error if one fails or is not known; what is skipped is no error.
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<(), String> {
    if let Some(name) = names.iter().find(|name| FAULTS.iter().all(|fault| fault.name != **name)) {
        let known: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        return Err(format!("there is no fault test '{name}'; there are {}", known.join(", ")));
    }
    let wanted = || FAULTS.iter().filter(|fault| names.is_empty() || names.contains(&fault.name));
    let mounting = if wanted().any(|fault| fault.mounts) { can_mount() } else { Ok(()) };
    let (mut passed, mut failed, mut skipped) = (0, Vec::new(), Vec::new());
    for fault in wanted() {
        match &mounting {
            Err(reason) if fault.mounts => {
                println!("skip {}: {reason}", fault.name);
                skipped.push(fault.name);
            }
            Ok(()) | Err(_) if test(root, fault)? => passed += 1,
            Ok(()) | Err(_) => failed.push(fault.name),
        }
    }
    let list =
        |names: &[&str]| if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let counts = format!(
        "faults: {passed} passed, {} failed{}, {} skipped{}",
        failed.len(),
        list(&failed),
        skipped.len(),
        list(&skipped)
    );
    println!("{counts}");
    if failed.is_empty() { Ok(()) } else { Err("a fault test failed".to_owned()) }
}

/// Whether file systems can be made and mounted here, with what is missing installed; if not, why.
fn can_mount() -> Result<(), String> {
    let user = Command::new("id").arg("-u").output().map_err(|error| format!("cannot run id: {error}"))?;
    if user.stdout.trim_ascii() != b"0" {
        return Err("mounting needs root".to_owned());
    }
    let mut packages: Vec<&str> = TOOLS
        .iter()
        .filter(|(tool, _)| !shell(&format!("command -v {tool}"), &[]))
        .map(|tool| tool.1)
        .collect();
    packages.dedup();
    if !packages.is_empty() {
        println!("installing {}", packages.join(" "));
        let install = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \"$@\"";
        if !shell(install, &packages) {
            return Err(format!("apt-get cannot install {}", packages.join(" ")));
        }
    }
    if shell(PROBE, &[]) { Ok(()) } else { Err("loop devices cannot be mounted here".to_owned()) }
}

/// Whether a script succeeds; it says nothing.
fn shell(script: &str, arguments: &[&str]) -> bool {
    let done = Command::new("sh").args(["-c", script, "sh"]).args(arguments).output();
    done.is_ok_and(|done| done.status.success())
}

/// Runs one test; true if it passed.
fn test(root: &Path, fault: &Fault) -> Result<bool, String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The whole workspace, as CI builds it: fewer packages would have other features and be built again.
    cargo.args(["test", "--locked", "--workspace", "--test", fault.name, "--"]).args(fault.arguments);
    for (name, value) in fault.settings.iter().filter(|(name, _)| std::env::var_os(name).is_none()) {
        cargo.env(name, value);
    }
    let status = cargo.current_dir(root).status().map_err(|error| format!("cannot run cargo: {error}"))?;
    println!("{} {}", if status.success() { "ok  " } else { "FAIL" }, fault.name);
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_known_is_refused() {
        let refused = run(Path::new("."), &["freeze", "flood"]).unwrap_err();
        assert!(
            refused.contains("'flood'")
                && refused.contains("power_cut, freeze, full, readmit, live_faults, slow_parts"),
            "{refused}"
        );
    }

    #[test]
    fn every_fault_is_a_test_of_the_tests() {
        let tests = crate::root().join("tests/tests");
        for Fault { name, .. } in FAULTS {
            let there =
                tests.join(format!("{name}.rs")).exists() || tests.join(name).join("main.rs").exists();
            assert!(there, "{name}");
        }
    }
}
