//! What space and faults do to one data directory: the volume's state, decided purely.
//!
//! ```text
//!              free < low            free < full, or no room for a write        reserve spent
//!   +--------+ ----------> +-----+ -----------------------------> +------+ ---------------> +----------+
//!   | Normal |             | Low |                                | Full |                  | HardFull |
//!   +--------+ <---------- +-----+ <----------------------------- +------+ <--------------- +----------+
//!     ^  ^   calm for 30 s    ^           exit test passed           ^       reserve whole
//!     |  |                    |                                      |
//!     |  +--------------------+---------- +---------+ ---------------+  not enough, or was full
//!     |       test passed                 | Probing |  every start
//!     |                                   +---------+
//!     |  readmitted   +--------+
//!     +-------------- | Failed | <- from every state: read-only, refused at a start, or two faults within
//!                     +--------+    ten minutes. Survives restarts
//! ```
//! No other arrow exists; a fact that means two hops makes both of them, so from Normal to Full is by Low.
//!
//! - Writes are taken in Normal and Low, and refused before anything is done in all other states. Reads go on.
//! - From Low on, connections that send records are slowed down, ever more the less is free: see
//!   [`Marks::throttle_per_mib`].
//! - The **exit test** is the only way out of Full: free space and inodes at or above the resume mark over three samples,
//!   then the reserves whole again by `fallocate`, room for more beside them by `fallocate`, and a real write with its
//!   sync. What a file system says of its space is a hint (quotas do not show in it); what it gives is the truth.
//! - The resume mark is above the full mark by far more than the test takes: what filled the volume once must fill it
//!   again before it counts as full again.
//! - Being full is no fault, and running out of descriptors is neither: see `errno.rs`.
//! - Time comes as a value, facts come in, effects go out. Whoever owns the [`Machine`] does them and reports back.

mod errno;
mod ledger;
mod machine;
mod marks;
mod neighbours;
mod reserve;
mod self_test;
mod slots;
mod state;

#[cfg(test)]
mod tests;

pub use errno::{Call, Meaning, meaning};
pub use ledger::{Entry, Ledger};
pub use machine::{Effect, Fact, Machine, Transition};
pub use marks::{Marks, VOLUME_BYTES_MIN};
pub use neighbours::{Neighbour, Neighbours};
pub use reserve::{Reserve, ReserveFile};
pub use self_test::{SELF_TEST_BYTES_MAX, SelfTestError, self_test};
pub use state::{ByteCount, Cause, VolumeState};
