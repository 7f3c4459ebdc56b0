//! Black box: the real binary, driven over its sockets.
//!
//! [`Server`] starts and kills it, [`Conn`] speaks to it byte by byte, [`forebay_client::Client`] as a client does.
//! [`samples`] are well-formed requests of every API and version that it serves, to be bent by the tests of bad input.
//! Everything happens on 127.0.0.1; whatever a test starts, dropping its [`Server`] ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

mod binary;
mod churn;
mod conn;
mod ended;
mod eventually;
mod failing_syncs;
mod fixture;
mod http;
mod load;
mod log_lines;
mod loop_fs;
mod numbered;
mod ordeal;
pub mod requests;
mod rng;
mod runtime;
mod samples;
mod server;
mod settings;

pub use binary::forebay;
pub use churn::Churn;
pub use conn::Conn;
pub use ended::{run_to_end, tool};
pub use eventually::{Stopwatch, eventually};
pub use failing_syncs::FailingSyncs;
pub use fixture::{FIXTURE_SETTINGS, contents, fixtures, tar};
pub use http::{get, json, metric, post, volume, volume_state};
pub use load::{Load, check_numbered};
pub use log_lines::LogLines;
pub use loop_fs::{Frozen, FsKind, LoopFs};
pub use numbered::{number_of, numbered_value};
pub use ordeal::Ordeal;
pub use rng::Dice;
pub use runtime::block_on;
pub use samples::{Sample, samples};
pub use server::{Memory, Server};
pub use settings::number;
