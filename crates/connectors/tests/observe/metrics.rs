//! Counters: the page, the push gateway, the file, StatsD.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Response;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value as Json, json};
use streams::{CloseReason, RunningStream};
use tokio::net::UdpSocket;

use crate::ends::{PATIENCE, build, settings};
use crate::receiver::{Received, Receiver, ok};

/// Five messages of which two fail in the mapping, and one is counted by their kind.
fn stream(metrics: Json) -> Json {
    json!({
        "input": { "label": "made", "generate": {
            "mapping": "root.id = counter()", "interval": "", "count": 5,
        } },
        "pipeline": { "threads": 1, "processors": [
            { "mapping": "root = if this.id > 3 { throw(\"no\") } else { this }" },
            { "metric": { "type": "counter_by", "name": "own.sum", "value": "${! json(\"id\") }",
                "labels": { "size": "${! if json(\"id\") > 2 { \"big\" } else { \"small\" } }" } } },
            { "metric": { "type": "gauge", "name": "own_last", "value": "${! json(\"id\") }" } },
        ] },
        "output": { "drop": {} },
        "metrics": metrics,
    })
}

/// Runs until everything is delivered.
async fn run(config: &Json) -> RunningStream {
    let stream = build(config, &settings()).unwrap().start();
    ended(&stream).await;
    stream
}

async fn ended(stream: &RunningStream) {
    let over = async {
        while !stream.status().ended {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, over).await.unwrap();
}

/// Reads the text format: every line has a family of a known type, and no series comes twice.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let (mut families, mut series) = (BTreeMap::new(), BTreeMap::new());
    let mut family = "";
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            assert!(["counter", "gauge", "summary", "histogram"].contains(&kind), "{line}");
            assert!(families.insert(name, kind).is_none(), "the family {name} stands twice");
            family = name;
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let base = name.split('{').next().unwrap();
            let bare = ["_sum", "_count", "_bucket"].iter().find_map(|suffix| base.strip_suffix(suffix));
            assert!(base == family || bare == Some(family), "{line} stands under {family}");
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(series.insert(name.to_owned(), value).is_none(), "{name} stands twice");
        }
    }
    series
}

#[tokio::test]
async fn the_page_tells_what_every_component_did() {
    let stream = run(&stream(json!({ "prometheus": { "add_process_metrics": true } }))).await;
    let page = stream.watcher().page().await.unwrap();
    assert!(page.content_type.starts_with("text/plain; version=0.0.4"), "{}", page.content_type);
    let series = parse(&page.body);
    let labels = |label: &str, path: &str| format!("{{label=\"{label}\",path=\"{path}\",stream=\"test\"");
    let processor = |index: usize| labels("", &format!("root.pipeline.processors.{index}"));
    for (name, expected) in [
        (format!("input_received{}}}", labels("made", "root.input")), 5.0),
        (format!("input_latency_ns_count{}}}", labels("made", "root.input")), 5.0),
        (format!("processor_received{}}}", processor(0)), 5.0),
        (format!("processor_error{}}}", processor(0)), 2.0),
        (format!("processor_sent{}}}", processor(2)), 5.0),
        (format!("processor_latency_ns_count{}}}", processor(1)), 5.0),
        (format!("output_sent{}}}", labels("", "root.output")), 5.0),
        (format!("output_latency_ns_count{}}}", labels("", "root.output")), 5.0),
        (format!("output_connection_up{}}}", labels("", "root.output")), 1.0),
        (
            format!(
                "own_sum{},size=\"small\",stream=\"test\"}}",
                processor(1).replace(",stream=\"test\"", "")
            ),
            3.0,
        ),
        (
            format!("own_sum{},size=\"big\",stream=\"test\"}}", processor(1).replace(",stream=\"test\"", "")),
            12.0,
        ),
        (format!("own_last{}}}", processor(2)), 5.0),
    ] {
        assert_eq!(series.get(&name), Some(&expected), "{name} in {}", page.body);
    }
    let median = format!("processor_latency_ns{},quantile=\"0.5\"}}", processor(0));
    assert!(series[&median] > 0.0, "{}", page.body);
    assert!(series["process_resident_memory_bytes"] > 1e6);
}

#[tokio::test]
async fn histograms_and_other_quantiles_are_told_when_asked_for() {
    let page = |config: Json| async move {
        let stream = run(&stream(json!({ "prometheus": config }))).await;
        stream.watcher().page().await.unwrap().body
    };
    let text = page(json!({ "use_histogram_timing": true, "histogram_buckets": [0.000000001, 60] })).await;
    let series = parse(&text);
    let bucket = |bound: &str| {
        series[&format!(
            "output_latency_ns_bucket{{label=\"\",path=\"root.output\",stream=\"test\",le=\"{bound}\"}}"
        )]
    };
    assert_eq!((bucket("0.000000001"), bucket("60"), bucket("+Inf")), (0.0, 5.0, 5.0), "{text}");
    let text = page(json!({ "summary_quantiles_objectives": [{ "quantile": 0.75, "error": 0.1 }] })).await;
    assert!(text.contains("quantile=\"0.75\"") && !text.contains("quantile=\"0.5\""), "{text}");
}

#[tokio::test]
async fn a_mapping_renames_and_drops_what_is_exported() {
    let mapping = "root = if this.has_prefix(\"processor_\") { deleted() } else { \"shop_\" + this }\nmeta stream = deleted()\nmeta zone = \"a\"";
    let stream = run(&stream(json!({ "mapping": mapping, "prometheus": {} }))).await;
    let series = parse(&stream.watcher().page().await.unwrap().body);
    assert_eq!(series["shop_input_received{label=\"made\",path=\"root.input\",zone=\"a\"}"], 5.0);
    assert!(!series.keys().any(|name| name.contains("processor_received")), "{series:?}");
}

#[tokio::test]
async fn everything_is_pushed_at_an_interval_and_at_the_end() {
    let gateway = Receiver::start(ok).await;
    let push = json!({ "prometheus": {
        "push_url": format!("http://127.0.0.1:{}", gateway.port), "push_interval": "20ms",
        "push_job_name": "a job", "push_basic_auth": { "username": "me", "password": "secret" },
    } });
    let mut config = stream(push);
    config["input"]["generate"]["count"] = json!(0);
    config["input"]["generate"]["interval"] = json!("1ms");
    let stream = build(&config, &settings()).unwrap().start();
    let received = |request: &Received| {
        let text = std::str::from_utf8(&request.body).unwrap();
        parse(text)["input_received{label=\"made\",path=\"root.input\",stream=\"test\"}"]
    };
    gateway.until(|all| (all.len() >= 2 && received(all.last()?) > 0.0).then_some(())).await;
    let before = gateway.received().len();
    stream.stop(PATIENCE, CloseReason::Removed).await;
    let all = gateway.received();
    assert!(all.len() > before, "the end is pushed");
    let first = &all[0];
    assert_eq!((first.head.method.as_str(), first.head.uri.path()), ("PUT", "/metrics/job/a%20job"));
    assert_eq!(first.header("authorization"), "Basic bWU6c2VjcmV0");
    let last = parse(std::str::from_utf8(&all.last().unwrap().body).unwrap());
    let count = |name: &str, label: &str, path: &str| {
        last[&format!("{name}{{label=\"{label}\",path=\"{path}\",stream=\"test\"}}")]
    };
    let sent = count("output_sent", "", "root.output");
    assert!(
        sent > 0.0 && sent == count("input_received", "made", "root.input"),
        "the last push tells the end"
    );
}

#[tokio::test]
async fn a_push_gateway_that_is_away_holds_nothing_up() {
    let refuses =
        Receiver::start(|_| Response::builder().status(500).body(Full::default().boxed()).unwrap()).await;
    for port in [1, refuses.port] {
        let push = json!({ "prometheus": {
            "push_url": format!("127.0.0.1:{port}"), "push_interval": "1ms",
        } });
        let stream = run(&stream(push)).await;
        assert!(stream.status().connected());
    }
    assert!(!refuses.received().is_empty());
}

#[tokio::test]
async fn a_file_is_written_at_the_end_where_that_is_allowed() {
    let path = std::env::temp_dir().join(crate::ends::unique("metrics"));
    let config = stream(json!({ "prometheus": { "file_output_path": path.to_str().unwrap() } }));
    let refused = build(&config, &settings()).unwrap_err();
    assert!(refused.contains("/metrics/prometheus/file_output_path: files are not written"), "{refused}");
    let named = streams::Settings { allow_unsafe: vec!["file".to_owned()], ..settings() };
    let alone = streams::Settings { alone: true, ..settings() };
    for allowed in [named, alone] {
        let stream = build(&config, &allowed).unwrap().start();
        ended(&stream).await;
        let text = tokio::fs::read_to_string(&path).await.unwrap();
        tokio::fs::remove_file(&path).await.unwrap();
        assert!(parse(&text).keys().any(|name| name.starts_with("output_sent")), "{text}");
    }
}

#[tokio::test]
async fn statsd_gets_increments_that_add_up() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let config = stream(json!({ "statsd": {
        "address": format!("127.0.0.1:{port}"), "flush_period": "1ms", "tag_format": "datadog",
    } }));
    let stream = build(&config, &settings()).unwrap().start();
    let (mut sums, mut timings) = (BTreeMap::<String, u64>::new(), 0.0);
    let gather = async {
        let mut buffer = [0; 2048];
        let done = |sums: &BTreeMap<String, u64>, timings: f64| {
            sums.get("input_received").is_some_and(|sum| *sum == 5)
                && sums.get("output_sent").is_some_and(|sum| *sum == 5)
                && timings >= 5.0
        };
        while !done(&sums, timings) {
            let size = server.recv(&mut buffer).await.unwrap();
            for line in std::str::from_utf8(&buffer[..size]).unwrap().lines() {
                let (name, rest) = line.split_once(':').unwrap();
                let fields: Vec<&str> = rest.split('|').collect();
                assert!(fields.last().unwrap().contains("path:root."), "{line}");
                match fields[1] {
                    "c" => *sums.entry(name.to_owned()).or_default() += fields[0].parse::<u64>().unwrap(),
                    "ms" if name == "output_latency_ns" => {
                        let rate = fields.iter().find_map(|field| field.strip_prefix('@'));
                        timings += rate.map_or(1.0, |rate| 1.0 / rate.parse::<f64>().unwrap()).round();
                    }
                    "ms" | "g" => {}
                    other => panic!("{other} in {line}"),
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, gather).await.unwrap_or_else(|_| panic!("not enough came"));
    assert_eq!(timings, 5.0);
    assert_eq!(sums.get("own.sum"), Some(&15));
    ended(&stream).await;
}

#[test]
fn wrong_settings_are_refused_with_their_place() {
    for (metrics, expected) in [
        (json!({ "statsd": {} }), "`statsd` needs the field `address`"),
        (
            json!({ "statsd": { "address": "localhost" } }),
            "/metrics/statsd/address: a host and a port are expected",
        ),
        (json!({ "statsd": { "address": "a:1", "flush_period": "0s" } }), "`flush_period` must be above 0"),
        (
            json!({ "prometheus": { "push_url": "ftp://a" } }),
            "/metrics/prometheus/push_url: `ftp` is not spoken",
        ),
        (
            json!({ "prometheus": { "use_histogram_timing": true, "histogram_buckets": [2, 1] } }),
            "the bounds must grow",
        ),
        (
            json!({ "prometheus": { "summary_quantiles_objectives": [{ "quantile": 2 }] } }),
            "a quantile is from 0 to 1",
        ),
        (json!({ "mapping": "root = this.", "none": {} }), "/metrics/mapping: bloblang, line 1"),
        (json!({ "promtheus": {} }), "there is no metrics exporter `promtheus`"),
        (json!({ "mapping": "root = this" }), "unable to infer component type"),
    ] {
        let refused = build(&stream(metrics.clone()), &settings()).unwrap_err();
        assert!(refused.contains(expected), "{metrics}: {refused}");
    }
}
