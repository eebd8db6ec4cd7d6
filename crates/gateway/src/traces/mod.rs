//! Traces of requests for OpenTelemetry (contract 11.6): where one begins, what it goes through, and how it ends. Where
//! nothing is traced, each of these costs one look at a pointer.

mod calls;
mod courier;
mod foreign;
mod otlp;
mod propagation;
mod sampling;
mod settings;
mod span;
mod transport;

use std::fmt::Display;
use std::sync::Arc;

use analytics::Record;
use apidef::Target;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, StatusCode};
use streams::Parent;
use tokio::time::Instant;

pub(crate) use calls::Calls;
pub use propagation::{Propagation, Standard};
pub use sampling::{Sampler, Sampling};
pub use settings::{CollectorTls, TraceSettings};

use self::courier::Courier;
use self::foreign::write_id;
pub(crate) use self::span::Open;
use self::span::{Finished, Kept};
use crate::body::RequestBody;
use crate::exchange::{Exchange, Peer};
use crate::gate::Gate;
use crate::respond::Refusal;

/// Tells clients which trace their request belongs to.
const TRACE_ID: HeaderName = HeaderName::from_static("x-tyk-trace-id");

/// Decides which traces are recorded, and sends them.
#[derive(Debug)]
pub struct Tracer {
    propagation: Propagation,
    sampling: Sampling,
    courier: Courier,
}

/// The trace of one exchange. The gate's part of it is one span, and those inside of it.
#[derive(Debug)]
pub(crate) struct Trace {
    tracer: Arc<Tracer>,
    /// How it goes on from here, as the upstream is told: the id of the trace and of the exchange's own span.
    own: Parent,
    /// The span of whoever sent the request; 0: there is none.
    parent_id: u64,
    /// What is known of it; `None` where it is not recorded.
    kept: Option<Box<Kept>>,
}

impl Tracer {
    /// One that sends to a collector. Blocking: reads files.
    ///
    /// # Errors
    /// Which setting has to be changed.
    pub fn new(settings: TraceSettings) -> Result<Self, String> {
        Ok(Self {
            propagation: settings.propagation.clone(),
            sampling: settings.sampling,
            courier: Courier::new(settings)?,
        })
    }

    /// Sends what is recorded until [`Tracer::finish`] is called. `node` is what this node is called.
    pub(crate) async fn run(&self, node: &str) {
        self.courier.run(node).await;
    }

    /// Sends what is left: some seconds, then the rest is dropped.
    pub(crate) async fn finish(&self) {
        self.courier.finish().await;
    }

    /// Spans that wait, room for them, spans that were taken by the collector, and spans that were not.
    pub(crate) fn counts(&self) -> [u64; 4] {
        self.courier.counts()
    }
}

/// Sends traces for as long as the gate runs.
pub async fn run(gate: Arc<Gate>) {
    if let Some(tracer) = &gate.tracer {
        tracer.run(gate.nodes.id()).await;
    }
}

/// Begins the trace of a request whose head had been read at `started`.
pub(crate) fn begin(
    gate: &Gate,
    peer: &Peer,
    request: &Request<RequestBody>,
    started: Instant,
) -> Option<Box<Trace>> {
    let tracer = gate.tracer.as_ref()?;
    let remote = tracer.propagation.extract(request.headers());
    let from = remote.as_ref().map(|remote| remote.from);
    let trace_id = from.map_or_else(|| rand::random::<u128>().max(1), |from| from.trace_id);
    let sampled = tracer.sampling.takes(trace_id, from.and_then(|from| from.sampled));
    let state = remote.and_then(|remote| remote.state);
    Some(Box::new(Trace {
        tracer: Arc::clone(tracer),
        own: Parent { trace_id, span_id: span_id(), sampled, state },
        parent_id: from.map_or(0, |from| from.span_id),
        kept: sampled.then(|| Box::new(Kept::begin(peer, request, started))),
    }))
}

/// A guard is asked; the one before it has let the exchange pass.
pub(crate) fn at_guard(exchange: &mut Exchange, name: impl FnOnce() -> &'static str) {
    let Some(trace) = &mut exchange.trace else { return };
    if exchange.api.model.recording.detailed_traces
        && let Some(kept) = &mut trace.kept
    {
        kept.at_guard(name());
    }
}

/// No more guards are asked; the last one has refused the exchange, or not.
pub(crate) fn past_guards(exchange: &mut Exchange, refusal: Option<&Refusal>) {
    if let Some(kept) = kept(exchange) {
        kept.past_guard(refusal.map(|refusal| refusal.message.to_string()));
    }
}

/// A request to an upstream is ready: it is told which trace it belongs to.
pub(crate) fn ask(
    exchange: &mut Exchange,
    target: &Target,
    path: &PathAndQuery,
    method: &Method,
    headers: &mut HeaderMap,
) {
    let Some(trace) = &mut exchange.trace else { return };
    let span_id = match &mut trace.kept {
        Some(kept) => kept.ask(target, path.path(), method),
        None => trace.own.span_id,
    };
    trace.tracer.propagation.inject(&Parent { span_id, ..trace.own.clone() }, headers);
}

/// The upstream has answered, or will not.
pub(crate) fn answered<E: Display>(exchange: &mut Exchange, answer: Result<StatusCode, E>) {
    if let Some(kept) = kept(exchange) {
        kept.answered(answer);
    }
}

/// What hands the trace on from the exchange itself, as fields of a request.
pub(crate) fn hand_on(exchange: &Exchange, headers: &mut HeaderMap) {
    if let Some(trace) = &exchange.trace {
        trace.tracer.propagation.inject(&trace.own, headers);
    }
}

/// Tells the client which trace its request belongs to.
pub(crate) fn tell(exchange: &Exchange, headers: &mut HeaderMap) {
    if let Some(trace) = &exchange.trace
        && let Ok(id) = HeaderValue::try_from(trace.id())
    {
        headers.insert(TRACE_ID, id);
    }
}

/// There is an answer: what only the exchange knows is taken from it. `None` where nothing is recorded of its trace.
pub(crate) fn end(exchange: &mut Exchange) -> Option<Box<Trace>> {
    let mut trace = exchange.trace.take()?;
    let kept = trace.kept.as_mut()?;
    kept.end(exchange);
    Some(trace)
}

fn kept(exchange: &mut Exchange) -> Option<&mut Kept> {
    exchange.trace.as_mut()?.kept.as_deref_mut()
}

/// Never 0, which means none.
fn span_id() -> u64 {
    rand::random::<u64>().max(1)
}

impl Trace {
    /// Its id, as everybody writes it.
    pub(crate) fn id(&self) -> String {
        write_id(self.own.trace_id, 32)
    }

    /// Whether spans of it are sent.
    pub(crate) fn is_recorded(&self) -> bool {
        self.kept.is_some()
    }

    /// The exchange is over, and this is its record: its spans are on their way.
    pub(crate) fn finish(self, record: &Record) {
        let Self { tracer, own, parent_id, kept } = self;
        if let Some(kept) = kept {
            let finished = Finished { own, parent_id, kept, record: record.clone() };
            tracer.courier.take(finished);
        }
    }
}
