use axum::Json;
use axum::extract::MatchedPath;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::routes::ROUTES;
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

    /// A page of another site asks.
    pub(super) fn foreign() -> Self {
        let sentence = "a page of another site asked for this (Origin, Sec-Fetch-Site): nothing was done";
        Self { status: StatusCode::FORBIDDEN, sentence: sentence.to_owned() }
    }

    /// A page asks by a name that may be anybody's.
    pub(super) fn other_name(host: &str) -> Self {
        let sentence = format!(
            "a web page asked for this by the name {host}, which need not be this server's: nothing was done; use an \
             address, localhost, or a host of advertised.listeners"
        );
        Self { status: StatusCode::FORBIDDEN, sentence }
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

/// The path is asked for with other methods; which, the router says in `Allow`, too (RFC 9110, 15.5.6).
pub(super) async fn other_method(method: Method, matched: MatchedPath, uri: Uri) -> HttpError {
    let routes = ROUTES.iter().filter(|route| route.path == matched.as_str());
    let methods = routes.map(|route| match route.method {
        "get" => "GET or HEAD".to_owned(),
        other => other.to_uppercase(),
    });
    let methods: Vec<String> = methods.collect();
    let sentence = format!("{} is asked for with {}, not {method}", uri.path(), methods.join(" or "));
    HttpError { status: StatusCode::METHOD_NOT_ALLOWED, sentence }
}
