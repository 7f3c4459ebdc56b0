use std::future::Future;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use forebay_client::{Client, ClientConfig, TcpNet};

use crate::failure::Failure;

/// Which cluster a command speaks to.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClusterArgs {
    /// Servers to start from, as HOST:PORT separated by commas; one that answers is enough
    #[arg(
        long,
        short = 'b',
        visible_alias = "bootstrap",
        env = "FOREBAY_BOOTSTRAP",
        value_name = "HOST:PORT"
    )]
    #[arg(value_delimiter = ',', default_value = "127.0.0.1:9092")]
    bootstrap_server: Vec<String>,
}

impl ClusterArgs {
    /// One server, for a command that starts it itself.
    pub(crate) fn one(addr: String) -> Self {
        Self { bootstrap_server: vec![addr] }
    }

    /// The server named first.
    pub(crate) fn first(&self) -> &str {
        self.bootstrap_server.first().map_or("", String::as_str)
    }

    /// Connects as `client_id`.
    pub(crate) async fn connect(&self, client_id: &str) -> Result<Client, Failure> {
        let config = ClientConfig { client_id: client_id.to_owned(), ..ClientConfig::default() };
        Ok(Client::connect(Arc::new(TcpNet), &self.bootstrap_server, config).await?)
    }
}

/// Runs `work` to its end on a runtime of its own.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(work);
    // A thread may still be reading standard input, which has no end to wait for.
    runtime.shutdown_background();
    outcome
}

/// Milliseconds since the Unix epoch.
#[allow(clippy::disallowed_methods, reason = "record timestamps are made here, at the edge of the system")]
pub(crate) fn wall_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
