//! What was acknowledged is there, and what was not is nowhere.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forebay_client::{FetchOptions, NewTopic};
use forebay_sim::disk::{Call, Fault, Planned, Survivors};
use forebay_sim::{SimDisk, World, run};

use super::{TOPIC, append, append_to, batch, client, consume, consume_from, start, start_with, stop};

/// Paths of data, not of metadata.
const DATA: &str = "/partitions/";

fn plan(call: Call, fault: Fault) -> Planned {
    Planned { call, path: DATA.to_owned(), skip: 0, times: 1, fault }
}

/// Everything a consumer sees on a fresh node that finds `disk`.
async fn seen_on(world: &World, disk: &SimDisk) -> Vec<(u8, usize)> {
    let node = start(world, disk, Arc::new(world.net.clone())).await;
    let reader = client(world).await;
    let seen = consume(&reader).await;
    drop(reader);
    stop(node).await;
    seen
}

/// Appends a few records until the power goes at the `cut`th call from then on; true if it went. What was acknowledged
/// must be on a disk that kept nothing it was not told to.
async fn cut_at(world: World, cut: u64) -> bool {
    let node = start(&world, &world.disk, Arc::new(world.net.clone())).await;
    let producer = client(&world).await;
    producer.create_topic(&NewTopic::named(TOPIC), false).await.unwrap();
    let mut acknowledged = Vec::new();
    world.disk.cut_at(world.disk.calls().len() as u64 + cut);
    for fill in 1..=3 {
        if append(&producer, batch(fill, 100)).await.is_some() {
            acknowledged.push((fill, 100));
        }
    }
    let was_cut = world.disk.is_cut();
    world.disk.cut();
    drop(producer);
    let _ = node.stop(Duration::from_secs(5)).await;
    let seen = seen_on(&world, &world.disk.restart_with(Survivors::Nothing)).await;
    assert!(
        seen.starts_with(&acknowledged),
        "cut {cut}: {acknowledged:?} was acknowledged, {seen:?} is there"
    );
    was_cut
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_at_any_call() {
    let cuts = (0..).take_while(|cut| run(21, |world| cut_at(world, *cut))).count();
    assert!(cuts > 5, "only {cuts} cuts");
}

#[test]
fn a_record_whose_sync_failed_is_not_acknowledged_and_then_lost() {
    run(22, |world| async move {
        let node = start(&world, &world.disk, Arc::new(world.net.clone())).await;
        let producer = client(&world).await;
        producer.create_topic(&NewTopic::named(TOPIC), false).await.unwrap();
        let mut acknowledged = Vec::new();
        // Of more than a sector, so that no later write brings a lost one to the device.
        for fill in 1..=3 {
            if fill == 2 {
                world.disk.plan(plan(Call::Sync, Fault::DEVICE));
            }
            if append(&producer, batch(fill, 2_000)).await.is_some() {
                acknowledged.push((fill, 2_000));
            }
        }
        assert_eq!(acknowledged.first(), Some(&(1, 2_000)));
        world.disk.cut();
        drop(producer);
        let _ = node.stop(Duration::from_secs(5)).await;
        let seen = seen_on(&world, &world.disk.restart_with(Survivors::Nothing)).await;
        assert!(seen.starts_with(&acknowledged), "{acknowledged:?} was acknowledged, {seen:?} is there");
    });
}

/// More partitions than can be written at a time with [`FEW_DESCRIPTORS`].
const PARTITIONS: i32 = 12;
const FEW_DESCRIPTORS: usize = 8;

#[test]
fn what_the_device_lost_behind_a_closed_descriptor_is_not_acknowledged() {
    run(23, |world| async move {
        let net = Arc::new(world.net.clone());
        let node = start_with(&world, &world.disk, net, FEW_DESCRIPTORS).await;
        let producer = client(&world).await;
        let topic = NewTopic { partitions: Some(PARTITIONS), ..NewTopic::named(TOPIC) };
        producer.create_topic(&topic, false).await.unwrap();
        // Nobody waits for the device, but the first to be written must give their descriptors up at once.
        let written = append_to(&producer, 0..PARTITIONS, 1, batch(1, 2_000)).await;
        assert_eq!(written.len(), PARTITIONS as usize);
        let segments = world.disk.files().into_iter().map(|(path, _)| path);
        for segment in segments.filter(|path| path.contains(DATA) && path.ends_with(".log")) {
            world.disk.fail_write_back(Path::new(&segment)).unwrap();
        }
        let acknowledged = append_to(&producer, 0..PARTITIONS, -1, batch(2, 2_000)).await;
        let some = 1..PARTITIONS as usize;
        assert!(some.contains(&acknowledged.len()), "those with a descriptor were told: {acknowledged:?}");
        world.disk.cut();
        drop(producer);
        let _ = node.stop(Duration::from_secs(5)).await;

        let disk = world.disk.restart_with(Survivors::Nothing);
        let node = start(&world, &disk, Arc::new(world.net.clone())).await;
        let reader = client(&world).await;
        for partition in 0..PARTITIONS {
            let seen = consume_from(&reader, partition).await;
            if acknowledged.iter().any(|(index, _)| *index == partition) {
                assert_eq!(seen, [(1, 2_000), (2, 2_000)], "partition {partition} acknowledged the second");
            }
        }
        drop(reader);
        stop(node).await;
    });
}

#[test]
fn a_consumer_is_never_told_of_an_offset_that_is_not_there() {
    run(24, |world| async move {
        let node = start(&world, &world.disk, Arc::new(world.net.clone())).await;
        let user = client(&world).await;
        // Its records are old, and retention is eager while space is short.
        let configs = [("flush.mode", "async"), ("retention.ms", "-1")];
        let configs = configs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        user.create_topic(&NewTopic { configs, ..NewTopic::named(TOPIC) }, false).await.unwrap();
        assert_eq!(append(&user, batch(1, 100)).await, Some(0));
        world.disk.plan(plan(Call::Write, Fault::NO_SPACE));
        let refused = append(&user, batch(2, 100)).await;
        let told = user.fetch(TOPIC, 0, 0, &FetchOptions::default()).await.unwrap();
        assert_eq!((refused, told.high_watermark), (None, 1), "the disk was full");
        // The volume counts as full until a test has shown that it is not.
        assert_eq!(append(&user, batch(3, 100)).await, None);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(append(&user, batch(3, 100)).await, Some(1));
        assert_eq!(consume(&user).await, [(1, 100), (3, 100)]);
        drop(user);
        stop(node).await;
    });
}
