//! Spans, as collectors get them.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::HeaderValue;
use http_body_util::{BodyExt as _, Full};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value as Json, json};
use streams::{CloseReason, RunningStream};

use crate::ends::{PATIENCE, build, settings};
use crate::receiver::{Answer, Received, Receiver, ok};

fn stream(tracer: Json, count: usize) -> Json {
    json!({
        "input": { "generate": { "mapping": "root.id = counter()", "interval": "", "count": count } },
        "pipeline": { "threads": 1, "processors": [
            { "label": "odd_ones", "mapping": "root = if this.id == 2 { throw(\"no\") } else { this }" },
        ] },
        "output": { "drop": {} },
        "tracer": tracer,
    })
}

async fn run(config: &Json) -> RunningStream {
    let stream = build(config, &settings()).unwrap().start();
    let over = async {
        while !stream.status().ended {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, over).await.unwrap();
    stream
}

/// What a request over HTTP or gRPC holds.
fn export(request: &Received) -> ExportTraceServiceRequest {
    let message = if request.header("content-type") == "application/grpc" {
        let length = u32::from_be_bytes(request.body[1..5].try_into().unwrap()) as usize;
        assert_eq!((request.body[0], length), (0, request.body.len() - 5), "one message, not compressed");
        request.body.slice(5..)
    } else {
        request.body.clone()
    };
    ExportTraceServiceRequest::decode(message).unwrap()
}

fn spans(requests: &[Received]) -> Vec<Span> {
    let exports = requests.iter().map(export);
    let scopes = exports.flat_map(|export| export.resource_spans).flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// The answer of a gRPC server: the status stands behind the message.
fn grpc(status: &'static str) -> Answer {
    let trailers = [("grpc-status", HeaderValue::from_static(status))];
    let trailers = trailers.into_iter().map(|(name, value)| (name.parse().unwrap(), value)).collect();
    let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(std::future::ready(Some(Ok(trailers))));
    Response::builder().header("content-type", "application/grpc").body(body.boxed()).unwrap()
}

#[tokio::test]
async fn collectors_get_every_span_over_http_and_over_grpc() {
    let (over_http, over_grpc) = (Receiver::start(ok).await, Receiver::start(|_| grpc("0")).await);
    let tracer = json!({ "open_telemetry_collector": {
        "http": [{ "address": format!("http://me:secret@127.0.0.1:{}", over_http.port) }],
        "grpc": [{ "address": format!("http://127.0.0.1:{}", over_grpc.port) }],
        "tags": { "zone": "a" },
        "service": "shop",
    } });
    run(&stream(tracer, 3)).await;
    let request = &over_http.received()[0];
    assert_eq!((request.head.method.as_str(), request.head.uri.path()), ("POST", "/v1/traces"));
    assert_eq!(request.header("content-type"), "application/x-protobuf");
    assert_eq!(request.header("authorization"), "Basic bWU6c2VjcmV0");
    let request = &over_grpc.received()[0];
    assert_eq!(request.head.version, http::Version::HTTP_2);
    assert_eq!(request.head.uri.path(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    assert_eq!(request.header("te"), "trailers");

    let resource = export(&over_http.received()[0]).resource_spans.remove(0).resource.unwrap();
    assert_eq!(text(&resource.attributes, "service.name"), Some("shop"));
    assert_eq!(text(&resource.attributes, "zone"), Some("a"));
    let (mut all, mut same) = (spans(&over_http.received()), spans(&over_grpc.received()));
    all.sort_by(|a, b| a.span_id.cmp(&b.span_id));
    same.sort_by(|a, b| a.span_id.cmp(&b.span_id));
    assert_eq!(all, same);
    let named = |name: &str| all.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let roots = named("input_generate");
    assert_eq!((roots.len(), named("mapping").len(), named("output_drop").len(), all.len()), (3, 3, 3, 9));
    for root in &roots {
        assert_eq!((root.trace_id.len(), root.span_id.len(), root.parent_span_id.len()), (16, 8, 0));
        for name in ["mapping", "output_drop"] {
            let child = named(name).into_iter().find(|child| child.trace_id == root.trace_id).unwrap();
            assert_eq!(child.parent_span_id, root.span_id);
            assert!(root.start_time_unix_nano <= child.start_time_unix_nano);
            assert!(child.end_time_unix_nano <= root.end_time_unix_nano);
        }
    }
    assert_eq!(text(&named("mapping")[0].attributes, "label"), Some("odd_ones"));
    assert_eq!(text(&named("mapping")[0].attributes, "path"), Some("root.pipeline.processors.0"));
    let failed: Vec<&Span> =
        all.iter().filter(|span| span.status.as_ref().is_some_and(|s| s.code == 2)).collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].name == "mapping" && failed[0].status.as_ref().unwrap().message.contains("no"));
}

#[tokio::test]
async fn requests_carry_the_span_that_they_are_part_of() {
    let (server, collector) = (Receiver::start(ok).await, Receiver::start(ok).await);
    let incoming = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let config = |tracer: Json, own: Json| {
        json!({
            "input": { "generate": {
                "mapping": format!("root = {{}}\nmeta traceparent = \"{incoming}\""), "interval": "", "count": 1,
            } },
            "output": { "http_client": {
                "url": format!("http://127.0.0.1:{}", server.port),
                "metadata": { "include_patterns": ["."] },
                "headers": own,
            } },
            "tracer": tracer,
        })
    };
    let tracer = json!({ "open_telemetry_collector": {
        "http": [{ "address": format!("127.0.0.1:{}", collector.port) }], "grpc": [],
    } });
    let sent = || server.received().last().unwrap().header("traceparent").to_owned();
    run(&config(tracer.clone(), json!({}))).await;
    let spans = spans(&collector.received());
    let output = spans.iter().find(|span| span.name == "output_http_client").unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(sent(), format!("00-{}-{}-01", hex(&output.trace_id), hex(&output.span_id)));
    // What somebody wrote stays, and without a tracer what came in.
    run(&config(tracer, json!({ "traceparent": "mine" }))).await;
    assert_eq!(sent(), "mine");
    run(&config(json!({ "none": {} }), json!({}))).await;
    assert_eq!(sent(), incoming);
}

#[tokio::test]
async fn what_may_succeed_later_is_sent_again_and_the_rest_is_not() {
    // The first answers, then success; how many requests there are in the end.
    for (over_grpc, first, requests) in [(false, 503, 2), (false, 400, 1), (true, 14, 2), (true, 3, 1)] {
        let tried = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let receiver = Receiver::start(move |request| {
            let again = tried.swap(true, std::sync::atomic::Ordering::Relaxed);
            match (over_grpc, again, first) {
                (false, false, status) => {
                    Response::builder().status(status).body(Full::default().boxed()).unwrap()
                }
                (false, true, _) => ok(request),
                (true, true, _) => grpc("0"),
                (true, false, 14) => grpc("14"),
                (true, false, _) => grpc("3"),
            }
        })
        .await;
        let address = json!([{ "address": format!("127.0.0.1:{}", receiver.port) }]);
        let (http, grpc) = if over_grpc { (json!([]), address) } else { (address, json!([])) };
        run(&stream(json!({ "open_telemetry_collector": { "http": http, "grpc": grpc } }), 1)).await;
        assert_eq!(receiver.received().len(), requests, "grpc {over_grpc}, first {first}");
    }
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nothing_up() {
    let tracer = json!({ "open_telemetry_collector": {
        "http": [{ "address": "127.0.0.1:1" }], "grpc": [{ "address": "127.0.0.1:1" }],
    } });
    let stream = build(&stream(tracer, 20_000), &settings()).unwrap().start();
    let delivered = async {
        let status = stream.status();
        let output = status.components.iter().find(|probe| probe.path == "root.output").unwrap();
        while output.sent.get() < 20_000 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, delivered).await.unwrap();
    stream.stop(Duration::from_secs(1), CloseReason::Removed).await;
}

#[tokio::test]
async fn a_ratio_records_whole_traces() {
    let receiver = Receiver::start(ok).await;
    let tracer = |ratio: f64| {
        json!({ "open_telemetry_collector": {
            "http": [{ "address": format!("127.0.0.1:{}", receiver.port) }], "grpc": [],
            "sampling": { "enabled": true, "ratio": ratio },
        } })
    };
    run(&stream(tracer(0.0), 50)).await;
    assert!(receiver.received().is_empty());
    run(&stream(tracer(0.5), 400)).await;
    let spans = spans(&receiver.received());
    let traces: std::collections::BTreeSet<&[u8]> = spans.iter().map(|span| &*span.trace_id).collect();
    assert!((100..300).contains(&traces.len()), "{}", traces.len());
    assert_eq!(spans.len(), traces.len() * 3);
}

#[test]
fn wrong_settings_are_refused_with_their_place() {
    for (tracer, expected) in [
        (json!({ "open_telemetry_collector": { "http": [] } }), "needs the field `grpc`"),
        (json!({ "open_telemetry_collector": { "http": [], "grpc": [] } }), "there is no collector"),
        (
            json!({ "open_telemetry_collector": { "http": [{ "address": "ftp://a" }], "grpc": [] } }),
            "/tracer/open_telemetry_collector/http/0/address: `ftp` is not spoken here",
        ),
        (
            json!({ "open_telemetry_collector": {
                "http": [{}], "grpc": [], "sampling": { "enabled": true, "ratio": 1.5 },
            } }),
            "`ratio` must be a number from 0 to 1",
        ),
        (
            json!({ "open_telemetry_collector": { "http": [{}], "grpc": [], "sampling": { "enabled": true } } }),
            "/tracer/open_telemetry_collector/sampling/ratio",
        ),
        (json!({ "jeager": {} }), "there is no tracer `jeager`"),
    ] {
        let refused = build(&stream(tracer.clone(), 1), &settings()).unwrap_err();
        assert!(refused.contains(expected), "{tracer}: {refused}");
    }
}
