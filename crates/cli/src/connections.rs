use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::http::HttpArgs;
use crate::output::{Output, table};
use crate::readmit::ReadmitArgs;
use crate::status::StatusArgs;

/// `forebay cluster ...`
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// List the open Kafka connections of a server, the oldest first
    Connections(ConnectionsArgs),
    /// Show nodes, volumes and partitions, and what is not as it should be
    ///
    /// Exits with 8 if something is not as it should be: a node that is not heard of, a quorum that does not work, a
    /// server that is not ready, a volume that is not Normal, or a partition that is not Online.
    Status(StatusArgs),
    /// Test a volume that has failed, and let it in again
    Readmit(ReadmitArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ConnectionsArgs {
    #[command(flatten)]
    server: HttpArgs,
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
            Self::Status(args) => args.run(),
            Self::Readmit(args) => args.run(),
        }
    }
}

impl ConnectionsArgs {
    fn run(self) -> Result<(), Failure> {
        let (mut connections, mut after) = (Vec::new(), Some(0));
        while let Some(id) = after {
            let part: Part = self.server.get(&format!("/v1/connections?after={id}"))?;
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
