//! MCP proxies (contract 7.3): this gate serves none, and says so in the shapes that clients expect.

use std::sync::Arc;

use http::{Response, StatusCode};

use super::super::Call;
use super::super::reply::error;
use crate::body::Body;
use crate::gate::Gate;

pub(crate) fn add(call: &Call) -> Response<Body> {
    if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&call.body).is_err() {
        return error(StatusCode::BAD_REQUEST, "request malformed");
    }
    error(StatusCode::NOT_IMPLEMENTED, "MCP proxies are not supported by this gateway; nothing was stored")
}

/// Whatever is asked of one MCP proxy: it is not there.
pub(crate) fn find(gate: &Arc<Gate>, id: &str) -> Response<Body> {
    let there = super::find(gate, id).is_some();
    error(StatusCode::NOT_FOUND, if there { "API is not an MCP Proxy" } else { "API not found" })
}
