//! A server that does as little as a server can: a thread for each connection, which appends the batches it has
//! received with one `pwritev` a partition, and sends them from the file by `sendfile`. No runtime, no queue between
//! threads, no metadata, no sync. What the same load client gets from it is what the machine has to give, so that a
//! figure of the real server can be told as a part of that.

mod connection;
mod partition;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::thread;

use clap::Args;

use self::connection::Connection;
use self::partition::Partition;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::values::bytes;

/// Most connections at once: each has a thread.
const CONNECTIONS_MAX: usize = 1024;

/// What the address is told behind, on standard output.
pub(super) const LISTENING: &str = "listening on ";

/// `forebay bench yardstick`
#[derive(Debug, Args)]
pub(crate) struct YardstickArgs {
    /// Where to listen; port 0 picks a free one. The address is printed
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Where the partitions' files go; what an earlier yardstick left there is overwritten
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,

    /// How many partitions there are
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4096))]
    partitions: u16,

    /// A partition starts again with an empty file when this is full [default: never]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    file_bytes: Option<u64>,
}

impl YardstickArgs {
    /// Serves until it is killed.
    pub(super) fn run(self) -> Result<(), Failure> {
        let failed = |what: String| move |error| Failure::new(Exit::NotStarted, format!("{what}: {error}"));
        let dir = &self.dir;
        std::fs::create_dir_all(dir).map_err(failed(dir.display().to_string()))?;
        let partitions = (0..self.partitions)
            .map(|number| {
                let path = dir.join(format!("partition-{number}"));
                Partition::create(path.clone(), self.file_bytes).map_err(failed(path.display().to_string()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let listener =
            TcpListener::bind(self.listen).map_err(failed(format!("listen on {}", self.listen)))?;
        output::write(format!("{LISTENING}{}\n", listener.local_addr()?).as_bytes())?;
        serve(&listener, &partitions)
    }
}

fn serve(listener: &TcpListener, partitions: &[Partition]) -> Result<(), Failure> {
    thread::scope(|scope| {
        let mut threads: Vec<thread::ScopedJoinHandle<'_, ()>> = Vec::new();
        loop {
            let (stream, peer) = listener.accept()?;
            threads.retain(|thread| !thread.is_finished());
            if threads.len() >= CONNECTIONS_MAX {
                output::note(&format!("{peer}: refused, there are {CONNECTIONS_MAX} connections"));
                continue;
            }
            threads.push(scope.spawn(move || {
                if let Err(error) = Connection::new(stream, partitions).serve() {
                    output::note(&format!("{peer}: {error}"));
                }
            }));
        }
    })
}
