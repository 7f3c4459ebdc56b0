use std::collections::BTreeMap;

use forebay_meta::*;
use proptest::prelude::*;

use super::*;

/// What the model remembers of a topic: partitions and settings.
type Model = BTreeMap<String, (usize, BTreeMap<String, String>)>;

#[derive(Debug, Clone)]
enum Step {
    Create(u8, i32),
    Delete(u8),
    Grow(u8, i32),
    Set(u8, u8, Option<u16>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..6u8, -1..4i32).prop_map(|(name, count)| Step::Create(name, count)),
        (0..6u8).prop_map(Step::Delete),
        (0..6u8, 0..6i32).prop_map(|(name, count)| Step::Grow(name, count)),
        (0..6u8, 0..3u8, proptest::option::of(any::<u16>()))
            .prop_map(|(name, key, value)| Step::Set(name, key, value)),
    ];
    proptest::collection::vec(step, 1..60)
}

fn model_step(model: &mut Model, step: &Step) -> bool {
    match step {
        Step::Create(name, count) => {
            let count = if *count == -1 { 1 } else { *count };
            let fresh = count > 0 && !model.contains_key(&format!("t{name}"));
            if fresh {
                model.insert(format!("t{name}"), (count as usize, BTreeMap::new()));
            }
            fresh
        }
        Step::Delete(name) => model.remove(&format!("t{name}")).is_some(),
        Step::Grow(name, count) => match model.get_mut(&format!("t{name}")) {
            Some((partitions, _)) if *count as usize > *partitions => {
                *partitions = *count as usize;
                true
            }
            Some(_) | None => false,
        },
        Step::Set(name, key, value) => match model.get_mut(&format!("t{name}")) {
            Some((_, configs)) => {
                match value {
                    Some(value) => configs.insert(KEYS[*key as usize].to_owned(), value.to_string()),
                    None => configs.remove(KEYS[*key as usize]),
                };
                true
            }
            None => false,
        },
    }
}

const KEYS: [&str; 3] = ["retention.ms", "retention.bytes", "max.message.bytes"];

fn command_of(number: u64, step: &Step) -> Command {
    let named = |name: &u8| format!("t{name}");
    match step {
        Step::Create(name, partitions) => {
            create(vec![NewTopic { partitions: *partitions, ..new_topic(number, &named(name)) }])
        }
        Step::Delete(name) => Command::DeleteTopics { topics: vec![TopicRef::Name(named(name))] },
        Step::Grow(name, count) => Command::CreatePartitions {
            topics: vec![MorePartitions { name: named(name), count: *count, assignments: None }],
            avoid: Default::default(),
            validate_only: false,
        },
        Step::Set(name, key, value) => {
            let op = if value.is_some() { ConfigOp::Set } else { ConfigOp::Delete };
            let value = value.map(|value| value.to_string());
            let edits = vec![ConfigEdit { name: KEYS[*key as usize].into(), op, value }];
            Command::AlterConfigs {
                topics: vec![ConfigChange { topic: named(name), edits }],
                validate_only: false,
            }
        }
    }
}

fn accepted(reply: &Reply) -> bool {
    match reply {
        Reply::Format(reply) => reply.is_ok(),
        Reply::RegisterBroker(reply) => reply.is_ok(),
        Reply::AllocateProducerIds(reply) => reply.is_ok(),
        Reply::CreateTopics(replies) => replies.iter().all(Result::is_ok),
        Reply::DeleteTopics(replies) => replies.iter().all(Result::is_ok),
        Reply::CreatePartitions(replies) | Reply::AlterConfigs(replies) => replies.iter().all(Result::is_ok),
    }
}

proptest! {
    #[test]
    fn decide_and_replay_agree_with_a_model(steps in steps()) {
        let (mut image, mut model) = (cluster(2), Model::new());
        let mut replica = image.clone();
        for (number, step) in (1..).zip(&steps) {
            let (records, reply) = image.decide(NOW, &command_of(number, step));
            prop_assert_eq!(accepted(&reply), model_step(&mut model, step));
            let carried = Record::decode_all(Record::encode_all(&records)).unwrap();
            prop_assert_eq!(&carried, &records);
            let first = image.index + 1;
            (first..).zip(&records).for_each(|(index, record)| image.replay(index, record));
            // Another node replays the bytes, and seeing some of them twice changes nothing.
            for _ in 0..2 {
                (first..).zip(&carried).for_each(|(index, record)| replica.replay(index, record));
            }
        }
        let seen: Model = image.topics.values()
            .map(|topic| (topic.name.to_string(), (topic.partitions.len(), BTreeMap::clone(&topic.configs))))
            .collect();
        prop_assert_eq!(&seen, &model);
        prop_assert_eq!(image.names.len(), model.len());
        prop_assert_eq!(image.partition_count as usize, model.values().map(|(count, _)| count).sum::<usize>());
        prop_assert_eq!(&Image::decode(image.encode()).unwrap(), &image);
        prop_assert_eq!(&replica, &image);
    }

    #[test]
    fn no_bytes_make_the_decoders_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0..9u8) {
        let _ = Image::decode(bytes.clone().into());
        let mut framed = vec![0, kind, 0];
        framed.extend((bytes.len() as u32).to_be_bytes());
        framed.extend(&bytes);
        if let Ok(record) = Record::decode(&mut Reader::new(framed.into())) {
            let mut out = Writer::new();
            record.encode(&mut out);
            prop_assert_eq!(Record::decode(&mut Reader::new(out.into_bytes())).unwrap(), record);
        }
    }
}
