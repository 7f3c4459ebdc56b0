use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::views::{HealthView, ReadyView};
use super::{HttpError, HttpState};

/// The process answers: that is all it says.
pub(super) async fn healthz() -> Json<HealthView> {
    Json(HealthView::alive())
}

/// 200 when clients may come, 503 with a sentence until then.
pub(super) async fn readyz(
    State(state): State<HttpState>,
) -> Result<(StatusCode, Json<ReadyView>), HttpError> {
    let view = state.answer(|facts, _| ReadyView::of(facts)).await?;
    Ok((if view.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(view)))
}

/// The page for Prometheus.
pub(super) async fn metrics(State(state): State<HttpState>) -> Result<impl IntoResponse, HttpError> {
    let page = state.answer(|facts, metrics| metrics.render(facts)).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page))
}
