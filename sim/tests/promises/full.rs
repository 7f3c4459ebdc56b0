//! A full disk takes nothing but writes, and only for as long as it is full.

use std::sync::Arc;
use std::time::Duration;

use forebay_broker::Node;
use forebay_client::{Client, NewTopic};
use forebay_sim::disk::{Call, Fault, Planned};
use forebay_sim::{World, run};

use super::{TOPIC, append, batch, client, consume, start, stop};

/// Every such call finds no room, until the disk is healed.
fn no_room(world: &World, call: Call, path: &str) {
    let fault = Fault::NO_SPACE;
    world.disk.plan(Planned { call, path: path.to_owned(), skip: 0, times: u64::MAX, fault });
}

/// A node, and a client with a topic of these settings; records stay however old they are.
async fn begin(world: &World, configs: &[(&str, &str)]) -> (Node, Client) {
    let node = start(world, &world.disk, Arc::new(world.net.clone())).await;
    let user = client(world).await;
    let configs = [&[("retention.ms", "-1")], configs].concat();
    let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    user.create_topic(&NewTopic { configs, ..NewTopic::named(TOPIC) }, false).await.unwrap();
    (node, user)
}

/// Tries to append for so long, once a second: whether that was taken.
async fn append_within(user: &Client, fill: u8, tries: u32) -> bool {
    for _ in 0..tries {
        if append(user, batch(fill, 100)).await.is_some() {
            return true;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    false
}

#[test]
fn an_append_that_fails_takes_nothing_from_readers() {
    run(41, |world| async move {
        let (node, user) = begin(&world, &[]).await;
        assert_eq!(append(&user, batch(1, 100)).await, Some(0));
        no_room(&world, Call::Write, "/partitions/");
        assert_eq!(append(&user, batch(2, 100)).await, None);
        // Soon: a log that rests opens its files anew, and a client tries again.
        let soon = Duration::from_secs(1);
        for reader in [user.clone(), client(&world).await] {
            let seen = tokio::time::timeout(soon, consume(&reader)).await;
            assert_eq!(seen.expect("a fetch is answered"), [(1, 100)]);
        }
        world.disk.heal();
        drop(user);
        stop(node).await;
    });
}

#[test]
fn an_index_that_cannot_be_written_fails_no_append() {
    run(42, |world| async move {
        let (node, user) = begin(&world, &[("segment.bytes", "2000")]).await;
        for call in [Call::Open, Call::Write] {
            no_room(&world, call, ".index");
        }
        for fill in 0..8 {
            assert_eq!(append(&user, batch(fill, 900)).await, Some(i64::from(fill)));
        }
        assert_eq!(consume(&user).await, (0..8).map(|fill| (fill, 900)).collect::<Vec<_>>());
        drop(user);
        stop(node).await;
    });
}

#[test]
fn writes_come_back_by_themselves_when_space_is_free() {
    run(43, |world| async move {
        let (node, user) = begin(&world, &[]).await;
        assert!(append_within(&user, 1, 1).await);
        for round in 0..3 {
            no_room(&world, Call::Write, "/partitions/");
            no_room(&world, Call::Allocate, "reserve");
            assert!(!append_within(&user, 2, 20).await, "round {round}: there is no room");
            world.disk.heal();
            assert!(append_within(&user, 1, 10).await, "round {round}: there is room for 10 s");
        }
        assert_eq!(consume(&user).await, [(1, 100); 4]);
        drop(user);
        stop(node).await;
    });
}

/// As over a quota: statvfs shows plenty, and only asking for blocks tells the truth.
#[test]
fn space_that_is_only_said_to_be_free_ends_nothing() {
    run(44, |world| async move {
        let (node, user) = begin(&world, &[]).await;
        assert!(append_within(&user, 1, 1).await);
        no_room(&world, Call::Allocate, "reserve");
        let fault = Fault::NO_SPACE;
        let once = Planned { call: Call::Write, path: "/partitions/".to_owned(), skip: 0, times: 1, fault };
        world.disk.plan(once);
        assert!(!append_within(&user, 2, 30).await, "what must be preallocated cannot be had");
        world.disk.heal();
        assert!(append_within(&user, 1, 10).await);
        assert_eq!(consume(&user).await, [(1, 100); 2]);
        drop(user);
        stop(node).await;
    });
}
