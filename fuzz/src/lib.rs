//! What each fuzz target does with its input, and what must hold whatever the input is.
//!
//! - [`request`]: a stream of bytes as a broker's connection gives them: frames, headers, requests.
//! - [`batch`]: one record batch as a producer sends it: header, codecs, records, and what a topic takes.
//! - [`recovery`]: a small log on a simulated disk that is damaged and then opened.
//!
//! A property that does not hold is a panic. `run.sh` builds and runs the targets.

pub mod batch;
mod memory;
pub mod recovery;
pub mod request;
