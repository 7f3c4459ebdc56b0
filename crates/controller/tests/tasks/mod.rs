//! Workers for tests: tasks that look every millisecond, whatever the bell says, also under a paused clock.

use std::sync::Arc;
use std::time::Duration;

use forebay_base::{Doorbell, Turn, Worker, WorkerHandle, Workers};

#[derive(Debug)]
pub(crate) struct Tasks;

#[derive(Debug)]
struct Unheard;

impl Doorbell for Unheard {
    fn ring(&self) {}
}

impl WorkerHandle for Unheard {
    fn join(self: Box<Self>) -> bool {
        true
    }
}

impl Workers for Tasks {
    fn doorbell(&self) -> Arc<dyn Doorbell> {
        Arc::new(Unheard)
    }

    fn start(&self, _: &str, _: Arc<dyn Doorbell>, mut worker: Box<dyn Worker>) -> Box<dyn WorkerHandle> {
        tokio::spawn(async move {
            loop {
                match worker.turn() {
                    Turn::More => tokio::task::yield_now().await,
                    Turn::Wait(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                    Turn::Done => return,
                }
            }
        });
        Box::new(Unheard)
    }
}
