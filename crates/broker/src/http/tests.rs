mod openapi;

use std::net::SocketAddr;
use std::sync::Mutex;

use forebay_link::{Net, TcpNet};
use forebay_meta::{VolumeReport, VolumeSpace, VolumeState};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::facts::testing;
use crate::{Config, Env, ListenerConfig, Node};

type Source = Box<dyn Fn() -> Facts + Send>;
type Change = fn(&mut Facts);

/// A door on loopback over made-up facts.
struct Served {
    address: SocketAddr,
    facts: Arc<Mutex<Source>>,
    stop: watch::Sender<bool>,
    door: JoinHandle<()>,
}

fn state(facts: impl Fn() -> Facts + Send + Sync + 'static) -> HttpState {
    let tested = Readmission { tested_bytes: 1 << 20 };
    HttpState {
        gather: Arc::new(facts),
        readmit: Arc::new(move |_| {
            async move { Ok((tested, forebay_log::volume::VolumeState::Normal)) }.boxed()
        }),
        metrics: Arc::new(Metrics::of_no_log()),
        reset_sessions: Arc::new(|| async { 1 }.boxed()),
    }
}

/// Status, head and body of one request.
async fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    ask_with(address, method, path, "Host: forebay\r\n").await
}

/// The same with these lines of headers.
async fn ask_with(address: SocketAddr, method: &str, path: &str, headers: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

impl Served {
    fn start() -> Self {
        let facts: Arc<Mutex<Source>> = Arc::new(Mutex::new(Box::new(testing::facts)));
        let source = facts.clone();
        let state = state(move || (source.lock().unwrap())());
        let listener = TcpNet.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopping) = watch::channel(false);
        Self { address, facts, stop, door: tokio::spawn(serve(listener, state, stopping)) }
    }

    fn set(&self, change: impl Fn(&mut Facts) + Send + 'static) {
        *self.facts.lock().unwrap() = Box::new(move || {
            let mut facts = testing::facts();
            change(&mut facts);
            facts
        });
    }

    async fn ask(&self, method: &str, path: &str) -> (u16, String, String) {
        ask(self.address, method, path).await
    }

    async fn json(&self, path: &str) -> (u16, Value) {
        let (status, head, body) = self.ask("GET", path).await;
        assert!(head.contains("content-type: application/json"), "{head}");
        (status, serde_json::from_str(&body).unwrap())
    }
}

#[tokio::test]
async fn health_and_readiness() {
    let served = Served::start();
    assert_eq!(served.json("/healthz").await.1["alive"], true);
    let (status, ready) = served.json("/readyz").await;
    assert_eq!((status, &ready["ready"], &ready["reason"]), (200, &Value::Bool(true), &Value::Null));
    let refusals: [(Change, &str); 4] = [
        (|facts| facts.quorum.alive = false, "is not running on this node"),
        (|facts| facts.quorum.leader = None, "has no leader"),
        (|facts| facts.image = Arc::default(), "has not been read yet"),
        (|facts| facts.broker_epoch.0 += 1, "node 1 is not registered"),
    ];
    for (change, sentence) in refusals {
        served.set(change);
        let (status, ready) = served.json("/readyz").await;
        assert_eq!(status, 503);
        assert!(ready["reason"].as_str().unwrap().contains(sentence), "{ready}");
        assert_eq!(served.ask("GET", "/healthz").await.0, 200);
    }
}

#[tokio::test]
async fn a_full_or_silent_disk_is_told_with_a_sentence() {
    let served = Served::start();
    served.set(|facts| {
        let space = VolumeSpace { total_bytes: 10, free_bytes: 0, free_files: None };
        let volume = testing::volume(Some(space), VolumeState::Full);
        facts.liveness = testing::heard(testing::with_volume(volume));
    });
    let (status, ready) = served.json("/readyz").await;
    assert_eq!(status, 200);
    assert!(ready["complaints"][0].as_str().unwrap().contains("the disk of /data/1 is full"), "{ready}");
    let volumes = served.json("/v1/volumes").await.1;
    assert_eq!(
        (&volumes["volumes"][0]["state"], &volumes["volumes"][0]["free_files"]),
        (&"Full".into(), &Value::Null)
    );
    assert_eq!(served.json("/v1/topics/orders").await.1["status"], "OutOfSpace");
    let space = VolumeSpace { total_bytes: 10, free_bytes: 5, free_files: Some(8) };
    served.set(move |facts| {
        let volume = testing::volume(Some(space), VolumeState::Normal);
        let volume = VolumeReport { age: Duration::from_secs(70), ..volume };
        facts.liveness = testing::heard(testing::with_volume(volume));
    });
    let volumes = served.json("/v1/volumes").await.1;
    let volume = &volumes["volumes"][0];
    assert_eq!((&volume["state"], &volume["age_ms"]), (&"Probing".into(), &70_000.into()));
    assert!(volume["sentence"].as_str().unwrap().ends_with("was true 70 s ago"), "{volume}");
    assert!(volume["free_bytes"].is_u64(), "{volume}");
}

#[tokio::test]
async fn a_node_whose_session_broke_is_unknown_with_what_was_last() {
    let served = Served::start();
    served.set(|facts| {
        let volume = testing::volume(None, VolumeState::Full);
        facts.liveness = testing::heard_and_broken(testing::with_volume(volume));
        facts.now = forebay_base::Instant(2_000_000_000);
    });
    let partitions = served.json("/v1/topics/orders/partitions").await.1;
    let partition = &partitions["partitions"][0];
    assert_eq!((&partition["status"], &partition["last_status"]), (&"Unknown".into(), &"OutOfSpace".into()));
    assert_eq!(partition["since_ms"], 14_000);
    assert!(partition["sentence"].as_str().unwrap().contains("its session broke"), "{partition}");
    let volumes = served.json("/v1/volumes").await.1;
    let volume = &volumes["volumes"][0];
    assert_eq!((&volume["state"], &volume["last_state"]), (&"Unknown".into(), &"Full".into()));
    assert_eq!((&volume["node"], &volume["age_ms"]), (&1.into(), &2_000.into()));
    let cluster = served.json("/v1/cluster").await.1;
    let broker = &cluster["brokers"][0];
    assert_eq!((&broker["contact"], &broker["heard_ms_ago"]), (&"Broken".into(), &2_000.into()));
    assert_eq!(cluster["partitions_by_status"], serde_json::json!({ "Unknown": 2 }));
    let ready = served.json("/readyz").await.1;
    assert!(ready["complaints"][0].as_str().unwrap().contains("does not hear of this node"), "{ready}");
    let (_, _, page) = served.ask("GET", "/metrics").await;
    assert!(page.contains("\nforebay_partitions{status=\"Unknown\"} 2\n"), "{page}");
    assert!(page.contains("state=\"Unknown\"} 1\n") && page.contains("state=\"Full\"} 0\n"), "{page}");
}

#[tokio::test]
async fn only_a_volume_that_needs_it_is_readmitted() {
    let served = Served::start();
    let (status, _, body) = served.ask("POST", "/v1/volumes/nowhere/readmit").await;
    assert_eq!((status, body.as_str()), (404, r#"{"error":"this server has no volume 'nowhere'"}"#));
    let (status, _, body) = served.ask("POST", "/v1/volumes/%2Fdata%2F1/readmit").await;
    assert!(status == 409 && body.contains("/data/1 is Normal"), "{body}");
    served.set(|facts| facts.liveness = testing::heard(testing::with_failed(1, "a planted fault")));
    assert_eq!(served.json("/v1/volumes").await.1["volumes"][0]["failed_partitions"], 1);
    let (status, _, body) = served.ask("POST", "/v1/volumes/%2Fdata%2F1/readmit").await;
    let readmission: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &readmission["reopened_partitions"], &readmission["tested_bytes"]),
        (200, &1.into(), &(1 << 20).into())
    );
    let (status, _, body) = served.ask("GET", "/v1/volumes/%2Fdata%2F1/readmit").await;
    assert!(status == 405 && body.contains("asked for with POST"), "{body}");
}

#[tokio::test]
async fn a_metadata_log_that_waits_for_its_disk_is_told_and_clients_may_come() {
    let served = Served::start();
    served.set(|facts| facts.quorum.disk_silent_for = Some(Duration::from_millis(900)));
    assert_eq!(served.json("/readyz").await.1["complaints"], Value::Array(Vec::new()));
    served.set(|facts| facts.quorum.disk_silent_for = Some(Duration::from_secs(7)));
    let (status, ready) = served.json("/readyz").await;
    assert_eq!((status, &ready["ready"]), (200, &Value::Bool(true)));
    let complaint = ready["complaints"][0].as_str().unwrap();
    assert!(complaint.starts_with("the disk of the metadata log has not answered for 7 s"), "{complaint}");
}

#[tokio::test]
async fn metrics_are_text_for_prometheus() {
    let (status, head, body) = Served::start().ask("GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("\nkafka_brokers 1\n"));
}

#[tokio::test]
async fn topics_and_partitions_are_shown_with_their_status() {
    let served = Served::start();
    let topic = served.json("/v1/topics/orders").await.1;
    assert_eq!((&topic["partitions"], &topic["status"]), (&2.into(), &"Online".into()));
    assert_eq!((&topic["size_bytes"], &topic["configs"]["retention.ms"]), (&8192.into(), &"1000".into()));
    let list = served.json("/v1/topics/orders/partitions").await.1;
    let log = &list["partitions"][1]["log"];
    assert_eq!((&log["start_offset"], &log["high_watermark"]), (&10.into(), &90.into()));
    served.set(|facts| {
        facts.hosted = Box::new(|id| (id.index == 0).then(testing::partition));
    });
    let list = served.json("/v1/topics/orders/partitions").await.1;
    assert_eq!(
        (&list["partitions"][1]["status"], &list["partitions"][1]["log"]),
        (&"Unknown".into(), &Value::Null)
    );
    let (status, error) = served.json("/v1/topics/none%22").await;
    assert_eq!((status, &error["error"]), (404, &"there is no topic 'none\\\"'".into()));
}

#[tokio::test]
async fn partitions_of_a_data_directory_that_was_left_out_are_shown_as_failed() {
    let served = Served::start();
    served.set(|facts| {
        facts.liveness = testing::heard(forebay_meta::NodeReport::default());
        facts.hosted = Box::new(|_| None);
    });
    let list = served.json("/v1/topics/orders/partitions").await.1;
    let partition = &list["partitions"][0];
    assert_eq!((&partition["status"], &partition["log"]), (&"Failed".into(), &Value::Null));
    assert!(partition["sentence"].as_str().unwrap().contains("is not among those"), "{partition}");
    assert_eq!(served.json("/v1/topics/orders").await.1["status"], "Failed");
    let cluster = served.json("/v1/cluster").await.1;
    assert_eq!(cluster["partitions_by_status"], serde_json::json!({ "Failed": 2 }));
    let (_, _, page) = served.ask("GET", "/metrics").await;
    assert!(page.contains("\nforebay_partitions{status=\"Failed\"} 2\n"), "{page}");
}

#[tokio::test]
async fn connections_come_in_parts_too() {
    let served = Served::start();
    let list = served.json("/v1/connections?limit=2").await.1;
    let first = &list["connections"][0];
    assert_eq!((&first["id"], &first["peer"]), (&1.into(), &"10.0.0.7:40000".into()));
    assert_eq!((&first["client_id"], &first["software_name"]), (&"billing".into(), &Value::Null));
    assert_eq!(list["next"], 2);
    let list = served.json("/v1/connections?after=2").await.1;
    assert_eq!((list["connections"].as_array().unwrap().len(), &list["next"]), (1, &Value::Null));
    assert_eq!(served.json("/v1/connections?limit=0").await.0, 400);
    assert_eq!(served.json("/v1/connections?after=x").await.0, 400);
}

#[tokio::test]
async fn long_lists_come_in_parts() {
    let served = Served::start();
    served.set(|facts| {
        let mut image = testing::image();
        let orders = image.topic_named("orders").unwrap().clone();
        for name in ["a", "b", "z"] {
            let mut topic = (*orders).clone();
            topic.name = name.into();
            topic.id.0.0[0] = name.as_bytes()[0];
            image.names.insert(topic.name.clone(), topic.id);
            image.topics.insert(topic.id, Arc::new(topic));
        }
        facts.image = Arc::new(image);
    });
    let (mut seen, mut path) = (Vec::new(), "/v1/topics?limit=2".to_owned());
    loop {
        let part = served.json(&path).await.1;
        seen.extend(part["topics"].as_array().unwrap().iter().map(|topic| topic["name"].to_string()));
        let Some(next) = part["next"].as_str() else { break };
        path = format!("/v1/topics?limit=2&after={next}");
    }
    assert_eq!(seen, ["\"a\"", "\"b\"", "\"orders\"", "\"z\""]);
    for path in ["/v1/topics?limit=0", "/v1/topics?limit=many", "/v1/topics?limit=10001"] {
        let (status, error) = served.json(path).await;
        assert_eq!(status, 400);
        assert!(error["error"].as_str().unwrap().contains("limit"), "{error}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_refused_with_a_sentence() {
    let served = Served::start();
    let (status, error) = served.json("/v2").await;
    assert_eq!(status, 404);
    assert!(error["error"].as_str().unwrap().contains("/v1/openapi.json"));
    let (status, error) = served.json("/v1/topics/%ff").await;
    assert_eq!(status, 400, "{error}");
    let others = [
        ("GET", "/v1/sessions/reset", "POST", "POST"),
        ("PUT", "/v1/sessions/reset", "POST", "POST"),
        ("DELETE", "/v1/topics/orders", "GET,HEAD", "GET or HEAD"),
    ];
    for (method, path, allowed, named) in others {
        let (status, head, body) = served.ask(method, path).await;
        assert_eq!(body, format!(r#"{{"error":"{path} is asked for with {named}, not {method}"}}"#));
        let allowed = format!("\r\nallow: {}\r\n", allowed.to_lowercase());
        assert!(status == 405 && head.contains(&allowed), "{head}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_gets_nothing_done() {
    let served = Served::start();
    served.set(|facts| {
        let image = Arc::make_mut(&mut facts.image);
        image.brokers.get_mut(&forebay_base::NodeId(1)).unwrap().endpoints[0].host = "a".to_owned();
    });
    let (other_site, other_name) =
        ("a page of another site", "an address, localhost, or a host of advertised.listeners");
    let asks = [
        ("", "Host: anything:80\r\n"),
        ("", "Host: a:9644\r\nOrigin: http://A:9644\r\nSec-Fetch-Site: same-origin\r\n"),
        ("", "Host: a\r\nOrigin: https://a:443\r\nSec-Fetch-Site: none\r\n"),
        ("", "Host: [::1]:9644\r\nOrigin: http://[::1]:9644\r\n"),
        ("", "Host: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n"),
        ("", "Host: LocalHost\r\nSec-Fetch-Site: same-origin\r\n"),
        (other_site, "Host: a\r\nOrigin: http://b\r\n"),
        (other_site, "Host: a:9644\r\nOrigin: http://a\r\n"),
        (other_site, "Host: a:9644\r\nOrigin: http://a:9645\r\n"),
        (other_site, "Host: a\r\nOrigin: null\r\n"),
        (other_site, "Host: null\r\nOrigin: null\r\n"),
        (other_site, "Host: a\r\nOrigin: http://a\r\nOrigin: http://b\r\n"),
        (other_site, "Host: a\r\nSec-Fetch-Site: cross-site\r\n"),
        (other_site, "Host: a\r\nSec-Fetch-Site: same-site\r\n"),
        (other_site, "Host: a\r\nOrigin: http://a\r\nSec-Fetch-Site: cross-site\r\n"),
        // The page's own name, which now leads here.
        (other_name, "Host: evil:9644\r\nOrigin: http://evil:9644\r\nSec-Fetch-Site: same-origin\r\n"),
        (other_name, "Host: 127.0.0.1.evil\r\nOrigin: http://127.0.0.1.evil\r\n"),
        (other_name, "Host: localhost.evil\r\nSec-Fetch-Site: same-origin\r\n"),
    ];
    for (refusal, headers) in asks {
        let (status, _, body) = ask_with(served.address, "POST", "/v1/sessions/reset", headers).await;
        assert_eq!(status, if refusal.is_empty() { 200 } else { 403 }, "{headers}{body}");
        assert!(body.contains(refusal), "{headers}{body}");
        // To look is not to do.
        assert_eq!(ask_with(served.address, "GET", "/healthz", headers).await.0, 200, "{headers}");
    }
}

#[tokio::test]
async fn a_panic_while_answering_is_one_refusal() {
    let served = Served::start();
    served.set(|facts| facts.hosted = Box::new(|_| panic!("planted")));
    assert_eq!(served.json("/v1/topics/orders").await.0, 500);
    assert_eq!(served.json("/v1/connections").await.0, 200);
}

#[tokio::test]
async fn stopping_ends_the_door() {
    let served = Served::start();
    // A connection that asks nothing must not keep the door open.
    let idle = TcpStream::connect(served.address).await.unwrap();
    served.ask("GET", "/healthz").await;
    served.stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(5), served.door).await.unwrap().unwrap();
    drop(idle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_node_tells_of_itself() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        log_dirs: vec![directory.path().to_owned()],
        listeners: vec![ListenerConfig::plaintext("127.0.0.1", 0)],
        http_listen: Some("127.0.0.1:0".parse().unwrap()),
        ..Config::default()
    };
    let node = Node::start(config, Env::real(tokio::runtime::Handle::current())).await.unwrap();
    let address = node.http_address().unwrap();
    // A slow disk may still be looked at.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let volumes = || async {
        let (_, _, body) = ask(address, "GET", "/v1/volumes").await;
        serde_json::from_str::<Value>(&body).unwrap()
    };
    while volumes().await["volumes"][0]["state"] != "Normal" {
        assert!(tokio::time::Instant::now() < deadline, "{}", volumes().await);
    }
    let (status, _, body) = ask(address, "GET", "/readyz").await;
    assert_eq!((status, body.as_str()), (200, r#"{"ready":true,"reason":null,"complaints":[]}"#));
    let (status, _, body) = ask(address, "POST", "/v1/sessions/reset").await;
    assert_eq!((status, body.as_str()), (200, r#"{"reset":1}"#));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !ask(address, "GET", "/v1/cluster").await.2.contains(r#""contact":"Reachable""#) {
        assert!(tokio::time::Instant::now() < deadline, "no new session");
    }
    let (_, _, page) = ask(address, "GET", "/metrics").await;
    for line in
        ["forebay_ready 1", "kafka_brokers 1", "kafka_controller_kafkacontroller_activecontrollercount 1"]
    {
        assert!(page.lines().any(|have| have == line), "{line}\n{page}");
    }
    node.stop(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_is_closed() {
    let listener = TcpNet.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let door = Door::new(listener, Duration::from_millis(200));
    let served = tokio::spawn(axum::serve(door, router(state(testing::facts))).into_future());
    for begun in ["", "GET /healthz HTTP/1.1\r\nHost:"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest));
        // Whether the system says end or reset does not matter.
        drop(closed.await.expect("the connection stayed open"));
    }
    served.abort();
}
