use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use forebay_client::{Client, NewTopic};

use crate::{Churn, Dice, Load, Server, check_numbered};

const TOPIC: &str = "load";

/// A server that goes away under load, again and again, in some way: what was acknowledged to idempotent acks=all producers
/// is there afterwards, once, in order, and so is every topic that was made.
#[derive(Debug)]
pub struct Ordeal {
    /// What is done to it, for messages.
    pub name: String,
    /// How often.
    pub rounds: usize,
    /// Small, so that rolls, indexes and snapshots of producers are met too.
    pub segment_bytes: u64,
}

impl Ordeal {
    /// Loads a partition by each of `clients`, the first of which also asks for everything else. `take_away` ends the server
    /// at a moment of its choice and starts it again.
    ///
    /// # Panics
    /// If anything is lost, moved or doubled, or the server does not stop cleanly in the end.
    pub async fn run(
        &self,
        server: &mut Server,
        clients: Vec<Client>,
        dice: &mut Dice,
        mut take_away: impl AsyncFnMut(&mut Server, &mut Dice),
    ) {
        let (began, client) = (Instant::now(), clients[0].clone());
        let topic = NewTopic {
            partitions: Some(clients.len() as i32),
            configs: BTreeMap::from([("segment.bytes".to_owned(), self.segment_bytes.to_string())]),
            ..NewTopic::named(TOPIC)
        };
        client.create_topic(&topic, false).await.expect("a topic");
        let load = Load::start(TOPIC, (0..).zip(clients).collect(), Duration::ZERO, dice);
        let churn = Churn::start(client.clone());
        let mut ids = BTreeSet::new();
        for round in 0..self.rounds {
            let when = format!("{}, round {round}", self.name);
            let (id, _) = client.new_producer().await.expect("a producer id");
            assert!(ids.insert(id), "{when}: producer id {id} was given out before");
            take_away(server, dice).await;
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
            "{}: {} rounds, {acknowledged} records acknowledged, {found} found, 0 lost, 0 reordered, 0 duplicated, {} s",
            self.name,
            self.rounds,
            began.elapsed().as_secs()
        );
    }
}
