//! What is known of a trace that is recorded, and the spans that it becomes.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use analytics::Record;
use apidef::Target;
use http::header::{self, HeaderValue};
use http::{Method, Request, StatusCode, Uri, Version};
use http_body::Body as _;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as Outcome;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use streams::Parent;
use tokio::time::Instant;

use super::span_id;
use crate::body::RequestBody;
use crate::exchange::{AsSent, Exchange, Peer};
use crate::snapshot::RunningApi;

/// As the original calls the version of APIs that have none.
const UNVERSIONED: &str = "Non Versioned";
/// Spans inside of one exchange; a request that is sent on and on has no more.
pub(super) const MOST: usize = 256;

/// What is kept of an exchange for its spans beside its record.
#[derive(Debug)]
pub(crate) struct Kept {
    started: Instant,
    /// The target as the client sent it.
    uri: Uri,
    host: Option<HeaderValue>,
    agent: Option<HeaderValue>,
    version: Version,
    tls: bool,
    size: Option<u64>,
    peer: HeaderValue,
    inner: Vec<Ended>,
    guard: Option<Open>,
    call: Option<Open>,
    /// From here on known at the end.
    api: Option<Arc<RunningApi>>,
    oauth_client: Option<Box<str>>,
}

/// A span inside of the exchange's own that is not finished.
#[derive(Debug)]
pub(crate) struct Open {
    id: u64,
    name: &'static str,
    since: Duration,
    call: Option<Box<Call>>,
}

/// A request to an upstream.
#[derive(Debug)]
struct Call {
    method: Method,
    url: String,
    host: Box<str>,
    port: u16,
    status: Option<StatusCode>,
}

/// One that is.
#[derive(Debug)]
pub(super) struct Ended {
    open: Open,
    until: Duration,
    fault: Option<String>,
}

impl Open {
    /// A request to an upstream or a source, begun so long after the exchange.
    pub(super) fn call(since: Duration, target: &Target, path: &str, method: &Method) -> Self {
        let call = Call {
            method: method.clone(),
            // Queries may hold credentials.
            url: format!("{}://{}{path}", target.scheme.as_str(), target.authority),
            host: target.host.clone(),
            port: target.port,
            status: None,
        };
        Self { id: span_id(), name: call_name(method), since, call: Some(Box::new(call)) }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// It was answered, or will not be.
    pub(super) fn answered<E: Display>(mut self, until: Duration, answer: Result<StatusCode, E>) -> Ended {
        let fault = match answer {
            Ok(status) => {
                if let Some(call) = &mut self.call {
                    call.status = Some(status);
                }
                // That is an error for whoever asks (semantic conventions, "HTTP client").
                (status.is_client_error() || status.is_server_error()).then(String::new)
            }
            Err(error) => Some(error.to_string()),
        };
        Ended { open: self, until, fault }
    }
}

impl Kept {
    pub(super) fn begin(peer: &Peer, request: &Request<RequestBody>, started: Instant) -> Self {
        let headers = request.headers();
        let sent = request.extensions().get::<AsSent>().map(|AsSent(uri)| uri);
        Self {
            started,
            uri: sent.unwrap_or(request.uri()).clone(),
            host: headers.get(header::HOST).cloned(),
            agent: headers.get(header::USER_AGENT).cloned(),
            version: request.version(),
            tls: peer.tls.is_some(),
            size: request.body().size_hint().exact(),
            peer: peer.text.clone(),
            inner: Vec::new(),
            guard: None,
            call: None,
            api: None,
            oauth_client: None,
        }
    }

    pub(super) fn at_guard(&mut self, name: &'static str) {
        let since = self.started.elapsed();
        if let Some(open) = self.guard.take() {
            self.close(open, since, None);
        }
        self.guard = Some(Open { id: span_id(), name, since, call: None });
    }

    pub(super) fn past_guard(&mut self, fault: Option<String>) {
        if let Some(open) = self.guard.take() {
            self.close(open, self.started.elapsed(), fault);
        }
    }

    /// The id of the span that a call to an upstream is.
    pub(super) fn ask(&mut self, target: &Target, path: &str, method: &Method) -> u64 {
        let since = self.started.elapsed();
        // One that is sent again was never told how the last attempt went.
        if let Some(open) = self.call.take() {
            self.close(open, since, Some("sent again".to_owned()));
        }
        self.call.insert(Open::call(since, target, path, method)).id
    }

    pub(super) fn answered<E: Display>(&mut self, answer: Result<StatusCode, E>) {
        let Some(open) = self.call.take() else { return };
        self.take([open.answered(self.started.elapsed(), answer)]);
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn take(&mut self, ended: impl IntoIterator<Item = Ended>) {
        let room = MOST.saturating_sub(self.inner.len());
        self.inner.extend(ended.into_iter().take(room));
    }

    fn close(&mut self, open: Open, until: Duration, fault: Option<String>) {
        self.take([Ended { open, until, fault }]);
    }

    pub(super) fn end(&mut self, exchange: &Exchange) {
        let until = self.started.elapsed();
        for open in [self.guard.take(), self.call.take()].into_iter().flatten() {
            self.close(open, until, Some("the client is gone".to_owned()));
        }
        self.api = Some(Arc::clone(&exchange.api));
        let client = exchange.caller.as_ref().map(|caller| &caller.session.oauth_client_id);
        self.oauth_client = client.filter(|id| !id.is_empty()).map(|id| id.as_str().into());
    }
}

/// A name without a copy.
fn call_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "HTTP GET",
        Method::POST => "HTTP POST",
        Method::PUT => "HTTP PUT",
        Method::DELETE => "HTTP DELETE",
        Method::HEAD => "HTTP HEAD",
        Method::OPTIONS => "HTTP OPTIONS",
        Method::PATCH => "HTTP PATCH",
        _ => "HTTP",
    }
}

/// A trace whose exchange is over.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) own: Parent,
    pub(super) parent_id: u64,
    pub(super) kept: Box<Kept>,
    pub(super) record: Record,
}

impl Finished {
    /// How many spans it becomes.
    pub(super) fn count(&self) -> usize {
        self.kept.inner.len() + 1
    }

    /// Its spans, the exchange's own first.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span> {
        std::iter::once(self.root()).chain(self.kept.inner.iter().map(|inner| self.inner(inner)))
    }

    fn root(&self) -> Span {
        let record = &self.record;
        let failed = record.status >= 500;
        let status = failed.then(|| Status {
            message: record.refusal.as_deref().unwrap_or_default().to_owned(),
            code: Outcome::Error as i32,
        });
        Span {
            parent_span_id: id(self.parent_id),
            name: record.api_name.to_string(),
            kind: SpanKind::Server as i32,
            attributes: self.attributes(failed),
            status,
            ..self.span(self.own.span_id, Duration::ZERO, record.total)
        }
    }

    fn inner(&self, inner: &Ended) -> Span {
        let Ended { open, until, fault } = inner;
        let (kind, attributes) = match &open.call {
            None => (SpanKind::Internal, Vec::new()),
            Some(call) => (SpanKind::Client, call.attributes(fault.is_some())),
        };
        let status =
            fault.as_ref().map(|fault| Status { message: fault.clone(), code: Outcome::Error as i32 });
        Span {
            parent_span_id: id(self.own.span_id),
            name: open.name.to_owned(),
            kind: kind as i32,
            attributes,
            status,
            ..self.span(open.id, open.since, *until)
        }
    }

    fn span(&self, span_id: u64, since: Duration, until: Duration) -> Span {
        let began = self.record.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = |time: Duration| u64::try_from((began + time).as_nanos()).unwrap_or(u64::MAX);
        Span {
            trace_id: self.own.trace_id.to_be_bytes().to_vec(),
            span_id: id(span_id),
            trace_state: self.own.state.as_deref().unwrap_or_default().to_owned(),
            // Sampled (W3C Trace Context).
            flags: 1,
            start_time_unix_nano: nanos(since),
            end_time_unix_nano: nanos(until.max(since)),
            ..Span::default()
        }
    }

    /// Contract 11.6, and the semantic conventions for HTTP servers.
    fn attributes(&self, failed: bool) -> Vec<KeyValue> {
        let Self { kept, record, .. } = self;
        let mut all = Attributes(Vec::with_capacity(24));
        all.text("tyk.api.id", &record.api_id);
        all.text("tyk.api.name", &record.api_name);
        all.text("tyk.api.orgid", &record.org_id);
        let version = &*record.api_version;
        all.text("tyk.api.version", if version.is_empty() { UNVERSIONED } else { version });
        if let Some(api) = &kept.api {
            all.text("tyk.api.path", &api.model.listen_path);
            all.texts("tyk.api.tags", api.identity.tags.iter().map(|tag| &**tag));
            all.text("http.route", if record.tracked { &record.path } else { &api.model.listen_path });
        }
        all.some("tyk.api.apikey", record.key.as_deref());
        all.some("tyk.api.apikey.alias", record.alias.as_deref());
        all.some("tyk.api.oauthid", kept.oauth_client.as_deref());
        all.text("tyk.original_path", kept.uri.path());
        all.text("http.request.method", &record.method);
        all.text("url.scheme", if kept.tls { "https" } else { "http" });
        all.text("url.path", kept.uri.path());
        all.number("http.response.status_code", record.status.into());
        all.number("http.response.body.size", record.bytes_out);
        if let Some(size) = kept.size {
            all.number("http.request.body.size", size);
        }
        all.some("user_agent.original", kept.agent.as_ref().and_then(|agent| agent.to_str().ok()));
        let version = match kept.version {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            _ => "1.1",
        };
        all.text("network.protocol.version", version);
        all.some("network.peer.address", kept.peer.to_str().ok());
        all.some("client.address", record.client_ip.map(|address| address.to_string()).as_deref());
        let authority = kept.uri.authority().map(http::uri::Authority::as_str);
        let host = authority.or_else(|| kept.host.as_ref()?.to_str().ok());
        if let Some(Ok(host)) = host.map(str::parse::<http::uri::Authority>) {
            all.text("server.address", host.host());
            let port = host.port_u16().unwrap_or(if kept.tls { 443 } else { 80 });
            all.number("server.port", port.into());
        }
        if failed {
            all.text("error.type", &record.status.to_string());
        }
        all.0
    }
}

impl Call {
    /// The semantic conventions for HTTP clients.
    fn attributes(&self, failed: bool) -> Vec<KeyValue> {
        let mut all = Attributes(Vec::with_capacity(6));
        all.text("http.request.method", self.method.as_str());
        all.text("url.full", &self.url);
        all.text("server.address", &self.host);
        all.number("server.port", self.port.into());
        if let Some(status) = self.status {
            all.number("http.response.status_code", status.as_u16().into());
        }
        if failed {
            all.text("error.type", self.status.as_ref().map_or("_OTHER", StatusCode::as_str));
        }
        all.0
    }
}

/// As OTLP has it: 0 is none.
fn id(id: u64) -> Vec<u8> {
    if id == 0 { Vec::new() } else { id.to_be_bytes().to_vec() }
}

/// What is said of a span or of the gate.
pub(super) struct Attributes(pub(super) Vec<KeyValue>);

impl Attributes {
    fn put(&mut self, key: &str, value: Value) {
        let value = Some(AnyValue { value: Some(value) });
        self.0.push(KeyValue { key: key.to_owned(), value, ..KeyValue::default() });
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.put(key, Value::StringValue(text.to_owned()));
    }

    fn some(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn number(&mut self, key: &str, number: u64) {
        self.put(key, Value::IntValue(i64::try_from(number).unwrap_or(i64::MAX)));
    }

    pub(super) fn truth(&mut self, key: &str, truth: bool) {
        self.put(key, Value::BoolValue(truth));
    }

    pub(super) fn texts<'t>(&mut self, key: &str, texts: impl Iterator<Item = &'t str>) {
        let values =
            texts.map(|text| AnyValue { value: Some(Value::StringValue(text.to_owned())) }).collect();
        self.put(key, Value::ArrayValue(ArrayValue { values }));
    }
}
