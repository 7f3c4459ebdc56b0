use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use forebay_base::{Clock, Instant, QuietLog, Rng, WallTime, limits};
use forebay_link::TcpNet;
use forebay_log::RealDisk;
use forebay_replica::ThreadWorkers;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Env;
use crate::descriptors::{Reserve, SparedDisk, SparingNet};

impl Env {
    /// The real world: this machine's disks, TCP, clocks, kernel randomness and threads.
    pub fn real(control: tokio::runtime::Handle) -> Self {
        let clock = Arc::new(SystemClock::new());
        let descriptors = descriptors();
        let reserve = Reserve::of(limits::SPARE_DESCRIPTORS.min(descriptors / 16));
        Self {
            disk: Arc::new(SparedDisk { disk: RealDisk, reserve: reserve.clone() }),
            descriptors_max: (descriptors / 5 * 2).min(limits::LOG_DESCRIPTORS_MAX),
            net: Arc::new(SparingNet { net: TcpNet, reserve }),
            quiet: Arc::new(QuietLog::new(clock.clone())),
            workers: Arc::new(ThreadWorkers::new(clock.clone())),
            clock,
            rng: Arc::new(KernelRng),
            control,
        }
    }
}

/// The machine's clocks, for those who stand before a node.
pub fn real_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// Raises the limit of descriptors as far as the system lets us.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let current = if raised.is_ok() { limit.maximum } else { limit.current };
    current.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX)
}

/// The machine's clocks.
#[derive(Debug)]
pub(crate) struct SystemClock {
    started: std::time::Instant,
}

#[allow(clippy::disallowed_methods, reason = "this is the one place where the machine's clocks are read")]
impl SystemClock {
    pub(crate) fn new() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the one place where the machine's clocks are read")]
impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn wall(&self) -> WallTime {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallTime(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The kernel's random numbers.
#[derive(Debug)]
struct KernelRng;

impl Rng for KernelRng {
    fn next_u64(&self) -> u64 {
        let mut bytes = [0u8; 8];
        let mut filled = 0;
        while filled < bytes.len() {
            match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
                Ok(read) => filled += read,
                Err(rustix::io::Errno::INTR) => {}
                // Only an ancient kernel or a sandbox that forbids it: ids from constant bytes must never be drawn.
                Err(error) => panic!("the kernel gives no random numbers: {error}"),
            }
        }
        u64::from_ne_bytes(bytes)
    }
}
