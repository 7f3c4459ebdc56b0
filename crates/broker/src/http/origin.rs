use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::uri::{Authority, Uri};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{HttpError, HttpState};
use crate::facts::Facts;

/// What a browser says of the page that asks (W3C Fetch Metadata); no page can change it.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Lets a request on, unless it would do something and a page of another site has asked for it.
///
/// This door asks nobody who they are, so that a page in an operator's browser could use it in their name. Programs send
/// none of the headers that tell a page, and are not concerned. A page that has them right must also have asked by a name
/// that is ours: any other may be the page's own, which now leads here (DNS rebinding), and then its browser takes us for
/// the site that the page is of.
pub(super) async fn guard(State(state): State<HttpState>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if request.method().is_safe() || !is_of_page(headers) {
        return next.run(request).await;
    }
    let host = headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    match host {
        Some(host) if !is_foreign(headers, &host) => {
            if is_own(host.host(), &(state.gather)()) {
                next.run(request).await
            } else {
                HttpError::other_name(host.host()).into_response()
            }
        }
        Some(_) | None => HttpError::foreign().into_response(),
    }
}

/// True if a page asks.
fn is_of_page(headers: &HeaderMap) -> bool {
    headers.contains_key(SEC_FETCH_SITE) || headers.contains_key(header::ORIGIN)
}

/// True if the page that asks is of another site than `host`.
fn is_foreign(headers: &HeaderMap, host: &Authority) -> bool {
    let own = [&b"same-origin"[..], b"none"];
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    let mut origins = headers.get_all(header::ORIGIN).iter();
    sites.any(|site| !own.contains(&site.as_bytes()))
        || origins.any(|origin| !Uri::try_from(origin.as_bytes()).is_ok_and(|origin| is_at(&origin, host)))
}

/// True if nobody else can have a page under this name: an address, `localhost`, or what the node is registered under.
fn is_own(host: &str, facts: &Facts) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let mut endpoints = facts.image.brokers.get(&facts.node).into_iter().flat_map(|broker| &broker.endpoints);
    address.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || endpoints.any(|endpoint| endpoint.host.eq_ignore_ascii_case(host))
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
