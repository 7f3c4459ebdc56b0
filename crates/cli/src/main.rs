//! The `forebay` binary: a server, and the tools to use one.
//!
//! ```text
//! args ─> serve ──────────────> room broker, in this process
//!      ├> topic, produce,
//!      │  consume, bench ─────> room client ── Kafka protocol ──> any server
//!      ├> cluster ────────────> the HTTP door of a server
//!      └> log verify ─────────> room broker's read-only check of a data directory
//! ```
//! What people read goes to standard error or is a table; what programs read goes to standard output alone.

mod args;
mod bench;
mod cluster;
mod connections;
mod consume;
mod failure;
mod format;
mod http;
mod json;
mod log;
mod logging;
mod output;
mod produce;
mod progress;
mod readmit;
mod serve;
mod status;
mod topic;
mod topic_status;
mod values;

use std::process::ExitCode;

use clap::Parser;

/// Batches are allocated by connections and freed by writers, which glibc's allocator does under a lock that both fight
/// for (decision 0010).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match args::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
