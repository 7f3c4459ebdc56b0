//! The HTTP door: health, metrics, `/v1`, and drills. Loopback by default; the one thing it does to data directories is to
//! readmit one, which needs no metadata log.
//!
//! ```text
//!   Door (bounded connections, patience) ── origin (no page of another site) ── routes ── handler(&Facts) ── JSON
//!                                                                                 └ openapi: the same table, told to programs
//! ```
//! A handler is a function of the [`Facts`] of the moment; errors are `{"error": "a sentence"}`.

mod cluster;
mod connections;
mod door;
mod error;
mod gather;
mod health;
mod openapi;
mod origin;
mod part;
mod routes;
mod sessions;
mod topics;
mod views;
mod volumes;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::{Router, middleware};
use forebay_base::DirectoryId;
use forebay_link::Listener;
use forebay_log::volume::VolumeState;
use forebay_replica::Readmission;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::facts::Facts;
use crate::metrics::Metrics;
use crate::shared::Shared;
use door::Door;
use error::HttpError;

/// A connection on which nothing moves for this long is closed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What handlers may use.
#[derive(Clone)]
pub(crate) struct HttpState {
    gather: Arc<dyn Fn() -> Facts + Send + Sync>,
    readmit: Arc<dyn Fn(DirectoryId) -> Readmitting + Send + Sync>,
    metrics: Arc<Metrics>,
    /// Breaks the sessions of all nodes with the controller; how many there were.
    reset_sessions: Arc<dyn Fn() -> BoxFuture<'static, usize> + Send + Sync>,
}

/// A volume on its way back, with its state then: see `Condition::readmit`.
type Readmitting = BoxFuture<'static, Result<(Readmission, VolumeState), String>>;

impl fmt::Debug for HttpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpState").finish_non_exhaustive()
    }
}

impl HttpState {
    /// The state for a node.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (metrics, controller) = (shared.metrics.clone(), shared.controller.clone());
        let reset_sessions = move || {
            let controller = controller.clone();
            async move { controller.reset_sessions().await }.boxed()
        };
        let volumes = shared.volumes.clone();
        let readmit = move |directory: DirectoryId| -> Readmitting {
            let condition = volumes.get(&directory).cloned();
            async move {
                let condition = condition.ok_or("this node has no such volume")?;
                let readmission = condition.readmit().await?;
                Ok((readmission, condition.report().state))
            }
            .boxed()
        };
        Self {
            gather: Arc::new(move || gather::facts(shared.clone())),
            readmit: Arc::new(readmit),
            metrics,
            reset_sessions: Arc::new(reset_sessions),
        }
    }

    /// Makes an answer from the facts of this moment. On a thread of its own: the page of a large cluster
    /// takes a while to write, and the thread that serves HTTP also carries the metadata quorum.
    async fn answer<T: Send + 'static>(
        &self,
        make: impl FnOnce(&Facts, &Metrics) -> T + Send + 'static,
    ) -> Result<T, HttpError> {
        let (facts, metrics) = ((self.gather)(), self.metrics.clone());
        spawn_blocking(move || make(&facts, &metrics)).await.map_err(|_| HttpError::broken())
    }
}

/// Serves HTTP on `listener` until `stopping` turns true; requests begun are answered.
pub(crate) async fn serve(
    listener: Box<dyn Listener>,
    state: HttpState,
    mut stopping: watch::Receiver<bool>,
) {
    // A sender that is gone means the node is gone: that ends the door too.
    let stopped = async move { drop(stopping.wait_for(|stopping| *stopping).await) };
    let door = Door::new(listener, PATIENCE);
    if let Err(error) = axum::serve(door, router(state)).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "the HTTP door has failed");
    }
}

fn router(state: HttpState) -> Router {
    let routes = routes::ROUTES
        .iter()
        .fold(Router::new(), |router, route| router.route(route.path, (route.handler)()));
    routes
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::other_method)
        .layer(middleware::from_fn_with_state(state.clone(), origin::guard))
        .with_state(state)
}
