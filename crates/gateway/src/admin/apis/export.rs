//! OAS documents as files (contract 7.3, export).

use std::sync::Arc;

use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::Value;

use super::super::Call;
use super::super::reply::{error, escape_html};
use super::{all_oas, oas_of};
use crate::body::Body;
use crate::gate::Gate;

pub(crate) fn export(gate: &Arc<Gate>, call: &Call, id: &str) -> Response<Body> {
    match oas_of(gate, id) {
        Ok(document) if is_public(call) => file(&public(document), &format!("oas-{id}.json")),
        Ok(document) => file(&document, &format!("TykOasApiDef-{id}.json")),
        Err(refused) => *refused,
    }
}

pub(crate) fn export_all(gate: &Arc<Gate>, call: &Call) -> Response<Body> {
    let documents = all_oas(gate);
    if is_public(call) {
        let documents = documents.into_iter().map(public).collect();
        file(&Value::Array(documents), "oas.json")
    } else {
        file(&Value::Array(documents), "TykOasApiDef.json")
    }
}

fn is_public(call: &Call) -> bool {
    call.parameter("mode") == Some("public")
}

/// The document without what is the gateway's alone.
fn public(mut document: Value) -> Value {
    if let Some(members) = document.as_object_mut() {
        members.retain(|name, _| !name.starts_with("x-tyk-") && name != "x-sluicegate");
    }
    document
}

fn file(document: &Value, name: &str) -> Response<Body> {
    let disposition = HeaderValue::try_from(format!("attachment;filename=\"{name}\""));
    let (Ok(text), Ok(disposition)) = (serde_json::to_vec_pretty(document), disposition) else {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "The document cannot be written as a file");
    };
    let mut response = Response::new(Body::full(escape_html(text)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_DISPOSITION, disposition);
    response
}
