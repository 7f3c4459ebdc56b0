use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use serde::Deserialize;

use super::HttpError;

/// Items in one answer if none are asked for.
pub(super) const LIMIT: usize = 1_000;

/// Most items in one answer.
pub(super) const LIMIT_MAX: usize = 10_000;

/// Which part of a list is wanted.
#[derive(Debug, Deserialize)]
pub(super) struct Part<K> {
    /// Start behind this one.
    after: Option<K>,
    /// At most so many.
    limit: Option<usize>,
}

/// What an asker that names a part of a list gets: behind which item, and how many.
pub(super) fn asked<K>(
    part: Result<Query<Part<K>>, QueryRejection>,
) -> Result<(Option<K>, usize), HttpError> {
    let Query(Part { after, limit }) = part?;
    let limit = limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(HttpError::malformed(format!("limit={limit} must be from 1 to {LIMIT_MAX}")));
    }
    Ok((after, limit))
}
