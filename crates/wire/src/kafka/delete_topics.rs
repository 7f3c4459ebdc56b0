//! DeleteTopics, key 20, versions 1 to 6.
//!
//! 4 flexible · 5 error messages, error 89 · 6 topics by name or by id (KIP-516).

use forebay_base::Id128;

use crate::Text;

messages! {
    /// Asks to delete topics.
    request DeleteTopicsRequest: DeleteTopics => DeleteTopicsResponse {
        /// The topics, by name or id.
        topics: Vec<DeleteTopicState> [6..] or refuse;
        /// The topics, by name.
        topic_names: Vec<Text> [..=5] or refuse;
        /// How long to wait, in milliseconds.
        timeout_ms: i32 [..];
    }

    /// A topic to delete.
    part DeleteTopicState {
        /// Its name, or null if `topic_id` says which.
        name: Option<Text> [6..];
        /// Its id, or zero if `name` says which.
        topic_id: Id128 [6..];
    }

    /// Says which topics were deleted.
    response DeleteTopicsResponse: DeleteTopics {
        /// How long the client is throttled, in milliseconds.
        throttle_time_ms: i32 [..];
        /// The answers, by topic.
        responses: Vec<DeletableTopicResult> [..];
    }

    /// The answer for one topic.
    part DeletableTopicResult {
        /// Its name; null if it was given by an id that is not known.
        name: Option<Text> [..] null [6..] = Some(Text::default());
        /// Its id.
        topic_id: Id128 [6..];
        /// What went wrong, or 0.
        error_code: i16 [..];
        /// Why.
        error_message: Option<Text> [5..];
    }
}
