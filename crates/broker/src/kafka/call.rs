use std::sync::Arc;
use std::time::Duration;

use forebay_meta::{Command, Reply, Topic};
use forebay_wire::kafka::{ApiKey, ErrorCode};

use super::auth::{self, Right};
use super::codes::{Failure, of_propose_error};
use super::session::Session;
use crate::partitions::Hosted;
use crate::shared::{Shared, Unavailable};

/// One request, as far as every handler needs it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) node: Arc<Shared>,
    pub(crate) session: Arc<Session>,
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) right: &'static Right,
    pub(crate) began: tokio::time::Instant,
}

/// Who asks, and through which API and version of it: what a handler that waits for nothing needs of a [`Call`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) node: &'a Shared,
    pub(crate) session: &'a Session,
    pub(crate) version: i16,
    pub(crate) right: &'static Right,
    pub(crate) began: tokio::time::Instant,
}

impl Caller<'_> {
    /// May the caller do this to the resource of that name?
    pub(crate) fn permits(self, name: &str) -> bool {
        auth::allows(&self.session.principal, self.right, name)
    }
}

/// What a client is told of a throttle: whole milliseconds, rounded up.
pub(crate) fn throttle_time_ms(throttle: Duration) -> i32 {
    i32::try_from(throttle.as_micros().div_ceil(1_000)).unwrap_or(i32::MAX)
}

/// How long a request waits for partitions that the Image gives to this node and the reconciler is still opening.
const OPENING_PATIENCE: Duration = Duration::from_secs(5);

impl Call {
    /// Who asks.
    pub(crate) fn caller(&self) -> Caller<'_> {
        let Self { node, session, version, right, began, .. } = self;
        Caller { node, session, version: *version, right, began: *began }
    }

    /// A topic's partition that this node leads, opened; all partitions of a request share its patience.
    pub(crate) async fn led(&self, topic: &Topic, index: i32) -> Result<Hosted, Unavailable> {
        self.node.led(topic, index, self.began + OPENING_PATIENCE).await
    }

    /// Has the metadata quorum decide, within the request's own timeout in ms; 0 or less leaves it to the quorum how
    /// long that may take.
    pub(crate) async fn propose(&self, command: Command, timeout_ms: i32) -> Result<Reply, Failure> {
        let own = u64::try_from(timeout_ms).ok().filter(|own| *own > 0).map(Duration::from_millis);
        let limit = own.unwrap_or(Duration::MAX);
        self.node.controller.propose_within(command, limit).await.map_err(|error| of_propose_error(&error))
    }

    /// The refusal of a topic that the caller may not do this to.
    pub(crate) fn denied(&self, topic: &str) -> Option<Failure> {
        (!self.permits(topic)).then(|| ErrorCode::TopicAuthorizationFailed.into())
    }

    /// May the caller do this to the resource of that name?
    pub(crate) fn permits(&self, name: &str) -> bool {
        self.caller().permits(name)
    }
}
