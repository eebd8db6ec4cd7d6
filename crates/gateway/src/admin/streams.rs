//! `GET /tyk/streams`: how the components of every stream are; `GET /tyk/streams/schema.json`: what a stream may hold.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::reply;
use crate::body::Body;
use crate::gate::Gate;

pub(super) fn answer(gate: &Gate) -> Response<Body> {
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
