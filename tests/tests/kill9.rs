//! kill -9 at random under load: what was acknowledged to an idempotent acks=all producer is there, once, in order.
//!
//! `FOREBAY_KILL_ROUNDS` rounds (default 5; CI runs 30), reproducible with `FOREBAY_KILL_SEED` as far as timing is.
#![allow(
    clippy::disallowed_methods,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

use std::time::Duration;

use forebay_tests::{Dice, Ordeal, Server, block_on, number};

const PARTITIONS: usize = 4;

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
    let rounds = number("FOREBAY_KILL_ROUNDS", 5) as usize;
    block_on(async {
        let mut dice = Dice::new("FOREBAY_KILL_SEED");
        let mut server = Server::start();
        let client = server.client().await;
        let ordeal = Ordeal { name: "kill -9".to_owned(), rounds, segment_bytes: 1 << 20 };
        ordeal.run(&mut server, vec![client; PARTITIONS], &mut dice, kill_once).await;
    });
}
