use axum::Json;
use axum::extract::State;

use super::views::VolumeListView;
use super::{HttpError, HttpState};

pub(super) async fn list(State(state): State<HttpState>) -> Result<Json<VolumeListView>, HttpError> {
    state.answer(|facts, _| VolumeListView::of(facts)).await.map(Json)
}
