//! `GET /tyk/records`: the last exchanges, newest first, in the words of the access log.

use std::sync::Arc;

use analytics::Record;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::reply::{self, error};
use crate::body::Body;
use crate::clock::rfc3339;
use crate::gate::Gate;

/// Records shown when the request does not say how many.
const SHOWN: usize = 100;

pub(super) async fn answer(gate: &Arc<Gate>, limit: Option<&str>) -> Response<Body> {
    let Some(store) = gate.records.clone() else {
        return error(StatusCode::NOT_FOUND, "Records are not kept: set enable_analytics to true");
    };
    let limit = limit.and_then(|limit| limit.parse().ok()).unwrap_or(SHOWN);
    // The store is read under a lock that its writer holds for moments; not on an async thread.
    let records = tokio::task::spawn_blocking(move || store.recent(limit)).await.unwrap_or_default();
    reply::json(StatusCode::OK, &records.iter().map(show).collect::<Vec<_>>())
}

fn show(record: &Record) -> Value {
    let mut shown = json!({
        "started": rfc3339(record.started),
        "api_id": &*record.api_id,
        "api_name": &*record.api_name,
        "org_id": &*record.org_id,
        "api_key": record.key.as_deref(),
        "alias": record.alias.as_deref(),
        "client_ip": record.client_ip,
        "method": &*record.method,
        "host": &*record.host,
        "user_agent": record.user_agent.as_deref(),
        "path": &*record.path,
        "status": record.status,
        "tags": *record.tags,
        "response_flag": record.refusal.as_deref(),
        "latency_total": record.total.as_secs_f64() * 1e3,
        "upstream_latency": record.upstream.as_secs_f64() * 1e3,
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
        "messages": record.messages,
    });
    for (name, raw) in [
        ("raw_request", &record.raw_request),
        ("raw_response", &record.raw_response),
        ("trace_id", &record.trace_id),
    ] {
        if let Some(raw) = raw {
            shown[name] = (&**raw).into();
        }
    }
    if let Some(network) = &record.network {
        shown["network"] = json!({"open_connections": network.opened, "closed_connections": network.closed,
            "refused_connections": network.refused});
    }
    if let Some(mcp) = &record.mcp {
        shown["mcp_stats"] = mcp.named();
    }
    if let Some(graph) = &record.graph {
        shown["graphql_stats"] = graph.named();
    }
    shown
}
