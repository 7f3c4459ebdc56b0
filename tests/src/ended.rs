use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::{Server, forebay};

/// A command that should end by itself may take this long.
const ENDED_WITHIN: Duration = Duration::from_secs(30);

/// A command of the binary that asks the HTTP door of `server`: its exit code, and everything it said.
pub fn tool(server: &Server, words: &[&str]) -> (Option<i32>, String) {
    let (status, said) = run_to_end(forebay().args(words).args(["--http", server.http()]));
    (status.code(), said)
}

/// Runs `command` to its end: how it ended, and everything it said. One that does not end is killed, and fails the
/// test.
pub fn run_to_end(command: &mut Command) -> (ExitStatus, String) {
    let said = tempfile::NamedTempFile::new().expect("a temporary file");
    let handle = || said.reopen().expect("a temporary file opens again");
    command.stdin(Stdio::null()).stdout(handle()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut pipe = child.stderr.take().expect("a pipe");
    let errors = std::thread::Builder::new().spawn(move || {
        let mut text = String::new();
        let _ = std::io::Read::read_to_string(&mut pipe, &mut text);
        text
    });
    let deadline = Instant::now() + ENDED_WITHIN;
    let ended = loop {
        match child.try_wait().expect("a child can be waited for") {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => break None,
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let _ = child.kill();
    let _ = child.wait();
    let errors = errors.expect("a thread starts").join().unwrap_or_default();
    let text = std::fs::read_to_string(said.path()).unwrap_or_default() + &errors;
    let status = ended.unwrap_or_else(|| panic!("{command:?} did not end by itself:\n{text}"));
    (status, text)
}
