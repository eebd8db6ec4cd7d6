//! Spans of messages on their way through a stream (streams contract 2.16): one for each message at its input, open until
//! it is acknowledged, and below it one for each processor and output that it goes through. Without a tracer none of
//! this runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bloblang::{BatchView, Mapping, MessageView, Root, Value};
use bytes::Bytes;

use crate::ack::Ack;
use crate::message::{Batch, Message, View};
use crate::metrics::{ComponentKind, Probe};
use crate::processors::mapping::edit;
use crate::source::through_socket;
use crate::tracer::{Span, Tracer};
use crate::way::{Parent, Way};

/// Makes the spans of one component.
pub(crate) struct Spans {
    recorder: Arc<Recorder>,
    /// Whether the component is the input `http_server`, whose metadata hold the headers of its requests.
    http_server: bool,
    maps: Maps,
}

/// What the fields of an input or output say about traces of others.
#[derive(Debug, Default)]
pub(crate) struct Maps {
    /// Gives `traceparent` and `tracestate` of an incoming message.
    pub(crate) extract: Option<Mapping>,
    /// What is extracted is linked to, not continued.
    pub(crate) link: bool,
    /// Writes `traceparent` and `tracestate` into an outgoing message.
    pub(crate) inject: Option<Mapping>,
}

/// A span that is not finished.
struct Open {
    way: Arc<Way>,
    parent_id: u64,
    link: Option<(u128, u64)>,
    start_ns: u64,
    name: Option<&'static str>,
    /// The message had failed before.
    failed: bool,
}

/// The spans of one batch inside of a component.
pub(crate) struct Inside {
    open: Vec<Open>,
    depth: u32,
    /// The way of the first message; what a component makes anew goes on with it.
    first: Option<Arc<Way>>,
}

impl Spans {
    pub(crate) fn new(tracer: Arc<dyn Tracer>, probe: &Probe, maps: Maps) -> Spans {
        let name = match probe.kind {
            ComponentKind::Input => format!("input_{}", probe.type_name),
            ComponentKind::Output => format!("output_{}", probe.type_name),
            _ => probe.type_name.to_owned(),
        };
        let mut tags = vec![("path".to_owned(), probe.path.clone())];
        tags.extend(probe.label.as_ref().map(|label| ("label".to_owned(), label.clone())));
        let http_server = probe.is_http_server();
        Spans { recorder: Arc::new(Recorder { tracer, name, tags: tags.into() }), http_server, maps }
    }

    /// Opens the span of every message that comes from outside; the ack finishes them.
    pub(crate) fn begin(&self, batch: &mut [Message], ack: Ack) -> Ack {
        let start_ns = now();
        let mut open = Vec::with_capacity(batch.len());
        for index in 0..batch.len() {
            // An input below this one has opened it already.
            if batch[index].way().is_some_and(|way| way.trace_id != 0) {
                continue;
            }
            let root = self.root(batch, index, start_ns);
            batch[index].set_way(root.way.clone());
            if root.way.recorded {
                open.push(root);
            }
        }
        self.finish_with(open, ack)
    }

    fn root(&self, batch: &[Message], index: usize, start_ns: u64) -> Open {
        let message = &batch[index];
        let (parent, name) = match &self.maps.extract {
            Some(mapping) => (extract(mapping, batch, index), None),
            None if self.http_server => {
                let name = if through_socket(message) {
                    "input_http_server_websocket"
                } else {
                    "input_http_server_post"
                };
                (from_headers(message), Some(name))
            }
            None => (None, None),
        };
        let (parent, link) = match parent {
            Some(parent) if self.maps.link => (None, Some((parent.trace_id, parent.span_id))),
            parent => (parent, None),
        };
        let trace_id = parent.as_ref().map_or_else(random_trace, |parent| parent.trace_id);
        let way = Way {
            flow: message.way().and_then(|way| way.flow.clone()),
            trace_id,
            span_id: random_span(),
            recorded: self.recorder.tracer.sample(trace_id, parent.as_ref().map(|parent| parent.sampled)),
            state: parent.as_ref().and_then(|parent| parent.state.clone()),
            ..Way::default()
        };
        let parent_id = parent.map_or(0, |parent| parent.span_id);
        Open { way: Arc::new(way), parent_id, link, start_ns, name, failed: false }
    }

    /// Opens a span on every message that goes into a processor.
    pub(crate) fn enter(&self, batch: &mut [Message]) -> Inside {
        let first = batch.iter().find_map(|message| message.way().cloned());
        let depth = batch.iter().filter_map(Message::way).map(|way| way.depth).max().unwrap_or(0);
        Inside { open: self.open(batch), depth, first }
    }

    fn open(&self, batch: &mut [Message]) -> Vec<Open> {
        let start_ns = now();
        let mut open = Vec::with_capacity(batch.len());
        for message in batch {
            let Some(outer) = message.way().filter(|way| way.recorded).cloned() else { continue };
            let way = Arc::new(Way {
                flow: outer.flow.clone(),
                trace_id: outer.trace_id,
                span_id: random_span(),
                recorded: true,
                state: outer.state.clone(),
                depth: outer.depth + 1,
                outer: Some(outer.clone()),
            });
            message.set_way(way.clone());
            let failed = message.error().is_some();
            open.push(Open { way, parent_id: outer.span_id, link: None, start_ns, name: None, failed });
        }
        open
    }

    /// Finishes the spans of what comes out of a processor, or did not.
    pub(crate) fn leave(&self, inside: Inside, made: &mut [Batch]) {
        let Inside { open, depth, first } = inside;
        let mut errors: HashMap<u64, String> = HashMap::new();
        for message in made.iter_mut().flatten() {
            let Some(mut way) = message.way().cloned() else {
                if let Some(first) = &first {
                    message.set_way(first.clone());
                }
                continue;
            };
            if way.depth <= depth {
                continue;
            }
            if let Some(error) = message.error() {
                errors.entry(way.span_id).or_insert_with(|| error.to_owned());
            }
            while way.depth > depth {
                let Some(outer) = way.outer.clone() else { break };
                way = outer;
            }
            message.set_way(way);
        }
        let end_ns = now();
        for open in open {
            let error = errors.remove(&open.way.span_id).filter(|_| !open.failed);
            self.recorder.record(open, end_ns, error);
        }
    }

    /// Opens a span on every message that goes to an output; the ack finishes them.
    pub(crate) fn write(&self, batch: &mut [Message], ack: Ack) -> Ack {
        let open = self.open(batch);
        if let Some(mapping) = &self.maps.inject {
            for message in batch {
                inject(mapping, message);
            }
        }
        self.finish_with(open, ack)
    }

    fn finish_with(&self, open: Vec<Open>, ack: Ack) -> Ack {
        if open.is_empty() {
            return ack;
        }
        let recorder = self.recorder.clone();
        Ack::new(move |outcome| {
            let end_ns = now();
            for open in open {
                let error = outcome.as_ref().err().map(|reason| reason.text().to_owned());
                recorder.record(open, end_ns, error);
            }
            ack.done(outcome);
        })
    }
}

/// What finishing a span needs.
struct Recorder {
    tracer: Arc<dyn Tracer>,
    name: String,
    tags: Arc<[(String, String)]>,
}

impl Recorder {
    fn record(&self, open: Open, end_ns: u64, error: Option<String>) {
        self.tracer.record(Span {
            trace_id: open.way.trace_id,
            span_id: open.way.span_id,
            parent_id: open.parent_id,
            link: open.link,
            name: open.name.map_or_else(|| self.name.clone(), str::to_owned),
            state: open.way.state.clone(),
            start_ns: open.start_ns,
            end_ns: end_ns.max(open.start_ns),
            tags: self.tags.clone(),
            error,
        });
    }
}

/// What a mapping finds; a mapping that fails is told, and the message begins a trace of its own.
fn extract(mapping: &Mapping, batch: &[Message], index: usize) -> Option<Parent> {
    let found = match mapping.query(&View(batch), index) {
        Ok(found) => found,
        Err(fault) => {
            tracing::debug!(%fault, "no trace could be extracted from a message");
            return None;
        }
    };
    let Value::Object(fields) = &found else { return None };
    let text = |name: &str| {
        let (_, value) = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(&value.to_payload()).into_owned())
    };
    Parent::read(&text("traceparent")?, text("tracestate").as_deref())
}

/// The headers of the request that a message came with.
fn from_headers(message: &Message) -> Option<Parent> {
    let header = |name: &str| {
        let value = message.meta(name)?;
        Some(String::from_utf8_lossy(&value.to_payload()).into_owned())
    };
    Parent::read(&header("Traceparent")?, header("Tracestate").as_deref())
}

/// Lets a mapping, for which `this` is what hands the trace on, change the message.
fn inject(mapping: &Mapping, message: &mut Message) {
    let Some(trace) = message.way().and_then(|way| way.trace()) else { return };
    let fields = trace.fields.into_iter().map(|(name, value)| (name, serde_json::Value::from(value)));
    let value = Value::from(serde_json::Value::Object(fields.collect()));
    let view = Outgoing { content: value.to_payload(), value, message };
    let outcome = mapping.apply(&view, 0).and_then(|outcome| match outcome.root {
        // What is assigned below root is written into the document that the message is.
        Root::Value(_) => {
            let document = message.value().cloned().unwrap_or(Value::Nothing);
            mapping.overlay(&view, 0, document)
        }
        _ => Ok(outcome),
    });
    match outcome {
        Ok(outcome) => {
            if let Some(injected) = edit(message, outcome) {
                *message = injected;
            }
        }
        Err(fault) => tracing::debug!(%fault, "no trace could be injected into a message"),
    }
}

/// A message as a mapping that injects sees it: `this` is the trace, metadata are the message's.
struct Outgoing<'a> {
    content: Bytes,
    value: Value,
    message: &'a Message,
}

impl BatchView for Outgoing<'_> {
    fn len(&self) -> usize {
        1
    }

    fn message(&self, _: usize) -> &dyn MessageView {
        self
    }
}

impl MessageView for Outgoing<'_> {
    fn content(&self) -> &[u8] {
        &self.content
    }

    fn structured(&self) -> Result<&Value, String> {
        Ok(&self.value)
    }

    fn metadata(&self, key: &str) -> Option<&Value> {
        self.message.meta(key)
    }

    fn metadata_all(&self, visit: &mut dyn FnMut(&str, &Value)) {
        self.message.metadata_all(visit);
    }

    fn error(&self) -> Option<&str> {
        self.message.error()
    }
}

fn random_trace() -> u128 {
    rand::random::<u128>().max(1)
}

fn random_span() -> u64 {
    rand::random::<u64>().max(1)
}

/// Nanoseconds since the Unix epoch.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
