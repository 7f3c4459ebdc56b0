//! Which room may name which: the list in ARCHITECTURE.md, as a table.

use super::{Finding, Source, Tree};

/// A room and the rooms it may depend on besides `base`. What is not listed is forbidden.
const ARROWS: [(&str, &[&str]); 12] = [
    ("base", &[]),
    ("records", &[]),
    ("wire", &[]),
    ("meta", &[]),
    ("log", &["records"]),
    ("link", &["wire"]),
    ("replica", &["records", "log"]),
    ("client", &["records", "wire", "link"]),
    ("controller", &["wire", "log", "meta", "link"]),
    ("broker", &["wire", "log", "meta", "link", "replica", "controller"]),
    ("cli", &["broker", "client"]),
    ("bench/nats-load", &[]),
];

/// Who may use everything.
const FREE: [&str; 3] = ["sim", "tests", "fuzz"];

/// The one room that names the consensus library, and the library.
const CONSENSUS: (&str, &str) = ("controller", "openraft");

pub(super) fn check(tree: &Tree, found: &mut Vec<Finding>) {
    for (path, text) in tree.files().filter(|(path, _)| path.ends_with("Cargo.toml")) {
        manifest(path, text, found);
    }
    for (path, text) in tree.rust() {
        let at_home = path.starts_with(&format!("crates/{}/", CONSENSUS.0));
        if at_home || path.starts_with("xtask/") {
            continue;
        }
        for line in Source::new(text, false).lines_with(CONSENSUS.1) {
            found.push(Finding::new(
                path,
                line,
                format!("only crates/{} names {}", CONSENSUS.0, CONSENSUS.1),
            ));
        }
    }
}

fn manifest(path: &str, text: &str, found: &mut Vec<Finding>) {
    let Some(room) = room(path) else { return };
    if FREE.contains(&room) {
        return;
    }
    let allowed = ARROWS.iter().find(|(name, _)| *name == room).map(|(_, to)| *to);
    if allowed.is_none() && room != "xtask" {
        found.push(Finding::new(
            path,
            0,
            format!("unknown room {room}: draw its arrows in xtask/src/tidy/arrows.rs"),
        ));
    }
    for (line, name) in dependencies(text) {
        if name == CONSENSUS.1 && room != CONSENSUS.0 {
            found.push(Finding::new(
                path,
                line,
                format!("only crates/{} depends on {}", CONSENSUS.0, CONSENSUS.1),
            ));
        }
        let target = if name == "forebay" { Some("cli") } else { name.strip_prefix("forebay-") };
        let Some(target) = target else { continue };
        let open = allowed.is_some_and(|to| target == "base" || to.contains(&target));
        if !open {
            found.push(Finding::new(path, line, format!("{room} may not depend on {target}")));
        }
    }
}

/// The room that a manifest belongs to; `None` for the workspace's own.
fn room(path: &str) -> Option<&str> {
    let dir = path.strip_suffix("/Cargo.toml")?;
    Some(dir.strip_prefix("crates/").unwrap_or(dir))
}

/// Names in the dependency tables (those for development and for building too), with their lines. Knows the plain
/// TOML that is used here: one dependency a line, or a table of its own.
fn dependencies(text: &str) -> Vec<(usize, &str)> {
    let (mut names, mut inside) = (Vec::new(), false);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = table.ends_with("dependencies");
            if let Some((before, name)) = table.rsplit_once('.')
                && before.ends_with("dependencies")
            {
                names.push((index + 1, name));
            }
        } else if inside && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default().trim_matches('"');
            if !name.is_empty() {
                names.push((index + 1, name));
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let mut found = Vec::new();
        check(&Tree::of(files), &mut found);
        found.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn an_arrow_that_is_not_drawn_is_found() {
        let log = "[package]\nname = \"forebay-log\"\n[dependencies]\nforebay-base.workspace = true\nbytes = \"1\"\n";
        assert!(found(&[("crates/log/Cargo.toml", log)]).is_empty());
        for table in ["[dependencies]", "[dev-dependencies]", "[target.'cfg(unix)'.dependencies]"] {
            let up = format!("{log}{table}\nforebay-meta.workspace = true\n");
            assert_eq!(
                found(&[("crates/log/Cargo.toml", &up)]),
                ["crates/log/Cargo.toml:7: log may not depend on meta"]
            );
        }
        let sim = format!("{log}[dev-dependencies.forebay-sim]\npath = \"../../sim\"\n");
        assert_eq!(
            found(&[("crates/log/Cargo.toml", &sim)]),
            ["crates/log/Cargo.toml:6: log may not depend on sim"]
        );
        assert!(found(&[("sim/Cargo.toml", "[dependencies]\nforebay-log.workspace = true\n")]).is_empty());
    }

    #[test]
    fn a_new_room_must_be_drawn() {
        assert_eq!(found(&[("crates/common/Cargo.toml", "[package]\n")]).len(), 1);
        assert_eq!(found(&[("xtask/Cargo.toml", "[dependencies]\nforebay-base = \"1\"\n")]).len(), 1);
    }

    #[test]
    fn the_consensus_library_stays_in_its_room() {
        let depends = "[dependencies]\nopenraft.workspace = true\n";
        assert!(found(&[("crates/controller/Cargo.toml", depends)]).is_empty());
        assert_eq!(found(&[("crates/broker/Cargo.toml", depends)]).len(), 1);
        assert!(found(&[("crates/controller/src/lib.rs", "use openraft::Raft;")]).is_empty());
        assert!(found(&[("crates/broker/src/lib.rs", "// as openraft does\n")]).is_empty());
        assert_eq!(found(&[("crates/broker/src/lib.rs", "\nuse openraft::Raft;")]).len(), 1);
    }
}
