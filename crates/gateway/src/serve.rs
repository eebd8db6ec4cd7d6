//! The road of a request, from its head to its response: one page, top to bottom.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::acme;
use crate::admin;
use crate::auth::Caller;
use crate::backend::{Backend, graph};
use crate::batch;
use crate::body::{Body, RequestBody};
use crate::cache;
use crate::calls;
use crate::chain::Early;
use crate::compress;
use crate::context::Noted;
use crate::detail;
use crate::events;
use crate::exchange::{AsSent, Exchange, Peer, Skips, Timings, is_grpc};
use crate::gate::Gate;
use crate::hosted;
use crate::limits::{Budget, KnownOrganisation, told};
use crate::oauth;
use crate::record::{self, Said};
use crate::respond::{self, Blame, Refusal};
use crate::route::{self, Fitting, Oddity, looping};
use crate::snapshot::{RunningApi, Snapshot};
use crate::traces;
use crate::transform::Ahead;

/// Until when the API is served (contract 8.1).
const EXPIRES: HeaderName = HeaderName::from_static("x-tyk-api-expires");

/// Answers one request.
pub(crate) async fn serve(
    gate: &Arc<Gate>,
    peer: &Arc<Peer>,
    request: Request<RequestBody>,
) -> Response<Body> {
    if let Some(service) = &gate.settings.service {
        return Box::pin(hosted::serve(gate, service, peer, request)).await;
    }
    serve_apis(gate, peer, request).await
}

/// As [`serve`], behind what else may stand before APIs.
pub(crate) async fn serve_apis(
    gate: &Arc<Gate>,
    peer: &Arc<Peer>,
    request: Request<RequestBody>,
) -> Response<Body> {
    let started = Instant::now();

    if gate.acme.is_some()
        && !peer.control
        && acme::is_question(&request)
        && let Some(proof) = Box::pin(acme::answer(gate, &request)).await
    {
        return proof;
    }
    if admin::is_addressed(gate, peer, &request) {
        return Box::pin(admin::answer(gate, peer, request)).await;
    }
    if let Some(response) = turned_away(gate, &request) {
        return response;
    }
    let mut request = request;
    let Some(found) = find(gate, peer, &mut request) else {
        if request.method() == Method::OPTIONS && request.uri().path() == "*" {
            // A question about the server as a whole (RFC 9110 section 9.3.7): it is there.
            return Response::new(Body::empty());
        }
        if is_grpc(request.headers()) {
            let refusal = Refusal::client(StatusCode::NOT_FOUND, "NRH", "Not Found");
            return respond::refusal(&refusal, request.headers(), &gate.settings, None);
        }
        return respond::text(StatusCode::NOT_FOUND, "Not Found");
    };
    walk(gate, peer, found, request, started).await
}

/// Carries a request through an API that no route leads to. `matched` is how much of the path the listen path covers.
pub(crate) async fn carry(
    gate: &Arc<Gate>,
    peer: &Arc<Peer>,
    api: Arc<RunningApi>,
    mut request: Request<RequestBody>,
    matched: usize,
) -> Response<Body> {
    let found = version(&gate.snapshot(), api, &mut request, matched);
    walk(gate, peer, found, request, Instant::now()).await
}

/// Carries one of the requests that a client sends over a connection that has been let in: it is known who is calling, and
/// the connection has been counted and is recorded.
pub(crate) async fn carry_on(
    gate: &Arc<Gate>,
    peer: &Arc<Peer>,
    api: Arc<RunningApi>,
    request: Request<RequestBody>,
    matched: usize,
    caller: Option<Arc<Caller>>,
) -> Response<Body> {
    let mut exchange = exchange(gate, peer, api, request, matched, Instant::now());
    exchange.skips = Skips::KNOWN.and(Skips::COUNTED);
    exchange.caller = caller;
    exchange.unrecorded = true;
    let answer = pass(&mut exchange).await;
    finish(&mut exchange, answer)
}

/// What is known of the request that a tool is.
pub(crate) struct OfTool {
    /// Its operation is there for the gate alone.
    pub(crate) inner: bool,
    /// The organisation that it has been counted for.
    pub(crate) organisation: Option<Arc<KnownOrganisation>>,
}

/// Carries the request that a tool is: who is calling has been asked by the API that has the tool, so that this one does not ask
/// again. What else guards it does.
pub(crate) async fn carry_tool(
    gate: &Arc<Gate>,
    peer: &Arc<Peer>,
    api: Arc<RunningApi>,
    request: Request<RequestBody>,
    matched: usize,
    known: OfTool,
) -> Response<Body> {
    let mut exchange = exchange(gate, peer, api, request, matched, Instant::now());
    exchange.skips = Skips::OPEN;
    if known.organisation.is_some() {
        exchange.skips = exchange.skips.and(Skips::ORGANISED);
        exchange.organisation = known.organisation;
    }
    // What else of the API is there for the gate alone is not to be had through a tool.
    exchange.loops = u32::from(known.inner);
    let answer = kept(&mut exchange).await;
    finish(&mut exchange, answer)
}

/// Serves a request to the endpoints that the streams of an API have on a listener of their own.
pub(crate) async fn serve_own(
    gate: &Arc<Gate>,
    peer: &Arc<Peer>,
    api: Arc<RunningApi>,
    request: Request<RequestBody>,
) -> Response<Body> {
    match turned_away(gate, &request) {
        Some(response) => response,
        None => carry(gate, peer, api, request, 0).await,
    }
}

/// Through the chain of what was found, and back.
async fn walk(
    gate: &Arc<Gate>,
    peer: &Arc<Peer>,
    found: Found,
    request: Request<RequestBody>,
    started: Instant,
) -> Response<Body> {
    let mut exchange = exchange(gate, peer, found.api, request, found.matched, started);
    exchange.version_by_default = found.version_by_default;
    exchange.version_in_path = found.version_in_path;
    let answer = match found.refused {
        None => kept(&mut exchange).await,
        Some(refusal) => {
            events::version_refused(&exchange, &refusal);
            Err(refusal)
        }
    };
    finish(&mut exchange, answer)
}

fn exchange(
    gate: &Arc<Gate>,
    peer: &Arc<Peer>,
    api: Arc<RunningApi>,
    request: Request<RequestBody>,
    matched: usize,
    started: Instant,
) -> Exchange {
    let trace = traces::begin(gate, peer, &request, started);
    let (head, body) = request.into_parts();
    let foreseen = api.chain.foresee(gate, &head);
    let recorded = gate.recorder.is_some() && !api.model.recording.off;
    let said = if recorded { Said::of(&head.headers) } else { Said::default() };
    let stripped = if api.model.strip_listen_path { matched } else { 0 };
    Exchange {
        gate: Arc::clone(gate),
        api,
        peer: Arc::clone(peer),
        head,
        body,
        stripped,
        matched,
        version_in_path: None,
        fitting: Fitting::default(),
        loops: 0,
        entered: None,
        skips: Skips::NONE,
        foreseen,
        caller: None,
        beside: Vec::new(),
        claims: None,
        verified: None,
        token_ends: i64::MAX,
        subject: None,
        grant: None,
        version_by_default: None,
        budget: Budget::default(),
        held: Vec::new(),
        noted: Noted::default(),
        ahead: Ahead::default(),
        mcp: None,
        watch: None,
        asked: None,
        subscription: None,
        timings: Timings::begin(started),
        unrecorded: false,
        bare: false,
        mocked: false,
        keeping: SmallVec::new(),
        tracked_as: None,
        detail: None,
        graph: None,
        organisation: None,
        trace,
        said,
        recorded: false,
    }
}

/// As [`pass`]; keeps the answer for others where an API says so.
async fn kept(exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
    let answer = pass(exchange).await;
    if exchange.keeping.is_empty() {
        return answer;
    }
    match answer {
        Ok(response) => Ok(cache::keep(exchange, response)),
        Err(refusal) => {
            cache::pass(exchange);
            Err(refusal)
        }
    }
}

/// Through the chain, then to the backend; what asks for tokens goes to who gives them. Where the backend is an API of this
/// gate, once more.
async fn pass(exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
    loop {
        let api = Arc::clone(&exchange.api);
        if let Some(server) = &api.oauth
            && let Some(endpoint) = oauth::endpoint(exchange.path_in_api())
        {
            if let Some(answer) = api.chain.preflight(exchange) {
                return Ok(answer);
            }
            return Box::pin(server.answer(endpoint, exchange)).await;
        }
        if api.chain.is_keyed() && told::is_addressed(&exchange.head.method, exchange.path_in_api()) {
            return match Box::pin(api.chain.identify(exchange)).await? {
                ControlFlow::Break(Early::Final(response) | Early::AsBackend(response)) => Ok(response),
                ControlFlow::Continue(()) => told::answer(exchange).await,
            };
        }
        if batch::is_addressed(exchange) {
            return Box::pin(batch::answer(exchange)).await;
        }
        if let Some(place) = exchange.foreseen.take() {
            exchange.gate.callers.foresee_more(place);
        }
        exchange.fitting = route::fitting(exchange);
        let response = match api.chain.admit(exchange).await? {
            ControlFlow::Continue(()) => match looping::onward(exchange) {
                Some(onward) => {
                    looping::follow(exchange, &onward)?;
                    continue;
                }
                None => call_backend(exchange).await?,
            },
            ControlFlow::Break(Early::AsBackend(response)) => response,
            ControlFlow::Break(Early::Final(response)) => return Ok(response),
        };
        let response = match exchange.mcp {
            None => response,
            Some(_) => Box::pin(calls::cut(exchange, response)).await?,
        };
        return api.chain.answered(exchange, response).await;
    }
}

async fn call_backend(exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
    let api = Arc::clone(&exchange.api);
    detail::begin(exchange);
    match &api.backend {
        Backend::Upstream(_) if exchange.watch.as_ref().is_some_and(|watch| watch.by_events()) => {
            Box::pin(graph::serve_sockets(exchange)).await
        }
        Backend::Upstream(upstream) => {
            let response = upstream.call(exchange).await?;
            Ok(graph::watched_over(exchange, response))
        }
        Backend::Stream(stream) => {
            if exchange.trace.is_some() {
                let mut headers = std::mem::take(&mut exchange.head.headers);
                traces::hand_on(exchange, &mut headers);
                exchange.head.headers = headers;
            }
            Box::pin(stream.call(exchange)).await
        }
        Backend::Graph(graph) => Box::pin(graph.call(exchange)).await,
        Backend::Tools(tools) => Box::pin(tools.call(exchange)).await,
        // Nothing leads there by a request.
        Backend::Api(_) | Backend::PassThrough(_) => Err(looping::failed()),
    }
}

/// Adds what every response carries, and hands the record over.
fn finish(exchange: &mut Exchange, answer: Result<Response<Body>, Refusal>) -> Response<Body> {
    let settings = &exchange.gate.settings;
    let (mut response, status, flag) = match answer {
        Ok(mut response) => {
            if !exchange.bare {
                exchange.budget.write(response.headers_mut());
            }
            let status = response.status();
            (response, status, "")
        }
        Err(refusal) => {
            exchange.gate.metrics.refused(refusal.flag);
            tell(exchange, &refusal);
            let own = exchange.api.chain.errors();
            let call = exchange.mcp.as_ref().and_then(|asked| asked.id()).filter(|_| !refusal.is_json);
            let mut response = match call {
                Some(id) => respond::of_call(&refusal, id, settings),
                None => respond::refusal(&refusal, &exchange.head.headers, settings, own),
            };
            exchange.budget.write_on_refusal(response.headers_mut());
            // A call of gRPC is told its refusal with status 200.
            let status = if exchange.streams() { refusal.status } else { response.status() };
            (response, status, refusal.flag)
        }
    };
    exchange.api.chain.finish(exchange, response.headers_mut());
    if let Some(entered) = &exchange.entered {
        entered.chain.finish(exchange, response.headers_mut());
    }
    if let Some(ends) = exchange.api.chain.ends().filter(|_| flag != "VNF") {
        response.headers_mut().insert(EXPIRES, ends.clone());
    }
    if let (Some(name), Some(version)) = (&settings.version_header, exchange.version_by_default.take()) {
        response.headers_mut().insert(name.clone(), version);
    }
    if settings.close_connections {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if !exchange.held.is_empty() {
        response.body_mut().keep(std::mem::take(&mut exchange.held));
    }
    if !exchange.bare {
        traces::tell(exchange, response.headers_mut());
    }
    detail::answered(exchange, &response);
    if let Some(graph) = &mut exchange.graph {
        graph.begins(&response);
    }
    if let Some(tail) = record::finish(exchange, status, flag) {
        response.body_mut().attach(tail);
    }
    // Records tell of the answer as it was made: of what is packed nobody could read what failed in it.
    compress::answer(exchange, &mut response);
    response
}

/// Logs a refusal. What a backend or the gate itself fails at is an operator's matter: of it, one line a second is told
/// aloud, so that a failing upstream is seen and does not flood the log.
fn tell(exchange: &Exchange, refusal: &Refusal) {
    let (api_id, status) = (&*exchange.api.model.id, refusal.status.as_u16());
    let (flag, detail) = (refusal.flag, refusal.detail.as_deref());
    if refusal.blame != Blame::Client && exchange.gate.metrics.may_warn() {
        tracing::warn!(api_id, status, flag, detail, "{}", refusal.message);
    } else {
        tracing::debug!(api_id, status, flag, detail, "{}", refusal.message);
    }
}

/// Requests that no API should see.
fn turned_away(gate: &Gate, request: &Request<RequestBody>) -> Option<Response<Body>> {
    let limit = gate.settings.max_request_body;
    if limit > 0 && request.body().size_hint().lower() > limit {
        let refusal = Refusal::client(StatusCode::PAYLOAD_TOO_LARGE, "BTL", "Request Entity Too Large");
        return Some(respond::refusal(&refusal, request.headers(), &gate.settings, None));
    }
    if request.method() == Method::CONNECT {
        // It asks for a tunnel to a host of the client's choice, and a success would be taken for one.
        let refusal = Refusal::client(StatusCode::METHOD_NOT_ALLOWED, "IHD", "CONNECT is not served here");
        return Some(respond::refusal(&refusal, request.headers(), &gate.settings, None));
    }
    if names_two_hosts(request) {
        let refusal = Refusal::client(StatusCode::BAD_REQUEST, "IHD", "the request names different hosts");
        return Some(respond::refusal(&refusal, request.headers(), &gate.settings, None));
    }
    match route::check(request.uri().path()) {
        Ok(()) => None,
        Err(Oddity::Malformed(what)) => {
            let refusal = Refusal::client(StatusCode::BAD_REQUEST, "IHD", what);
            Some(respond::refusal(&refusal, request.headers(), &gate.settings, None))
        }
        Err(Oddity::Unclean(_)) if gate.settings.skip_url_cleaning => None,
        Err(Oddity::Unclean(clean)) => Some(redirect(clean, request.uri().query())),
    }
}

/// Whether `:authority` and `Host` of an HTTP/2 request disagree, so that gate and upstream might serve different ones
/// (RFC 9113 section 8.3.1). Over HTTP/1 the reader of heads has looked already.
fn names_two_hosts(request: &Request<RequestBody>) -> bool {
    let Some(authority) = request.uri().authority().filter(|_| request.version() == Version::HTTP_2) else {
        return false;
    };
    let hosts = request.headers().get_all(header::HOST);
    hosts.iter().any(|host| !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()))
}

fn redirect(mut location: String, query: Option<&str>) -> Response<Body> {
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Where a request leads.
struct Found {
    api: Arc<RunningApi>,
    /// Bytes of the path that the listen path covers.
    matched: usize,
    /// See [`Exchange::version_by_default`].
    version_by_default: Option<HeaderValue>,
    /// See [`Exchange::version_in_path`].
    version_in_path: Option<Range<usize>>,
    /// The API has versions, and not the one that is asked for.
    refused: Option<Refusal>,
}

/// Takes the snapshot once and finds the API in it, and of its versions the one that is asked for.
fn find(gate: &Gate, peer: &Peer, request: &mut Request<RequestBody>) -> Option<Found> {
    let snapshot = gate.snapshot();
    let routes = match peer.port {
        None => &snapshot.routes,
        Some(port) => &snapshot.by_port.get(&port)?.routes,
    };
    let found = routes.find(host(request), request.uri().path())?;
    Some(version(&snapshot, Arc::clone(found.api), request, found.matched))
}

/// Which version of an API serves a request.
fn version(
    snapshot: &Snapshot,
    api: Arc<RunningApi>,
    request: &mut Request<RequestBody>,
    matched: usize,
) -> Found {
    if api.versions.is_none() {
        return Found { api, matched, version_by_default: None, version_in_path: None, refused: None };
    }
    // Both may be changed: taken out of the request for that.
    let mut uri = std::mem::take(request.uri_mut());
    let sent = uri.clone();
    let mut headers = std::mem::take(request.headers_mut());
    let chosen = route::choose(&snapshot.apis, &api, &mut uri, &mut headers, matched);
    if uri != sent {
        request.extensions_mut().insert(AsSent(sent));
    }
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    match chosen {
        Ok(route::Chosen { api, by_default, in_path }) => {
            Found { api, matched, version_by_default: by_default, version_in_path: in_path, refused: None }
        }
        Err(refusal) => {
            Found { api, matched, version_by_default: None, version_in_path: None, refused: Some(refusal) }
        }
    }
}

/// The host that the client addresses, without port.
pub(crate) fn host<B>(request: &Request<B>) -> &str {
    let host = request
        .uri()
        .authority()
        .map(|authority| authority.as_str())
        .or_else(|| request.headers().get(header::HOST).and_then(|host| host.to_str().ok()));
    let host = host.unwrap_or_default();
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}
