//! InitProducerId, key 22, versions 0 to 4: an identity for an idempotent or transactional producer (KIP-98).
//!
//! 2 flexible · 3 a producer may ask to keep its id with a new epoch (KIP-360) · 4 error 90.

use crate::Text;

messages! {
    /// Asks for an identity.
    request InitProducerIdRequest: InitProducerId => InitProducerIdResponse {
        /// Set by a transactional producer; null for one that is idempotent only.
        transactional_id: Option<Text> [..];
        /// How long a transaction may stand idle before it is aborted, in milliseconds.
        transaction_timeout_ms: i32 [..];
        /// The id the producer has and wants a new epoch of, or -1.
        producer_id: i64 [3..] or refuse = -1;
        /// The epoch it has, or -1.
        producer_epoch: i16 [3..] or refuse = -1;
    }

    /// Brings an identity.
    response InitProducerIdResponse: InitProducerId {
        /// How long the client is throttled, in milliseconds.
        throttle_time_ms: i32 [..];
        /// What went wrong, or 0.
        error_code: i16 [..];
        /// The producer's id, or -1.
        producer_id: i64 [..] = -1;
        /// The producer's epoch.
        producer_epoch: i16 [..];
    }
}
