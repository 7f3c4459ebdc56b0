//! Volumes that are really full, to their last byte: reads go on, writes are refused with a sentence, the status says so
//! and nothing else, and everything comes back by itself when space is freed.
//!
//! Needs root and mounts: `cargo xtask faults full` runs it, short. At length: `FOREBAY_FULL_SECONDS` (default 5) is how
//! long a volume stays full, `FOREBAY_FULL_CYCLES` (2) how often each is filled and freed, `FOREBAY_FULL_STARTS` (4) how
//! often a node starts on a full one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

mod adversary;
mod client;
mod cycles;
mod freeing;
mod limits;
mod moments;
mod readers;
mod reading;
mod refusing;
mod site;
mod starting;
mod status;
mod volume;

use std::time::Duration;

use forebay_tests::number;

/// Writes are back so soon after space was freed, in 99 of 100 cases ...
const BACK_MOSTLY: Duration = Duration::from_secs(10);
/// ... and always.
const BACK_ALWAYS: Duration = Duration::from_secs(30);

/// The status is right so soon after the first refusal.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);

const MIB: u64 = 1 << 20;

/// How long a volume stays full.
fn full_for() -> Duration {
    Duration::from_secs(number("FOREBAY_FULL_SECONDS", 5))
}
