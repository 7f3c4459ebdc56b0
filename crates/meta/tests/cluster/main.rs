//! The state machine from outside: whatever is decided and replayed agrees with a plain model, survives its bytes,
//! and stays quick with many topics.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use forebay_base::{
    BrokerEpoch, ClusterId, DirectoryId, Id128, LeaderEpoch, NodeId, PartitionId, Reader, TopicId, WallTime,
    Writer,
};
use forebay_meta::*;

mod model;

const NOW: WallTime = WallTime(1_700_000_000_000);

fn apply(image: &mut Image, command: &Command) -> Reply {
    let (records, reply) = image.decide(NOW, command);
    for record in &records {
        image.replay(image.index + 1, record);
    }
    reply
}

fn topic_id(number: u64) -> TopicId {
    let mut bytes = [1; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    TopicId(Id128(bytes))
}

fn directory(node: i32, n: u8) -> DirectoryId {
    DirectoryId(Id128([16 * (node as u8 + 1) + n; 16]))
}

fn register(node: i32) -> Command {
    Command::RegisterBroker {
        node: NodeId(node),
        endpoints: vec![Endpoint { listener: "PLAINTEXT".into(), host: "127.0.0.1".into(), port: 9092 }],
        directories: vec![directory(node, 1), directory(node, 2)],
        rack: (node > 0).then(|| "r1".to_owned()),
    }
}

fn cluster(nodes: i32) -> Image {
    let mut image = Image::default();
    let format = Command::Format { cluster: ClusterId(Id128([9; 16])), feature_level: 1 };
    assert_eq!(apply(&mut image, &format), Reply::Format(Ok(())));
    for node in 0..nodes {
        assert!(matches!(apply(&mut image, &register(node)), Reply::RegisterBroker(Ok(_))));
    }
    image
}

fn new_topic(number: u64, name: &str) -> NewTopic {
    NewTopic {
        id: topic_id(number),
        name: name.to_owned(),
        partitions: -1,
        replication_factor: -1,
        ..NewTopic::default()
    }
}

fn create(topics: Vec<NewTopic>) -> Command {
    Command::CreateTopics {
        topics,
        defaults: TopicDefaults::default(),
        avoid: Default::default(),
        validate_only: false,
    }
}

fn create_one(image: &mut Image, topic: NewTopic) -> Result<CreatedTopic, Refusal> {
    let Reply::CreateTopics(mut replies) = apply(image, &create(vec![topic])) else {
        panic!("another reply")
    };
    replies.remove(0)
}

fn alter(
    image: &mut Image,
    topic: &str,
    name: &str,
    op: ConfigOp,
    value: Option<&str>,
) -> Result<(), Refusal> {
    let edit = ConfigEdit { name: name.into(), op, value: value.map(str::to_owned) };
    let change = ConfigChange { topic: topic.into(), edits: vec![edit] };
    let command = Command::AlterConfigs { topics: vec![change], validate_only: false };
    let Reply::AlterConfigs(mut replies) = apply(image, &command) else { panic!("another reply") };
    replies.remove(0)
}

#[test]
fn nothing_is_decided_before_the_format() {
    let mut image = Image::default();
    assert_eq!(create_one(&mut image, new_topic(1, "a")), Err(Refusal::NotFormatted));
    assert_eq!(apply(&mut image, &register(0)), Reply::RegisterBroker(Err(Refusal::NotFormatted)));
    assert_eq!(image, Image::default());
    let level = |level| Command::Format { cluster: ClusterId(Id128([9; 16])), feature_level: level };
    assert!(matches!(apply(&mut image, &level(99)), Reply::Format(Err(Refusal::UnsupportedFeature { .. }))));
    assert!(matches!(apply(&mut image, &level(0)), Reply::Format(Err(Refusal::UnsupportedFeature { .. }))));
    assert_eq!(apply(&mut image, &level(1)), Reply::Format(Ok(())));
    assert_eq!(apply(&mut image, &level(1)), Reply::Format(Ok(())));
    assert_eq!((image.index, image.feature_level), (1, 1));
    let other = Command::Format { cluster: ClusterId(Id128([8; 16])), feature_level: 1 };
    assert!(matches!(apply(&mut image, &other), Reply::Format(Err(Refusal::InconsistentCluster { .. }))));
}

#[test]
fn a_broker_epoch_is_the_index_of_its_registration() {
    let mut image = cluster(1);
    let first = image.brokers[&NodeId(0)].epoch;
    assert_eq!(first, BrokerEpoch(image.index));
    let Reply::RegisterBroker(Ok(second)) = apply(&mut image, &register(0)) else { panic!() };
    assert_eq!((second, image.index), (BrokerEpoch(first.0 + 1), first.0 + 1));
    let ids = |epoch| Command::AllocateProducerIds { node: NodeId(0), epoch };
    assert!(matches!(
        apply(&mut image, &ids(first)),
        Reply::AllocateProducerIds(Err(Refusal::StaleBrokerEpoch { .. }))
    ));
    let taken = |first| Reply::AllocateProducerIds(Ok(AllocatedIds { first, count: PRODUCER_ID_BLOCK }));
    assert_eq!(apply(&mut image, &ids(second)), taken(0));
    assert_eq!(apply(&mut image, &ids(second)), taken(PRODUCER_ID_BLOCK));
    let stolen = Command::RegisterBroker {
        node: NodeId(5),
        endpoints: vec![],
        directories: vec![directory(0, 1)],
        rack: None,
    };
    assert!(matches!(apply(&mut image, &stolen), Reply::RegisterBroker(Err(Refusal::InvalidRequest(_)))));
}

#[test]
fn every_wrong_topic_gets_its_own_refusal() {
    let mut image = cluster(2);
    assert!(create_one(&mut image, new_topic(1, "taken")).is_ok());
    let before = image.clone();
    let with = |change: fn(&mut NewTopic)| {
        let mut topic = new_topic(2, "fresh");
        change(&mut topic);
        topic
    };
    let mut refused = |topic: NewTopic| create_one(&mut image, topic).unwrap_err();
    assert!(matches!(refused(new_topic(2, "taken")), Refusal::TopicAlreadyExists(_)));
    assert!(matches!(refused(new_topic(2, "a b")), Refusal::InvalidTopic(_)));
    assert!(matches!(refused(new_topic(2, "__consumer_offsets")), Refusal::InvalidTopic(_)));
    assert!(matches!(refused(new_topic(1, "fresh")), Refusal::InvalidRequest(_)));
    assert!(matches!(refused(with(|topic| topic.partitions = 0)), Refusal::InvalidPartitions(_)));
    assert!(matches!(refused(with(|topic| topic.partitions = 1_000_000)), Refusal::InvalidPartitions(_)));
    assert!(matches!(
        refused(with(|topic| topic.replication_factor = 0)),
        Refusal::InvalidReplicationFactor(_)
    ));
    assert!(matches!(
        refused(with(|topic| topic.replication_factor = 3)),
        Refusal::InvalidReplicationFactor(_)
    ));
    assert!(matches!(
        refused(with(|topic| topic.configs = vec![("x".into(), Some("1".into()))])),
        Refusal::InvalidConfig(_)
    ));
    assert!(matches!(
        refused(with(|topic| topic.configs = vec![("x".into(), None)])),
        Refusal::InvalidConfig(_)
    ));
    let assign = |given: &[(i32, &[i32])]| {
        let mut topic = new_topic(2, "fresh");
        topic.assignments =
            given.iter().map(|(n, nodes)| (*n, nodes.iter().copied().map(NodeId).collect())).collect();
        topic
    };
    for wrong in [
        &[(1, &[0][..])][..],
        &[(0, &[])],
        &[(0, &[0, 0])],
        &[(0, &[7])],
        &[(0, &[0]), (1, &[0, 1])],
        &[(0, &[0]), (0, &[1])],
    ] {
        assert!(matches!(refused(assign(wrong)), Refusal::InvalidReplicaAssignment(_)), "{wrong:?}");
    }
    let mut both = assign(&[(0, &[0])]);
    both.partitions = 1;
    assert!(matches!(refused(both), Refusal::InvalidRequest(_)));
    assert_eq!(image, before, "a refusal changes nothing");
    let created = create_one(&mut image, assign(&[(0, &[1, 0]), (1, &[0, 1])])).unwrap();
    assert_eq!((created.partitions, created.replication_factor), (2, 2));
    assert_eq!(image.topic_named("fresh").unwrap().partitions[0].leader, Some(NodeId(1)));
}

#[test]
fn items_of_one_request_are_decided_for_themselves_and_duplicates_are_refused() {
    let mut image = cluster(1);
    let topics = vec![new_topic(1, "a"), new_topic(2, "twice"), new_topic(3, "twice"), new_topic(4, "b/c")];
    let Reply::CreateTopics(replies) = apply(&mut image, &create(topics)) else { panic!() };
    assert!(replies[0].is_ok());
    assert!(matches!(replies[1], Err(Refusal::InvalidRequest(_))));
    assert!(matches!(replies[2], Err(Refusal::InvalidRequest(_))));
    assert!(matches!(replies[3], Err(Refusal::InvalidTopic(_))));
    assert_eq!(image.names.len(), 1);
    let by = |refs: Vec<TopicRef>| Command::DeleteTopics { topics: refs };
    let twice = by(vec![
        TopicRef::Name("a".into()),
        TopicRef::Id(topic_id(1)),
        TopicRef::Name("no".into()),
        TopicRef::Id(topic_id(9)),
    ]);
    let Reply::DeleteTopics(replies) = apply(&mut image, &twice) else { panic!() };
    assert!(matches!(replies[..2], [Err(Refusal::InvalidRequest(_)), Err(Refusal::InvalidRequest(_))]));
    assert!(matches!(replies[2..], [Err(Refusal::UnknownTopic(_)), Err(Refusal::UnknownTopicId(_))]));
    let Reply::DeleteTopics(replies) = apply(&mut image, &by(vec![TopicRef::Id(topic_id(1))])) else {
        panic!()
    };
    assert_eq!(replies, [Ok((topic_id(1), "a".to_owned()))]);
    assert_eq!((image.partition_count, image.topics.len(), image.names.len()), (0, 0, 0));
    assert_eq!(
        image.replicas_in(directory(0, 1)) + image.replicas_in(directory(0, 2)) + image.led_by(NodeId(0)),
        0
    );
}

#[test]
fn validate_only_answers_alike_and_changes_nothing() {
    let mut image = cluster(1);
    let dry = Command::CreateTopics {
        topics: vec![new_topic(1, "a")],
        defaults: TopicDefaults::default(),
        avoid: Default::default(),
        validate_only: true,
    };
    let before = image.clone();
    let answer = apply(&mut image, &dry);
    assert_eq!(image, before);
    assert_eq!(apply(&mut image, &create(vec![new_topic(1, "a")])), answer);
}

#[test]
fn partitions_only_grow() {
    let mut image = cluster(2);
    assert!(create_one(&mut image, new_topic(1, "a")).is_ok());
    let mut grow = |name: &str, count, assignments: Option<Vec<Vec<NodeId>>>| {
        let more = MorePartitions { name: name.into(), count, assignments };
        let command =
            Command::CreatePartitions { topics: vec![more], avoid: Default::default(), validate_only: false };
        let Reply::CreatePartitions(mut replies) = apply(&mut image, &command) else {
            panic!("another reply")
        };
        replies.remove(0)
    };
    assert!(matches!(grow("b", 3, None), Err(Refusal::UnknownTopic(_))));
    assert!(matches!(grow("a", 1, None), Err(Refusal::InvalidPartitions(_))));
    assert!(matches!(grow("a", 0, None), Err(Refusal::InvalidPartitions(_))));
    assert!(matches!(grow("a", i32::MAX, None), Err(Refusal::InvalidPartitions(_))));
    assert!(matches!(grow("a", 3, Some(vec![vec![NodeId(0)]])), Err(Refusal::InvalidReplicaAssignment(_))));
    assert!(matches!(
        grow("a", 2, Some(vec![vec![NodeId(0), NodeId(1)]])),
        Err(Refusal::InvalidReplicaAssignment(_))
    ));
    assert_eq!(grow("a", 4, None), Ok(()));
    assert_eq!(grow("a", 5, Some(vec![vec![NodeId(1)]])), Ok(()));
    assert_eq!(image.topic_named("a").unwrap().partitions.len(), 5);
    assert_eq!(image.led_by(NodeId(0)) + image.led_by(NodeId(1)), 5);
}

#[test]
fn settings_are_edited_like_kafkas() {
    let mut image = cluster(1);
    assert!(create_one(&mut image, new_topic(1, "a")).is_ok());
    let value = |image: &Image, name: &str| image.topic_named("a").unwrap().configs.get(name).cloned();
    assert_eq!(alter(&mut image, "a", "cleanup.policy", ConfigOp::Append, Some("compact")), Ok(()));
    assert_eq!(value(&image, "cleanup.policy").as_deref(), Some("delete,compact"));
    assert_eq!(alter(&mut image, "a", "cleanup.policy", ConfigOp::Subtract, Some("delete")), Ok(()));
    assert_eq!(value(&image, "cleanup.policy").as_deref(), Some("compact"));
    assert!(matches!(
        alter(&mut image, "a", "cleanup.policy", ConfigOp::Subtract, Some("compact")),
        Err(Refusal::InvalidConfig(_))
    ));
    assert!(matches!(
        alter(&mut image, "a", "retention.ms", ConfigOp::Append, Some("1")),
        Err(Refusal::InvalidConfig(_))
    ));
    assert!(matches!(
        alter(&mut image, "a", "retention.ms", ConfigOp::Set, None),
        Err(Refusal::InvalidRequest(_))
    ));
    assert!(matches!(
        alter(&mut image, "b", "retention.ms", ConfigOp::Set, Some("1")),
        Err(Refusal::UnknownTopic(_))
    ));
    assert!(matches!(
        alter(&mut image, "a", "min.compaction.lag.ms", ConfigOp::Set, Some("9223372036854775807")),
        Ok(())
    ));
    assert!(matches!(
        alter(&mut image, "a", "max.compaction.lag.ms", ConfigOp::Set, Some("5")),
        Err(Refusal::InvalidConfig(_))
    ));
    let before = image.index;
    assert_eq!(alter(&mut image, "a", "cleanup.policy", ConfigOp::Set, Some("compact")), Ok(()));
    assert_eq!(image.index, before, "an edit that changes nothing writes nothing");
    assert_eq!(alter(&mut image, "a", "cleanup.policy", ConfigOp::Delete, None), Ok(()));
    assert_eq!(value(&image, "cleanup.policy"), None);
}

#[test]
fn reconcile_says_what_is_missing_and_nothing_twice() {
    let mut image = cluster(1);
    let (me, mine) = (NodeId(0), BTreeSet::from([directory(0, 1), directory(0, 2)]));
    let nothing = BTreeMap::new();
    let mut old = BTreeMap::new();
    let stray = PartitionId { topic: topic_id(99), index: 0 };
    old.insert(stray, Have { directory: directory(0, 1), running: None });
    assert!(reconcile(&Image::default(), &old, me, &mine).is_empty(), "an unformatted Image deletes nothing");
    assert_eq!(
        reconcile(&image, &old, me, &mine),
        [Action::Delete { id: stray, directory: directory(0, 1) }]
    );

    create_one(&mut image, NewTopic { partitions: 3, ..new_topic(1, "a") }).unwrap();
    let actions = reconcile(&image, &nothing, me, &mine);
    assert_eq!(actions.len(), 3);
    let mut have = BTreeMap::new();
    for action in actions {
        let Action::Start { id, directory, leads, configs, .. } = action else { panic!() };
        assert_eq!(leads, Some(LeaderEpoch(0)));
        have.insert(id, Have { directory, running: Some(Leading { epoch: leads, configs }) });
    }
    assert!(reconcile(&image, &have, me, &mine).is_empty());
    alter(&mut image, "a", "retention.ms", ConfigOp::Set, Some("1")).unwrap();
    assert_eq!(reconcile(&image, &have, me, &mine).len(), 3);
    let first = PartitionId { topic: topic_id(1), index: 0 };
    let mut moved = Assignment::clone(image.partition(first).unwrap());
    moved.leader_epoch = LeaderEpoch(4);
    image.replay(image.index + 1, &Record::Partition { id: first, assignment: moved });
    assert!(
        reconcile(&image, &have, me, &mine)
            .contains(&Action::Lead { id: first, epoch: Some(LeaderEpoch(4)) })
    );
    let elsewhere = BTreeSet::new();
    assert!(
        reconcile(&image, &nothing, me, &elsewhere).is_empty(),
        "a directory that is missing is not replaced"
    );
    apply(&mut image, &Command::DeleteTopics { topics: vec![TopicRef::Name("a".into())] });
    assert!(reconcile(&image, &have, me, &mine).iter().all(|action| matches!(action, Action::Delete { .. })));
}

#[test]
fn what_changed_is_all_that_has_to_be_reconciled() {
    let mut before = cluster(1);
    for number in 0..50 {
        create_one(&mut before, new_topic(number, &format!("still-{number}"))).unwrap();
    }
    let mut after = before.clone();
    create_one(&mut after, new_topic(100, "made")).unwrap();
    alter(&mut after, "still-7", "retention.ms", ConfigOp::Set, Some("5")).unwrap();
    apply(&mut after, &Command::DeleteTopics { topics: vec![TopicRef::Name("still-9".to_owned())] });

    let changed = changed_topics(&before, &after);
    assert_eq!(changed, [topic_id(7), topic_id(9), topic_id(100)].into());
    assert!(changed_topics(&after, &after.clone()).is_empty());

    let (me, mine) = (NodeId(0), BTreeSet::from([directory(0, 1), directory(0, 2)]));
    let nothing = BTreeMap::new();
    let of_changed = reconcile_topics(&changed, &after, &nothing, me, &mine);
    let of_all = reconcile(&after, &nothing, me, &mine);
    assert!(of_changed.iter().all(|action| of_all.contains(action)), "a part of the whole");
    assert_eq!(of_all.len() - of_changed.len(), 48, "the other topics are left alone");
}

#[test]
fn twenty_thousand_topics_one_at_a_time_are_quick() {
    let mut image = cluster(3);
    let mut kept = Vec::new();
    let cost = |image: &mut Image, from: u64, kept: &mut Vec<Image>| {
        for number in from..from + 10_000 {
            create_one(
                image,
                NewTopic { replication_factor: 3, ..new_topic(number, &format!("topic-{number}")) },
            )
            .unwrap();
            // Readers hold old Images; sharing must keep that cheap too.
            if number % 1_000 == 0 {
                kept.push(image.clone());
            }
        }
    };
    cost(&mut image, 1, &mut kept);
    cost(&mut image, 20_001, &mut kept);
    assert_eq!((image.topics.len(), image.partition_count, kept.len()), (20_000, 20_000, 20));
    let decoded = Image::decode(image.encode()).unwrap();
    assert_eq!(decoded, image);
    for node in 0..3 {
        assert!(image.led_by(NodeId(node)).abs_diff(6_667) <= 1);
    }
}

#[test]
fn records_of_a_newer_release_are_refused() {
    let decode = |bytes: &[u8]| Record::decode(&mut Reader::new(Bytes::copy_from_slice(bytes)));
    assert_eq!(decode(&[0, 99, 0, 0, 0, 0, 0]), Err(RecordError::UnknownKind(99)));
    assert_eq!(decode(&[0, 7, 1, 0, 0, 0, 0]), Err(RecordError::NewerVersion { kind: 7, version: 1 }));
    assert_eq!(decode(&[0, 7, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Err(RecordError::Malformed(7)));
    assert_eq!(decode(&[0, 7, 0, 0, 0, 0, 9, 0]), Err(RecordError::Short));
    let mut bytes = cluster(1).encode().to_vec();
    bytes[5] = 2;
    assert_eq!(Image::decode(bytes.clone().into()), Err(SnapshotError::Newer(2)));
    bytes[5] = 1;
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(Image::decode(bytes.into()), Err(SnapshotError::Checksum));
}
