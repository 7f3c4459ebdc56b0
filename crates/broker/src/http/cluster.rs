use axum::Json;
use axum::extract::State;

use super::views::ClusterView;
use super::{HttpError, HttpState};

pub(super) async fn show(State(state): State<HttpState>) -> Result<Json<ClusterView>, HttpError> {
    state.answer(|facts, _| ClusterView::of(facts)).await.map(Json)
}
