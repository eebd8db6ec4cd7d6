//! `/tyk/streams`: the streams there are, those of definitions among them; others come and go here, by the API of streams
//! mode. `GET /tyk/streams/components`: how their components are; `GET /tyk/streams/schema.json`: what a stream may hold.

use std::sync::Arc;

use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::endpoints::Action;
use super::{Call, reply};
use crate::body::Body;
use crate::gate::Gate;
use crate::hosted::{self, Refused};

/// What the API of streams mode does, answered in the way of the admin API.
pub(super) async fn perform(gate: &Arc<Gate>, action: Action, call: &Call) -> Response<Body> {
    let (name, beside) = (call.name.as_str(), call.beside.as_str());
    let of_one = ["streams", name];
    let (method, path): (_, &[&str]) = match action {
        Action::ListStreams => (Method::GET, &["streams"]),
        Action::SetStreams => (Method::POST, &["streams"]),
        Action::AddStream => (Method::POST, &of_one),
        Action::ReplaceStream => (Method::PUT, &of_one),
        Action::PatchStream => (Method::PATCH, &of_one),
        Action::DeleteStream => (Method::DELETE, &of_one),
        Action::StreamStats => (Method::GET, &["streams", name, "stats"]),
        Action::SetStreamResource => (Method::POST, &["resources", name, beside]),
        _ => (Method::GET, &of_one),
    };
    let lenient = ![Method::GET, Method::DELETE].contains(&method) && call.flag("chilled");
    match hosted::perform(gate, &method, path, &call.body, lenient).await {
        Ok(value) => reply::json(StatusCode::OK, &value),
        Err(Refused::Text(status, text)) => reply::error(status, &text),
        Err(Refused::Faults(faults)) => {
            let lints = Refused::lints(&faults);
            let first = lints.first().map_or("the stream is at fault", String::as_str);
            let told = json!({
                "status": "error",
                "message": first,
                "errors": faults.iter().flat_map(|(_, faults)| faults).collect::<Vec<_>>(),
                "lint_errors": lints,
            });
            reply::json(StatusCode::BAD_REQUEST, &told)
        }
    }
}

pub(super) fn components(gate: &Gate) -> Response<Body> {
    let snapshot = gate.snapshot();
    let components: Vec<Value> = snapshot
        .apis
        .values()
        .flat_map(|api| {
            api.backend.probes().into_iter().map(|(stream, probe)| {
                json!({
                    "api_id": &*api.identity.id,
                    "stream": &*stream,
                    "path": probe.path,
                    "label": probe.label,
                    "type": probe.type_name,
                    "kind": probe.kind.as_str(),
                    "connected": probe.connected(),
                    "last_error": probe.last_error().as_deref(),
                })
            })
        })
        .collect();
    reply::json(StatusCode::OK, &json!({ "components": components }))
}

/// The JSON Schema of what this gate runs.
pub(super) fn schema(gate: &Gate) -> Response<Body> {
    reply::json(StatusCode::OK, &::streams::schema(&gate.streams.registry, &gate.streams.templates))
}
