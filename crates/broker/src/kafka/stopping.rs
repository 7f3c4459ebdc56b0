use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// News that the node stops, for a task that polls much else: looking costs one load unless there is news.
pub(super) struct Stopping {
    news: watch::Receiver<bool>,
    /// Wakes the task; `None` once it has been told.
    told: Option<BoxFuture<'static, ()>>,
    asked: bool,
}

impl Stopping {
    /// Tells once when `stopping` turns true. A dropped sender means that the node is gone, which is a stop too.
    pub(super) fn new(stopping: watch::Receiver<bool>) -> Self {
        let mut waited = stopping.clone();
        let told = async move {
            let _ = waited.wait_for(|stopping| *stopping).await;
        };
        Self { news: stopping, told: Some(Box::pin(told)), asked: false }
    }

    /// Ready once, when the node stops. Must always be polled by the same task.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(told) = &mut self.told else { return Poll::Pending };
        if self.asked && matches!(self.news.has_changed(), Ok(false)) {
            return Poll::Pending;
        }
        self.asked = true;
        self.news.mark_unchanged();
        let stopped = told.as_mut().poll(cx);
        if stopped.is_ready() {
            self.told = None;
        }
        stopped
    }
}
