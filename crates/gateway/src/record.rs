//! What happened to an exchange, handed over when its last byte has been sent. Nothing here waits.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use analytics::{Record, Recorder};
use apidef::Backend;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, StatusCode};
use tokio::time::Instant;

use crate::clock::unix_now;
use crate::detail::Detail;
use crate::exchange::{Carried, Exchange};
use crate::plugins::Plugins;
use crate::traces::{self, Trace};

mod graph;
mod tags;

pub(crate) use graph::OfGraph;
pub(crate) use tags::{of_api, of_session};

/// Most that is kept of what clients call themselves, in bytes.
const LONGEST_AGENT: usize = 512;

/// Travels with the response body; its end is the exchange's end.
#[derive(Debug)]
pub(crate) struct Tail {
    recorder: Option<Recorder>,
    /// Has the record edited, where a plugin does that.
    editing: Option<Arc<Plugins>>,
    access_log: bool,
    started: Instant,
    record: Option<Record>,
    detail: Option<Box<Detail>>,
    trace: Option<Box<Trace>>,
    graph: Option<Box<OfGraph>>,
    complete: bool,
}

impl Tail {
    /// Body bytes went out.
    pub(crate) fn sent(&mut self, data: Option<&Bytes>) {
        let Some(data) = data else { return };
        if let Some(record) = &mut self.record {
            record.bytes_out += data.len() as u64;
        }
        if let Some(detail) = &self.detail {
            detail.answer.add(data);
        }
        if let Some(graph) = &mut self.graph {
            graph.passes(data);
        }
    }

    /// A connection that had left HTTP ended.
    pub(crate) fn carried(&mut self, carried: Carried) {
        if let Some(record) = &mut self.record {
            record.bytes_out += carried.bytes;
            record.messages += carried.messages;
        }
        self.complete = true;
    }

    /// The body ended as it should.
    pub(crate) fn completed(&mut self) {
        self.complete = true;
    }

    /// The body broke: its backend went away.
    pub(crate) fn broke(&mut self) {
        if let Some(record) = &mut self.record {
            record.refusal = Some(Cow::Borrowed("UPE"));
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let Some(mut record) = self.record.take() else { return };
        record.total = self.started.elapsed();
        if self.access_log {
            log(&record, self.complete);
        }
        if let Some(trace) = self.trace.take() {
            trace.finish(&record);
        }
        if let Some(recorder) = &self.recorder {
            if let Some(detail) = self.detail.take() {
                record.raw_request = detail.request.encoded();
                record.raw_response = detail.answer.encoded();
            }
            record.graph = self.graph.take().map(|graph| Box::new(graph.finish(record.status)));
            hand_over(record, recorder, self.editing.as_ref());
        }
    }
}

/// Those of an API's plugins, if one of them edits records.
pub(crate) fn editing(plugins: &Option<Arc<Plugins>>) -> Option<&Arc<Plugins>> {
    plugins.as_ref().filter(|plugins| plugins.edits_records())
}

/// Hands a record to the store, by way of the plugin that edits it where there is one.
pub(crate) fn hand_over(record: Record, recorder: &Recorder, editing: Option<&Arc<Plugins>>) {
    match editing {
        Some(plugins) => plugins.edit(record, recorder),
        None => recorder.record(record),
    }
}

/// Counts the exchange and begins its record; `None` where none is kept. `flag` is why it was refused, if it was.
pub(crate) fn finish(exchange: &mut Exchange, status: StatusCode, flag: &'static str) -> Option<Box<Tail>> {
    exchange.recorded = true;
    let gate = &exchange.gate;
    let api = &exchange.api;
    let elapsed = exchange.timings.elapsed();
    // What is not to be tracked is in no counter of its API either (contract 8.8).
    let tracked = !api.model.recording.off && !exchange.unrecorded;
    if tracked {
        api.metrics.count(status, elapsed, exchange.timings.upstream);
        if let Some(window) = gate.settings.health_window {
            api.metrics.health.count(unix_now(), window, flag, exchange.timings.upstream);
            gate.noted.note(gate, &api.identity.id, flag, exchange.timings.upstream);
        }
    }

    let recorder = gate.recorder.clone().filter(|_| tracked);
    let access_log = gate.settings.access_log;
    let traced = exchange.trace.as_ref().is_some_and(|trace| trace.is_recorded());
    if recorder.is_none() && !access_log && !traced {
        return None;
    }
    let identity = &api.identity;
    let mut record = Record::new(
        SystemTime::now() - elapsed,
        Arc::clone(&identity.id),
        Arc::clone(&identity.name),
        Arc::clone(&identity.org),
    );
    record.api_version = Arc::clone(&identity.version);
    if let Some(caller) = &exchange.caller {
        record.key = Some(Arc::clone(caller.hash()));
        record.alias.clone_from(&caller.alias);
    }
    let head = &exchange.head;
    record.method = method(&head.method);
    record.host = host(exchange).into();
    record.user_agent = exchange.said.agent().map(Into::into);
    record.bytes_in = exchange.said.length;
    record.trace_id = exchange.trace.as_ref().map(|trace| trace.id().into());
    record.tags = tags::of(exchange, record.trace_id.as_deref());
    let of_organisation = exchange.organisation.as_ref().and_then(|known| known.kept);
    let kept = api.model.recording.kept.or(of_organisation);
    record.expires = kept.and_then(|kept| record.started.checked_add(kept));
    match &exchange.tracked_as {
        Some(pattern) => {
            record.path = (&**pattern).into();
            record.raw_path = Some(head.uri.path().into());
            record.tracked = true;
        }
        None => record.path = head.uri.path().into(),
    }
    record.mcp = exchange.mcp.as_ref().and_then(|asked| asked.told(status.as_u16(), flag)).map(Box::new);
    record.status = status.as_u16();
    record.refusal = (!flag.is_empty()).then_some(Cow::Borrowed(flag));
    record.upstream = exchange.timings.upstream;
    record.client_ip = exchange.client_address();
    let editing = editing(&api.plugins).cloned();
    let trace = traces::end(exchange);
    Some(Box::new(Tail {
        recorder,
        editing,
        access_log,
        started: exchange.timings.started,
        record: Some(record),
        detail: exchange.detail.take(),
        trace,
        graph: exchange.graph.take(),
        complete: false,
    }))
}

/// Which host answers: that of the upstream, and that which the client asked for where there is none (contract 11.1).
fn host(exchange: &Exchange) -> &str {
    match &exchange.api.model.backend {
        Backend::Upstream(upstream) => &upstream.target.authority,
        Backend::Streams(_) | Backend::Graph => {
            exchange.head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
        }
    }
}

/// What clients say, as it is before the head goes to the upstream.
#[derive(Debug, Default)]
pub(crate) struct Said {
    agent: Option<HeaderValue>,
    /// Of the body, as announced.
    length: u64,
}

impl Said {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Self { agent: headers.get(USER_AGENT).cloned(), length: length.unwrap_or(0) }
    }

    /// What the client calls itself, as far as that is kept.
    fn agent(&self) -> Option<&str> {
        let agent = self.agent.as_ref()?.to_str().ok()?;
        Some(agent.get(..LONGEST_AGENT).unwrap_or(agent))
    }
}

/// The usual methods without a copy.
fn method(method: &Method) -> Cow<'static, str> {
    Cow::Borrowed(match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => return Cow::Owned(method.as_str().to_owned()),
    })
}

/// One line for each exchange, with the field names of contract 11.5.
pub(crate) fn log(record: &Record, complete: bool) {
    tracing::info!(
        target: "access-log",
        api_id = &*record.api_id,
        api_name = &*record.api_name,
        org_id = &*record.org_id,
        api_key = record.key.as_deref().map(apidef::keys::obfuscate),
        client_ip = record.client_ip.map(|address| address.to_string()),
        method = &*record.method,
        path = &*record.path,
        status = record.status,
        response_flag = record.refusal.as_deref(),
        latency_total = record.total.as_millis() as u64,
        upstream_latency = record.upstream.as_millis() as u64,
        trace_id = record.trace_id.as_deref(),
        mcp_method = record.mcp.as_ref().map(|call| &*call.method),
        mcp_primitive_type = record.mcp.as_ref().map(|call| &*call.kind).filter(|kind| !kind.is_empty()),
        mcp_primitive_name = record.mcp.as_ref().map(|call| &*call.name).filter(|name| !name.is_empty()),
        mcp_error_code = record.mcp.as_ref().and_then(|call| call.error),
        bytes_out = record.bytes_out,
        messages = record.messages,
        complete,
    );
}
