use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_client::{Client, NewTopic};
use forebay_wire::kafka::ErrorCode;
use tokio::task::JoinHandle;

/// Makes topics on and on, and notes those that it was told exist. Dropping it ends it.
#[derive(Debug)]
pub struct Churn {
    made: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Churn {
    /// Starts making topics.
    pub fn start(client: Client) -> Self {
        let made = Arc::<Mutex<Vec<String>>>::default();
        Self { task: tokio::spawn(make_topics(client, made.clone())), made }
    }

    /// Topics whose making was acknowledged by now.
    pub fn made(&self) -> Vec<String> {
        self.made.lock().expect("nobody panics here").clone()
    }

    /// Proves that the topics `told` to exist before the server went away are there now that it is back.
    ///
    /// # Panics
    /// If one is not; `when` says in which round.
    pub async fn check(client: &Client, told: &[String], when: &str) {
        let topics = client.refresh(None, false).await.expect("metadata");
        let lost = told.iter().find(|name| !topics.topics.contains_key(name.as_str()));
        assert_eq!(lost, None, "{when}: a topic whose making was acknowledged is gone");
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn make_topics(client: Client, made: Arc<Mutex<Vec<String>>>) {
    for number in 0.. {
        let name = format!("made-{number}");
        let answered = client.create_topic(&NewTopic::named(&name), false).await;
        // A retry after a lost answer meets the topic that the first attempt made.
        let exists =
            answered.as_ref().is_err_and(|error| error.code() == Some(ErrorCode::TopicAlreadyExists));
        if answered.is_ok() || exists {
            made.lock().expect("nobody panics here").push(name);
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}
