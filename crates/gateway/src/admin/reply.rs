//! The shapes of admin answers (contract 7.1).

use document::Fault;
use http::{Response, StatusCode};
use serde::Serialize;

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

pub(super) fn ok(message: &str) -> Response<Body> {
    respond::json(StatusCode::OK, &Plain { status: "ok", message })
}

pub(super) fn error(status: StatusCode, message: &str) -> Response<Body> {
    respond::json(status, &Plain { status: "error", message })
}

/// A refused document: the message names the first fault, the list all of them.
pub(super) fn faults(message: &str, faults: &[Fault]) -> Response<Body> {
    respond::json(StatusCode::BAD_REQUEST, &Faulty { status: "error", message, errors: faults })
}

pub(super) fn modified(key: &str, action: &str) -> Response<Body> {
    respond::json(StatusCode::OK, &Modified { key, status: "ok", action, key_hash: None })
}

pub(super) fn modified_key(key: &str, action: &str, key_hash: Option<&str>) -> Response<Body> {
    respond::json(StatusCode::OK, &Modified { key, status: "ok", action, key_hash })
}

pub(super) fn reloaded(report: &Report) -> Response<Body> {
    let faults = report
        .faults
        .iter()
        .map(|(path, faults)| FileFaults { file: path.display().to_string(), faults })
        .collect();
    let Report { generation, changed, removed, .. } = *report;
    respond::json(
        StatusCode::OK,
        &Reloaded { status: "ok", message: "", generation, changed, removed, faults },
    )
}
