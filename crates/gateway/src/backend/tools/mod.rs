//! Tools that are made of an API of the gate: what is called is answered here, and a tool that is used is a request to that API,
//! through its whole chain and without a network in between. Who is calling has been asked by the API that has the tools, and the
//! other one does not ask again.

mod answer;
mod asking;
mod catalog;

use http::header::{ALLOW, HeaderValue};
use http::{Method, Response, StatusCode};
use mcp::{Arguments, Call};
use serde_json::Value;

use self::asking::Asking;
pub(crate) use self::catalog::{Catalog, bind};
use super::upstream::Bounds;
use crate::body::Body;
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::respond::{self, JSON, Refusal};
use crate::route::{Collector, looping};

/// What of the header of a client's version is told where it is another one (MCP 2026-07-28, "Error Codes").
const UNSUPPORTED: i32 = -32022;
const INVALID_PARAMS: i32 = -32602;
const NOT_FOUND: i32 = -32601;

/// The backend of an API whose tools are made of another one.
#[derive(Debug)]
pub struct Tools {
    /// The address of that, as it is written.
    pub(crate) url: Box<str>,
    /// It is the address of nothing else.
    pub(crate) certain: bool,
    bounds: Bounds,
}

impl Tools {
    pub(crate) fn new(
        model: &apidef::ToolSource,
        upstream: &apidef::Upstream,
        url: &str,
        gate: &Gate,
        patterns: &Collector,
    ) -> Self {
        Self { url: url.into(), certain: model.certain, bounds: Bounds::new(upstream, gate, patterns) }
    }

    /// Answers what is called.
    pub(crate) async fn call(&self, exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
        let catalog = exchange.gate.snapshot().tools.get(&exchange.api.identity.id).cloned();
        let Some(catalog) = catalog else { return Err(looping::failed()) };
        if !matches!(exchange.path_in_api().trim_end_matches('/'), "" | "/mcp") {
            return Err(Refusal::client(StatusCode::NOT_FOUND, "NRH", "Not Found"));
        }
        // There is nothing to listen to, and no session that could end.
        if exchange.head.method != Method::POST {
            let mut response = respond::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return Ok(response);
        }
        let body = exchange.whole_body().await?;
        if let Some(detail) = &exchange.detail {
            detail.request.add(&body);
        }
        let call = exchange.mcp.as_ref().and_then(|asked| asked.call.as_ref());
        // What is told is taken note of, as is what answers a question that nobody has asked.
        let Some(call) = call.filter(|call| &*call.id != "null") else {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::ACCEPTED;
            return Ok(response);
        };
        if let Some(refused) = version(exchange, &call.id) {
            return Ok(refused);
        }
        let params = serde_json::from_slice::<Value>(&body)
            .map_err(|_| Refusal::client(StatusCode::BAD_REQUEST, "BIV", "invalid params"))?;
        let params = &params["params"];
        let result = match &*call.method {
            "initialize" => {
                let name = &*exchange.api.identity.name;
                mcp::initialized(
                    params,
                    if name.is_empty() { "sluicegate" } else { name },
                    env!("CARGO_PKG_VERSION"),
                )
            }
            "ping" => "{}".to_owned(),
            "tools/list" if params["cursor"].is_string() => {
                return Ok(failed(INVALID_PARAMS, "there is one page of tools only", &call.id));
            }
            "tools/list" => catalog.listed().to_owned(),
            "tools/call" => {
                let id = call.id.clone();
                return match self.used(exchange, &catalog, &body).await? {
                    Ok(result) => Ok(answer(mcp::result(&id, &result))),
                    Err(why) => Ok(failed(INVALID_PARAMS, &why, &id)),
                };
            }
            _ => return Ok(failed(NOT_FOUND, "Method not found", &call.id)),
        };
        Ok(answer(mcp::result(&call.id, &result)))
    }

    /// Uses a tool: what came of it, also where that is no good, or why it cannot be used.
    async fn used(
        &self,
        exchange: &mut Exchange,
        catalog: &Catalog,
        body: &[u8],
    ) -> Result<Result<String, String>, Refusal> {
        let Some(name) = called(exchange) else { return Err(looping::failed()) };
        let Some(tool) = catalog.tool(&name) else { return Ok(Err(format!("Unknown tool: {name}"))) };
        let arguments = match Arguments::of_call(body) {
            Ok(arguments) => arguments,
            Err(why) => return Ok(Err(why.to_owned())),
        };
        // A model that is told what was wrong can do better (MCP 2025-11-25, "Error Handling").
        let request = match tool.request(&arguments) {
            Ok(request) => request,
            Err(why) => return Ok(Ok(mcp::told(&why, true))),
        };
        let Some(source) = exchange.gate.snapshot().apis.get(catalog.source()).cloned() else {
            let text = "Couldn't detect target";
            let refusal = Refusal::gate(StatusCode::SERVICE_UNAVAILABLE, "URR", text);
            return Err(refusal.detail("the API that tools are made of is gone"));
        };
        let asking = match Asking::of(exchange, source, &tool.tool, request) {
            Ok(asking) => asking,
            Err(why) => return Ok(Ok(mcp::told(why, true))),
        };
        let told = self.bounds.within(exchange, |until| asking.ask(until)).await?;
        Ok(Ok(tool.told(&told)))
    }
}

/// The tool that is called.
fn called(exchange: &Exchange) -> Option<Box<str>> {
    let asked = exchange.mcp.as_ref()?.call.as_ref()?;
    let Call { primitive: Some((_, name)), .. } = asked else { return None };
    Some(name.clone())
}

/// A client that speaks another version is told which are spoken.
fn version(exchange: &Exchange, id: &str) -> Option<Response<Body>> {
    let said = exchange.head.headers.get("mcp-protocol-version")?;
    if said.to_str().is_ok_and(|said| mcp::VERSIONS.contains(&said)) {
        return None;
    }
    let error = serde_json::json!({
        "code": UNSUPPORTED,
        "message": "Unsupported protocol version",
        "data": {"requested": String::from_utf8_lossy(said.as_bytes()), "supported": mcp::VERSIONS},
    });
    let mut response = answer(format!("{{\"jsonrpc\":\"2.0\",\"error\":{error},\"id\":{id}}}"));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    Some(response)
}

/// What a server of MCP says of calls that it cannot answer: it is asked rightly, as far as HTTP goes.
fn failed(code: i32, message: &str, id: &str) -> Response<Body> {
    answer(mcp::refusal(code, message, id, None))
}

fn answer(text: String) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    response.headers_mut().insert(http::header::CONTENT_TYPE, JSON);
    response
}
