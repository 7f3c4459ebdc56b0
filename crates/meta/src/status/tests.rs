use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_base::{Id128, LeaderEpoch, NodeId, TopicId};

use super::*;
use crate::{Contact, Failure, VolumeReport};

const DIRECTORY: DirectoryId = DirectoryId(Id128([1; 16]));
const PARTITION: PartitionId = PartitionId { topic: TopicId(Id128([2; 16])), index: 3 };

fn assignment(replicas: usize, isr: usize, leader: Option<i32>) -> Assignment {
    let nodes: Vec<_> = (0..replicas as i32).map(NodeId).collect();
    Assignment {
        isr: nodes[..isr].to_vec(),
        directories: vec![DIRECTORY; replicas],
        replicas: nodes,
        leader: leader.map(NodeId),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
    }
}

fn seen(state: VolumeState, failed: bool) -> NodeView {
    let volume = VolumeReport {
        path: "/data".to_owned(),
        state,
        cause: "so it is".to_owned(),
        since: WallTime(5),
        sentence: (state != VolumeState::Normal).then(|| "the disk of /data is what it is".to_owned()),
        age: Duration::ZERO,
        space: None,
        full_bytes: 0,
        resume_bytes: 0,
        reserve_left_bytes: 0,
        full_in: None,
    };
    let failure = Failure { reason: "a sync failed".into(), since: WallTime(7) };
    let failed = failed.then_some((PARTITION, failure)).into_iter().collect();
    let report =
        NodeReport { volumes: BTreeMap::from([(DIRECTORY, volume)]), failed: Arc::new(failed), outage: None };
    NodeView {
        contact: Contact::Reachable,
        last: Some(Arc::new(report)),
        heard_ago: Duration::ZERO,
        heard_at: Some(WallTime(9)),
    }
}

fn shown(assignment: &Assignment, node: &NodeView) -> PartitionStatus {
    derive(assignment, LeaderView { node, directory: Some(DIRECTORY), partition: PARTITION })
}

#[test]
fn the_worst_fact_is_shown() {
    let healthy = assignment(3, 3, Some(0));
    let status = |view| shown(&healthy, &view).status;
    assert_eq!(status(seen(VolumeState::Normal, false)), Status::Online);
    assert_eq!(status(seen(VolumeState::Low, false)), Status::Throttled);
    assert_eq!(status(seen(VolumeState::HardFull, false)), Status::OutOfSpace);
    assert_eq!(status(seen(VolumeState::Full, true)), Status::Failed);
    assert_eq!(status(seen(VolumeState::Probing, false)), Status::Unknown);
    let lagging = assignment(3, 2, Some(0));
    assert_eq!(shown(&lagging, &seen(VolumeState::Normal, false)).status, Status::UnderReplicated);
    assert_eq!(shown(&lagging, &seen(VolumeState::Full, false)).status, Status::OutOfSpace);
    assert_eq!(shown(&assignment(3, 0, None), &seen(VolumeState::Normal, false)).status, Status::NoLeader);
    let elsewhere =
        LeaderView { directory: None, node: &seen(VolumeState::Normal, false), partition: PARTITION };
    assert_eq!(derive(&healthy, elsewhere).status, Status::Unknown);
}

#[test]
fn what_takes_no_records_is_not_online() {
    let mut node = seen(VolumeState::Normal, false);
    let outage = Failure { reason: "the metadata log cannot be written".into(), since: WallTime(8) };
    let report = NodeReport { outage: Some(outage), ..NodeReport::clone(node.last.as_ref().unwrap()) };
    node.last = Some(Arc::new(report));
    let shown = shown(&assignment(1, 1, Some(0)), &node);
    assert_eq!((shown.status, shown.since), (Status::Failed, Some(WallTime(8))));
    assert_eq!(shown.sentence, "the metadata log cannot be written");
}

#[test]
fn a_status_has_the_cause_and_since_when() {
    let healthy = assignment(1, 1, Some(0));
    let full = shown(&healthy, &seen(VolumeState::Full, false));
    assert_eq!((full.since, full.sentence.as_str()), (Some(WallTime(5)), "the disk of /data is what it is"));
    let failed = shown(&healthy, &seen(VolumeState::Full, true));
    assert_eq!((failed.since, failed.sentence.as_str()), (Some(WallTime(7)), "a sync failed"));
    let online = shown(&healthy, &seen(VolumeState::Normal, false));
    assert_eq!((online.since, online.sentence.as_str()), (None, "1 of 1 replicas are in sync"));
}

#[test]
fn silence_never_improves_a_status() {
    let healthy = assignment(1, 1, Some(0));
    for contact in [Contact::Awaited, Contact::Silent, Contact::Broken, Contact::Left] {
        let view = NodeView { contact, heard_ago: Duration::from_secs(60), ..seen(VolumeState::Full, false) };
        let silent = shown(&healthy, &view);
        assert_eq!((silent.status, silent.last), (Status::Unknown, Some(Status::OutOfSpace)));
        assert_eq!(silent.since, Some(WallTime(9)));
        assert_eq!(silent.sentence, format!("node 0 leads; {}", view.sentence()));
        let view =
            NodeView { contact, heard_ago: Duration::from_secs(60), ..seen(VolumeState::Normal, false) };
        assert_eq!(shown(&healthy, &view).last, Some(Status::Online));
    }
    let never = NodeView { contact: Contact::Unheard, last: None, heard_ago: Duration::ZERO, heard_at: None };
    let never = shown(&healthy, &never);
    assert_eq!((never.status, never.last, never.since), (Status::Unknown, None, None));
}

#[test]
fn figures_that_are_old_are_not_believed() {
    let healthy = assignment(1, 1, Some(0));
    let mut view = seen(VolumeState::Normal, false);
    view.heard_ago = Duration::from_secs(10);
    let old = shown(&healthy, &view);
    assert_eq!(old.status, Status::Unknown);
    assert!(old.sentence.contains("does not tell its free space"), "{}", old.sentence);
}

#[test]
fn a_directory_that_its_node_does_not_have_is_failed() {
    let (healthy, view) = (assignment(3, 3, Some(0)), seen(VolumeState::Normal, false));
    let lost = DirectoryId(Id128([9; 16]));
    let leader = |directory| LeaderView { node: &view, directory, partition: PARTITION };
    let status = derive(&healthy, leader(Some(lost)));
    assert_eq!((status.status, status.since), (Status::Failed, None));
    assert!(status.sentence.contains(&format!("{lost} is not among those")), "{}", status.sentence);
    assert_eq!(derive(&healthy, leader(None)).status, Status::Unknown);
}
