use std::future::Future;
use std::sync::Arc;

use forebay_base::{Rng, SeededRng};
use tokio::runtime::{Builder, RngSeed};

use crate::{SimClock, SimDisk, SimNet, SimWorkers, Trace};

/// Everything outside a node, from one seed. Several nodes may share a world: give each a directory and an
/// address of its own.
#[derive(Debug, Clone)]
pub struct World {
    /// The disk.
    pub disk: SimDisk,
    /// The network.
    pub net: SimNet,
    /// Both clocks.
    pub clock: Arc<SimClock>,
    /// Randomness for the nodes.
    pub rng: Arc<SeededRng>,
    /// Workers.
    pub workers: Arc<SimWorkers>,
    /// What happened.
    pub trace: Arc<Trace>,
}

impl World {
    /// A world in which nothing has happened yet. Must be made inside the runtime that [`run`] builds.
    pub fn new(seed: u64) -> Self {
        Self::with_trace(seed, Arc::default())
    }

    /// As [`World::new`], noting what happens in `trace`.
    pub fn with_trace(seed: u64, trace: Arc<Trace>) -> Self {
        let (clock, rng) = (SimClock::start(), Arc::new(SeededRng::new(seed)));
        Self {
            disk: SimDisk::new(trace.clone()),
            net: SimNet::new(rng.next_u64(), trace.clone()),
            clock: Arc::new(clock),
            workers: Arc::new(SimWorkers::new(clock)),
            rng,
            trace,
        }
    }
}

/// Plays a scenario in a fresh world, on one thread, with paused time and a seeded scheduler.
///
/// # Panics
/// If the machine cannot give the runtime its few resources.
pub fn run<T, F: Future<Output = T>>(seed: u64, scenario: impl FnOnce(World) -> F) -> T {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(RngSeed::from_bytes(&seed.to_be_bytes()))
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(async { scenario(World::new(seed)).await }),
        Err(error) => panic!("no runtime for the simulation: {error}"),
    }
}
