//! Refusals in the words of JSON-RPC, for calls of MCP (contract 4.1): no template and no rule for errors touches them, for
//! a client understands nothing else.

use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response};

use super::{JSON, Refusal, renamed};
use crate::auth::ADDRESS_REFUSED;
use crate::body::Body;
use crate::settings::Settings;

/// Renders the refusal of a call; `id` is the call's, as JSON.
pub(crate) fn of_call(refused: &Refusal, id: &str, settings: &Settings) -> Response<Body> {
    let refused = renamed(refused, settings);
    let flag = if refused.message == ADDRESS_REFUSED { "IPD" } else { refused.flag };
    let status = refused.status.as_u16();
    let text = mcp::refusal(mcp::code(status, flag), &refused.message, id, Some(status));
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = refused.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    if let Some(seconds) = refused.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if let Some(challenge) = &refused.challenge {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::clone(challenge));
    }
    response
}
