//! OpenAPI documents become APIs, or change what is known of one (contract 3.4, 7.3).

use std::sync::Arc;

use apidef::{Authentication, Import, Source};
use http::{Response, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use super::super::Call;
use super::super::endpoints::Action;
use super::super::reply::{error, json, schema_refused};
use super::write::{add_text, again, needs_oas, put};
use super::{document, find, is_oas, not_found};
use crate::body::Body;
use crate::gate::Gate;

const EXTENSION: &str = "x-tyk-api-gateway";

/// `POST /apis/oas/import`.
pub(crate) async fn import(gate: &Arc<Gate>, call: &Call) -> Response<Body> {
    let mut document = match read(call) {
        Ok(document) => document,
        Err(refused) => return *refused,
    };
    if document.get(EXTENSION).is_some() {
        return error(StatusCode::BAD_REQUEST, &format!("the import payload should not contain {EXTENSION}"));
    }
    let id = Uuid::new_v4().simple().to_string();
    let asked = asked(call);
    let asked = Import { id: asked.id.or(Some(&id)), ..asked };
    match apidef::import(&mut document, &asked) {
        Ok(()) => add_text(gate, call, document.to_string().as_bytes(), Source::Oas).await,
        Err(told) => error(StatusCode::BAD_REQUEST, &told),
    }
}

/// `PATCH /apis/oas/{id}`.
pub(crate) async fn patch(gate: &Arc<Gate>, call: &Call, id: &str) -> Response<Body> {
    let mut made = 0;
    loop {
        let response = try_patch(gate, call, id).await;
        if !again(gate, response.status(), &mut made).await {
            return response;
        }
    }
}

async fn try_patch(gate: &Arc<Gate>, call: &Call, id: &str) -> Response<Body> {
    let Some(api) = find(gate, id) else { return not_found() };
    if !is_oas(&api) {
        return needs_oas();
    }
    let mut patched = match read(call) {
        Ok(document) => document,
        Err(refused) => return *refused,
    };
    let asked = asked(call);
    // What the body does not bring stays: what is the gateway's own, and where the servers are.
    if let (Some(patched), Some(held)) = (patched.as_object_mut(), document(&api).as_object()) {
        let kept = held.iter().filter(|(name, _)| {
            name.starts_with("x-tyk-") || ["x-sluicegate", "servers"].contains(&name.as_str())
        });
        for (name, value) in kept {
            patched.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    match apidef::import(&mut patched, &asked) {
        Ok(()) => {
            let over = Some(&*api.definition);
            put(gate, patched.to_string().as_bytes(), Source::Oas, id, over).await
        }
        Err(told) => error(StatusCode::BAD_REQUEST, &told),
    }
}

/// The body, if it is an OpenAPI document at all.
fn read(call: &Call) -> Result<Value, Box<Response<Body>>> {
    let document = std::str::from_utf8(&call.body).ok().and_then(|text| {
        let document = document::Document::parse(text, document::Format::Json).ok()?;
        Some(document.into_value()).filter(Value::is_object)
    });
    document.ok_or_else(|| Box::new(error(StatusCode::BAD_REQUEST, "request malformed")))
}

/// What the parameters ask for; the call has been checked.
fn asked(call: &Call) -> Import<'_> {
    let flag = |name: &str| call.parameter(name).map(|_| call.flag(name));
    let patched = call.endpoint.action == Action::PatchOas;
    Import {
        upstream: call.parameter("upstreamURL"),
        listen_path: call.parameter("listenPath"),
        domain: call.parameter("customDomain"),
        id: if patched { None } else { call.parameter("apiID") },
        authentication: call.parameter("authentication").map(|asked| match asked {
            "compliant" => Authentication::Compliant,
            "true" => Authentication::On,
            _ => Authentication::Off,
        }),
        allow_list: flag("allowList"),
        validate_request: flag("validateRequest"),
        mock_response: flag("mockResponse"),
        processing_mode: call.parameter("securityProcessingMode"),
    }
}

/// `GET /schema`.
pub(crate) fn schema(call: &Call) -> Response<Body> {
    let version = call.parameter("oasVersion").unwrap_or("3.0");
    match apidef::schema(version) {
        Some(schema) => {
            json(StatusCode::OK, &serde_json::json!({"status": "Success", "message": "", "schema": schema}))
        }
        None => {
            schema_refused(&format!("there is no schema for version {version} of OpenAPI; use 3.0 or 3.1"))
        }
    }
}
