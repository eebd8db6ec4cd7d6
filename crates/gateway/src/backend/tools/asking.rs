//! The request that a use of a tool is, on its way through the API that the tool is made of.

use std::pin::Pin;
use std::sync::Arc;

use apidef::{Place, Tool, is_framing};
use bytes::{Bytes, BytesMut};
use futures_util::future::{BoxFuture, FutureExt};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use mcp::ToolRequest;
use tokio::time::Instant;

use crate::batch;
use crate::body::{Body, RequestBody};
use crate::exchange::{Exchange, Peer, Until};
use crate::gate::Gate;
use crate::limits::told;
use crate::oauth;
use crate::route;
use crate::serve::{self, OfTool};
use crate::snapshot::RunningApi;
use crate::traces;

/// Bytes of an answer that are told.
const MOST: usize = 1 << 20;
/// How often tools may lead to APIs whose tools these are.
const DEEPEST: u8 = 5;

/// How many tools a request is within.
#[derive(Debug, Clone, Copy)]
struct Within(u8);

/// Of the client's, those that say from where it comes.
const OF_CLIENT: [&str; 3] = ["x-real-ip", "x-forwarded-for", "user-agent"];
/// Those that are about a message of MCP and not about the request that it asks for.
const OF_MESSAGE: [HeaderName; 7] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    header::ORIGIN,
];

/// A request that is ready.
pub(super) struct Asking {
    gate: Arc<Gate>,
    peer: Arc<Peer>,
    source: Arc<RunningApi>,
    matched: usize,
    known: OfTool,
    request: Request<RequestBody>,
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// There was more.
    pub(super) cut: bool,
}

impl Asking {
    /// Why nothing is asked, in words for the caller.
    pub(super) fn of(
        exchange: &Exchange,
        source: Arc<RunningApi>,
        tool: &Tool,
        made: ToolRequest,
    ) -> Result<Self, &'static str> {
        let within = exchange.head.extensions.get::<Within>().map_or(0, |within| within.0);
        if within >= DEEPEST {
            return Err("tools lead to each other in a circle");
        }
        let most = exchange.gate.settings.max_request_body;
        if most > 0 && made.body.as_ref().is_some_and(|(_, body)| body.len() as u64 > most) {
            return Err("the arguments are too large");
        }
        // As a client of that API would: it may not be stripped of its listen path.
        let listen = match source.listens.path() {
            None => source.model.listen_path.to_string(),
            Some(_) => String::new(),
        };
        let target = format!("{}/{}", listen.trim_end_matches('/'), made.target.trim_start_matches('/'));
        let uri: Uri = target.parse().map_err(|_| "the arguments are too long")?;
        let below = uri.path().get(listen.trim_end_matches('/').len()..).unwrap_or_default();
        let is_filled = tool.arguments.iter().any(|argument| argument.place == Place::Path);
        if route::check(uri.path()).is_err() || is_filled && is_of_gate(&source, &tool.method, below) {
            return Err("an argument would lead to another path");
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &made.fields {
            let name = HeaderName::try_from(&**name).map_err(|_| "an argument has no place in a header")?;
            let value =
                HeaderValue::try_from(&**value).map_err(|_| "an argument has no place in a header")?;
            headers.insert(name, value);
        }
        with_fields(exchange, &mut headers);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/*;q=0.9, */*;q=0.8"));
        // Its answer is read here.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let body = match made.body {
            None => RequestBody::none(),
            Some((kind, body)) => {
                headers.insert(header::CONTENT_LENGTH, body.len().into());
                if let Ok(kind) = HeaderValue::try_from(&*kind) {
                    headers.insert(header::CONTENT_TYPE, kind);
                }
                RequestBody::full(body.into())
            }
        };
        let matched = listen.len().min(uri.path().len());
        let mut request = Request::new(body);
        *request.method_mut() = Method::from_bytes(tool.method.as_bytes()).unwrap_or_default();
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        request.extensions_mut().insert(Within(within + 1));
        // The client's connection stays with the call.
        let peer = Arc::new(exchange.peer.alone());
        let gate = Arc::clone(&exchange.gate);
        let known = OfTool { inner: tool.inner, organisation: exchange.organisation.clone() };
        Ok(Self { gate, peer, source, matched, known, request })
    }

    /// Asks, and whether that went well; `until`: how long that is waited for. Boxed: what is behind the API may lead here again.
    pub(super) fn ask(mut self, until: Option<Instant>) -> BoxFuture<'static, (Told, bool)> {
        async move {
            if let Some(until) = until {
                self.request.extensions_mut().insert(Until(until));
            }
            let Self { gate, peer, source, matched, known, request } = self;
            let response = serve::carry_tool(&gate, &peer, source, request, matched, known).await;
            let told = read(response).await;
            let well = !told.status.is_server_error();
            (told, well)
        }
        .boxed()
    }
}

/// Whether the gate itself answers at a path of an API: what a tool is filled in to is never that.
fn is_of_gate(source: &RunningApi, method: &str, below: &str) -> bool {
    let asks_for_limits = method == Method::GET.as_str() && told::is_at(below);
    source.oauth.is_some() && oauth::endpoint(below).is_some()
        || source.chain.is_keyed() && asks_for_limits
        || source.model.batches && batch::is_at(below)
}

/// What the request has beside its arguments: from where it comes, and what the chain of its API has put there. Nothing else of
/// the client's goes on: what it may send to that API is what its tools take.
fn with_fields(exchange: &Exchange, headers: &mut HeaderMap) {
    let now = &exchange.head.headers;
    let is_of_message = |name: &HeaderName| {
        OF_MESSAGE.contains(name) || is_framing(name.as_str()) || name.as_str().starts_with("mcp-")
    };
    for name in now.keys() {
        let is_put =
            |value: &HeaderValue| exchange.mcp.as_ref().is_some_and(|asked| !asked.is_sent(name, value));
        let is_wanted = |value: &&HeaderValue| is_put(value) || OF_CLIENT.contains(&name.as_str());
        let mut wanted = now.get_all(name).iter().filter(is_wanted).peekable();
        if !is_of_message(name) && wanted.peek().is_some() {
            headers.remove(name);
            for value in wanted {
                headers.append(name.clone(), value.clone());
            }
        }
    }
    let host = now.get(header::HOST).cloned();
    let authority = || HeaderValue::try_from(exchange.head.uri.authority()?.as_str()).ok();
    headers.insert(header::HOST, host.or_else(authority).unwrap_or(HeaderValue::from_static("localhost")));
    traces::hand_on(exchange, headers);
}

/// Reads an answer, as far as it is told.
async fn read(response: Response<Body>) -> Told {
    let (head, mut body) = response.into_parts();
    let (mut read, mut cut) = (BytesMut::new(), false);
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        // One that breaks off is told as far as it came.
        let Ok(frame) = frame else {
            cut = true;
            break;
        };
        let Ok(data) = frame.into_data() else { continue };
        let room = MOST - read.len();
        read.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            cut = true;
            break;
        }
    }
    Told { status: head.status, headers: head.headers, body: read.freeze(), cut }
}
