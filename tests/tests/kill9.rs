//! kill -9 at random under load: what was acknowledged to an idempotent acks=all producer is there, once, in order.
//!
//! `FOREBAY_KILL_ROUNDS` rounds (default 5; CI runs 30), reproducible with `FOREBAY_KILL_SEED` as far as timing is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use forebay_client::NewTopic;
use forebay_tests::{Churn, Dice, Load, Server, check_numbered};

const TOPIC: &str = "load";
const PARTITIONS: i32 = 4;

/// Kills the server at a random moment of load, and sometimes again while it recovers.
async fn kill_once(server: &mut Server, dice: &mut Dice) {
    tokio::time::sleep(Duration::from_millis(dice.pick(20, 600) as u64)).await;
    server.kill();
    while dice.once_in(4) {
        server.spawn();
        tokio::time::sleep(Duration::from_millis(dice.pick(0, 120) as u64)).await;
        server.kill();
    }
    server.spawn();
    server.wait_ready();
}

#[test]
fn no_acknowledged_record_is_lost_moved_or_doubled() {
    let rounds: usize =
        std::env::var("FOREBAY_KILL_ROUNDS").map_or(5, |text| text.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(rounds));
}

async fn run(rounds: usize) {
    let began = Instant::now();
    let mut dice = Dice::new("FOREBAY_KILL_SEED");
    let mut server = Server::start();
    let client = server.client().await;
    // Small segments, so that rolls, indexes and snapshots of producers are met by kills too.
    let topic = NewTopic {
        partitions: Some(PARTITIONS),
        configs: BTreeMap::from([("segment.bytes".to_owned(), "1048576".to_owned())]),
        ..NewTopic::named(TOPIC)
    };
    client.create_topic(&topic, false).await.expect("a topic");
    let lanes = (0..PARTITIONS).map(|partition| (partition, client.clone())).collect();
    let load = Load::start(TOPIC, lanes, Duration::ZERO, &mut dice);
    let churn = Churn::start(client.clone());
    let mut ids = BTreeSet::new();
    for round in 0..rounds {
        let when = format!("round {round}");
        let (id, _) = client.new_producer().await.expect("a producer id");
        assert!(ids.insert(id), "{when}: producer id {id} was given out before");
        kill_once(&mut server, &mut dice).await;
        let (told, before) = (churn.made(), load.acknowledged());
        load.check_ends(&client, &before, &when).await;
        Churn::check(&client, &told, &when).await;
    }
    drop(churn);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (mut acknowledged, mut found) = (0, 0);
    for (partition, sure) in load.stop().await {
        acknowledged += sure;
        found += check_numbered(&client, TOPIC, partition, sure).await;
    }
    assert_eq!(server.stop().code(), Some(0), "it still stops cleanly");
    println!(
        "kill -9: {rounds} rounds, {acknowledged} records acknowledged, {found} found, \
         0 lost, 0 reordered, 0 duplicated, {} s",
        began.elapsed().as_secs()
    );
}
