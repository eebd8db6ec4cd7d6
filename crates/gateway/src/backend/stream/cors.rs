//! Cross-origin rules of `http_server` components (streams contract 2.4, 2.5).

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use streams::Cors;

use crate::body::Body;
use crate::exchange::Exchange;

/// What an answer must say so that the page of another origin may read it; nothing where rules are off or the origin
/// is not among those allowed.
pub(super) fn headers(cors: &Cors, exchange: &Exchange) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(origin) = exchange.head.headers.get(header::ORIGIN)
        && cors.enabled
        && allows(cors, origin)
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    headers
}

/// The method of another request that this one asks about on behalf of a browser, if it does.
pub(super) fn asked_method(exchange: &Exchange) -> Option<Method> {
    let head = &exchange.head;
    if head.method != Method::OPTIONS || !head.headers.contains_key(header::ORIGIN) {
        return None;
    }
    let asked = head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(asked.as_bytes()).ok()
}

/// The answer to such a question.
pub(super) fn preflight(cors: &Cors, exchange: &Exchange) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let mut headers = headers(cors, exchange);
    if !headers.is_empty() {
        for (name, values) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, &cors.allowed_methods),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, &cors.allowed_headers),
        ] {
            if let Ok(value) = HeaderValue::try_from(values.join(", "))
                && !values.is_empty()
            {
                headers.insert(name, value);
            }
        }
    }
    *response.headers_mut() = headers;
    response
}

/// Whether a WebSocket may be opened from the page that asks for it: browsers do not ask before they do.
pub(super) fn may_open_socket(cors: &Cors, exchange: &Exchange, same_origin_only: bool) -> bool {
    let Some(origin) = exchange.head.headers.get(header::ORIGIN) else { return true };
    if cors.enabled {
        return allows(cors, origin);
    }
    let host = exchange.head.headers.get(header::HOST).map(HeaderValue::as_bytes);
    let origin_host =
        origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host.as_bytes());
    !same_origin_only || (origin_host.is_some() && origin_host == host)
}

fn allows(cors: &Cors, origin: &HeaderValue) -> bool {
    cors.allowed_origins.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
}
