//! A controller as a node uses it: one voter on a real disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod quorum;

use std::sync::Arc;
use std::time::Duration;

use forebay_base::NodeId;
use forebay_controller::{Controller, ControllerConfig, ProposeError};
use forebay_meta::{Command, Image, NewTopic, Refusal, Reply};

use quorum::{config, format, register, topic};

async fn start(config: ControllerConfig) -> Controller {
    quorum::start(config).await.unwrap()
}

async fn formed(config: ControllerConfig) -> Controller {
    let controller = start(config).await;
    format(&controller).await;
    register(&controller).await;
    controller
}

fn create(number: u64, name: String) -> Command {
    let mut id = [1; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    quorum::create(topic(id, name), false)
}

async fn create_one(controller: &Controller, number: u64) -> Result<(), Refusal> {
    let reply = controller.propose(create(number, format!("topic-{number}"))).await.unwrap();
    let Reply::CreateTopics(mut replies) = reply else { panic!("another reply") };
    replies.remove(0).map(|_| ())
}

async fn first_image(controller: &Controller) -> Arc<Image> {
    let mut images = controller.image();
    images.wait_for(|image| image.is_formatted()).await.unwrap().clone()
}

#[tokio::test]
async fn an_image_outlives_its_controller() {
    let dir = tempfile::tempdir().unwrap();
    let controller = formed(config(dir.path())).await;
    for number in 0..20 {
        create_one(&controller, number).await.unwrap();
    }
    assert!(matches!(
        create_one(&controller, 3).await,
        Err(Refusal::TopicAlreadyExists(_) | Refusal::InvalidRequest(_))
    ));
    let before = controller.image().borrow().clone();
    assert_eq!(before.topics.len(), 20);
    let status = controller.status();
    assert!(status.raft_alive && status.caught_up && status.restarts == 0);
    assert_eq!((status.leader, status.image_index), (Some(NodeId(1)), before.index));
    controller.shutdown().await;
    assert_eq!(controller.propose(create(99, "late".into())).await, Err(ProposeError::Stopped));
    assert!(!controller.status().raft_alive);

    let again = start(config(dir.path())).await;
    assert_eq!(first_image(&again).await, before);
    create_one(&again, 100).await.unwrap();
    again.shutdown().await;
}

#[tokio::test]
async fn an_image_that_is_published_is_never_older_than_what_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let controller =
            if round == 0 { formed(config(dir.path())).await } else { start(config(dir.path())).await };
        let image = first_image(&controller).await;
        assert!(image.topics.len() as u64 >= 10 * round, "round {round}: {} topics", image.topics.len());
        for number in 0..10 {
            create_one(&controller, round * 10 + number).await.unwrap();
        }
        if round % 2 == 0 {
            controller.snapshot().await;
        }
        controller.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_raft_task_heals_under_load_and_no_answer_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let controller = formed(config(dir.path())).await;
    let workers: Vec<_> = (0..4u64)
        .map(|worker| {
            let controller = controller.clone();
            tokio::spawn(async move {
                for number in 0..40 {
                    // Each topic is asked for once, so any refusal would be a batch carried out twice.
                    create_one(&controller, worker * 1_000 + number).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    let mut images = controller.image();
    let mut newest = 0;
    for round in 0..4 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        let alive = async {
            while !(controller.status().raft_alive && controller.status().restarts >= round) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), alive)
            .await
            .expect("it is started again after every kill");
        controller.kill_raft();
        let index = images.borrow_and_update().index;
        assert!(index >= newest, "the published Image went back");
        newest = index;
        assert!(images.borrow().is_formatted(), "the last Image stays while the Raft task is down");
    }
    for worker in workers {
        worker.await.unwrap();
    }
    let alive = async {
        while !controller.status().raft_alive {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), alive)
        .await
        .expect("it is started again after the last kill");
    let status = controller.status();
    assert!(status.restarts >= 2, "{status:?}");
    assert_eq!(status.last_failure.as_deref(), Some("the Raft task panicked"));
    assert_eq!(controller.image().borrow().topics.len(), 160);
    controller.shutdown().await;
    let again = start(config(dir.path())).await;
    assert_eq!(first_image(&again).await.topics.len(), 160);
    again.shutdown().await;
}

#[tokio::test]
async fn a_full_log_refuses_with_a_sentence_until_a_snapshot_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let never = ControllerConfig {
        log_bytes: 8 * 4096,
        snapshot_after_bytes: Some(u64::MAX),
        snapshot_after_entries: u64::MAX,
        ..config(dir.path())
    };
    let controller = formed(never.clone()).await;
    let mut made = 0;
    let refused = loop {
        match controller.propose(create(made, format!("topic-{made}"))).await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert!(made > 50, "{made}");
    assert!(refused.to_string().contains("changes wait for the next snapshot"), "{refused}");
    assert!(matches!(refused, ProposeError::Full { percent: 70..=80, .. }), "{refused:?}");
    controller.shutdown().await;

    // A node with a full log starts and registers all the same; the due snapshot makes room by itself.
    let roomy = ControllerConfig { snapshot_after_bytes: None, ..never };
    let controller = formed(roomy).await;
    let mut attempts = 0;
    while let Err(error) = controller.propose(create(made, format!("topic-{made}"))).await {
        assert!(matches!(error, ProposeError::Full { .. }), "{error}");
        attempts += 1;
        assert!(attempts < 1_500, "no snapshot came: {:?}", controller.status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(controller.image().borrow().topics.len() as u64, made + 1);
    assert!(controller.status().snapshot.is_some());
    for number in made + 1..made + 400 {
        while controller.propose(create(number, format!("topic-{number}"))).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    controller.shutdown().await;
    let again = start(config(dir.path())).await;
    assert_eq!(first_image(&again).await.topics.len() as u64, made + 400);
    again.shutdown().await;
}

#[tokio::test]
async fn a_command_too_large_for_an_entry_is_refused_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let controller = formed(ControllerConfig { log_bytes: 8 * 4096, ..config(dir.path()) }).await;
    let wide = NewTopic { partitions: 5_000, ..topic([5; 16], "wide".into()) };
    let wide = quorum::create(wide, false);
    assert!(matches!(controller.propose(wide).await, Err(ProposeError::TooLarge { .. })));
    create_one(&controller, 1).await.unwrap();
    controller.shutdown().await;
}

#[tokio::test]
async fn many_proposals_at_once_share_entries() {
    let dir = tempfile::tempdir().unwrap();
    let controller = formed(config(dir.path())).await;
    let before = controller.status().applied.unwrap();
    let asks: Vec<_> = (0..300)
        .map(|number| {
            let controller = controller.clone();
            tokio::spawn(async move { create_one(&controller, number).await })
        })
        .collect();
    for ask in asks {
        ask.await.unwrap().unwrap();
    }
    let entries = controller.status().applied.unwrap() - before;
    assert!(entries < 30, "{entries} entries for 300 commands");
    controller.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_controller_runs_on_a_paused_clock() {
    let dir = tempfile::tempdir().unwrap();
    let controller = formed(config(dir.path())).await;
    for number in 0..5 {
        create_one(&controller, number).await.unwrap();
    }
    controller.kill_raft();
    create_one(&controller, 5).await.unwrap();
    assert_eq!(controller.image().borrow().topics.len(), 6);
    controller.shutdown().await;
}
