//! Spans for Jaeger (streams contract 2.16): to an agent as datagrams, or to a collector over HTTP; in Jaeger's own form, which
//! agents and collectors of every version take. A collector's address that ends in `/v1/traces` gets OTLP.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use document::Fault;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use streams::{BuildContext, Default, Egress, Field, Kind, Node, Span, Tracer};
use tokio::net::UdpSocket;
use tokio::sync::Mutex;
use url::Url;

use super::courier::{Courier, GATHER, Refused, Route, SERVICE, Sampling};
use super::credentials;
use super::otlp::Otlp;
use super::thrift::{Protocol, Writer};
use super::udp;
use crate::addresses::shown;
use crate::http_client::exchange::{Exchange, Request, whole};

pub(super) const FIELDS: &[Field] = &[
    Field::new(
        "agent_address",
        Kind::Text,
        Default::Text(""),
        "An agent, `host:port`, that takes datagrams; most often at port 6831.",
    ),
    Field::new(
        "collector_url",
        Kind::Text,
        Default::Text(""),
        "A collector, such as `https://jaeger:14268/api/traces`. It comes before `agent_address`. With an address that ends in `/v1/traces` it gets OTLP.",
    ),
    Field::new(
        "sampler_type",
        Kind::Choice(&["const"]),
        Default::Text("const"),
        "How traces are chosen: `const` records all or none.",
    ),
    Field::new(
        "sampler_param",
        Kind::Float,
        Default::Float(1.0),
        "With `const`, 1 records all traces, 0 none. As in the original, what lies between is a part of them.",
    ).advanced(),
    Field::optional(
        "tags",
        Kind::Map(&Kind::Text),
        "Tags of all spans. `service.name` is how the service is called.",
    ).advanced(),
    Field::optional(
        "flush_interval",
        Kind::Duration,
        "How long spans are gathered at most; without it half a second.",
    ),
];

/// Agents take datagrams up to this size.
const DATAGRAM: usize = 65_000;
/// Longest answer of a collector that is read.
const MOST_ANSWER: usize = 64 << 10;

pub(super) fn build(
    node: &Node<'_>,
    context: &mut BuildContext<'_>,
) -> Result<Option<Box<dyn Tracer>>, Fault> {
    let ratio = node.float("sampler_param")?;
    if !(0.0..=1.0).contains(&ratio) {
        return Err(node.field_fault("sampler_param", "`sampler_param` must be from 0 to 1"));
    }
    let sampling = Sampling::Ratio(ratio);
    let period = node.duration("flush_interval")?.filter(|period| !period.is_zero()).unwrap_or(GATHER);
    let mut tags = node.pairs("tags")?;
    let stream = context.stream.clone();
    let (agent, collector) = (node.text("agent_address")?, node.text("collector_url")?);
    if collector.is_empty() && agent.is_empty() {
        return Err(node
            .fault("there is neither an agent nor a collector")
            .hint("write `agent_address` or `collector_url`"));
    }
    if collector.is_empty() {
        let service = service(&mut tags);
        let route = Agent {
            address: address(&agent).map_err(|fault| node.field_fault("agent_address", fault))?,
            egress: context.settings.egress.clone(),
            process: Process { service, tags },
            socket: Mutex::default(),
        };
        return Ok(Some(Box::new(Courier::with_period(stream, sampling, route, period))));
    }
    let mut url = url(&collector).map_err(|fault| node.field_fault("collector_url", fault))?;
    if url.path().ends_with("/v1/traces") {
        if tags.iter().all(|(name, _)| name != "service.name") {
            tags.push(("service.name".to_owned(), SERVICE.to_owned()));
        }
        let route = Otlp::over_http(url, &tags, context);
        return Ok(Some(Box::new(Courier::with_period(stream, sampling, route, period))));
    }
    let mut headers = HeaderMap::new();
    headers.extend(credentials(&mut url).map(|value| (AUTHORIZATION, value)));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-thrift"));
    let service = service(&mut tags);
    let route = Collector {
        request: Request { method: Method::POST, url, headers, body: Bytes::new() },
        exchange: Exchange::plain(context, false),
        process: Process { service, tags },
    };
    Ok(Some(Box::new(Courier::with_period(stream, sampling, route, period))))
}

/// Takes the service's name out of the tags.
fn service(tags: &mut Vec<(String, String)>) -> String {
    match tags.iter().position(|(name, _)| name == "service.name") {
        Some(place) => tags.remove(place).1,
        None => SERVICE.to_owned(),
    }
}

fn url(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|fault| format!("`{}` is no address: {fault}", shown(text)))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("`{other}` is not spoken here; write an address with http or https")),
    }
}

/// Host and port; the port of agents where none is written.
fn address(text: &str) -> Result<(String, u16), String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().map_err(|_| format!("`{port}` is no port"))?)
        }
        _ => (text, 6831),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok((if host.is_empty() { "localhost" } else { host }.to_owned(), port))
}

/// Who sends the spans.
struct Process {
    service: String,
    tags: Vec<(String, String)>,
}

/// Over HTTP.
struct Collector {
    request: Request,
    exchange: Exchange,
    process: Process,
}

#[async_trait]
impl Route for Collector {
    fn targets(&self) -> usize {
        1
    }

    fn message(&self, spans: &[Span]) -> Vec<Bytes> {
        let mut writer = Writer::new(Protocol::Binary);
        batch(&mut writer, &self.process, spans);
        vec![writer.finish()]
    }

    async fn send(&self, _: usize, message: &Bytes) -> Result<(), Refused> {
        let request = Request { body: message.clone(), ..self.request.clone() };
        let told = |text: String| format!("{}: {text}", self.request.url);
        let (head, body) = self.exchange.once(&request).await.map_err(|text| Refused::later(told(text)))?;
        if head.status.is_success() {
            return Ok(());
        }
        let said = whole(body, MOST_ANSWER).await.unwrap_or_default();
        let text = told(format!(
            "unexpected response code {}: {}",
            head.status,
            String::from_utf8_lossy(&said).trim()
        ));
        Err(Refused { text, later: head.status.is_server_error() || head.status.as_u16() == 429 })
    }
}

/// Over UDP.
struct Agent {
    address: (String, u16),
    egress: Arc<Egress>,
    process: Process,
    socket: Mutex<Option<UdpSocket>>,
}

#[async_trait]
impl Route for Agent {
    fn targets(&self) -> usize {
        1
    }

    fn message(&self, spans: &[Span]) -> Vec<Bytes> {
        let mut datagrams = Vec::new();
        datagram(&self.process, spans, &mut datagrams);
        datagrams
    }

    async fn send(&self, _: usize, message: &Bytes) -> Result<(), Refused> {
        let mut socket = self.socket.lock().await;
        if socket.is_none() {
            let (host, port) = &self.address;
            *socket = Some(udp::connect(&self.egress, host, *port).await.map_err(Refused::later)?);
        }
        let Some(connected) = &*socket else { return Ok(()) };
        if let Err(fault) = connected.send(message).await {
            // The name may lead elsewhere by now.
            *socket = None;
            return Err(Refused::later(format!("{}:{}: {fault}", self.address.0, self.address.1)));
        }
        Ok(())
    }
}

/// The spans as calls of `emitBatch`, each in a datagram: halves of what does not fit in one. A span that is too large by
/// itself is left out.
fn datagram(process: &Process, spans: &[Span], all: &mut Vec<Bytes>) {
    let mut writer = Writer::new(Protocol::Compact);
    writer.call("emitBatch");
    writer.structure(1, |writer| batch(writer, process, spans));
    writer.stop();
    let message = writer.finish();
    if message.len() <= DATAGRAM {
        all.push(message);
    } else if spans.len() > 1 {
        let (first, second) = spans.split_at(spans.len() / 2);
        datagram(process, first, all);
        datagram(process, second, all);
    } else {
        tracing::warn!("a span is larger than a datagram and is not sent");
    }
}

/// The fields of `jaeger.thrift`'s `Batch`, without those around it.
fn batch(writer: &mut Writer, process: &Process, spans: &[Span]) {
    writer.structure(1, |writer| {
        writer.text(1, &process.service);
        tags(writer, 2, &process.tags, None);
        writer.stop();
    });
    writer.list(2, spans, |writer, span| {
        // The halves of the trace's id, as the signed numbers that Thrift has.
        writer.long(1, span.trace_id as u64 as i64);
        writer.long(2, (span.trace_id >> 64) as u64 as i64);
        writer.long(3, span.span_id as i64);
        writer.long(4, span.parent_id as i64);
        writer.text(5, &span.name);
        if let Some((trace, linked)) = span.link {
            const FOLLOWS_FROM: i32 = 1;
            writer.list(6, &[()], |writer, ()| {
                writer.int(1, FOLLOWS_FROM);
                writer.long(2, trace as u64 as i64);
                writer.long(3, (trace >> 64) as u64 as i64);
                writer.long(4, linked as i64);
                writer.stop();
            });
        }
        const SAMPLED: i32 = 1;
        writer.int(7, SAMPLED);
        let micros = |ns: u64| i64::try_from(ns / 1000).unwrap_or(i64::MAX);
        writer.long(8, micros(span.start_ns));
        writer.long(9, micros(span.end_ns.saturating_sub(span.start_ns)));
        tags(writer, 10, &span.tags, span.error.as_deref());
        writer.stop();
    });
    writer.stop();
}

fn tags(writer: &mut Writer, field: i16, tags: &[(String, String)], error: Option<&str>) {
    const TEXT: i32 = 0;
    const BOOL: i32 = 2;
    let texts = tags.iter().map(|(name, text)| (name.as_str(), Some(text.as_str())));
    let failed = error.map(|text| [("error", None), ("otel.status_description", Some(text))]);
    let all: Vec<(&str, Option<&str>)> = texts.chain(failed.into_iter().flatten()).collect();
    writer.list(field, &all, |writer, (name, text)| {
        writer.text(1, name);
        match text {
            Some(text) => {
                writer.int(2, TEXT);
                writer.text(3, text);
            }
            None => {
                writer.int(2, BOOL);
                writer.bool(5, true);
            }
        }
        writer.stop();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_agents_have_a_port() {
        for (text, expected) in [
            ("agent:6832", Some(("agent", 6832))),
            ("agent", Some(("agent", 6831))),
            (":6831", Some(("localhost", 6831))),
            ("[::1]:7", Some(("::1", 7))),
            ("::1", Some(("::1", 6831))),
            ("agent:x", None),
        ] {
            let found = address(text).ok();
            assert_eq!(found.as_ref().map(|(host, port)| (host.as_str(), *port)), expected, "{text}");
        }
    }

    #[test]
    fn spans_that_do_not_fit_are_sent_in_parts() {
        let span = |name: String| Span {
            trace_id: 1,
            span_id: 2,
            parent_id: 0,
            link: None,
            name,
            state: None,
            start_ns: 0,
            end_ns: 1,
            tags: Arc::new([]),
            error: None,
        };
        let process = Process { service: "s".to_owned(), tags: Vec::new() };
        let spans: Vec<Span> = (0..10).map(|_| span("n".repeat(20_000))).collect();
        let mut datagrams = Vec::new();
        datagram(&process, &spans, &mut datagrams);
        assert!(datagrams.iter().all(|datagram| datagram.len() <= DATAGRAM));
        let names: usize = datagrams.iter().map(Bytes::len).sum();
        assert!(names > 200_000, "nothing is left out");
        let mut none = Vec::new();
        datagram(&process, &[span("n".repeat(70_000))], &mut none);
        assert!(none.is_empty());
    }
}
