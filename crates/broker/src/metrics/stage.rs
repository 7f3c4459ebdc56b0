use std::time::Duration;

/// A part of the way of a request, as Kafka's operators know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// From its last byte to its batch being taken by its writer; of other requests, to their handler's start.
    Queue,
    /// Until its batch was in the file; produce requests only.
    Write,
    /// From then on until its batch was committed; produce requests with `acks=all` only.
    Sync,
    /// Anything else until the answer was ready: a long poll, a read from the device, the metadata quorum, earlier
    /// requests of the same connection.
    Wait,
    /// Until the socket has taken the answer's last byte.
    Send,
}

impl Stage {
    /// All of them, in their order.
    pub(super) const ALL: [Stage; 5] = [Self::Queue, Self::Write, Self::Sync, Self::Wait, Self::Send];

    /// Its name as a label.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Wait => "wait",
            Self::Send => "send",
        }
    }
}

/// How long each stage of a request took until its answer was ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stages {
    pub(crate) queue: Duration,
    pub(crate) write: Option<Duration>,
    pub(crate) sync: Option<Duration>,
    pub(crate) wait: Duration,
    /// The part of `wait` that a fetch spent in its long poll, as its client wished.
    pub(crate) parked: Duration,
}

impl Stages {
    /// From the request's last byte to its answer being ready.
    pub(crate) fn total(&self) -> Duration {
        self.queue + self.write.unwrap_or_default() + self.sync.unwrap_or_default() + self.wait
    }

    /// The stages that the request has passed.
    pub(super) fn passed(&self) -> impl Iterator<Item = (Stage, Duration)> {
        let stages = [
            (Stage::Queue, Some(self.queue)),
            (Stage::Write, self.write),
            (Stage::Sync, self.sync),
            (Stage::Wait, Some(self.wait)),
        ];
        stages.into_iter().filter_map(|(stage, took)| Some((stage, took?)))
    }
}
