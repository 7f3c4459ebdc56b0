use forebay_base::Offset;

/// Where a partition's log stands. Always in this order:
///
/// ```text
///   start <= stable <= high_watermark <= durable <= end
///     |         |            |              |        `- next offset to be written
///     |         |            |              `- below: survives a power cut here
///     |         |            `- below: committed, readable, never lost or changed again
///     |         `- below: no open transaction (LSO); read_committed ends here
///     `- below: deleted
/// ```
/// Only with `flush.mode=async`, and where a log is only looked at, does the high watermark run ahead of `durable`, up to
/// `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions {
    /// First offset kept.
    pub start: Offset,
    /// First offset of an open transaction, or the high watermark.
    pub stable: Offset,
    /// First offset not committed.
    pub high_watermark: Offset,
    /// First offset that may not be durable here.
    pub durable: Offset,
    /// First offset not written.
    pub end: Offset,
}

impl Positions {
    /// True if they are in the order above, as far as it is the same in every flush mode.
    pub fn hold(&self) -> bool {
        let Self { start, stable, high_watermark, durable, end } = *self;
        start <= stable && stable <= high_watermark && high_watermark <= end && durable <= end
    }
}
