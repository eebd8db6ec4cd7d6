//! The shapes of admin answers (contract 7.1).

use document::{Fault, Place};
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::body::Body;
use crate::reload::Report;
use crate::respond;

#[derive(Serialize)]
struct Plain<'a> {
    status: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct Faulty<'a> {
    status: &'a str,
    message: &'a str,
    /// Beyond the original: every fault with its place.
    errors: &'a [Fault],
}

#[derive(Serialize)]
struct Modified<'a> {
    key: &'a str,
    status: &'a str,
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_hash: Option<&'a str>,
    /// Beyond the original: what it does to others.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Reloaded<'a> {
    status: &'a str,
    message: &'a str,
    /// Beyond the original: the number of the configuration that runs now.
    generation: u64,
    changed: usize,
    removed: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<FileFaults<'a>>,
}

#[derive(Serialize)]
struct FileFaults<'a> {
    file: String,
    faults: &'a [Fault],
}

/// JSON as the original's encoder writes it: safe inside HTML, and with a newline at its end (contract 7.1).
pub(super) fn json(status: StatusCode, value: &(impl Serialize + ?Sized)) -> Response<Body> {
    written(status, value, b"\n")
}

/// The same without the newline, as OAS documents are sent.
pub(super) fn marshalled(value: &(impl Serialize + ?Sized)) -> Response<Body> {
    written(StatusCode::OK, value, b"")
}

fn written(status: StatusCode, value: &(impl Serialize + ?Sized), end: &[u8]) -> Response<Body> {
    let Ok(text) = serde_json::to_vec(value) else {
        // Nothing here has keys that are no strings, so this does not happen.
        return respond::text(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written as JSON");
    };
    let mut text = escape_html(text);
    text.extend_from_slice(end);
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, respond::JSON);
    response
}

/// Writes `<`, `>`, `&` and the line ends of JavaScript as escapes. All of them stand inside strings only.
pub(super) fn escape_html(json: Vec<u8>) -> Vec<u8> {
    let special = |at: usize| match json[at..] {
        [b'<', ..] => Some((1, "\\u003c")),
        [b'>', ..] => Some((1, "\\u003e")),
        [b'&', ..] => Some((1, "\\u0026")),
        [0xe2, 0x80, 0xa8, ..] => Some((3, "\\u2028")),
        [0xe2, 0x80, 0xa9, ..] => Some((3, "\\u2029")),
        _ => None,
    };
    let mut out = Vec::new();
    let (mut copied, mut at) = (0, 0);
    while at < json.len() {
        match special(at) {
            Some((length, escape)) => {
                out.extend_from_slice(&json[copied..at]);
                out.extend_from_slice(escape.as_bytes());
                at += length;
                copied = at;
            }
            None => at += 1,
        }
    }
    if copied == 0 {
        return json;
    }
    out.extend_from_slice(&json[copied..]);
    out
}

pub(super) fn ok(message: &str) -> Response<Body> {
    json(StatusCode::OK, &Plain { status: "ok", message })
}

pub(super) fn error(status: StatusCode, message: &str) -> Response<Body> {
    json(status, &Plain { status: "error", message })
}

/// Not with this method, but with these (RFC 9110 section 15.5.6).
pub(super) fn other_method(message: &str, methods: &[&str]) -> Response<Body> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, message);
    if let Ok(methods) = HeaderValue::try_from(methods.join(", ")) {
        response.headers_mut().insert(ALLOW, methods);
    }
    response
}

/// A refused document: the message names the first fault, the list all of them.
pub(super) fn faults(message: &str, faults: &[Fault]) -> Response<Body> {
    refused(StatusCode::BAD_REQUEST, message, faults)
}

/// A refusal with what the original does not say: why.
pub(super) fn refused(status: StatusCode, message: &str, faults: &[Fault]) -> Response<Body> {
    json(status, &Faulty { status: "error", message, errors: faults })
}

/// The same where there is one reason.
pub(super) fn failed(message: &str, reason: &impl std::fmt::Display) -> Response<Body> {
    refused(StatusCode::INTERNAL_SERVER_ERROR, message, &[Fault::error("", reason.to_string())])
}

/// A body that is no JSON of the right shape; the original says no more than the message.
pub(super) fn malformed(reason: &serde_json::Error) -> Response<Body> {
    let place = Place {
        line: u32::try_from(reason.line()).unwrap_or(u32::MAX),
        column: u32::try_from(reason.column()).unwrap_or(u32::MAX),
        length: 1,
    };
    faults("Request malformed", &[Fault::error("", reason.to_string()).at(place)])
}

/// A record with its numbers as the original writes them: whole ones without a fraction.
pub(super) fn record(record: &impl Serialize) -> Response<Body> {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    whole_numbers(&mut value);
    json(StatusCode::OK, &value)
}

fn whole_numbers(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(whole_numbers),
        Value::Object(members) => members.values_mut().for_each(whole_numbers),
        Value::Number(number) => {
            // Beyond 2^53 a float is not exact, and is left as it is.
            let whole = number.as_f64().filter(|float| {
                number.is_f64() && float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0
            });
            if let Some(whole) = whole {
                *value = Value::from(whole as i64);
            }
        }
        _ => {}
    }
}

/// There is no schema, in the words of that endpoint alone.
pub(super) fn schema_refused(message: &str) -> Response<Body> {
    json(StatusCode::NOT_FOUND, &Plain { status: "Failed", message })
}

pub(super) fn modified(key: &str, action: &str) -> Response<Body> {
    modified_with(key, action, &[])
}

/// As [`modified`], where others are no longer as they were.
pub(super) fn modified_with(key: &str, action: &str, warnings: &[String]) -> Response<Body> {
    json(StatusCode::OK, &Modified { key, status: "ok", action, key_hash: None, warnings })
}

pub(super) fn modified_key(key: &str, action: &str, key_hash: Option<&str>) -> Response<Body> {
    json(StatusCode::OK, &Modified { key, status: "ok", action, key_hash, warnings: &[] })
}

pub(super) fn reloaded(report: &Report) -> Response<Body> {
    let faults = report
        .faults
        .iter()
        .map(|(path, faults)| FileFaults { file: path.display().to_string(), faults })
        .collect();
    let Report { generation, changed, removed, .. } = *report;
    json(StatusCode::OK, &Reloaded { status: "ok", message: "", generation, changed, removed, faults })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn json_is_safe_inside_html() {
        for (value, expected) in [
            (json!({"a<b": "x&y>z"}), r#"{"a\u003cb":"x\u0026y\u003ez"}"#),
            (json!("\u{2028}\u{2029}\u{202a}é"), "\"\\u2028\\u2029\u{202a}é\""),
            (json!({"plain": [1, "\\n"]}), r#"{"plain":[1,"\\n"]}"#),
        ] {
            let text = super::escape_html(serde_json::to_vec(&value).unwrap());
            let text = String::from_utf8(text).unwrap();
            assert_eq!(text, expected);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        }
    }

    #[test]
    fn whole_numbers_lose_their_fraction_and_others_keep_it() {
        let mut value = json!({"rate": 5.0, "per": 0.5, "list": [1.0, 2], "huge": 1e300, "text": "1.0"});
        super::whole_numbers(&mut value);
        // Numbers are equal only where both have a fraction or neither has.
        assert_eq!(value, json!({"rate": 5, "per": 0.5, "list": [1, 2], "huge": 1e300, "text": "1.0"}));
    }
}
