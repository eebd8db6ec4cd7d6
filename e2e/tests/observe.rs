//! What can be seen from outside: one record and one log line for each exchange, counters that add up, and no secret
//! anywhere (contract 11.1, 11.5).

use std::collections::BTreeMap;

use e2e::definition::{keyed, keyless, session};
use e2e::streaming::{events, post, post_to_sse};
use e2e::{Endless, Gate, Redis, Upstream, curl, until};
use serde_json::{Value, json};

/// The records whose path holds `mark`, once there are `count` of them.
async fn records(gate: &Gate, mark: &str, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    until(&format!("{count} records of {mark}"), async || {
        let reply = gate.admin().get("/records?limit=1000").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let all: Vec<Value> = serde_json::from_slice(&reply.body).unwrap();
        found = all.into_iter().filter(|record| record["path"].as_str().unwrap().contains(mark)).collect();
        assert!(found.len() <= count, "more than one record for an exchange: {found:#?}");
        found.len() == count
    })
    .await;
    found
}

/// Sums the samples of a metric, and gives each by its labels.
fn samples(metrics: &str, name: &str) -> BTreeMap<String, f64> {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let labels = series.strip_prefix(name)?;
        let exact = labels.is_empty() || labels.starts_with('{');
        exact.then(|| (labels.to_owned(), value.parse().unwrap()))
    });
    samples.collect()
}

#[tokio::test]
async fn c3_7_row_7_every_exchange_leaves_one_record() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .conf(json!({"enable_analytics": true, "hash_keys": true, "hash_key_function": "sha256"}))
        .api(keyless("open", &upstream.url("")))
        .api(keyed("a", &upstream.url("")))
        .oas(events("ev", json!({"s": post_to_sse(json!({"heartbeat": "50ms"}))})))
        .start()
        .await;
    let key = gate.admin().key(&session(&["a"])).await;
    let authorization = format!("Authorization: {key}");

    // Path, arguments, and the record's status and refusal.
    let cases: [(&str, &[&str], u16, Option<&str>); 6] = [
        ("/open/one?secret=query", &[], 200, None),
        ("/open/two", &["-X", "POST", "-d", "12345"], 200, None),
        ("/open/status/404", &[], 404, None),
        ("/a/three", &["-H", &authorization], 200, None),
        ("/a/four", &[], 401, Some("AMF")),
        ("/a/five", &["-H", "Authorization: nonsense"], 403, Some("AKI")),
    ];
    for (path, arguments, status, _) in cases {
        assert_eq!(gate.get(path, arguments).await.status, status, "{path}");
    }
    for (path, arguments, status, refusal) in cases {
        let path = path.split('?').next().unwrap();
        let [record] = &records(&gate, path, 1).await[..] else { unreachable!() };
        assert_eq!(record["status"], status, "{record}");
        assert_eq!(record["response_flag"].as_str(), refusal, "{record}");
        let method = if arguments.contains(&"POST") { "POST" } else { "GET" };
        assert_eq!(record["method"], method, "{record}");
        assert_eq!(record["api_id"], if path.starts_with("/a/") { "a" } else { "open" });
        assert_eq!(record["org_id"], "org");
        assert_eq!(record["client_ip"], "127.0.0.1");
        assert_eq!(record["api_key"].is_string(), path == "/a/three", "{record}");
        if status == 200 {
            assert!(record["bytes_out"].as_u64().unwrap() > 50, "the echo is longer: {record}");
        }
        assert!(!record.to_string().contains(&key) && !record.to_string().contains("query"), "{record}");
    }

    // A subscription is one exchange, however long and whatever it carries.
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    for text in ["one", "two"] {
        assert_eq!(post(&gate.url("/ev/post"), text, &[]).await.status, 200);
        assert_eq!(sse.data().await.unwrap(), text);
    }
    assert_eq!(records(&gate, "/ev/post", 2).await.len(), 2);
    assert!(records(&gate, "/ev/sse", 0).await.is_empty(), "it goes on");
    drop(sse);
    let [record] = &records(&gate, "/ev/sse", 1).await[..] else { unreachable!() };
    assert_eq!((&record["status"], &record["messages"]), (&json!(200), &json!(2)), "{record}");
    assert!(record["bytes_out"].as_u64().unwrap() >= 6, "{record}");
}

#[tokio::test]
async fn counters_add_up() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .conf(json!({"enable_analytics": true}))
        .api(keyless("open", &upstream.url("")))
        .api(keyed("a", &upstream.url("")))
        .oas(events("ev", json!({"s": post_to_sse(json!({}))})))
        .start()
        .await;
    for _ in 0..5 {
        assert_eq!(gate.get("/open/x", &[]).await.status, 200);
    }
    for _ in 0..3 {
        assert_eq!(gate.get("/open/status/503", &[]).await.status, 503);
    }
    for _ in 0..2 {
        assert_eq!(gate.get("/a/x", &[]).await.status, 401);
    }
    let mut sse = Endless::get(gate.port(), "/ev/sse", &[]).await;
    for number in 0..4 {
        assert_eq!(post(&gate.url("/ev/post"), &number.to_string(), &[]).await.status, 200);
        sse.data().await.unwrap();
    }
    let metrics = gate.get("/metrics", &[]).await;
    let metrics = metrics.text();
    let requests = samples(metrics, "sluicegate_http_requests_total");
    let of = |api: &str, class: &str| {
        requests.get(&format!("{{api_id=\"{api}\",status=\"{class}\"}}")).copied().unwrap_or_default()
    };
    assert_eq!((of("open", "2xx"), of("open", "5xx"), of("a", "4xx")), (5.0, 3.0, 2.0), "{metrics}");
    assert_eq!(of("ev", "2xx"), 5.0, "one subscription and four posts: {metrics}");
    let timed = samples(metrics, "sluicegate_http_request_duration_seconds_count");
    assert_eq!(timed.values().sum::<f64>(), requests.values().sum::<f64>(), "{metrics}");
    for (labels, count) in &timed {
        let last = labels.replace('}', ",le=\"+Inf\"}");
        let buckets = samples(metrics, "sluicegate_http_request_duration_seconds_bucket");
        assert_eq!(buckets.get(&last), Some(count), "{labels}");
    }
    assert_eq!(samples(metrics, "sluicegate_refusals_total")["{flag=\"AMF\"}"], 2.0, "{metrics}");
    for name in ["input_received", "output_sent"] {
        assert_eq!(samples(metrics, name).values().sum::<f64>(), 4.0, "{name}: {metrics}");
    }
    let latency = samples(metrics, "output_latency_ns_count");
    assert_eq!(latency.values().sum::<f64>(), 4.0, "{metrics}");
    let posted = samples(metrics, "input_received");
    assert!(
        posted.iter().any(|(labels, count)| labels.contains("endpoint=\"post\"") && *count == 4.0),
        "{metrics}"
    );
    until("all exchanges that ended are recorded", async || {
        let metrics = gate.get("/metrics", &[]).await;
        samples(metrics.text(), "sluicegate_records_total")[""] == 14.0
    })
    .await;
    assert_eq!(samples(metrics, "sluicegate_records_dropped_total")[""], 0.0);
}

#[tokio::test]
async fn every_exchange_leaves_one_line_in_the_access_log() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .conf(json!({"access_logs": {"enabled": true}, "log_format": "json"}))
        .api(keyless("open", &upstream.url("")))
        .api(keyed("a", &upstream.url("")))
        .start()
        .await;
    let key = gate.admin().key(&session(&["a"])).await;
    assert_eq!(gate.get("/open/status/204", &[]).await.status, 204);
    assert_eq!(gate.get("/a/mine", &["-H", &format!("Authorization: {key}")]).await.status, 200);
    assert_eq!(gate.get("/a/theirs", &[]).await.status, 401);
    let lines = |path: &str| -> Vec<Value> {
        let log = gate.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let ours = |line: &Value| line.to_string().contains("access-log") && line.to_string().contains(path);
        lines.filter(ours).collect()
    };
    for (path, status, flag) in
        [("/open/status/204", 204, None), ("/a/mine", 200, None), ("/a/theirs", 401, Some("AMF"))]
    {
        until("the line is written", async || !lines(path).is_empty()).await;
        let [line] = &lines(path)[..] else { panic!("more than one line: {:?}", lines(path)) };
        let field =
            |name: &str| line.get(name).or_else(|| line["fields"].get(name)).cloned().unwrap_or_default();
        assert_eq!((field("status"), field("method")), (json!(status), json!("GET")), "{line}");
        assert_eq!(field("response_flag").as_str(), flag, "{line}");
        assert_eq!(field("client_ip"), "127.0.0.1", "{line}");
        assert_eq!(field("api_key").is_string(), path == "/a/mine", "{line}");
        assert!(!line.to_string().contains(&key), "{line}");
    }
}

#[tokio::test]
async fn no_secret_is_ever_told() {
    const BROKER_PASSWORD: &str = "canary-broker-password";
    let (upstream, mut redis) = (Upstream::start().await, Redis::start().await);
    let mut conf = redis.conf();
    conf["log_level"] = json!("trace");
    conf["access_logs"] = json!({"enabled": true});
    conf["enable_analytics"] = json!(true);
    let kafka = |fields: Value| {
        let mut input = json!({"kafka": {
            "addresses": ["127.0.0.1:1"], "topics": ["t"], "consumer_group": "g",
            "sasl": {"mechanism": "PLAIN", "user": "me", "password": BROKER_PASSWORD},
        }});
        for (name, value) in fields.as_object().unwrap() {
            input["kafka"][name] = value.clone();
        }
        events("ev", json!({"s": {"input": input, "output": {"drop": {}}}}))
    };
    let mut by_query = keyed("a", &upstream.url(""));
    by_query["auth_configs"] = json!({"authToken": {
        "auth_header_name": "Authorization", "use_param": true, "param_name": "key", "use_cookie": true, "cookie_name": "key",
    }});
    by_query["strip_auth_data"] = json!(true);
    let gate = Gate::setup().conf(conf).api(by_query).oas(kafka(json!({}))).start().await;
    let admin = gate.admin();
    let key = admin.key(&session(&["a"])).await;
    let stranger = "canary-stranger-token";
    let mut told = String::new();
    for token in [key.as_str(), stranger] {
        for arguments in [
            vec![gate.url("/a/status/204"), "-H".into(), format!("Authorization: {token}")],
            vec![gate.url("/a/status/204"), "-H".into(), format!("Authorization: Bearer {token}")],
            vec![gate.url(&format!("/a/status/204?key={token}"))],
            vec![gate.url("/a/status/204"), "-b".into(), format!("key={token}")],
        ] {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let reply = curl(&arguments).await;
            assert_eq!(reply.status, if token == key { 204 } else { 403 }, "{arguments:?}: {reply:?}");
            told.push_str(reply.text());
        }
    }
    for (url, header) in [("/tyk/apis", Gate::SECRET), ("/tyk/apis", "canary-wrong-secret")] {
        let reply = gate.get(url, &["-H", &format!("x-tyk-authorization: {header}x")]).await;
        assert_eq!(reply.status, 403, "{reply:?}");
        told.push_str(reply.text());
    }
    // Faults show where they are, not what stands beside them, nor what a secret field holds.
    for broken in [
        kafka(json!({"no_such_field": 1})),
        kafka(json!({"sasl": {"mechanism": "PLAIN", "password": {"wrong": BROKER_PASSWORD}}})),
        kafka(json!({"sasl": {"mechanism": BROKER_PASSWORD.len(), "password": BROKER_PASSWORD}})),
    ] {
        let reply = admin.put("/apis/oas/ev", &broken).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        told.push_str(reply.text());
        gate.write("apps/ev-oas.json", &broken.to_string());
        told.push_str(&admin.reload().await.to_string());
    }
    until("the broker is missed", async || {
        gate.admin().get("/streams/components").await.text().contains("\"connected\":false")
    })
    .await;
    redis.kill();
    until("Redis is missed", async || gate.get("/ready", &[]).await.status == 503).await;
    for path in ["/hello", "/ready", "/metrics", "/a/x?key=another-canary-key"] {
        told.push_str(gate.get(path, &[]).await.text());
    }
    for path in ["/streams", "/streams/components", "/records", "/keys"] {
        told.push_str(admin.get(path).await.text());
    }
    told.push_str(&gate.log());
    let canaries =
        [key.as_str(), stranger, Gate::SECRET, Redis::PASSWORD, BROKER_PASSWORD, "canary-wrong-secret"];
    for canary in canaries {
        let lines: Vec<&str> = told.lines().filter(|line| line.contains(canary)).collect();
        assert!(lines.is_empty(), "{canary} is told:\n{}", lines.join("\n"));
    }
    assert!(
        told.contains("trace") || told.contains("TRACE") || told.contains("DEBUG"),
        "the log is too quiet to tell"
    );
}

#[tokio::test]
async fn c2_1_rows_13_and_14_records_carry_the_tags_of_session_fields_and_api() {
    let upstream = Upstream::start().await;
    let mut tagged = keyed("tagged", &upstream.url(""));
    tagged["tags"] = json!(["edge"]);
    tagged["tag_headers"] = json!(["X-Team"]);
    let gate = Gate::setup().conf(json!({"enable_analytics": true})).api(tagged).start().await;
    let mut owner = session(&["tagged"]);
    owner["tags"] = json!(["gold"]);
    let key = gate.admin().key(&owner).await;
    let fields = ["-H", &format!("Authorization: {key}"), "-H", "x-team: Blue"];
    assert_eq!(gate.get("/tagged/labels", &fields).await.status, 200);
    assert_eq!(records(&gate, "labels", 1).await[0]["tags"], json!(["gold", "x-team-Blue", "edge"]));
}

#[tokio::test]
async fn c11_2_requests_and_answers_are_recorded_whole_where_that_is_asked_for() {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    let upstream = Upstream::start().await;
    let mut whole = keyed("whole", &upstream.url(""));
    whole["enable_detailed_recording"] = json!(true);
    let gate = Gate::setup()
        .conf(json!({"enable_analytics": true, "analytics_config": {"detailed_recording_size": 2000}}))
        .api(whole)
        .api(keyed("by-key", &upstream.url("")))
        .start()
        .await;
    let plain = gate.admin().key(&session(&["whole", "by-key"])).await;
    let mut detailed = session(&["by-key"]);
    detailed["enable_detailed_recording"] = json!(true);
    let detailed = gate.admin().key(&detailed).await;
    let call = async |path: &str, key: &str, body: &str| {
        let authorization = format!("Authorization: {key}");
        let reply = gate
            .get(path, &["-X", "POST", "-H", &authorization, "-H", "X-Mine: 1", "--data-binary", body])
            .await;
        let record = records(&gate, path, 1).await.swap_remove(0);
        let raw = |name: &str| {
            let encoded = record[name].as_str()?;
            Some(String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap())
        };
        (reply, raw("raw_request"), raw("raw_response"))
    };

    let (reply, request, answer) = call("/whole/one", &plain, "sent body").await;
    let (request, answer) = (request.unwrap(), answer.unwrap());
    assert!(
        request.starts_with("POST /whole/one HTTP/1.1\r\n") && request.ends_with("\r\n\r\nsent body"),
        "{request}"
    );
    assert!(request.contains("x-mine: 1\r\n") && request.contains("authorization: ***\r\n"), "{request}");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(&format!("\r\n\r\n{}", reply.text())),
        "{answer}"
    );

    // What is refused is kept, too; what is long is cut, on the record only.
    let (reply, request, answer) = call("/whole/two", "nonsense", "").await;
    assert!(request.is_some_and(|request| !request.contains("nonsense")));
    assert!(
        answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 403 ") && answer.contains("error")),
        "{reply:?}"
    );
    let long = "x".repeat(10_000);
    let (reply, request, answer) = call("/whole/three", &plain, &long).await;
    assert_eq!(reply.json()["body"], json!(long));
    assert_eq!((request.unwrap().len(), answer.unwrap().len()), (2000, 2000));

    // Of another API by the key that says so.
    assert_eq!(call("/by-key/four", &plain, "").await.1, None);
    assert!(call("/by-key/five", &detailed, "").await.1.is_some());
}

#[tokio::test]
async fn c1_3_organisations_say_what_is_recorded_and_how_long() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .conf(json!({
            "enable_analytics": true, "enforce_org_data_age": true, "enforce_org_data_detail_logging": true,
        }))
        .api(keyless("of-org", &upstream.url("")))
        .start()
        .await;
    let of_org =
        json!({"org_id": "org", "data_expires": 2, "enable_detailed_recording": true, "quota_max": -1});
    assert_eq!(gate.get("/of-org/before", &[]).await.status, 200);
    let before = records(&gate, "of-org/before", 1).await.swap_remove(0);
    assert_eq!(before["raw_request"], Value::Null, "{before}");
    assert_eq!(gate.admin().post("/org/keys/org", &of_org).await.status, 200);
    assert_eq!(gate.get("/of-org/after", &[]).await.status, 200);
    let after = records(&gate, "of-org/after", 1).await.swap_remove(0);
    assert!(after["raw_request"].is_string(), "{after}");
    until("the record is too old to be shown", async || {
        !gate.admin().get("/records?limit=1000").await.text().contains("of-org/after")
    })
    .await;
    assert_eq!(records(&gate, "of-org/before", 1).await.len(), 1, "it was made before anybody said so");
}

#[tokio::test]
async fn c8_8_row_1_what_is_not_tracked_is_in_no_counter() {
    let upstream = Upstream::start().await;
    let mut off = keyless("off", &upstream.url(""));
    off["do_not_track"] = json!(true);
    let mut partly = keyless("partly", &upstream.url(""));
    partly["version_data"]["versions"]["Default"]["extended_paths"] =
        json!({"do_not_track_endpoints": [{"path": "/quiet", "method": "GET"}]});
    let gate = Gate::setup().conf(json!({"enable_analytics": true})).api(off).api(partly).start().await;
    for path in ["/off/a", "/partly/quiet", "/partly/loud"] {
        assert_eq!(gate.get(path, &[]).await.status, 200);
    }
    records(&gate, "/partly/loud", 1).await;
    let told = gate.admin().get("/records?limit=1000").await;
    assert!(!told.text().contains("/off/a") && !told.text().contains("/partly/quiet"), "{}", told.text());
    let metrics = gate.get("/metrics", &[]).await;
    let counted = samples(metrics.text(), "sluicegate_http_requests_total");
    let of = |api: &str| -> f64 {
        let label = format!("\"{api}\"");
        counted.iter().filter(|(labels, _)| labels.contains(&label)).map(|(_, count)| count).sum()
    };
    assert_eq!((of("off"), of("partly")), (0.0, 1.0), "{counted:?}");
}
