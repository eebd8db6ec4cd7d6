//! `/hello` says what is up, `/ready` whether this node should get traffic (contract 7.2).

use std::sync::Arc;
use std::time::SystemTime;

use http::header::HeaderValue;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::Call;
use super::reply::{self, error};
use crate::body::Body;
use crate::clock::{rfc3339, unix_now};
use crate::gate::Gate;

pub(super) async fn hello(gate: &Gate) -> Response<Body> {
    let refusal = gate.liveness.refusal(gate).await;
    // A store that is away says why; one that is there may take nothing all the same.
    let wrong = gate.state.health().error.or(refusal);
    let state = if wrong.is_none() { "pass" } else { "fail" };
    let mut details = json!({
        gate.state.kind(): {
            "status": state,
            "componentType": "datastore",
            "time": rfc3339(SystemTime::now()),
        }
    });
    if let Some(reason) = wrong {
        details[gate.state.kind()]["output"] = reason.into();
    }
    if let Some(catalog) = gate.catalog.health() {
        let name = format!("catalog ({})", gate.catalog.engine());
        details[&name] = json!({
            "status": if catalog.connected { "pass" } else { "fail" },
            "componentType": "datastore",
            "time": rfc3339(SystemTime::now()),
        });
        if let Some(reason) = catalog.error {
            details[&name]["output"] = reason.into();
        }
    }
    if let Some(reason) = gate.records.as_ref().and_then(|records| records.error()) {
        details["records"] = json!({
            "status": "fail",
            "componentType": "datastore",
            "time": rfc3339(SystemTime::now()),
            "output": reason,
        });
    }
    for (domain, told) in gate.acme.iter().flat_map(|acme| acme.told()) {
        let lives = told.not_after.is_some_and(|end| end > unix_now());
        let (own, output) = match told.error {
            None if lives => ("pass", None),
            None => ("fail", Some("no certificate has been obtained yet".to_owned())),
            Some(error) => (if lives { "warn" } else { "fail" }, Some(error)),
        };
        let name = format!("certificate ({domain})");
        details[&name] = json!({
            "status": own,
            "componentType": "certificate",
            "time": rfc3339(SystemTime::now()),
        });
        if let Some(output) = output {
            details[&name]["output"] = output.into();
        }
    }
    for (store, why) in gate.stores.health() {
        let name = format!("values ({store})");
        details[&name] = json!({
            "status": if why.is_none() { "pass" } else { "fail" },
            "componentType": "datastore",
            "time": rfc3339(SystemTime::now()),
        });
        if let Some(why) = why {
            details[&name]["output"] = why.into();
        }
    }
    let mut response = reply::json(StatusCode::OK, &report(overall(&details), "Tyk GW", Some(details)));
    if gate.settings.generator_header {
        response.headers_mut().insert("x-generator", HeaderValue::from_static("tyk.io"));
    }
    response
}

/// What all of them together come to (contract 7.2): nothing is wrong, something is, or everything.
fn overall(details: &Value) -> &'static str {
    let all = || details.as_object().into_iter().flat_map(|details| details.values());
    if all().all(|detail| detail["status"] == "pass") {
        "pass"
    } else if all().all(|detail| detail["status"] == "fail") {
        "fail"
    } else {
        "warn"
    }
}

/// Unlike `/hello` this fails while the node should get no traffic.
pub(super) fn ready(gate: &Gate) -> Response<Body> {
    let refused = |message| error(StatusCode::SERVICE_UNAVAILABLE, message);
    if gate.is_closing() {
        return refused("Gateway is shutting down");
    }
    if !gate.state.health().connected {
        return refused("Redis connection not available");
    }
    if gate.snapshot().generation == 0 {
        return refused(match gate.catalog.health() {
            Some(health) if !health.connected => "Catalog not available",
            _ => "A successful API reload did not happen",
        });
    }
    reply::json(StatusCode::OK, &report("pass", "Tyk GW Ready", None))
}

/// The obsolete counters of an API (contract 7.3, `/health`).
pub(super) async fn of_api(gate: &Arc<Gate>, call: &Call) -> Response<Body> {
    let Some(window) = gate.settings.health_window else {
        return error(StatusCode::BAD_REQUEST, "Health checks are not enabled for this node");
    };
    let Some(id) = call.parameter("api_id") else {
        return error(StatusCode::BAD_REQUEST, "missing api_id parameter");
    };
    let Some(api) = gate.snapshot().apis.get(id).cloned() else {
        return error(StatusCode::NOT_FOUND, "API ID not found");
    };
    // Where the store is away, what this node has seen is better than nothing.
    let averages = match crate::health::of_all_nodes(gate, id, window).await {
        Some(averages) => averages,
        None => api.metrics.health.averages(unix_now(), window),
    };
    reply::json(StatusCode::OK, &averages)
}

fn report(status: &str, description: &str, details: Option<Value>) -> Value {
    let mut report = json!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "description": description,
    });
    if let Some(details) = details {
        report["details"] = details;
    }
    report
}
