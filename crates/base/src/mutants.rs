//! Bugs on purpose. Each shows that a promise has a test: `cargo xtask mutants` plants one after the other and wants
//! a test to fail.
//!
//! Without `--cfg mutants`, which nothing but that command sets, no bug can be planted and no code of one is compiled.

/// A bug that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// An answer does not keep the file open that its bytes are in.
    DescriptorClosedUnderReader,
    /// What is handed to the sync engine counts as durable.
    AckBeforeSync,
    /// A sync that failed is tried again, and believed.
    SyncErrorRetried,
    /// A log that rests closes its file without a sync.
    UnsyncedDescriptorClosed,
    /// What a short write left behind the tracked end stays there.
    TailNotTruncated,
    /// After an append that failed, readers have another file under the old descriptor.
    DescriptorClosedOnFailure,
    /// A log without its index takes no append.
    IndexFailureFailsAppend,
    /// A volume that was full once stays so.
    FullNeverClears,
    /// Free space that the file system tells of ends being full, untested.
    ExitByStatvfs,
    /// Every failure has its line in the log.
    LogLinePerFailure,
    /// Readers are shown batches that are about to be written.
    ViewBeforeWrite,
    /// A connection with something to do never lets others run.
    YieldRemoved,
    /// A connection has its largest buffer from the start.
    EagerBuffers,
    /// A session that is opened anew begins with nothing wrong, and stays so.
    StatusClearedBySessionReset,
}

impl Mutant {
    /// True if this bug was planted: never, in a product.
    #[cfg(not(mutants))]
    pub const fn is_planted(self) -> bool {
        false
    }

    /// True if this bug was planted: the environment named it when it was first asked.
    #[cfg(mutants)]
    pub fn is_planted(self) -> bool {
        static PLANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        let planted = PLANTED.get_or_init(|| std::env::var("PLANTED_MUTANT").ok());
        planted.as_ref().is_some_and(|name| *name == format!("{self:?}"))
    }
}
