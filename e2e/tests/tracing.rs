//! Traces of requests, as a collector of OpenTelemetry gets them (contract 1.3 `opentelemetry`, 11.6).

use std::time::Instant;

use e2e::definition::{keyed, keyless, session};
use e2e::streaming::{events, post, post_to_sse};
use e2e::{Authority, Collector, Endless, Gate, Reply, Setup, Traced, Upstream, free_port, front, until};
use serde_json::{Value, json};

const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// Traces to this collector over gRPC, at once.
fn traces(endpoint: &str) -> Value {
    json!({"enabled": true, "endpoint": endpoint, "span_processor_type": "simple"})
}

fn with(mut traces: Value, more: Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        traces[name] = value.clone();
    }
    traces
}

fn setup(traces: Value) -> Setup {
    Gate::setup().conf(json!({"opentelemetry": {"traces": traces}}))
}

/// The trace that an answer says it belongs to.
fn trace_id(reply: &Reply) -> String {
    let id = reply.header("x-tyk-trace-id").unwrap_or_default();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "no trace: {reply:?}");
    id
}

/// What an upstream that echoes was told in a field.
fn told(reply: &Reply, name: &str) -> String {
    reply.json()["headers"][name][0].as_str().unwrap_or_default().to_owned()
}

fn of_kind(spans: &[Traced], kind: i32) -> Vec<&Traced> {
    spans.iter().filter(|span| span.kind == kind).collect()
}

#[tokio::test]
async fn c11_6_a_request_is_a_span_of_the_gate_and_one_towards_the_upstream() {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    let mut api = keyed("a", &upstream.url("/base"));
    api["name"] = json!("Orders");
    api["tags"] = json!(["eu"]);
    let conf = json!({"enable_analytics": true, "access_logs": {"enabled": true}, "log_format": "json"});
    let gate = setup(traces(&collector.grpc())).conf(conf).api(api).start().await;
    let mut caller = session(&["a"]);
    caller["alias"] = json!("till");
    let key = gate.admin().key(&caller).await;
    let arguments = ["-H", &format!("Authorization: {key}"), "-A", "curious", "-d", "12345", "-H", "Expect:"];
    let reply = gate.get("/a/orders?token=whisper", &arguments).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let id = trace_id(&reply);
    let spans = collector.trace(&id).await;
    let [root] = of_kind(&spans, 2)[..] else { panic!("{spans:#?}") };
    let [call] = of_kind(&spans, 3)[..] else { panic!("{spans:#?}") };
    assert_eq!(spans.len(), 2, "guards are told apart only where an API says so: {spans:#?}");

    assert_eq!((&*root.name, &*root.parent_id, &root.error), ("Orders", "", &None));
    let port = gate.port();
    for (name, value) in [
        ("tyk.api.id", json!("a")),
        ("tyk.api.name", json!("Orders")),
        ("tyk.api.orgid", json!("org")),
        ("tyk.api.path", json!("/a/")),
        ("tyk.api.tags", json!(["eu"])),
        ("tyk.api.version", json!("Non Versioned")),
        ("tyk.api.apikey.alias", json!("till")),
        ("tyk.original_path", json!("/a/orders")),
        ("http.request.method", json!("POST")),
        ("http.response.status_code", json!(200)),
        ("http.request.body.size", json!(5)),
        ("http.response.body.size", json!(reply.body.len())),
        ("http.route", json!("/a/")),
        ("url.path", json!("/a/orders")),
        ("url.scheme", json!("http")),
        ("user_agent.original", json!("curious")),
        ("client.address", json!("127.0.0.1")),
        ("network.peer.address", json!("127.0.0.1")),
        ("network.protocol.version", json!("1.1")),
        ("server.address", json!("localhost")),
        ("server.port", json!(port)),
    ] {
        let found = &root.attributes.get(name);
        let same = *found == Some(&value) || (name == "server.address" && found.is_some());
        assert!(same, "{name}: {found:?}, not {value}");
    }
    assert!(root.attributes["tyk.api.apikey"].is_string());
    for (name, value) in [
        ("service.name", json!("tyk-gateway")),
        ("tyk.gw.dataplane", json!(false)),
        ("service.instance.id", root.resource["tyk.gw.id"].clone()),
    ] {
        assert_eq!(root.resource[name], value, "{name}");
    }
    assert!(root.resource["tyk.gw.id"].as_str().unwrap().starts_with("solo-"));

    assert_eq!((&*call.name, &call.parent_id, &call.error), ("HTTP POST", &root.span_id, &None));
    assert_eq!(call.attributes["url.full"], json!(upstream.url("/base/orders")));
    assert_eq!(call.attributes["http.response.status_code"], json!(200));
    assert!(root.from <= call.from && call.from <= call.until && call.until <= root.until, "{spans:#?}");
    assert_eq!(told(&reply, "traceparent"), format!("00-{id}-{}-01", call.span_id));

    // The same trace stands in the record and in the log; secrets stand nowhere.
    let mut record = Value::Null;
    until("the record", async || {
        let records = gate.admin().get("/records?limit=10").await;
        record = records.json()[0].clone();
        record.is_object()
    })
    .await;
    assert_eq!(record["trace_id"], json!(id), "{record}");
    assert!(record["tags"].as_array().unwrap().contains(&json!(format!("trace-id-{id}"))), "{record}");
    assert!(gate.log().contains(&format!("\"trace_id\":\"{id}\"")), "{}", gate.log());
    let all = format!("{spans:?}");
    assert!(!all.contains(&key) && !all.contains("whisper"), "{all}");
}

#[tokio::test]
async fn c11_6_what_a_graph_asks_its_sources_is_told_apart() {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    let mut graph = keyless("graph", "");
    let source = |field: &str, url: String| {
        json!({"kind": "REST", "name": field, "root_fields": [{"type": "Query", "fields": [field]}],
            "config": {"url": url, "method": "GET"}})
    };
    graph["graphql"] = json!({
        "enabled": true, "execution_mode": "executionEngine", "version": "2",
        "schema": "type Query { one: Echo two: Echo bad: Echo inner: Echo } type Echo { path: String headers: Fields } type Fields { parent: [String] }",
        "engine": {
            "field_configs": [
                {"type_name": "Query", "field_name": "one", "disable_default_mapping": true},
                {"type_name": "Query", "field_name": "two", "disable_default_mapping": true},
                {"type_name": "Query", "field_name": "inner", "disable_default_mapping": true},
                {"type_name": "Fields", "field_name": "parent", "path": ["traceparent"]},
            ],
            "data_sources": [
                source("one", upstream.url("/slow/300")), source("two", upstream.url("/two?token=whisper")),
                source("bad", upstream.url("/status/503")), source("inner", "tyk://inside/x".to_owned()),
            ],
        },
    });
    let mut inside = keyless("inside", &upstream.url("/in"));
    inside["internal"] = json!(true);
    let gate = setup(traces(&collector.grpc())).api(graph).api(inside).start().await;
    let query = json!({"query": "{ one { headers { parent } } two { headers { parent } } bad { path } inner { headers { parent } } }"});
    let body = query.to_string();
    let reply = gate.get("/graph/", &["-H", "content-type: application/json", "--data", &body]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let id = trace_id(&reply);
    let mut spans = Vec::new();
    // The graph itself, three calls; the API inside, and its call.
    until("all spans", async || {
        spans = collector.trace(&id).await;
        spans.len() == 6
    })
    .await;
    let root = spans.iter().find(|span| span.name == "graph").expect("the span of the graph");
    let calls: Vec<&Traced> =
        spans.iter().filter(|span| span.kind == 3 && span.parent_id == root.span_id).collect();
    assert_eq!(calls.len(), 3, "{spans:#?}");
    let call = |url: &str| {
        let full = json!(upstream.url(url));
        calls
            .iter()
            .find(|call| call.attributes["url.full"] == full)
            .unwrap_or_else(|| panic!("{url}: {spans:#?}"))
    };
    let data = reply.json()["data"].clone();
    for (field, url) in [("one", "/slow/300"), ("two", "/two")] {
        let call = call(url);
        assert_eq!((&*call.name, &call.error), ("HTTP GET", &None), "{call:?}");
        let told = &data[field]["headers"]["parent"][0];
        assert_eq!(*told, format!("00-{id}-{}-01", call.span_id), "{field}");
        assert!(root.from <= call.from && call.until <= root.until, "{spans:#?}");
    }
    assert!(
        call("/status/503").error.is_some()
            && call("/status/503").attributes["http.response.status_code"] == 503
    );
    // They were under way at the same time.
    assert!(
        call("/two").from < call("/slow/300").until && call("/slow/300").from < call("/two").until,
        "{spans:#?}"
    );
    let inside = spans.iter().find(|span| span.name == "inside").expect("the span of the API inside");
    assert_eq!(inside.parent_id, root.span_id);
    assert!(!format!("{spans:?}").contains("whisper"));
}

#[tokio::test]
async fn c11_6_detailed_tracing_tells_what_becomes_of_answers() {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    let mut api = keyless("a", &upstream.url(""));
    api["detailed_tracing"] = json!(true);
    let version = &mut api["version_data"]["versions"]["Default"];
    version["global_response_headers"] = json!({"x-added": "1"});
    version["extended_paths"] = json!({
        "transform_response": [{"path": "/x", "method": "GET", "template_data":
            {"input_type": "json", "template_mode": "blob", "template_source": "e3sucGF0aH19"}}],
        "transform_jq_response": [{"path": "/x", "method": "GET", "filter": "{body: .body}"}],
    });
    let steps = ["ResponseTransformMiddleware", "HeaderInjector", "ResponseTransformJQMiddleware"];
    // Each sees what the one before made; the one that refuses an answer failed, and is the last.
    for (limit, status, passed, failed) in [(1 << 20, 200, &steps[..], 0), (16, 500, &steps[..1], 1)] {
        let setup = setup(traces(&collector.grpc()))
            .conf(json!({"http_server_options": {"max_response_body_size": limit}}));
        let gate = setup.api(api.clone()).start().await;
        let reply = gate.get("/a/x", &[]).await;
        assert_eq!(reply.status, status, "{reply:?}");
        let spans = collector.trace(&trace_id(&reply)).await;
        let (root, call) = (of_kind(&spans, 2)[0], of_kind(&spans, 3)[0]);
        let mut found: Vec<&Traced> = spans.iter().filter(|span| steps.contains(&&*span.name)).collect();
        found.sort_by_key(|span| span.from);
        assert_eq!(found.iter().map(|span| &*span.name).collect::<Vec<_>>(), passed, "{spans:#?}");
        assert_eq!(found.iter().filter(|span| span.error.is_some()).count(), failed, "{spans:#?}");
        for span in found {
            assert!(
                span.kind == 1 && span.parent_id == root.span_id && call.until <= span.from,
                "{spans:#?}"
            );
        }
    }
}

#[tokio::test]
async fn c11_6_detailed_tracing_tells_guards_apart() {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    let mut api = keyed("a", &upstream.url(""));
    api["detailed_tracing"] = json!(true);
    api["strip_auth_data"] = json!(true);
    api["version_data"]["versions"]["Default"]["global_headers"] = json!({"x-added": "1"});
    api["version_data"]["versions"]["Default"]["extended_paths"] =
        json!({"black_list": [{"path": "/closed", "method_actions": {}}]});
    let gate = setup(traces(&collector.grpc())).api(api).start().await;
    let key = gate.admin().key(&session(&["a"])).await;
    let authorization = format!("Authorization: {key}");
    let reply = gate.get("/a/x", &["-H", &authorization]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let spans = collector.trace(&trace_id(&reply)).await;
    let [root] = of_kind(&spans, 2)[..] else { panic!("{spans:#?}") };
    let guards = of_kind(&spans, 1);
    let names: Vec<&str> = guards.iter().map(|span| &*span.name).collect();
    assert_eq!(
        names,
        [
            "VersionCheck",
            "AuthKey",
            "StripAuth",
            "KeyExpired",
            "AccessRightsCheck",
            "GranularAccessMiddleware",
            "ConcurrencyLimit",
            "RateLimitAndQuotaCheck",
            "RequestHeaderInjector"
        ]
    );
    let mut at = root.from;
    for guard in guards {
        assert!(guard.parent_id == root.span_id && guard.error.is_none(), "{guard:#?}");
        assert!(at <= guard.from && guard.from <= guard.until, "one after the other: {guard:#?}");
        at = guard.until;
    }

    // The guard that refuses is the last one, and says why.
    for (path, arguments, status, name, why) in [
        ("/a/closed", &["-H", &*authorization][..], 403, "VersionCheck", "Requested endpoint is forbidden"),
        ("/a/x", &["-H", "Authorization: no"], 403, "AuthKey", "Access to this API has been disallowed"),
    ] {
        let reply = gate.get(path, arguments).await;
        assert_eq!(reply.status, status, "{reply:?}");
        let spans = collector.trace(&trace_id(&reply)).await;
        let last = of_kind(&spans, 1).into_iter().max_by_key(|span| span.from).unwrap();
        assert_eq!((&*last.name, last.error.as_deref()), (name, Some(why)), "{spans:#?}");
        let [root] = of_kind(&spans, 2)[..] else { panic!("{spans:#?}") };
        assert_eq!(root.error, None, "what a client does wrong is no error of the server: {root:#?}");
        assert_eq!(root.attributes["http.response.status_code"], json!(status));
    }
}

#[tokio::test]
async fn c1_3_spans_go_over_http_with_fields_and_through_tls() {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    let authority = Authority::new();
    let shown = authority.sign(&["localhost"]);
    let http = front(&collector.http(), &shown, Some(&authority)).await;
    let grpc = front(&collector.grpc(), &shown, None).await;
    let (own, own_key) = authority.sign(&["gate"]);
    for (exporter, port) in [("http", http), ("grpc", grpc)] {
        // The older place; the newer one is off.
        let conf = json!({
            "enabled": true, "exporter": exporter, "endpoint": format!("localhost:{port}"), "resource_name": "edge",
            "headers": {"X-Team": "env://TEAM", "X-Plain": "yes"}, "span_batch_config": {"batch_timeout": 0.05},
            "tls": {
                "enable": true, "ca_file": "ca.pem", "cert_file": "own.pem", "key_file": "own.key", "min_version": "1.3",
            },
        });
        let gate = setup(json!({"enabled": false}))
            .conf(json!({"opentelemetry": conf}))
            .file("ca.pem", &authority.pem())
            .file("own.pem", &own.pem())
            .file("own.key", &own_key.serialize_pem())
            .env("TYK_SECRET_TEAM", "north")
            .api(keyless("open", &upstream.url("")))
            .start()
            .await;
        let reply = gate.get("/open/x", &[]).await;
        let spans = collector.trace(&trace_id(&reply)).await;
        assert_eq!(spans.len(), 2, "{exporter}: {spans:#?}");
        assert_eq!(spans[0].resource["service.name"], json!("edge"));
        let headers = collector.headers().pop().unwrap();
        assert_eq!(
            (&headers["x-team"], &headers["x-plain"]),
            (&"north".parse().unwrap(), &"yes".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn c1_3_traces_of_others_go_on_in_the_fields_that_are_configured() {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    let gate = async |more: Value| {
        setup(with(traces(&collector.grpc()), more)).api(keyless("open", &upstream.url(""))).start().await
    };
    let traceparent = format!("traceparent: 00-{ID}-{SPAN}-01");
    let w3c = gate(json!({})).await;
    let reply = w3c.get("/open/x", &["-H", &traceparent, "-H", "tracestate: a=1"]).await;
    assert_eq!(trace_id(&reply), ID);
    let spans = collector.trace(ID).await;
    let [root] = of_kind(&spans, 2)[..] else { panic!("{spans:#?}") };
    let [call] = of_kind(&spans, 3)[..] else { panic!("{spans:#?}") };
    assert_eq!((&*root.parent_id, &*root.state, &*call.state), (SPAN, "a=1", "a=1"));
    assert_eq!(told(&reply, "traceparent"), format!("00-{ID}-{}-01", call.span_id));
    assert_eq!(told(&reply, "tracestate"), "a=1");
    // What cannot be read begins a new trace, and goes no further.
    let reply = w3c.get("/open/x", &["-H", "traceparent: nonsense", "-H", "tracestate: a=1"]).await;
    assert_ne!(trace_id(&reply), ID);
    assert_eq!(told(&reply, "tracestate"), "");

    let b3 = gate(json!({"context_propagation": "b3"})).await;
    let other = "80f198ee56343ba864fe8b2a57d3eff7";
    let reply = b3.get("/open/x", &["-H", &format!("b3: {other}-{SPAN}-1")]).await;
    assert_eq!(trace_id(&reply), other);
    let spans = collector.trace(other).await;
    assert_eq!(of_kind(&spans, 2)[0].parent_id, SPAN);
    assert_eq!(told(&reply, "x-b3-traceid"), other);
    assert_eq!(told(&reply, "x-b3-spanid"), of_kind(&spans, 3)[0].span_id);
    assert_eq!((told(&reply, "x-b3-sampled"), told(&reply, "b3")), ("1".to_owned(), String::new()));

    let custom = json!({"context_propagation": "custom", "custom_trace_header": "X-Correlation-ID"});
    let custom = gate(custom).await;
    let reply = custom.get("/open/x", &["-H", "X-Correlation-ID: 0af7651916cd43dd-8448-eb211c80319c"]).await;
    assert_eq!(trace_id(&reply), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(told(&reply, "x-correlation-id"), "0af7651916cd43dd-8448-eb211c80319c");
    assert_eq!(told(&reply, "traceparent"), "");
    assert_eq!(collector.trace(&trace_id(&reply)).await.len(), 2);
}

#[tokio::test]
async fn c1_3_what_is_not_sampled_goes_on_and_is_not_sent() {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    let sampling = json!({"sampling": {"type": "AlwaysOff", "parent_based": true}});
    let gate = setup(with(traces(&collector.grpc()), sampling))
        .api(keyless("open", &upstream.url("")))
        .start()
        .await;
    let reply = gate.get("/open/x", &[]).await;
    let id = trace_id(&reply);
    let parent = told(&reply, "traceparent");
    assert!(parent.starts_with(&format!("00-{id}-")) && parent.ends_with("-00"), "{parent}");
    // Another that is recorded where it began is sent after it.
    let reply = gate.get("/open/x", &["-H", &format!("traceparent: 00-{ID}-{SPAN}-01")]).await;
    assert_eq!(collector.trace(&trace_id(&reply)).await.len(), 2);
    assert!(collector.spans().iter().all(|span| span.trace_id != id));
}

#[tokio::test]
async fn the_configuration_that_the_page_shows_works() {
    let page = include_str!("../../docs/tracing.md");
    let shown = page.split("```json").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let shown: Value = serde_json::from_str(shown).unwrap();
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    let here =
        json!({"opentelemetry": {"traces": {"endpoint": collector.grpc(), "span_processor_type": "simple"}}});
    let gate = Gate::setup().conf(shown).conf(here).api(keyless("open", &upstream.url(""))).start().await;
    let reply = gate.get("/open/x", &["-H", &format!("traceparent: 00-{ID}-{SPAN}-01")]).await;
    assert_eq!(trace_id(&reply), ID);
    let spans = collector.trace(ID).await;
    assert_eq!(spans[0].resource["service.name"], json!("edge"));
    assert_eq!(collector.headers()[0]["authorization"], "Bearer 0815");
}

#[tokio::test]
async fn a_failing_upstream_is_seen_in_its_trace() {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    let gate = setup(traces(&collector.grpc()))
        .api(keyless("up", &upstream.url("")))
        .api(keyless("down", &format!("http://127.0.0.1:{}", free_port())))
        .start()
        .await;
    let reply = gate.get("/up/status/503", &[]).await;
    let spans = collector.trace(&trace_id(&reply)).await;
    for span in &spans {
        assert!(span.error.is_some(), "{span:#?}");
        assert_eq!(span.attributes["error.type"], json!("503"));
    }
    let reply = gate.get("/down/x", &[]).await;
    assert_eq!(reply.status, 500);
    let spans = collector.trace(&trace_id(&reply)).await;
    let [root] = of_kind(&spans, 2)[..] else { panic!("{spans:#?}") };
    assert_eq!(root.error.as_deref(), Some("UCF"), "{root:#?}");
}

#[tokio::test]
async fn streams_are_handed_the_trace_of_what_is_posted() {
    let collector = Collector::start().await;
    let mut stream = post_to_sse(json!({}));
    stream["pipeline"] = json!({"processors": [{"mapping": "root = meta(\"Traceparent\")"}]});
    let gate = setup(traces(&collector.grpc())).oas(events("ev", json!({"s": stream}))).start().await;
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    let reply = post(&gate.url("/ev/post"), "x", &["-H", &format!("traceparent: 00-{ID}-{SPAN}-01")]).await;
    assert_eq!(trace_id(&reply), ID);
    let spans = collector.trace(ID).await;
    let [root] = of_kind(&spans, 2)[..] else { panic!("{spans:#?}") };
    assert_eq!(sse.data().await.unwrap(), format!("00-{ID}-{}-01", root.span_id));
}

#[tokio::test]
async fn a_dead_collector_harms_no_request_and_a_slow_end() {
    let upstream = Upstream::start().await;
    let batches = json!({"span_batch_config": {"max_queue_size": 10, "batch_timeout": 0.01}});
    let traces = json!({"enabled": true, "endpoint": format!("127.0.0.1:{}", free_port())});
    let mut gate = setup(with(traces, batches)).api(keyless("open", &upstream.url(""))).start().await;
    for _ in 0..20 {
        let reply = gate.get("/open/x", &[]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        trace_id(&reply);
    }
    until("dropped spans", async || {
        let metrics = gate.get("/metrics", &[]).await;
        let line =
            |name: &str| metrics.text().lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        assert_eq!(line("sluicegate_spans_queue_limit "), Some("10".to_owned()));
        let queued: u64 = line("sluicegate_spans_queued ").unwrap().parse().unwrap();
        assert!(queued <= 10, "the queue has a bound");
        let dropped: u64 = line("sluicegate_spans_dropped_total ").unwrap().parse().unwrap();
        dropped >= 30
    })
    .await;
    until("a line in the log", async || gate.log().contains("collector of traces")).await;
    let begun = Instant::now();
    assert_eq!(gate.stop().await, Some(0));
    assert!(begun.elapsed().as_secs() < 15, "it ends in time: {:?}", begun.elapsed());
    let told = gate.log().matches("spans were dropped").count();
    assert_eq!(told, 1, "it is told once in a while: {}", gate.log());
}

#[tokio::test]
async fn the_last_spans_are_sent_before_the_gate_ends() {
    let (collector, upstream) = (Collector::start().await, Upstream::start().await);
    let batches = json!({"span_processor_type": "batch", "span_batch_config": {"batch_timeout": 600}});
    let mut gate =
        setup(with(traces(&collector.grpc()), batches)).api(keyless("open", &upstream.url(""))).start().await;
    let reply = gate.get("/open/x", &[]).await;
    assert!(collector.spans().is_empty());
    assert_eq!(gate.stop().await, Some(0));
    assert_eq!(collector.trace(&trace_id(&reply)).await.len(), 2);
}

#[tokio::test]
async fn what_cannot_be_is_refused_at_the_start() {
    for (more, expected) in [
        (json!({"context_propagation": "custom"}), "name the header in `custom_trace_header`"),
        (json!({"sampling": {"type": "TraceIDRatioBased", "rate": 2}}), "`sampling.rate`: 2 is not between"),
        (json!({"endpoint": "ftp://collector"}), "`endpoint`: `ftp` is not spoken here"),
        (json!({"headers": {"a b": "c"}}), "`headers`: the name of `a b`"),
        (json!({"tls": {"enable": true, "ca_file": "/nowhere.pem"}}), "`tls`: "),
        (json!({"tls": {"enable": true, "max_version": "1.1"}}), "only TLS 1.2 and 1.3 are spoken"),
    ] {
        let mut gate = setup(with(json!({"enabled": true}), more)).prepare();
        gate.spawn();
        assert_eq!(gate.ended().await, Some(1));
        let log = gate.log();
        assert!(log.contains("`opentelemetry.traces`: ") && log.contains(expected), "{expected}: {log}");
    }
}
