//! Refusals in the words of gRPC: a client of it reads a status and a message in the fields of an answer without a body
//! ("Trailers-Only" of gRPC over HTTP/2), and takes anything else for a broken server.

use std::fmt::Write as _;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::Refusal;
use crate::body::Body;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

pub(super) fn refusal(refusal: &Refusal, request: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    // The variant that the client speaks: with the name of its encoding, or for browsers.
    headers.insert(CONTENT_TYPE, request.get(CONTENT_TYPE).cloned().unwrap_or(GRPC));
    headers.insert(STATUS, refusal.grpc.unwrap_or_else(|| code(refusal.status)).into());
    if let Ok(message) = HeaderValue::try_from(escaped(&refusal.message)) {
        headers.insert(MESSAGE, message);
    }
    response
}

/// The code that clients themselves make of a status ("HTTP to gRPC Status Code Mapping").
fn code(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// Percent-encoded, as far as it has to be ("Status-Message").
fn escaped(message: &str) -> String {
    let mut escaped = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => escaped.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(escaped, "%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_become_statuses() {
        for (status, message, expected) in [
            (401, "Authorization field missing", ("16", "Authorization field missing")),
            (403, "100 % no\n\u{e9}", ("7", "100 %25 no%0A%C3%A9")),
            (404, "gone", ("12", "gone")),
            (429, "slow down", ("14", "slow down")),
            (504, "late", ("14", "late")),
            (413, "large", ("2", "large")),
        ] {
            let told = Refusal::client(StatusCode::from_u16(status).unwrap(), "X", message.to_owned());
            let mut request = HeaderMap::new();
            request.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"));
            let response = refusal(&told, &request);
            assert_eq!(response.status(), 200);
            let field = |name: &str| response.headers().get(name).unwrap().to_str().unwrap();
            assert_eq!((field("grpc-status"), field("grpc-message")), expected);
            assert_eq!(field("content-type"), "application/grpc+proto");
        }
    }
}
