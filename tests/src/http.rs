use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

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

/// The value of one series of a server's `/metrics`; 0 if it is not there.
///
/// # Panics
/// If the page cannot be read.
pub fn metric(server: &Server, series: &str) -> f64 {
    let (_, page) = get(server.http(), "/metrics").expect("the page of metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}
