//! `POST /tyk/plugins/test`: a script runs against what is given with it (contract 7.3).

use std::sync::Arc;

use apidef::Session;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::StatusCode;
use plugins::{Fault, Hook, Request, Spec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Call;
use super::reply;
use crate::body::Body;
use crate::gate::Gate;
use crate::plugins::{Trial, Tried, try_out};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    code: String,
    hook_type: String,
    org_id: String,
    api_id: String,
    request: Option<Value>,
    response: Option<Value>,
    session: Option<Session>,
    config_data: Value,
}

#[derive(Serialize)]
struct Report {
    logs: Vec<String>,
    request_before: Value,
    request_after: Option<Value>,
    response_before: Option<Value>,
    response_after: Option<Value>,
    session_after: Option<Value>,
    error: Option<Value>,
    execution_ms: f64,
}

fn refused(why: &str) -> http::Response<Body> {
    reply::json(StatusCode::BAD_REQUEST, &json!({"error": why}))
}

pub(super) async fn run(gate: &Arc<Gate>, call: &Call) -> http::Response<Body> {
    if !gate.settings.plugins.javascript {
        return refused("plugins in JavaScript are switched off: set `enable_jsvm` in the configuration");
    }
    let trial = match serde_json::from_slice(&call.body).map_err(|why| why.to_string()).and_then(trial) {
        Ok(trial) => trial,
        Err(why) => return refused(&why),
    };
    let tried = try_out(gate, &trial).await;
    reply::json(StatusCode::OK, &report(&trial, tried))
}

fn trial(asked: Asked) -> Result<Trial, String> {
    let (hook, hook_name) = match &*asked.hook_type {
        "pre" => (Hook::Pre, "pre"),
        "post" => (Hook::Post, "post"),
        "post_key_auth" => (Hook::PostKeyAuth, "post_key_auth"),
        "auth_check" => (Hook::Auth, "auth_check"),
        "response" => (Hook::Response, "response"),
        other => {
            let known = "`pre`, `post`, `post_key_auth`, `auth_check` or `response`";
            return Err(format!("`hook_type` must be {known}, not `{other}`"));
        }
    };
    if asked.code.is_empty() {
        return Err("`code` is missing: what is to be run?".to_owned());
    }
    // No script looks like Base64: it has at least a space or a parenthesis.
    let decoded = BASE64_STANDARD.decode(asked.code.trim()).ok();
    let code = decoded.and_then(|code| String::from_utf8(code).ok()).unwrap_or(asked.code);
    let (mut request, body): (Request, _) = with_body(asked.request, "request")?;
    request.body = body;
    if request.method.is_empty() {
        "GET".clone_into(&mut request.method);
    }
    if request.url.is_empty() {
        "/".clone_into(&mut request.url);
    }
    let response = match hook {
        Hook::Response => {
            let (mut response, body): (plugins::Response, _) = with_body(asked.response, "response")?;
            response.body = body;
            Some(response)
        }
        _ => None,
    };
    let spec =
        Spec { org: asked.org_id, api: asked.api_id, config_data: asked.config_data, bundle: String::new() };
    Ok(Trial { code, hook, hook_name, request, response, session: asked.session, spec })
}

/// A message as scripts see it, and its body.
fn with_body<T>(given: Option<Value>, name: &str) -> Result<(T, Option<Bytes>), String>
where
    T: for<'de> Deserialize<'de>,
{
    let mut given = match given {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(given)) => given,
        Some(_) => return Err(format!("`{name}` must be an object")),
    };
    let body = match given.remove("Body") {
        None | Some(Value::Null) => None,
        Some(Value::String(body)) => Some(body),
        Some(_) => return Err(format!("`{name}.Body` must be a text")),
    };
    let message = serde_json::from_value(Value::Object(given)).map_err(|why| format!("`{name}`: {why}"))?;
    Ok((message, body.filter(|body| !body.is_empty()).map(Bytes::from)))
}

fn report(trial: &Trial, tried: Tried) -> Report {
    let response_before = trial.response.as_ref().map(|response| shown(response, response.body.as_ref()));
    let mut report = Report {
        logs: tried.lines,
        request_before: shown(&trial.request, trial.request.body.as_ref()),
        request_after: None,
        response_before,
        response_after: None,
        session_after: None,
        error: None,
        execution_ms: tried.took.as_secs_f64() * 1e3,
    };
    let outcome = match tried.outcome {
        Ok(outcome) => outcome,
        Err(fault) => {
            let kind = match &fault {
                Fault::Unusable(why) if why.contains("SyntaxError") => "syntax",
                Fault::Late(_) => "timeout",
                _ => "runtime",
            };
            report.error = Some(json!({"message": fault.to_string(), "type": kind}));
            return report;
        }
    };
    match &trial.response {
        Some(before) => {
            let after = outcome.response.unwrap_or_else(|| before.clone()).with_seen(before);
            report.response_after = Some(shown(&after, after.body.as_ref().or(before.body.as_ref())));
            report.request_after = Some(report.request_before.clone());
        }
        None => {
            let after = outcome.request.with_seen(&trial.request);
            report.request_after = Some(shown(&after, after.body.as_ref().or(trial.request.body.as_ref())));
        }
    }
    let mut session = outcome.session.map(|session| *session).or_else(|| trial.session.clone());
    if let Some(session) = session.as_mut().filter(|_| !outcome.metadata.is_empty()) {
        session.meta_data = outcome.metadata;
    }
    report.session_after = session.and_then(|session| serde_json::to_value(session).ok());
    report
}

fn shown(message: &impl Serialize, body: Option<&Bytes>) -> Value {
    let mut shown = serde_json::to_value(message).unwrap_or_default();
    shown["Body"] = body.map(|body| String::from_utf8_lossy(body).into_owned()).unwrap_or_default().into();
    shown
}
