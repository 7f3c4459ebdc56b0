//! A connection that does nothing costs next to nothing, and memory is not kept in whole huge pages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic and print"
)]

use forebay_tests::{Conn, Server};
use forebay_wire::kafka::api_versions::ApiVersionsRequest;

const IDLE: u64 = 300;

/// 120 MiB for 10,000.
const IDLE_BYTES: u64 = 12 * 1024;

/// What serving the first requests takes, whoever asks.
const REST_BYTES: u64 = 12 << 20;

/// A client that introduces itself and falls silent.
fn idle(server: &Server) -> Conn {
    let mut conn = server.conn();
    conn.call(0, &ApiVersionsRequest::default());
    conn
}

#[test]
fn idle_connections_take_little_memory() {
    let server = Server::start();
    let _warm: Vec<Conn> = (0..20).map(|_| idle(&server)).collect();
    let before = server.memory().resident;
    let _idle: Vec<Conn> = (0..IDLE).map(|_| idle(&server)).collect();
    let more = server.memory().resident.saturating_sub(before);
    println!("{IDLE} idle connections: {} KiB more", more / 1024);
    assert!(more <= IDLE * IDLE_BYTES + REST_BYTES, "{IDLE} idle connections hold {more} bytes");
}

/// They would double it: whole pages of 2 MiB stay for a few objects in each.
#[test]
fn a_server_forgoes_huge_pages() {
    let server = Server::start();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let told = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
    assert_eq!(told.map(str::trim), Some("0"), "since Linux 5.0 it is told");
}
