//! InitProducerId 0-4 for idempotent producers. Transactions are not served yet, and their coordinator is not
//! advertised; a transactional id is refused with an error that no client retries.

use forebay_controller::ProposeError;
use forebay_meta::Command;
use forebay_wire::kafka::ErrorCode;
use forebay_wire::kafka::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::auth::CLUSTER;
use super::call::Call;
use super::codes::of_propose_error;

pub(super) async fn answer(call: &Call, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let refused = |code: ErrorCode| InitProducerIdResponse {
        error_code: code.code(),
        producer_id: forebay_base::ProducerId(-1).0,
        producer_epoch: -1,
        ..Default::default()
    };
    if !call.permits(CLUSTER) {
        return refused(ErrorCode::ClusterAuthorizationFailed);
    }
    match request.transactional_id.as_deref() {
        Some("") => return refused(ErrorCode::InvalidRequest),
        Some(_) => return refused(ErrorCode::UnsupportedVersion),
        None => {}
    }
    let command = Command::AllocateProducerIds { node: call.node.node, epoch: call.node.broker_epoch() };
    match call.node.producer_ids.next(&call.node.controller, command).await {
        Ok(id) => InitProducerIdResponse { producer_id: id.0, producer_epoch: 0, ..Default::default() },
        // Clients look for the coordinator again and retry.
        Err(ProposeError::NotLeader { .. } | ProposeError::Down { .. }) => {
            refused(ErrorCode::CoordinatorNotAvailable)
        }
        Err(error) => refused(of_propose_error(&error).code),
    }
}
