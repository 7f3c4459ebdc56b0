use axum::Json;
use axum::extract::State;

use super::HttpState;
use super::views::SessionsResetView;

/// A drill: breaks the sessions of all nodes with the controller, as a network would. They open new ones by themselves;
/// until a node has reported in its own, what it leads is Unknown.
pub(super) async fn reset(State(state): State<HttpState>) -> Json<SessionsResetView> {
    Json(SessionsResetView { reset: (state.reset_sessions)().await })
}
