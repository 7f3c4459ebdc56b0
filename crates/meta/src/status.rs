//! What is shown as the status of a partition. Never stored: derived anew from what is known.

use std::fmt;

use crate::Assignment;

/// The closed set of statuses, best first; the worst that applies is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Reads and writes are served, every replica is in sync.
    Online,
    /// Served, while space is short: producers are slowed down, and refused if it goes on.
    Throttled,
    /// Served, but with fewer in-sync replicas than assigned ones.
    UnderReplicated,
    /// Reads are served, writes are refused until there is space.
    OutOfSpace,
    /// The leader's storage has failed; reads may still be served.
    Failed,
    /// Nobody leads.
    NoLeader,
    /// The leader has not been heard of, so nothing is known.
    Unknown,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Online => "Online",
            Self::Throttled => "Throttled",
            Self::UnderReplicated => "UnderReplicated",
            Self::OutOfSpace => "OutOfSpace",
            Self::Failed => "Failed",
            Self::NoLeader => "NoLeader",
            Self::Unknown => "Unknown",
        })
    }
}

/// State of a volume as its node reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VolumeState {
    /// Plenty of space.
    Normal,
    /// Space is short.
    Low,
    /// No space for writes.
    Full,
    /// No space for anything.
    HardFull,
    /// The device or its file system has failed.
    Failed,
    /// Not known yet after a start.
    Probing,
}

/// What a leader last said about one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Its volume.
    pub volume: VolumeState,
    /// True if this partition alone has failed.
    pub failed: bool,
}

/// What is known of a partition's leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderView {
    /// True if it is heard of in time.
    pub reachable: bool,
    /// Its last report; `None` if there has been none since the observer started.
    pub report: Option<Report>,
}

/// A derived status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// The status.
    pub status: Status,
    /// What it was when the leader was last heard of; only with [`Status::Unknown`].
    pub last: Option<Status>,
    /// One sentence with the cause.
    pub sentence: String,
}

/// The status of a partition from its assignment and from what is known of its leader. Silence never improves it.
pub fn derive(assignment: &Assignment, leader: LeaderView) -> PartitionStatus {
    let Some(node) = assignment.leader else {
        let sentence = "no replica that may lead is available".to_owned();
        return PartitionStatus { status: Status::NoLeader, last: None, sentence };
    };
    let last = leader.report.map(|report| reported(assignment, report));
    match last {
        Some(status) if leader.reachable && status != Status::Unknown => {
            PartitionStatus { status, last: None, sentence: sentence(assignment, status) }
        }
        _ => PartitionStatus {
            status: Status::Unknown,
            last: last.filter(|status| *status != Status::Unknown),
            sentence: if leader.reachable {
                format!("node {node} leads and has not reported yet")
            } else {
                format!("node {node} leads and is not heard of")
            },
        },
    }
}

/// The worst of what applies.
fn reported(assignment: &Assignment, report: Report) -> Status {
    let storage = match report.volume {
        VolumeState::Normal => Status::Online,
        VolumeState::Low => Status::Throttled,
        VolumeState::Full | VolumeState::HardFull => Status::OutOfSpace,
        VolumeState::Failed => Status::Failed,
        VolumeState::Probing => Status::Unknown,
    };
    let replication = if assignment.isr.len() < assignment.replicas.len() {
        Status::UnderReplicated
    } else {
        Status::Online
    };
    let own = if report.failed { Status::Failed } else { Status::Online };
    storage.max(replication).max(own)
}

fn sentence(assignment: &Assignment, status: Status) -> String {
    let (isr, replicas) = (assignment.isr.len(), assignment.replicas.len());
    match status {
        Status::Online => format!("{isr} of {replicas} replicas are in sync"),
        Status::Throttled => {
            "space is short on the leader's volume: producers are slowed down, and refused when it is full"
                .to_owned()
        }
        Status::UnderReplicated => format!("only {isr} of {replicas} replicas are in sync"),
        Status::OutOfSpace => "the leader's volume is full; reads are served, writes are refused".to_owned(),
        Status::Failed => "the leader's storage has failed; writes are refused".to_owned(),
        Status::NoLeader | Status::Unknown => "nothing is known".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_base::{DirectoryId, LeaderEpoch, NodeId};

    fn assignment(replicas: usize, isr: usize, leader: Option<i32>) -> Assignment {
        let nodes: Vec<_> = (0..replicas as i32).map(NodeId).collect();
        Assignment {
            isr: nodes[..isr].to_vec(),
            directories: vec![DirectoryId::default(); replicas],
            replicas: nodes,
            leader: leader.map(NodeId),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
        }
    }

    fn seen(volume: VolumeState, failed: bool) -> LeaderView {
        LeaderView { reachable: true, report: Some(Report { volume, failed }) }
    }

    #[test]
    fn the_worst_fact_is_shown() {
        let healthy = assignment(3, 3, Some(0));
        let status = |view| derive(&healthy, view).status;
        assert_eq!(status(seen(VolumeState::Normal, false)), Status::Online);
        assert_eq!(status(seen(VolumeState::Low, false)), Status::Throttled);
        assert_eq!(status(seen(VolumeState::HardFull, false)), Status::OutOfSpace);
        assert_eq!(status(seen(VolumeState::Full, true)), Status::Failed);
        assert_eq!(status(seen(VolumeState::Probing, false)), Status::Unknown);
        let lagging = assignment(3, 2, Some(0));
        assert_eq!(derive(&lagging, seen(VolumeState::Normal, false)).status, Status::UnderReplicated);
        assert_eq!(derive(&lagging, seen(VolumeState::Full, false)).status, Status::OutOfSpace);
        assert_eq!(
            derive(&assignment(3, 0, None), seen(VolumeState::Normal, false)).status,
            Status::NoLeader
        );
    }

    #[test]
    fn silence_never_improves_a_status() {
        let healthy = assignment(1, 1, Some(0));
        let mut view = seen(VolumeState::Full, false);
        view.reachable = false;
        let silent = derive(&healthy, view);
        assert_eq!((silent.status, silent.last), (Status::Unknown, Some(Status::OutOfSpace)));
        let never = derive(&healthy, LeaderView { reachable: true, report: None });
        assert_eq!((never.status, never.last), (Status::Unknown, None));
    }
}
