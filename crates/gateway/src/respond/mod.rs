//! Rendering: the one place where refusals and the gate's own answers become responses.

mod grpc;
mod json_rpc;
mod overrides;
mod pages;
mod refusal;

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};

pub(crate) use json_rpc::of_call;
pub use overrides::Overrides;
pub(crate) use overrides::of_answer;
pub use pages::ErrorPages;
pub(crate) use refusal::{Blame, Refusal};

use self::pages::Format;
use crate::body::Body;
use crate::exchange::is_grpc;
use crate::settings::Settings;

/// `Content-Type` of JSON answers.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// `Content-Type` of plain answers.
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Renders a refusal by the templates of contract 4.1, or as a rule of contract 4.2 says; `own` are the rules of the API. Clients of
/// gRPC get a status of gRPC.
pub(crate) fn refusal(
    refusal: &Refusal,
    request: &HeaderMap,
    settings: &Settings,
    own: Option<&Overrides>,
) -> Response<Body> {
    let refusal = renamed(refusal, settings);
    let refusal = &*refusal;
    if is_grpc(request) {
        return grpc::refusal(refusal, request);
    }
    let rule = own.and_then(|own| own.of_refusal(refusal));
    let rule = rule.or_else(|| settings.error_overrides.of_refusal(refusal));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    if settings.generator_header {
        headers.insert("x-generator", HeaderValue::from_static("tyk.io"));
    }
    if let Some(seconds) = refusal.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if let Some(challenge) = &refusal.challenge {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::clone(challenge));
    }
    if let Some(rule) = rule {
        rule.apply(&settings.error_pages, request, &refusal.message, &mut response);
    }
    if !rule.is_some_and(overrides::Rule::says) {
        let (kind, text) = match refusal.is_json {
            true => (JSON, refusal.message.to_string()),
            false => {
                let (format, kind) = Format::of(request);
                (kind, settings.error_pages.text(format, response.status(), &refusal.message))
            }
        };
        response.headers_mut().entry(CONTENT_TYPE).or_insert(kind);
        *response.body_mut() = Body::full(text);
    }
    response
}

/// The same refusal with the words that the configuration has for it (`override_messages`).
fn renamed<'r>(refusal: &'r Refusal, settings: &Settings) -> Cow<'r, Refusal> {
    let words = refusal.id.and_then(|id| {
        settings.messages.get(id).or_else(|| match id {
            // Told apart from a key that there is none of only by who asks for it: names of users must not be found out by it.
            "auth.key_is_invalid" => settings.messages.get("auth.key_not_found"),
            _ => None,
        })
    });
    let Some(words) = words else { return Cow::Borrowed(refusal) };
    let mut renamed = refusal.clone();
    if let Some(status) = words.status {
        renamed.status = status;
    }
    if let Some(message) = &words.message {
        (renamed.message, renamed.is_json) = (Cow::Owned(message.to_string()), false);
    }
    Cow::Owned(renamed)
}

/// A plain answer that no template touches, such as the router's `Not Found`.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// A JSON answer with the trailing newline that the original's encoder leaves (contract 7.1).
pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    let mut text = serde_json::to_vec(value).unwrap_or_else(|error| {
        format!("{{\"status\":\"error\",\"message\":{}}}", json_string(&error.to_string())).into_bytes()
    });
    text.push(b'\n');
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
