use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::Server;

/// `GET path` from `address`: the status and the body.
pub fn get(address: &str, path: &str) -> io::Result<(u16, String)> {
    ask(address, "GET", path)
}

/// `POST path` to `address`, without a body: the status and the body of the answer.
pub fn post(address: &str, path: &str) -> io::Result<(u16, String)> {
    ask(address, "POST", path)
}

fn ask(address: &str, method: &str, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let odd = || io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP answer: {answer:.80}"));
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(odd)?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(odd)?;
    Ok((status, body.to_owned()))
}

/// What a server answers to `GET path` in JSON; 503 is an answer like another.
///
/// # Panics
/// If it answers something else.
#[track_caller]
pub fn json(server: &Server, path: &str) -> Value {
    let (status, body) = get(server.http(), path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(matches!(status, 200 | 503), "{path}: {status} {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

/// What `/v1/volumes` says of the one with the data directory `dir`.
///
/// # Panics
/// If there is none.
#[track_caller]
pub fn volume(server: &Server, dir: &Path) -> Value {
    let list = json(server, "/v1/volumes");
    listed(&list, dir).unwrap_or_else(|| panic!("no volume {}: {list}", dir.display()))
}

/// The state of that one, as it is shown; `Unknown` also if it has not been reported yet.
#[track_caller]
pub fn volume_state(server: &Server, dir: &Path) -> String {
    let volume = listed(&json(server, "/v1/volumes"), dir).unwrap_or_default();
    volume["state"].as_str().unwrap_or("Unknown").to_owned()
}

fn listed(list: &Value, dir: &Path) -> Option<Value> {
    let mut volumes = list["volumes"].as_array().into_iter().flatten();
    volumes.find(|volume| volume["path"].as_str().map(Path::new) == Some(dir)).cloned()
}

/// The value of one series of a server's `/metrics`; 0 if it is not there.
///
/// # Panics
/// If the page cannot be read.
pub fn metric(server: &Server, series: &str) -> f64 {
    let (_, page) = get(server.http(), "/metrics").expect("the page of metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}
