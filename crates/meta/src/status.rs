//! What is shown as the status of a partition. Never stored: derived anew from what is known.

use std::fmt;
use std::time::Duration;

use forebay_base::{DirectoryId, PartitionId, WallTime};

use crate::{Assignment, NodeReport, NodeView, VolumeState};

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

/// What is known of a partition's leader.
#[derive(Debug, Clone, Copy)]
pub struct LeaderView<'a> {
    /// The node, as the controller knows it.
    pub node: &'a NodeView,
    /// Where the leader keeps the partition.
    pub directory: Option<DirectoryId>,
    /// Which partition it is.
    pub partition: PartitionId,
}

/// A derived status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// The status.
    pub status: Status,
    /// What it was when the leader was last heard of; only with [`Status::Unknown`].
    pub last: Option<Status>,
    /// Since when, by the leader's wall clock, where that is known; with [`Status::Unknown`], when the leader was last
    /// heard of.
    pub since: Option<WallTime>,
    /// One sentence with the cause.
    pub sentence: String,
}

/// One fact that a status may come from.
#[derive(Debug, Default)]
struct Finding {
    since: Option<WallTime>,
    sentence: Option<String>,
}

/// The status of a partition from its assignment and from what is known of its leader. Silence never improves it.
pub fn derive(assignment: &Assignment, leader: LeaderView<'_>) -> PartitionStatus {
    let Some(node) = assignment.leader else {
        let sentence = "no replica that may lead is available".to_owned();
        return PartitionStatus { status: Status::NoLeader, last: None, since: None, sentence };
    };
    let reported = leader.node.last.as_ref().map(|report| reported(assignment, report, leader));
    let last = reported.as_ref().map(|(status, _)| *status).filter(|status| *status != Status::Unknown);
    match (last, reported) {
        (Some(status), Some((_, found))) if leader.node.is_reachable() => PartitionStatus {
            status,
            last: None,
            since: found.since,
            sentence: found.sentence.unwrap_or_else(|| sentence(assignment, status)),
        },
        (last, reported) => {
            let own = reported.filter(|_| leader.node.is_reachable()).and_then(|(_, found)| found.sentence);
            PartitionStatus {
                status: Status::Unknown,
                last,
                since: leader.node.heard_at,
                sentence: own.unwrap_or_else(|| format!("node {node} leads; {}", leader.node.sentence())),
            }
        }
    }
}

/// The worst of what applies, and what the leader says about it.
fn reported(assignment: &Assignment, report: &NodeReport, leader: LeaderView<'_>) -> (Status, Finding) {
    let volume = leader.directory.and_then(|directory| report.volumes.get(&directory));
    // What was last said of a node that is silent is told as it was then.
    let older = if leader.node.is_reachable() { leader.node.heard_ago } else { Duration::ZERO };
    let of_volume = match (volume, leader.directory) {
        (Some(volume), _) => Finding { since: Some(volume.since), sentence: volume.complaint_after(older) },
        (None, Some(directory)) => Finding { since: None, sentence: Some(absent(directory)) },
        (None, None) => Finding::default(),
    };
    let storage = match (volume.map(|volume| volume.state_after(older)), leader.directory) {
        (Some(VolumeState::Normal), _) => Status::Online,
        (Some(VolumeState::Low), _) => Status::Throttled,
        (Some(VolumeState::Full | VolumeState::HardFull), _) => Status::OutOfSpace,
        (Some(VolumeState::Failed), _) | (None, Some(_)) => Status::Failed,
        (Some(VolumeState::Probing), _) | (None, None) => Status::Unknown,
    };
    let is_whole = assignment.isr.len() >= assignment.replicas.len();
    let replication = if is_whole { Status::Online } else { Status::UnderReplicated };
    let own = report.failed.get(&leader.partition).or(report.outage.as_ref());
    let worst = storage.max(replication).max(if own.is_some() { Status::Failed } else { Status::Online });
    let found = match (worst, own) {
        (Status::Failed, Some(failure)) => {
            Finding { since: Some(failure.since), sentence: Some(failure.reason.to_string()) }
        }
        (Status::Throttled | Status::OutOfSpace | Status::Failed | Status::Unknown, _) => of_volume,
        (Status::Online | Status::UnderReplicated | Status::NoLeader, _) => Finding::default(),
    };
    (worst, found)
}

/// A node reports every data directory that it has.
fn absent(directory: DirectoryId) -> String {
    format!(
        "its data directory {directory} is not among those that the leader has: its disk could not be read when the \
         server was started, or it was not named; repair or name it, and start the server again"
    )
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
mod tests;
