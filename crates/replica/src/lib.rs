//! One partition's replica: what is written where, and who is answered when.
//!
//! ```text
//!  connection task        writer thread (one per partition, many partitions each)             sync helpers
//!  ---------------        -------------------------------------------------------            ------------
//!  intake::check --+
//!                  v
//!  Partition::append -> inbox -> Replica::step -> Effect::Write... -> one Log::append
//!                                     ^                                    |
//!                                     +---- Event::Written <---------------+
//!                                     +---> Effect::Sync ----------------------------------> fdatasync
//!                                     ^                                                          |
//!                                     +---- Event::Synced <---- inbox <--------------------------+
//!                                     +---> Effect::Publish -> View (readers), waiters woken
//!  answer  <------------------------- +---> Effect::Answer
//! ```
//! A log is opened, and recovered where needed, on a reader's thread, and then handed to its writer through the inbox: a
//! writer that waits for its disk keeps nobody from reading a partition that was not open yet.
//!
//! [`Replica`], [`producers`] and [`intake`] are pure: no clock, file, thread or task. [`Volume`] hosts many replicas
//! on few writer threads. Readers never meet the writer: they read [`View`]s.
//!
//! A volume's state is its [`Condition`]: one monitor, on a thread of its own, owns it. Writers tell it what their calls
//! met, and refuse records before anything is done while it says so; reads never ask it.
//!
//! This room knows no topics' names, no protocol and no metadata.

mod alarms;
mod claims;
mod condition;
mod event;
mod inbox;
pub mod intake;
mod monitor;
mod neighbourhood;
mod pace;
mod partition;
pub mod producers;
mod readers;
mod refused;
mod replica;
mod retention_clock;
mod tenant;
mod threads;
mod view;
mod volume;
mod waiter;
mod writer;

pub use condition::{Condition, Found, Readmission, Report, VolumeCounts};
pub use event::{Acks, Appended, Effect, Event, Flush, Passage, Ticket};
pub use forebay_records::TimestampType;
pub use intake::{Batch, IntakeRules};
pub use partition::{OpenError, Partition, PartitionConfig};
pub use refused::{RecordError, Refused};
pub use replica::{Positions, Recovered, Replica};
pub use threads::ThreadWorkers;
pub use view::{View, max_timestamp, offset_for_timestamp};
pub use volume::{Threads, Volume};
pub use waiter::{Waiter, WatchGuard};
