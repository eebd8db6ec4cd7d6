//! A graph out of several sources as a backend.

use std::sync::Arc;

use apidef::{GraphEngine, GraphQl, GraphSource, GraphSourceKind, Target};
use document::Fault;
use graphql::engine::{Engine, Mapping, Plan, Source, SourceKind, Template, TypeNames, Variable};
use graphql::{Checked, Kind, Problem, Schema};
use http::{Method, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use streams::Role;
use tokio::time::Instant;

use super::events::{self, Answers};
use super::opening::{self, asking};
use super::served::Behind;
use super::supergraph;
use super::watching::watched_over;
use super::wires::Wires;
use crate::backend::stream::StreamBackend;
use crate::body::Body;
use crate::exchange::Exchange;
use crate::limits::at_once;
use crate::respond::{JSON, Refusal};
use crate::settings::Settings;

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
            return Ok(Self { engine: Arc::new(engine.extended(model.error_extensions)), streams: None });
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
        Ok(Self { engine: Arc::new(compiled.extended(model.error_extensions)), streams })
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
        // Nobody reads the body any more, and a record is to have it.
        if let Some(detail) = &exchange.detail
            && let Ok(body) = exchange.body.keep(0).await
        {
            detail.request.add(&body);
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
            let answers = self.subscribe(*asked, wires).map_err(|problem| super::guard::refuse(&problem))?;
            exchange.held = at_once::enter(exchange, at_once::Kind::Subscribers)?;
            return Ok(watched_over(exchange, events::response(answers)));
        }
        let begun = Instant::now();
        let wires = wires.traced(exchange);
        let answer = self.answer(&asked, &wires).await;
        wires.end(exchange);
        exchange.timings.answered(begun);
        if let Some(graph) = &mut exchange.graph {
            match &answer {
                Ok(answer) => graph.answered(answer),
                Err(problem) => graph.answered(&events::told(problem)),
            }
        }
        let answer = answer.map_err(|problem| super::guard::refuse(&problem))?;
        let mut response = Response::new(Body::full(answer.to_string()));
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        Ok(response)
    }

    pub(super) async fn answer(&self, asked: &Asked, wires: &Wires) -> Result<Value, Problem> {
        self.engine.execute(&asked.checked, &asked.variables, wires).await
    }

    /// Begins a subscription; why there is none for what is asked.
    pub(super) fn subscribe(&self, asked: Asked, wires: Wires) -> Result<Answers, Problem> {
        let Asked { checked, variables } = asked;
        if let Some(opening) = self.engine.opening(&checked, &variables, &wires)? {
            let coming = opening::open(&wires, opening);
            return Ok(events::asked(Arc::clone(&self.engine), coming, checked, variables, wires));
        }
        let source = self.engine.source_of_events(&checked).map(|source| source.to_string());
        let endpoints = self.streams.as_ref().map(|streams| streams.endpoints()).unwrap_or_default();
        let feed = endpoints.iter().find_map(|endpoint| match &endpoint.role {
            Role::Stream(feed) if source.as_deref() == Some(&*endpoint.stream) => Some(feed),
            _ => None,
        });
        let feed = feed.ok_or_else(|| {
            Problem::Errors(graphql::answer_of("no source of this graph sends these events"))
        })?;
        Ok(events::answers(Arc::clone(&self.engine), feed, checked, variables, wires))
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

fn type_names(names: &apidef::TypeNames) -> TypeNames {
    TypeNames {
        usual: Some(&*names.usual).filter(|name| !name.is_empty()).map(ToString::to_string),
        by_status: names.by_status.iter().map(|(status, name)| (*status, name.to_string())).collect(),
    }
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
        types: type_names(&source.types),
        kind,
        asking: asking(source.subscriptions),
    })
}
