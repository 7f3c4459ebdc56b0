use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};

use super::part::{self, Part};
use super::views::ConnectionListView;
use super::{HttpError, HttpState};
use crate::facts::ConnectionsAfter;

pub(super) async fn list(
    State(state): State<HttpState>,
    part: Result<Query<Part<u64>>, QueryRejection>,
) -> Result<Json<ConnectionListView>, HttpError> {
    let (after, limit) = part::asked(part)?;
    let after = ConnectionsAfter { id: after.unwrap_or(0), limit };
    state.answer(move |facts, _| ConnectionListView::of((facts.connections)(after))).await.map(Json)
}
