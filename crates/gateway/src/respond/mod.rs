//! Rendering: the one place where refusals and the gate's own answers become responses.

mod grpc;
mod refusal;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};

pub(crate) use refusal::{Blame, Refusal};

use crate::body::Body;
use crate::exchange::is_grpc;

/// `Content-Type` of JSON answers.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const XML: HeaderValue = HeaderValue::from_static("application/xml");
/// `Content-Type` of plain answers.
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Renders a refusal by the default templates of contract 4.1. The format follows the *request's* content type,
/// as clients of the original expect; clients of gRPC get a status of gRPC.
pub(crate) fn refusal(refusal: &Refusal, request: &HeaderMap, generator: bool) -> Response<Body> {
    if is_grpc(request) {
        return grpc::refusal(refusal, request);
    }
    let (content_type, text) = match (refusal.is_json, xml_type(request)) {
        (true, _) => (JSON, refusal.message.to_string()),
        (false, Some(content_type)) => (
            content_type,
            format!(
                "<?xml version = \"1.0\" encoding = \"UTF-8\"?>\n<error>{}</error>\n",
                escape_xml(&refusal.message)
            ),
        ),
        (false, None) => (JSON, format!("{{\n    \"error\": {}\n}}", json_string(&refusal.message))),
    };
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    if generator {
        headers.insert("x-generator", HeaderValue::from_static("tyk.io"));
    }
    if let Some(seconds) = refusal.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if let Some(challenge) = &refusal.challenge {
        headers.insert(WWW_AUTHENTICATE, challenge.clone());
    }
    response
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

fn xml_type(request: &HeaderMap) -> Option<HeaderValue> {
    let value = request.get(CONTENT_TYPE)?;
    let media = value.to_str().ok()?.split(';').next()?.trim();
    matches!(media, "application/xml" | "text/xml" | "application/soap+xml")
        .then(|| HeaderValue::from_str(media).unwrap_or(XML))
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn escape_xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
