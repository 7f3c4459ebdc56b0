//! What a command asks of the HTTP door of one server.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use clap::Args;
use serde::de::DeserializeOwned;

use crate::failure::{Exit, Failure};

/// How long a server may take to answer; a test of a volume takes longer than anything else.
const PATIENCE: Duration = Duration::from_secs(30);
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// An answer that is longer is none of ours.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Which server a command speaks to.
#[derive(Debug, Clone, Args)]
pub(crate) struct HttpArgs {
    /// The server's HTTP door
    #[arg(long, env = "FOREBAY_HTTP", value_name = "HOST:PORT", default_value = "127.0.0.1:9644")]
    http: String,
}

impl HttpArgs {
    /// The door at `address`.
    pub(crate) fn at(address: String) -> Self {
        Self { http: address }
    }

    /// What it answers to `GET path`.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask("GET", path, &["200"])
    }

    /// The same, where 503 is an answer like another.
    pub(crate) fn get_or_unavailable<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask("GET", path, &["200", "503"])
    }

    /// What it answers to `POST path`, without a body.
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask("POST", path, &["200"])
    }

    fn ask<T: DeserializeOwned>(&self, method: &str, path: &str, answers: &[&str]) -> Result<T, Failure> {
        let unreachable = |error: io::Error| {
            Failure::new(Exit::Unreachable, format!("{} does not answer: {error}", self.http))
                .advise("Name the address of http.listen with --http.")
        };
        let answer = exchange(&self.http, method, path).map_err(unreachable)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| self.odd("no HTTP"))?;
        match head.split(' ').nth(1) {
            Some(status) if answers.contains(&status) => {
                serde_json::from_str(body).map_err(|error| self.odd(&error.to_string()))
            }
            Some(status) => Err(Failure::new(Exit::Refused, refusal(&self.http, status, body))),
            None => Err(self.odd("no HTTP")),
        }
    }

    fn odd(&self, why: &str) -> Failure {
        let http = &self.http;
        Failure::new(Exit::Failed, format!("{http} is not the HTTP door of a Forebay server: {why}"))
    }
}

/// The server's own sentence, where there is one.
fn refusal(address: &str, status: &str, body: &str) -> String {
    let told = serde_json::from_str::<serde_json::Value>(body).ok();
    let sentence = told.as_ref().and_then(|told| told["error"].as_str());
    sentence.map_or_else(|| format!("{address} answered {status}: {body}"), str::to_owned)
}

/// Speaks HTTP/1.0, so that the answer ends with the connection and is not cut into chunks.
fn exchange(address: &str, method: &str, path: &str) -> io::Result<String> {
    let unknown = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let resolved = address.to_socket_addrs()?.next().ok_or_else(unknown)?;
    let mut stream = TcpStream::connect_timeout(&resolved, CONNECT_PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(
        format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n").as_bytes(),
    )?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
