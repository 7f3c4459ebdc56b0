use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure};
use crate::output::{Output, table};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer that is longer is none of ours.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// `forebay cluster ...`
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// List the open Kafka connections of a server, the oldest first
    Connections(ConnectionsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ConnectionsArgs {
    /// The server's HTTP door
    #[arg(long, env = "FOREBAY_HTTP", value_name = "HOST:PORT", default_value = "127.0.0.1:9644")]
    http: String,
    /// How to print the result
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// One part of the list; what a table does not show is kept for programs.
#[derive(Debug, Deserialize)]
struct Part {
    connections: Vec<Connection>,
    next: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Connection {
    id: u64,
    peer: String,
    listener: String,
    principal: String,
    client_id: Option<String>,
    software_name: Option<String>,
    software_version: Option<String>,
    idle_ms: u64,
    requests_in_work: u32,
    requests: u64,
    received_bytes: u64,
    sent_bytes: u64,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

impl ClusterCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Connections(args) => args.run(),
        }
    }
}

impl ConnectionsArgs {
    fn run(self) -> Result<(), Failure> {
        let (mut connections, mut after) = (Vec::new(), Some(0));
        while let Some(id) = after {
            let body = get(&self.http, &format!("/v1/connections?after={id}"))?;
            let part: Part =
                serde_json::from_str(&body).map_err(|error| odd(&self.http, &error.to_string()))?;
            connections.extend(part.connections);
            after = part.next;
        }
        self.output.print(&connections, |connections| rows(connections))
    }
}

fn rows(connections: &[Connection]) -> String {
    let mut table = table([
        "id",
        "peer",
        "listener",
        "principal",
        "client id",
        "software",
        "idle s",
        "in work",
        "requests",
        "bytes in",
        "bytes out",
    ]);
    for of in connections {
        let text = |text: &Option<String>| text.as_deref().unwrap_or("-").escape_debug().to_string();
        let software = [&of.software_name, &of.software_version].map(text).join(" ");
        table.add_row([
            of.id.to_string(),
            of.peer.clone(),
            of.listener.clone(),
            of.principal.clone(),
            text(&of.client_id),
            if of.software_name.is_some() { software } else { "-".to_owned() },
            (of.idle_ms / 1000).to_string(),
            of.requests_in_work.to_string(),
            of.requests.to_string(),
            of.received_bytes.to_string(),
            of.sent_bytes.to_string(),
        ]);
    }
    table.to_string()
}

/// `GET path` from the HTTP door of a server.
fn get(address: &str, path: &str) -> Result<String, Failure> {
    let unreachable = |error: io::Error| {
        Failure::new(Exit::Unreachable, format!("{address} does not answer: {error}"))
            .advise("Name the address of http.listen with --http.")
    };
    let answer = exchange(address, path).map_err(unreachable)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| odd(address, "no HTTP"))?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        Some(status) => Err(Failure::new(Exit::Refused, format!("{address} answered {status}: {body}"))),
        None => Err(odd(address, "no HTTP")),
    }
}

/// Speaks HTTP/1.0, so that the answer ends with the connection and is not cut into chunks.
fn exchange(address: &str, path: &str) -> io::Result<String> {
    let unknown = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let resolved = address.to_socket_addrs()?.next().ok_or_else(unknown)?;
    let mut stream = TcpStream::connect_timeout(&resolved, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

fn odd(address: &str, why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("{address} is not the HTTP door of a Forebay server: {why}"))
}
