//! Spans for collectors that speak OTLP (streams contract 2.16), over HTTP and over gRPC.

use async_trait::async_trait;
use bytes::{BufMut as _, Bytes, BytesMut};
use document::Fault;
use http::header::{AUTHORIZATION, CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use percent_encoding::percent_decode_str;
use prost::Message as _;
use streams::{BuildContext, Default, Field, Kind, Node, Tracer};
use url::Url;

use super::courier::{Courier, Refused, Route, SERVICE, Sampling, ratio};
use super::credentials;
use crate::addresses::shown;
use crate::http_client::exchange::{Exchange, Request, whole};

const COLLECTOR: &[Field] = &[
    Field::optional(
        "address",
        Kind::Text,
        "`host:port`, or an address with a scheme and a path. Empty: the port of the protocol on this machine, 4318 or 4317.",
    ),
    Field::optional("url", Kind::Text, "The older name of `address`."),
    Field::new("secure", Kind::Bool, Default::Bool(false), "Speak TLS."),
];

const SAMPLING: &[Field] = &[
    Field::new(
        "enabled",
        Kind::Bool,
        Default::Bool(false),
        "Record a part of all traces, whoever began them. When false, those are recorded that begin here, and those of others that they record themselves.",
    ),
    Field::optional(
        "ratio",
        Kind::Float,
        "Which part of them, from 0 to 1. Who else samples by the trace's id at this ratio keeps the same ones.",
    ),
];

pub(super) const FIELDS: &[Field] = &[
    Field::required(
        "http",
        Kind::List(&Kind::Object(COLLECTOR)),
        "Collectors that take OTLP over HTTP, at `/v1/traces`; may be empty.",
    ),
    Field::required(
        "grpc",
        Kind::List(&Kind::Object(COLLECTOR)),
        "Collectors that take OTLP over gRPC; may be empty.",
    ),
    Field::new(
        "service",
        Kind::Text,
        Default::Text(SERVICE),
        "How the service is called, unless `tags` have `service.name`.",
    ),
    Field::optional("tags", Kind::Map(&Kind::Text), "Attributes of all spans.").advanced(),
    Field::object("sampling", SAMPLING, "How many traces are recorded."),
];

/// Longest answer of a collector that is read.
const MOST_ANSWER: usize = 64 << 10;

pub(super) fn build(
    node: &Node<'_>,
    context: &mut BuildContext<'_>,
) -> Result<Option<Box<dyn Tracer>>, Fault> {
    let mut targets = Vec::new();
    for collector in node.items("http") {
        targets.push(Target::read(&collector, context, false)?);
    }
    for collector in node.items("grpc") {
        targets.push(Target::read(&collector, context, true)?);
    }
    if targets.is_empty() {
        return Err(node
            .fault("there is no collector")
            .hint("add one to `http` or to `grpc`, or use the tracer `none`"));
    }
    let mut tags = node.pairs("tags")?;
    if tags.iter().all(|(name, _)| name != "service.name") {
        tags.push(("service.name".to_owned(), node.text("service")?.into_owned()));
    }
    let sampling = node.get("sampling");
    let sampling = match sampling.boolean("enabled")? {
        true => Sampling::Ratio(ratio(&sampling, "ratio")?),
        false => Sampling::AsParent,
    };
    let route = Otlp { resource: attributes(&tags), targets };
    Ok(Some(Box::new(Courier::new(context.stream.clone(), sampling, route))))
}

pub(super) struct Otlp {
    resource: Vec<KeyValue>,
    targets: Vec<Target>,
}

impl Otlp {
    /// To one collector, over HTTP.
    pub(super) fn over_http(url: Url, tags: &[(String, String)], context: &BuildContext<'_>) -> Otlp {
        Otlp { resource: attributes(tags), targets: vec![Target::to(url, context, false)] }
    }
}

#[async_trait]
impl Route for Otlp {
    fn targets(&self) -> usize {
        self.targets.len()
    }

    fn message(&self, spans: &[streams::Span]) -> Vec<Bytes> {
        vec![Bytes::from(request(&self.resource, spans).encode_to_vec())]
    }

    async fn send(&self, target: usize, message: &Bytes) -> Result<(), Refused> {
        match self.targets.get(target) {
            Some(target) => target.send(message.clone()).await,
            None => Ok(()),
        }
    }
}

struct Target {
    request: Request,
    grpc: bool,
    exchange: Exchange,
}

impl Target {
    fn read(node: &Node<'_>, context: &BuildContext<'_>, grpc: bool) -> Result<Target, Fault> {
        let mut address = node.text("address")?;
        if address.is_empty() {
            address = node.text("url")?;
        }
        let url = url(&address, grpc, node.boolean("secure")?)
            .map_err(|fault| node.field_fault("address", fault))?;
        Ok(Target::to(url, context, grpc))
    }

    fn to(mut url: Url, context: &BuildContext<'_>, grpc: bool) -> Target {
        let mut headers = HeaderMap::new();
        headers.extend(credentials(&mut url).map(|value| (AUTHORIZATION, value)));
        let kind = if grpc { "application/grpc" } else { "application/x-protobuf" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if grpc {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        let request = Request { method: Method::POST, url, headers, body: Bytes::new() };
        Target { request, grpc, exchange: Exchange::plain(context, grpc) }
    }

    async fn send(&self, message: Bytes) -> Result<(), Refused> {
        let body = if self.grpc { framed(&message) } else { message };
        let request = Request { body, ..self.request.clone() };
        let told = |text: String| format!("{}: {text}", self.request.url);
        let (head, body) = self.exchange.once(&request).await.map_err(|text| Refused::later(told(text)))?;
        if !head.status.is_success() {
            let said = whole(body, MOST_ANSWER).await.unwrap_or_default();
            let text = told(format!(
                "unexpected response code {}: {}",
                head.status,
                String::from_utf8_lossy(&said).trim()
            ));
            // OTLP: these may succeed later, others never.
            let later = matches!(head.status.as_u16(), 429 | 502 | 503 | 504);
            return Err(Refused { text, later });
        }
        if self.grpc { status(&head.headers, body).await.map_err(|refused| refused.of(told)) } else { Ok(()) }
    }
}

/// The status of a call of gRPC, which stands behind the answer, or in its head when there is no answer.
async fn status(head: &HeaderMap, mut body: Incoming) -> Result<(), Refused> {
    let mut trailers = head.clone();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        match frame.map_err(|fault| Refused::later(fault.to_string()))?.into_trailers() {
            Ok(last) => trailers.extend(last),
            Err(frame) => size += frame.data_ref().map_or(0, Bytes::len),
        }
        if size > MOST_ANSWER {
            return Err(Refused::never(format!("the answer is longer than {MOST_ANSWER} bytes")));
        }
    }
    let text = |name: &'static str| {
        let value =
            trailers.get(HeaderName::from_static(name)).map(HeaderValue::as_bytes).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    match &*text("grpc-status") {
        "0" => Ok(()),
        "" => Err(Refused::later("the answer has no status of gRPC".to_owned())),
        code => {
            let said = percent_decode_str(&text("grpc-message")).decode_utf8_lossy().into_owned();
            // OTLP: cancelled, deadline, resources, aborted, out of range, unavailable, data loss.
            let later = matches!(code, "1" | "4" | "8" | "10" | "11" | "14" | "15");
            Err(Refused { text: format!("grpc status {code}: {said}"), later })
        }
    }
}

/// A message of gRPC: not compressed, then its length.
fn framed(message: &Bytes) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    // A batch of spans is far below 4 GiB.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// Where spans are posted.
fn url(address: &str, grpc: bool, secure: bool) -> Result<Url, String> {
    let address = match (address, grpc) {
        ("", false) => "localhost:4318",
        ("", true) => "localhost:4317",
        (address, _) => address,
    };
    let whole = if address.contains("://") {
        address.to_owned()
    } else {
        format!("{}://{address}", if secure { "https" } else { "http" })
    };
    let mut url: Url =
        whole.parse().map_err(|fault| format!("`{}` is no address: {fault}", shown(address)))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{}` is not spoken here; write `host:port`", url.scheme()));
    }
    if grpc {
        url.set_path("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    } else if matches!(url.path(), "" | "/") {
        url.set_path("/v1/traces");
    }
    Ok(url)
}

fn attributes(tags: &[(String, String)]) -> Vec<KeyValue> {
    (tags.iter())
        .map(|(key, value)| KeyValue {
            key: key.clone(),
            value: Some(AnyValue { value: Some(Value::StringValue(value.clone())) }),
            ..KeyValue::default()
        })
        .collect()
}

fn request(resource: &[KeyValue], spans: &[streams::Span]) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "sluicegate".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let spans =
        ScopeSpans { scope: Some(scope), spans: spans.iter().map(span).collect(), schema_url: String::new() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: resource.to_vec(), ..Resource::default() }),
            scope_spans: vec![spans],
            schema_url: String::new(),
        }],
    }
}

fn span(span: &streams::Span) -> Span {
    let id = |id: u64| if id == 0 { Vec::new() } else { id.to_be_bytes().to_vec() };
    let link = |(trace, span): (u128, u64)| Link {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: id(span),
        ..Link::default()
    };
    let failed = |text: &String| Status { message: text.clone(), code: StatusCode::Error as i32 };
    Span {
        trace_id: span.trace_id.to_be_bytes().to_vec(),
        span_id: id(span.span_id),
        parent_span_id: id(span.parent_id),
        trace_state: span.state.as_deref().unwrap_or_default().to_owned(),
        name: span.name.clone(),
        kind: SpanKind::Internal as i32,
        start_time_unix_nano: span.start_ns,
        end_time_unix_nano: span.end_ns,
        attributes: attributes(&span.tags),
        links: span.link.map(link).into_iter().collect(),
        status: span.error.as_ref().map(failed),
        ..Span::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_to_where_otlp_is_taken() {
        const GRPC: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        for (address, grpc, secure, expected) in [
            ("", false, false, Ok("http://localhost:4318/v1/traces".to_owned())),
            ("", true, true, Ok(format!("https://localhost:4317{GRPC}"))),
            ("collector:4318", false, true, Ok("https://collector:4318/v1/traces".to_owned())),
            ("http://collector/own/path", false, false, Ok("http://collector/own/path".to_owned())),
            ("https://collector:4317/", true, false, Ok(format!("https://collector:4317{GRPC}"))),
            ("ftp://collector", false, false, Err(())),
            ("a b", false, false, Err(())),
        ] {
            let found = url(address, grpc, secure).map(String::from).map_err(|_| ());
            assert_eq!(found, expected, "{address}");
        }
    }
}
