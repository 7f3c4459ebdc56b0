use axum::Json;
use axum::extract::State;

use super::views::{VolumeListView, VolumeView};
use super::{HttpError, HttpState};

pub(super) async fn list(State(state): State<HttpState>) -> Result<Json<VolumeListView>, HttpError> {
    let list = state.answer(|facts, _| facts.volumes.iter().map(VolumeView::of).collect());
    list.await.map(|volumes| Json(VolumeListView { volumes }))
}
