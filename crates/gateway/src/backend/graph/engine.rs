//! A graph out of several sources as a backend: the engine's network is the gate's own clients, or APIs of the gate.

use std::sync::Arc;
use std::time::Duration;

use apidef::{GraphEngine, GraphQl, GraphSource, GraphSourceKind, Target};
use document::Fault;
use futures_util::future::{BoxFuture, FutureExt};
use graphql::engine::{
    Call, Engine, Fetched, Mapping, Network, Plan, Source, SourceKind, Template, Variable,
};
use graphql::{Checked, Kind, Problem, Schema};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use serde_json::{Map, Value, json};
use streams::Role;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::events::{self, Answers};
use super::served::Behind;
use super::supergraph;
use super::watching::watched_over;
use crate::backend::stream::StreamBackend;
use crate::body::{Body, RequestBody};
use crate::exchange::{Exchange, Peer};
use crate::fetch::{self, Ask};
use crate::gate::Gate;
use crate::limits::at_once;
use crate::respond::{JSON, Refusal};
use crate::serve;
use crate::settings::Settings;

/// Sources that one operation asks at the same time.
const AT_ONCE: usize = 16;
/// How often a graph may be a source of a graph.
const DEEPEST: u8 = 5;

/// An operation that the chain has let pass.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(super) checked: Checked,
    pub(super) variables: Map<String, Value>,
}

/// The backend of a graph: its sources.
#[derive(Debug, Clone)]
pub struct GraphBackend {
    engine: Arc<Engine>,
    /// What sources read that send events.
    streams: Option<Arc<StreamBackend>>,
}

/// How often graphs have asked graphs for a request.
#[derive(Debug, Clone, Copy)]
struct Within(u8);

impl GraphBackend {
    /// Connects and starts nothing.
    pub(crate) fn compile(
        model: &GraphQl,
        schema: &Arc<Schema>,
        settings: &Settings,
        shared: &streams::Settings,
    ) -> Result<Self, Vec<Fault>> {
        if let Some(graph) = &model.supergraph {
            let engine = supergraph::engine(graph, schema).map_err(|fault| vec![fault])?;
            return Ok(Self { engine: Arc::new(engine), streams: None });
        }
        let Some(engine) = &model.engine else {
            return Err(vec![Fault::error(&*model.at, "there is no engine")]);
        };
        let plan = plan(engine, &model.at).map_err(|fault| vec![fault])?;
        let compiled = Engine::new(Arc::clone(schema), plan).map_err(|why| {
            vec![Fault::error(&*model.at, format!("the sources do not fit the schema: {why}"))]
        })?;
        let mut all = Vec::new();
        for (index, source) in engine.sources.iter().enumerate() {
            if let GraphSourceKind::Events { input, processors } = &source.kind {
                let output = json!({"http_server": {"path": "", "ws_path": "", "stream_path": format!("/{index}"),
                    "delivery": "broadcast"}});
                let stream =
                    json!({"input": input, "pipeline": {"processors": processors}, "output": output});
                all.push((index.to_string().into(), stream));
            }
        }
        let streams = if all.is_empty() {
            None
        } else {
            let pointer = "/graphql/engine/data_sources".into();
            let all = apidef::Streams { streams: all, pointer };
            Some(Arc::new(StreamBackend::build(&all, settings, shared)?))
        };
        Ok(Self { engine: Arc::new(compiled), streams })
    }

    /// Its streams are those of this API.
    pub(crate) fn named(mut self, api: &str) -> Self {
        if let Some(streams) = self.streams.as_mut().and_then(Arc::get_mut) {
            streams.name_api(api);
        }
        self
    }

    pub(crate) fn streams(&self) -> Option<&StreamBackend> {
        self.streams.as_deref()
    }

    /// Carries out what the exchange asks for.
    pub(crate) async fn call(&self, exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
        const PROBLEM: &str = "there was a problem proxying the request";
        if let Some(watch) = exchange.watch.take() {
            exchange.held = at_once::enter(exchange, at_once::Kind::Subscribers)?;
            let behind = Behind::Graph(self.clone(), Box::new(Wires::of(exchange)));
            return Box::pin(super::served::serve(behind, exchange, watch)).await;
        }
        let Some(asked) = exchange.asked.take() else {
            return Err(Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, "UCF", PROBLEM));
        };
        let wires = Wires::of(exchange);
        if asked.checked.kind() == Kind::Subscription {
            let accepts = exchange.head.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
            if !accepts.is_some_and(|accept| accept.contains("text/event-stream")) {
                let text =
                    "subscriptions come as events: ask with `Accept: text/event-stream`, or over a WebSocket";
                return Err(Refusal::client(StatusCode::NOT_ACCEPTABLE, "BIV", text));
            }
            let answers = self
                .subscribe(*asked, wires)
                .map_err(|why| super::guard::refuse(&Problem::Errors(graphql::answer_of(why))))?;
            exchange.held = at_once::enter(exchange, at_once::Kind::Subscribers)?;
            return Ok(watched_over(exchange, events::response(answers)));
        }
        let begun = Instant::now();
        let answer = self.answer(&asked, &wires).await;
        exchange.timings.answered(begun);
        let answer = answer.map_err(|problem| super::guard::refuse(&problem))?;
        let mut response = Response::new(Body::full(answer.to_string()));
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        Ok(response)
    }

    pub(super) async fn answer(&self, asked: &Asked, wires: &Wires) -> Result<Value, Problem> {
        self.engine.execute(&asked.checked, &asked.variables, wires).await
    }

    /// Begins a subscription; why there is none for what is asked.
    pub(super) fn subscribe(&self, asked: Asked, wires: Wires) -> Result<Answers, &'static str> {
        const NONE: &str = "no source of this graph sends these events";
        let source = self.engine.source_of_events(&asked.checked).ok_or(NONE)?.to_string();
        let endpoints = self.streams.as_ref().map(|streams| streams.endpoints()).unwrap_or_default();
        let feed = endpoints.iter().find_map(|endpoint| match &endpoint.role {
            Role::Stream(feed) if *endpoint.stream == *source => Some(feed),
            _ => None,
        });
        let feed = feed.ok_or(NONE)?;
        Ok(events::answers(Arc::clone(&self.engine), feed, asked.checked, asked.variables, wires))
    }
}

fn plan(model: &GraphEngine, at: &str) -> Result<Plan, Fault> {
    let pairs = |fields: &apidef::Fields, at: &str| -> Result<Vec<(String, Template)>, Fault> {
        let pair = |(name, text): &(Box<str>, Box<str>)| Ok((name.to_string(), template(text, at)?));
        fields.iter().map(pair).collect()
    };
    let mut plan = Plan { headers: pairs(&model.headers, at)?, ..Plan::default() };
    for source in &model.sources {
        plan.sources.push(compile(source, &pairs)?);
    }
    for field in &model.fields {
        let path = field.path.iter().map(ToString::to_string).collect();
        let mapping = Mapping { path, whole: field.whole };
        plan.mappings.insert((field.kind.to_string(), field.field.to_string()), mapping);
    }
    Ok(plan)
}

pub(super) fn template(text: &str, at: &str) -> Result<Template, Fault> {
    Template::read(text).map_err(|why| Fault::error(at, why))
}

fn compile(
    source: &GraphSource,
    pairs: &impl Fn(&apidef::Fields, &str) -> Result<Vec<(String, Template)>, Fault>,
) -> Result<Source, Fault> {
    let at = &*source.at;
    if Method::from_bytes(source.method.as_bytes()).is_err() {
        return Err(Fault::error(at, format!("`{}` is no method", source.method)));
    }
    let inner = Target::is_inner(&source.url);
    let events = matches!(source.kind, GraphSourceKind::Events { .. });
    if !inner && !events && !source.url.starts_with("http://") && !source.url.starts_with("https://") {
        let text = "the URL of a source begins with `http://`, `https://` or `tyk://`";
        return Err(Fault::error(at, text));
    }
    let kind = match &source.kind {
        GraphSourceKind::Rest { query, body } => SourceKind::Rest {
            query: pairs(query, at)?,
            body: if body.is_empty() { None } else { Some(template(body, at)?) },
        },
        GraphSourceKind::Graph => SourceKind::Graph,
        GraphSourceKind::Events { .. } => SourceKind::Events,
        GraphSourceKind::Operation { operation, variables } => {
            graphql::variables_of(operation)
                .map_err(|why| Fault::error(at, format!("the operation cannot be used: {why}")))?;
            let mut made = Vec::with_capacity(variables.len());
            for (name, value) in variables {
                let value = match value {
                    Value::String(text) => Variable::Made(template(text, at)?),
                    other => Variable::Fixed(other.clone()),
                };
                made.push((name.clone(), value));
            }
            SourceKind::Operation { operation: operation.to_string(), variables: made }
        }
    };
    let roots = source
        .roots
        .iter()
        .flat_map(|(kind, fields)| fields.iter().map(move |field| (kind.to_string(), field.to_string())));
    Ok(Source {
        name: source.name.to_string(),
        roots: roots.collect(),
        url: template(&source.url, at)?,
        method: source.method.to_string(),
        headers: pairs(&source.headers, at)?,
        kind,
    })
}

/// What an operation reaches its sources by.
pub(super) struct Wires {
    gate: Arc<Gate>,
    peer: Arc<Peer>,
    /// Of the client.
    headers: HeaderMap,
    turns: Semaphore,
    time: Duration,
    largest: usize,
    within: u8,
}

impl Wires {
    pub(super) fn of(exchange: &Exchange) -> Self {
        Self {
            gate: Arc::clone(&exchange.gate),
            peer: Arc::clone(&exchange.peer),
            headers: exchange.head.headers.clone(),
            turns: Semaphore::new(AT_ONCE),
            time: exchange.gate.upstream.timeout,
            largest: exchange.gate.settings.most_kept_of_answers(),
            within: exchange.head.extensions.get::<Within>().map_or(0, |within| within.0),
        }
    }

    /// For another operation of the same client.
    pub(super) fn again(&self) -> Self {
        Self {
            gate: Arc::clone(&self.gate),
            peer: Arc::clone(&self.peer),
            headers: self.headers.clone(),
            turns: Semaphore::new(AT_ONCE),
            ..*self
        }
    }
}

impl Network for Wires {
    fn call<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Fetched, String>> {
        async move {
            let _turn = self.turns.acquire().await.map_err(|error| error.to_string())?;
            let asked = async {
                if Target::is_inner(&call.url) { self.inner(call).await } else { self.outer(call).await }
            };
            let late = || format!("no answer within {} s", self.time.as_secs());
            tokio::time::timeout(self.time, asked).await.unwrap_or_else(|_| Err(late()))
        }
        .boxed()
    }

    fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name)?.to_str().ok().map(str::to_owned)
    }
}

impl Wires {
    async fn outer(&self, call: &Call) -> Result<Fetched, String> {
        let target = Target::parse(&call.url).map_err(|why| format!("its URL {why}"))?;
        let ask = Ask::of(method(call)?, target, headers(call), call.body.clone());
        let fetched = fetch::send(&self.gate.upstream, false, ask.within(self.time, self.largest)).await;
        let fetched = fetched.map_err(|error| error.to_string())?;
        Ok(Fetched { status: fetched.status.as_u16(), body: fetched.body.to_vec() })
    }

    /// Asks an API of the gate, with all that guards it.
    async fn inner(&self, call: &Call) -> Result<Fetched, String> {
        if self.within >= DEEPEST {
            return Err("graphs ask each other in a circle".to_owned());
        }
        let inner = Target::inner(&call.url).map_err(|why| format!("its URL {why}"))?;
        let api = self.gate.snapshot().api_called(inner.name);
        let api = api.ok_or_else(|| format!("there is no API `{}`", inner.name))?;
        let query = inner.query.map(|query| format!("?{query}")).unwrap_or_default();
        let body = if call.body.is_empty() {
            RequestBody::none()
        } else {
            RequestBody::full(call.body.clone().into())
        };
        let mut request = Request::new(body);
        *request.method_mut() = method(call)?;
        *request.uri_mut() =
            format!("{}{query}", inner.path).parse().map_err(|_| "its URL is none".to_owned())?;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers(call);
        if !call.body.is_empty() {
            request.headers_mut().insert(header::CONTENT_LENGTH, call.body.len().into());
        }
        request.extensions_mut().insert(Within(self.within + 1));
        let response = serve::carry(&self.gate, &self.peer, api, request, 0).await;
        let status = response.status().as_u16();
        let body = response.into_body().whole(self.largest).await.map_err(|error| error.to_string())?;
        Ok(Fetched { status, body: body.to_vec() })
    }
}

fn method(call: &Call) -> Result<Method, String> {
    Method::from_bytes(call.method.as_bytes()).map_err(|_| format!("`{}` is no method", call.method))
}

fn headers(call: &Call) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if !call.body.is_empty() {
        headers.insert(header::CONTENT_TYPE, JSON);
    }
    for (name, value) in &call.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(&**name), HeaderValue::try_from(&**value)) {
            headers.insert(name, value);
        }
    }
    headers
}
