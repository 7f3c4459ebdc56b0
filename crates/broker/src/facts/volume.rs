use std::time::Duration;

use forebay_base::{DirectoryId, NodeId, WallTime};
use forebay_meta::{NodeView, VolumeReport, VolumeState};

/// One data directory, as its node last reported it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VolumeFacts<'a> {
    /// Whose it is.
    pub(crate) node: NodeId,
    /// Its identity.
    pub(crate) directory: DirectoryId,
    /// The report, in full.
    pub(crate) report: &'a VolumeReport,
    /// How long ago the report came.
    heard_ago: Duration,
    /// True if the report is the present.
    is_present: bool,
}

impl<'a> VolumeFacts<'a> {
    /// The volumes of a node.
    pub(crate) fn of(node: NodeId, view: &'a NodeView) -> impl Iterator<Item = Self> {
        let volumes = view.last.iter().flat_map(|report| &report.volumes);
        volumes.map(move |(directory, report)| VolumeFacts {
            node,
            directory: *directory,
            report,
            heard_ago: view.heard_ago,
            is_present: view.is_reachable(),
        })
    }

    /// Its state; `None` while its node is not heard of.
    pub(crate) fn state(&self) -> Option<VolumeState> {
        self.is_present.then(|| self.report.state_after(self.heard_ago))
    }

    /// Its state when its node was last heard of; only while that is not known to be the present one.
    pub(crate) fn last_state(&self) -> Option<VolumeState> {
        (!self.is_present).then_some(self.report.state)
    }

    /// What is wrong with it, as a sentence; `None` if nothing is.
    pub(crate) fn complaint(&self) -> Option<String> {
        self.report.complaint_after(self.heard_ago)
    }

    /// How old its figures are.
    pub(crate) fn age(&self) -> Duration {
        self.report.age + self.heard_ago
    }

    /// How long it has been in its state at `now`.
    pub(crate) fn in_state(&self, now: WallTime) -> Duration {
        let in_state = now.0.saturating_sub(self.report.since.0);
        Duration::from_millis(u64::try_from(in_state).unwrap_or(0))
    }
}
