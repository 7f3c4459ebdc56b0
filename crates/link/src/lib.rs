//! Connections: the network seam, its TCP form, and frames.
//!
//! ```text
//! Net ── listen ─> Listener ── accept ─> Conn        TcpNet: tokio, writev, sendfile
//!  └─── connect ───────────────────────> Conn        a simulation: its own
//!                                         │
//!                     FrameReader (4-byte length, then the body) · ConnIo (a byte stream for hyper)
//! ```
//! Knows bytes and files handed to it; does not know requests, topics or nodes.

mod frame;
mod io;
mod net;
mod tcp;

pub use frame::{FRAME_BUFFER_BYTES, FrameError, FrameReader, LENGTH_BYTES};
pub use io::{ConnIo, accept, send_all};
pub use net::{Conn, Connecting, Listener, Net};
pub use tcp::TcpNet;
