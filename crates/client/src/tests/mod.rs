mod fake;

use std::sync::Arc;
use std::time::Duration;

use forebay_link::TcpNet;
use forebay_wire::kafka::ErrorCode;

use self::fake::{Fake, Fault};
use crate::*;

fn quick() -> ClientConfig {
    ClientConfig {
        backoff_min: Duration::from_millis(1),
        request_timeout: Duration::from_secs(1),
        retry_timeout: Duration::from_secs(5),
        ..ClientConfig::default()
    }
}

async fn connect(addr: &str) -> Client {
    Client::connect(Arc::new(TcpNet), &[addr.to_owned()], quick()).await.unwrap()
}

fn batch(number: usize) -> BatchBuilder {
    let value = number.to_string();
    BatchBuilder::new().record(1000 + number as i64, Some(b"key"), Some(value.as_bytes()))
}

async fn values(client: &Client, topic: &str, partition: i32) -> Vec<String> {
    let fetched = client.fetch(topic, partition, 0, &FetchOptions::default()).await.unwrap();
    let text = |record: &Record| String::from_utf8(record.value.as_deref().unwrap().to_vec()).unwrap();
    fetched.records.iter().map(text).collect()
}

/// Sends 30 batches through an idempotent producer while `faults` befall them.
async fn thirty(faults: Vec<Fault>) -> Vec<String> {
    let (fake, addr) = Fake::start(&[("flow", 2)]).await;
    fake.0.lock().unwrap().produce_faults = faults.into();
    let client = connect(&addr).await;
    let producer = Producer::open(&client, "flow", 1, ProducerConfig::default()).await.unwrap();
    let mut acks = Vec::new();
    for number in 0..30 {
        acks.push(producer.send(batch(number)).await.unwrap());
    }
    producer.close().await;
    for (number, ack) in acks.into_iter().enumerate() {
        assert_eq!(ack.wait().await.unwrap(), Produced { base_offset: number as i64, records: 1 });
    }
    values(&client, "flow", 1).await
}

fn all_thirty() -> Vec<String> {
    (0..30).map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn an_idempotent_producer_neither_loses_nor_reorders_nor_duplicates() {
    let not_leader = Fault::Refuse(ErrorCode::NotLeaderOrFollower);
    for faults in [
        vec![],
        vec![not_leader],
        vec![Fault::CloseBefore, Fault::CloseAfter],
        vec![Fault::CloseAfter, not_leader, not_leader, Fault::CloseAfter],
        vec![Fault::Silence],
    ] {
        assert_eq!(thirty(faults.clone()).await, all_thirty(), "{faults:?}");
    }
}

#[tokio::test]
async fn a_refusal_for_good_ends_an_idempotent_producer() {
    let (fake, addr) = Fake::start(&[("flow", 1)]).await;
    let client = connect(&addr).await;
    let producer = Producer::open(&client, "flow", 0, ProducerConfig::default()).await.unwrap();
    fake.0.lock().unwrap().produce_faults.push_back(Fault::Refuse(ErrorCode::MessageTooLarge));
    for _ in 0..2 {
        let error = producer.send(batch(0)).await.unwrap().wait().await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::MessageTooLarge));
    }
    let plain = ProducerConfig { idempotent: false, acks: Acks::Leader, ..ProducerConfig::default() };
    let producer = Producer::open(&client, "flow", 0, plain).await.unwrap();
    fake.0.lock().unwrap().produce_faults.push_back(Fault::Refuse(ErrorCode::MessageTooLarge));
    assert!(producer.send(batch(1)).await.unwrap().wait().await.is_err());
    assert_eq!(producer.send(batch(2)).await.unwrap().wait().await.unwrap().base_offset, 0);
}

#[tokio::test]
async fn without_acks_nothing_is_waited_for() {
    let (fake, addr) = Fake::start(&[("flow", 1)]).await;
    let client = connect(&addr).await;
    let config = ProducerConfig { idempotent: false, acks: Acks::None, ..ProducerConfig::default() };
    let producer = Producer::open(&client, "flow", 0, config).await.unwrap();
    for number in 0..50 {
        assert_eq!(producer.send(batch(number)).await.unwrap().wait().await.unwrap().base_offset, -1);
    }
    producer.close().await;
    // An answered request on the same connection comes after all of them.
    client.refresh(None, false).await.unwrap();
    assert_eq!(fake.0.lock().unwrap().end("flow", 0), 50);
}

#[tokio::test]
async fn single_batches_and_offsets() {
    let (_fake, addr) = Fake::start(&[("flow", 3)]).await;
    let client = connect(&addr).await;
    for number in 0..3 {
        let offset = client.produce("flow", 2, batch(number).build().unwrap(), Acks::All).await.unwrap();
        assert_eq!(offset, number as i64);
    }
    let found = client.list_offsets("flow", &[(2, OffsetAt::Latest), (0, OffsetAt::Earliest)]).await.unwrap();
    assert_eq!(found[&2].offset, 3);
    assert_eq!(found[&0].offset, 0);
    assert_eq!(client.partitions("flow", false).await.unwrap(), [0, 1, 2]);
    let unknown = client.partitions("nowhere", false).await.unwrap_err();
    assert_eq!(unknown.code(), Some(ErrorCode::UnknownTopicOrPartition));
}

#[tokio::test]
async fn a_consumer_goes_on_where_it_was() {
    let (_fake, addr) = Fake::start(&[("flow", 2)]).await;
    let client = connect(&addr).await;
    let mut two = batch(0);
    two.push(5, None, None, &[RecordHeader::new("name", "value"), RecordHeader::new("name", "again")]);
    client.produce("flow", 0, two.build().unwrap(), Acks::All).await.unwrap();
    let mut consumer = Consumer::new(client.clone(), FetchOptions::default());
    consumer.assign("flow", 0, 1);
    consumer.assign("flow", 1, 0);
    let first: Vec<_> = consumer.poll().await.unwrap().into_iter().flat_map(|part| part.records).collect();
    assert_eq!(first.len(), 1, "the record before the offset asked for is not handed out");
    assert_eq!((first[0].offset.0, first[0].headers.len(), &first[0].value), (1, 2, &None));
    assert_eq!(consumer.position("flow", 0), Some(2));
    client.produce("flow", 1, batch(9).build().unwrap(), Acks::All).await.unwrap();
    let second: Vec<_> = consumer.poll().await.unwrap().into_iter().flat_map(|part| part.records).collect();
    assert_eq!(second.len(), 1);
    consumer.assign("flow", 0, 99);
    let error = consumer.poll().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::OffsetOutOfRange));
}

#[tokio::test]
async fn damaged_records_are_not_handed_out() {
    let (fake, addr) = Fake::start(&[("flow", 1)]).await;
    let client = connect(&addr).await;
    client.produce("flow", 0, batch(0).build().unwrap(), Acks::All).await.unwrap();
    fake.0.lock().unwrap().damage = true;
    let error = client.fetch("flow", 0, 0, &FetchOptions::default()).await.unwrap_err();
    assert!(matches!(error, ClientError::Damaged { offset: 0, .. }), "{error}");
}

#[tokio::test]
async fn old_servers_are_asked_in_their_version() {
    let (fake, addr) = Fake::start(&[("flow", 1)]).await;
    fake.0.lock().unwrap().old_api_versions = true;
    assert_eq!(connect(&addr).await.metadata().cluster_id.as_deref(), Some("fake"));
}

#[tokio::test]
async fn calls_of_one_purpose_share_a_connection() {
    let (fake, addr) = Fake::start(&[("flow", 1)]).await;
    let client = connect(&addr).await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.refresh(None, false).await.unwrap().topics.len() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 1);
    }
    assert_eq!(fake.0.lock().unwrap().connections, 1);
}

#[tokio::test]
async fn topics_are_made_and_refused_with_a_sentence() {
    let (_fake, addr) = Fake::start(&[]).await;
    let client = connect(&addr).await;
    let topic = NewTopic { partitions: Some(4), ..NewTopic::named("flow") };
    assert_eq!(client.create_topic(&topic, false).await.unwrap().partitions, 4);
    let error = client.create_topic(&topic, false).await.unwrap_err();
    assert_eq!(error.to_string(), "create topic flow: it is there already (TOPIC_ALREADY_EXISTS)");
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let error = Client::connect(Arc::new(TcpNet), &["127.0.0.1:1".to_owned()], quick()).await.unwrap_err();
    assert!(matches!(&error, ClientError::Unreachable { addr, .. } if addr == "127.0.0.1:1"), "{error}");
}
