use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::views::ErrorView;

/// A refusal: a status and a sentence.
#[derive(Debug)]
pub(super) struct HttpError {
    status: StatusCode,
    sentence: String,
}

impl HttpError {
    /// What was asked for does not exist.
    pub(super) fn missing(sentence: String) -> Self {
        Self { status: StatusCode::NOT_FOUND, sentence }
    }

    /// The question makes no sense.
    pub(super) fn malformed(sentence: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, sentence }
    }

    /// There is no reason to do what was asked for.
    pub(super) fn needless(sentence: String) -> Self {
        Self { status: StatusCode::CONFLICT, sentence }
    }

    /// It was tried and could not be done.
    pub(super) fn unable(sentence: String) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, sentence }
    }

    /// Making the answer panicked, or the node is stopping.
    pub(super) fn broken() -> Self {
        let sentence = "the answer could not be made; the server's log says why".to_owned();
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, sentence }
    }
}

impl From<QueryRejection> for HttpError {
    fn from(rejection: QueryRejection) -> Self {
        Self::malformed(rejection.body_text())
    }
}

impl From<PathRejection> for HttpError {
    fn from(rejection: PathRejection) -> Self {
        Self::malformed(rejection.body_text())
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        (self.status, Json(ErrorView { error: self.sentence })).into_response()
    }
}

pub(super) async fn no_such_path(uri: Uri) -> HttpError {
    HttpError::missing(format!("there is nothing at {}; /v1/openapi.json lists what there is", uri.path()))
}

pub(super) async fn other_method(method: Method, uri: Uri) -> HttpError {
    let path = uri.path();
    let sentence = if method == Method::GET {
        format!("{path} does something, and is asked for with POST, not {method}")
    } else {
        format!("{path} can only be read (GET), not {method}")
    };
    HttpError { status: StatusCode::METHOD_NOT_ALLOWED, sentence }
}
