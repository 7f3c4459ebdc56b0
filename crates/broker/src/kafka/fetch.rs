//! Fetch 4-16. Answers are header bytes and slices of segments (room log); nothing passes through the partition's
//! owner.
//!
//! ```text
//!   request ──> sessions (which partitions: slots, session) ──> look, and wait ──> assemble ──> answer
//! ```
//!
//! Limits are soft (KIP-74): the first batch of the first partition that has one is always sent whole. A request
//! that finds less than `min_bytes` waits, as a waiter in the partitions' lists and not as a task of its own, until
//! enough is visible or `max_wait_ms` is over.
//!
//! A client that opened a session (KIP-227) says what changed and is told what changed. There is one path for all: a
//! request without a session has one that ends with its answer.

mod assemble;
mod look;
mod session;
mod sessions;
mod slots;

use std::time::Duration;

use forebay_wire::kafka::fetch::{FetchRequest, FetchResponse};

use super::call::Call;
use look::Wanted;
use sessions::Turn;
pub(crate) use sessions::{FetchSessionCounts, FetchSessions};

const TOPIC_IDS_FROM_VERSION: i16 = 13;
const READ_COMMITTED: i8 = 1;

/// The answer to a fetch, and how it went.
pub(super) struct Answered {
    pub(super) response: FetchResponse,
    /// How long it waited for its client's `max_wait_ms` and `min_bytes`.
    pub(super) parked: Duration,
    /// For how long its connection is not to be heard afterwards.
    pub(super) throttle: Duration,
}

pub(super) async fn answer(call: &Call, request: FetchRequest) -> Answered {
    let turn = match Turn::begin(call, &request) {
        Ok(turn) => turn,
        Err(error) => {
            call.node.metrics.failed(call.api, error);
            let response = FetchResponse { error_code: error.code(), ..Default::default() };
            return Answered { response, parked: Duration::ZERO, throttle: Duration::ZERO };
        }
    };
    // A client that waits longer than a connection may be idle could not be told from one that is gone.
    let wait_ms = bound(request.max_wait_ms).min(call.node.config.connections_max_idle_ms);
    let wanted = Wanted {
        bytes_max: bound(request.max_bytes).min(call.node.config.fetch_max_bytes as u64),
        bytes_min: bound(request.min_bytes),
        committed: request.isolation_level == READ_COMMITTED,
        deadline: tokio::time::Instant::now() + Duration::from_millis(wait_ms),
    };
    let targets = look::resolve(call, turn.session.partitions()).await;
    let (found, parked) = look::wait_for(call, turn.session.partitions(), &targets, &wanted).await;
    let (response, throttle) = assemble::assemble(call, turn, &targets, found, wanted.committed).await;
    Answered { response, parked, throttle }
}

fn bound(number: i32) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
