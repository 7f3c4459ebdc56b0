//! A world in memory: disk, network, clock, randomness and workers that a whole node runs on, from one seed.
//!
//! [`SimDisk`] loses power, [`SimNet`] delays and cuts, time passes only when nothing is left to do, and every
//! call ends up in one [`Trace`]: equal seeds give equal traces. Nothing here copies the product's wiring; the
//! node under test is started by the same function as in the binary.

mod clock;
pub mod crash;
pub mod disk;
mod net;
mod trace;
mod workers;
mod world;

pub use clock::SimClock;
pub use disk::SimDisk;
pub use net::SimNet;
pub use trace::Trace;
pub use workers::SimWorkers;
pub use world::{World, run};
