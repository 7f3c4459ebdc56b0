use axum::extract::Request;
use axum::http::uri::{Authority, Uri};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::HttpError;

/// What a browser says of the page that asks (W3C Fetch Metadata); no page can change it.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Lets a request on, unless it would do something and a page of another site has asked for it.
///
/// This door asks nobody who they are, so that a page in an operator's browser could use it in their name. Programs send
/// none of the headers that tell a page, and are not concerned.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    if !request.method().is_safe() && is_foreign(request.headers()) {
        return HttpError::foreign().into_response();
    }
    next.run(request).await
}

/// True if a page of another site than this door asks.
fn is_foreign(headers: &HeaderMap) -> bool {
    let own = [&b"same-origin"[..], b"none"];
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let host = headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    sites.any(|site| !own.contains(&site.as_bytes()))
        || origins.any(|origin| match (Uri::try_from(origin.as_bytes()), &host) {
            (Ok(origin), Some(host)) => !is_at(&origin, host),
            (Ok(_) | Err(_), _) => true,
        })
}

/// True if the host and port of an origin are those of the `Host` that was asked; without a port, that of the scheme is
/// meant (RFC 6454, 4). The scheme itself may differ, for a proxy may take off the TLS.
fn is_at(origin: &Uri, host: &Authority) -> bool {
    let default = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        Some(_) | None => return false,
    };
    let is_host = origin.host().is_some_and(|name| name.eq_ignore_ascii_case(host.host()));
    is_host && origin.port_u16().unwrap_or(default) == host.port_u16().unwrap_or(default)
}
