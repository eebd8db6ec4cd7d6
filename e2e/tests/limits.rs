//! Who is limited, where, and what everybody is told (contract 4.4 rows 10, 22 and 25, 6.4 to 6.7).

use std::time::{Duration, Instant};

use e2e::definition::{keyed, keyless, oas, session};
use e2e::{Gate, Redis, Reply, Upstream, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn call(gate: &Gate, method: &str, path: &str, key: &str) -> Reply {
    gate.get(path, &["-X", method, "-H", &format!("Authorization: {key}")]).await
}

async fn statuses(gate: &Gate, calls: usize, method: &str, path: &str, key: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..calls {
        statuses.push(call(gate, method, path, key).await.status);
    }
    statuses
}

fn refused(reply: &Reply) -> (u16, Value) {
    (reply.status, reply.json()["error"].clone())
}

#[tokio::test]
async fn c2_1_row_22_limits_of_paths_come_before_those_of_apis_and_of_keys() {
    let upstream = Upstream::start().await;
    let mut api = keyed("a", &upstream.url(""));
    api["global_rate_limit"] = json!({"rate": 6, "per": 60});
    let version = &mut api["version_data"]["versions"]["Default"];
    version["extended_paths"] = json!({"rate_limit": [
        {"path": "/narrow", "method": "GET", "rate": 2, "per": 60},
        {"path": "/off", "method": "GET", "rate": 1, "per": 60, "disabled": true}]});
    let mut document = oas("o", &upstream.url(""));
    document["paths"] = json!({"/narrow/{id}": {"get": {"operationId": "one"}}});
    document["x-tyk-api-gateway"]["middleware"] =
        json!({"operations": {"one": {"rateLimit": {"enabled": true, "rate": 1, "per": "1m"}}}});
    let gate = Gate::setup().api(api).oas(document).start().await;

    let mut limited = session(&["a"]);
    limited["rate"] = json!(1);
    limited["per"] = json!(60);
    limited["access_rights"]["a"]["limit"] = json!({"rate": 3, "per": 60});
    limited["access_rights"]["a"]["endpoints"] = json!([
        {"path": "/own", "methods": [{"name": "GET", "limit": {"rate": 1, "per": 60}}]},
        {"path": "/narrow", "methods": [{"name": "GET", "limit": {"rate": 9, "per": 60}}]}]);
    let key = gate.admin().key(&limited).await;
    // The path of the key, then its API instead of its root.
    assert_eq!(statuses(&gate, 2, "GET", "/a/own", &key).await, [200, 429]);
    assert_eq!(statuses(&gate, 4, "GET", "/a/x", &key).await, [200, 200, 200, 429]);
    // The path of the API: its own count, not the API's.
    assert_eq!(statuses(&gate, 3, "GET", "/a/narrow", &key).await, [200, 200, 429]);
    let reply = call(&gate, "GET", "/a/narrow", &key).await;
    assert_eq!(refused(&reply), (429, json!("API Rate Limit Exceeded")));
    // Four were counted for the API as a whole; another key has the rest. Another method on the path is the API's.
    let other = gate.admin().key(&session(&["a"])).await;
    assert_eq!(call(&gate, "PUT", "/a/narrow", &other).await.status, 200);
    assert_eq!(statuses(&gate, 3, "GET", "/a/off", &other).await, [200, 429, 429]);
    assert_eq!(call(&gate, "PUT", "/a/narrow", &other).await.status, 429);
    // The same in OpenAPI.
    let mut seen = Vec::new();
    for path in ["/o/narrow/1", "/o/narrow/2", "/o/wide"] {
        seen.push(gate.get(path, &[]).await.status);
    }
    assert_eq!(seen, [200, 429, 200]);
}

#[tokio::test]
async fn what_an_api_refuses_costs_no_quota() {
    let upstream = Upstream::start().await;
    let mut api = keyed("a", &upstream.url(""));
    api["global_rate_limit"] = json!({"rate": 2, "per": 3600});
    let gate = Gate::setup().api(api).start().await;
    let mut counted = session(&["a"]);
    for (key, value) in [("quota_max", 5), ("quota_renewal_rate", 3600)] {
        counted[key] = json!(value);
    }
    let key = gate.admin().key(&counted).await;
    assert_eq!(statuses(&gate, 6, "GET", "/a/x", &key).await, [200, 200, 429, 429, 429, 429]);
    let shown = gate.admin().get(&format!("/keys/{key}")).await.json();
    assert_eq!(shown["quota_remaining"], 3, "{shown}");
}

#[tokio::test]
async fn c6_1_row_25_a_pattern_counts_keys_together() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyed("a", &upstream.url(""))).start().await;
    let mut limited = session(&["a"]);
    limited["rate"] = json!(2);
    limited["per"] = json!(60);
    limited["meta_data"] =
        json!({"rate_limit_pattern": "$tyk_meta.team-$tyk_context.headers_X_Part", "team": "blue"});
    let (one, two) = (gate.admin().key(&limited).await, gate.admin().key(&limited).await);
    let ask = async |key: &str, part: &str| {
        let (key, part) = (format!("Authorization: {key}"), format!("X-Part: {part}"));
        gate.get("/a/x", &["-H", &key, "-H", &part]).await.status
    };
    let seen = [ask(&one, "1").await, ask(&two, "1").await, ask(&one, "1").await, ask(&one, "2").await];
    assert_eq!(seen, [200, 200, 429, 200]);
}

#[tokio::test]
async fn c6_1_row_4_whoever_may_wait_waits_out_its_rate() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyed("a", &upstream.url(""))).start().await;
    let mut limited = session(&["a"]);
    limited["rate"] = json!(1);
    limited["per"] = json!(1);
    limited["throttle_interval"] = json!(0.2);
    limited["throttle_retry_limit"] = json!(30);
    let key = gate.admin().key(&limited).await;
    assert_eq!(statuses(&gate, 3, "GET", "/a/x", &key).await, [200, 200, 200]);
    // One try that comes too soon.
    limited["per"] = json!(600);
    limited["throttle_interval"] = json!(0.01);
    limited["throttle_retry_limit"] = json!(1);
    let key = gate.admin().key(&limited).await;
    assert_eq!(statuses(&gate, 2, "GET", "/a/x", &key).await, [200, 429]);
}

#[tokio::test]
async fn c6_5_row_8_one_key_cannot_wait_for_all_and_nobody_waits_for_a_gate_that_stops() {
    let upstream = Upstream::start().await;
    let mut gate = Gate::setup().api(keyed("a", &upstream.url(""))).start().await;
    let mut limited = session(&["a"]);
    for (name, value) in [("rate", 1), ("per", 600), ("throttle_interval", 300), ("throttle_retry_limit", 9)]
    {
        limited[name] = json!(value);
    }
    let key = gate.admin().key(&limited).await;
    assert_eq!(call(&gate, "GET", "/a/x", &key).await.status, 200);
    let request = format!("GET /a/x HTTP/1.1\r\nHost: gate\r\nAuthorization: {key}\r\n\r\n");
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut socket = e2e::raw_socket(gate.port()).await;
        socket.write_all(request.as_bytes()).await.unwrap();
        waiting.push(socket);
    }
    // Before all of them have come, this one waits itself.
    until("one more is refused at once", async || {
        let asked = tokio::time::timeout(Duration::from_millis(500), call(&gate, "GET", "/a/x", &key));
        asked.await.is_ok_and(|reply| reply.status == 429)
    })
    .await;
    let other = gate.admin().key(&session(&["a"])).await;
    assert_eq!(call(&gate, "GET", "/a/x", &other).await.status, 200);
    let began = Instant::now();
    assert_eq!(gate.stop().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for mut socket in waiting {
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        assert!(answer.starts_with(b"HTTP/1.1 429 "), "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn c4_4_row_10_organisations_have_limits_of_their_own() {
    let upstream = Upstream::start().await;
    let redis = Redis::start().await;
    let prefix = "orgkey.";
    for (org, record) in [
        ("fast", json!({"rate": 2, "per": 60})),
        ("counted", json!({"quota_max": 1, "quota_renewal_rate": 60})),
        ("off", json!({"is_inactive": true})),
        ("free", json!({})),
    ] {
        redis.call(&["SET", &format!("{prefix}{org}"), &record.to_string()]);
    }
    let mut setup = Gate::setup().conf(json!({"enforce_org_quotas": true})).conf(redis.conf());
    for org in ["fast", "counted", "off", "free", "unknown"] {
        let mut api = keyless(org, &upstream.url(""));
        api["org_id"] = json!(org);
        setup = setup.api(api);
    }
    let gate = setup.start().await;
    for (org, admitted, text) in [
        ("fast", 2, "This organisation rate limit has been exceeded, please contact your API administrator"),
        ("counted", 1, "This organisation quota has been exceeded, please contact your API administrator"),
        ("off", 0, "this organisation access has been disabled, please contact your API administrator"),
    ] {
        for _ in 0..admitted {
            assert_eq!(gate.get(&format!("/{org}/x"), &[]).await.status, 200, "{org}");
        }
        let reply = gate.get(&format!("/{org}/x"), &[]).await;
        assert_eq!(refused(&reply), (403, json!(text)), "{org}");
    }
    for org in ["free", "unknown"] {
        assert_eq!(gate.get(&format!("/{org}/x"), &[]).await.status, 200, "{org}");
    }
}

#[tokio::test]
async fn the_fields_of_the_standard_are_sent_by_option() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .conf(json!({"limits": {"standard_headers": true}}))
        .api(keyed("a", &upstream.url("")))
        .start()
        .await;
    let mut limited = session(&["a"]);
    for (key, value) in [("rate", 2), ("per", 60), ("quota_max", 9), ("quota_renewal_rate", 3600)] {
        limited[key] = json!(value);
    }
    let key = gate.admin().key(&limited).await;
    let reply = call(&gate, "GET", "/a/x", &key).await;
    assert_eq!(reply.header("ratelimit-policy").as_deref(), Some("\"key\";q=2;w=60, \"quota\";q=9;w=3600"));
    let left = reply.header("ratelimit").unwrap();
    assert!(left.starts_with("\"key\";r=1;t=") && left.contains("\"quota\";r=8;t="), "{left}");
    assert_eq!(statuses(&gate, 2, "GET", "/a/x", &key).await, [200, 429]);
    let reply = call(&gate, "GET", "/a/x", &key).await;
    let wait: u32 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!(wait > 0 && wait <= 60, "{reply:?}");
}

#[tokio::test]
async fn c6_7_row_2_rates_are_told_also_to_the_refused() {
    let upstream = Upstream::start().await;
    let mut open = keyless("open", &upstream.url(""));
    open["global_rate_limit"] = json!({"rate": 1, "per": 60});
    let gate = Gate::setup()
        .conf(json!({"rate_limit_response_headers": "rate_limits"}))
        .api(keyed("a", &upstream.url("")))
        .api(open)
        .start()
        .await;
    let mut limited = session(&["a"]);
    limited["rate"] = json!(1);
    limited["per"] = json!(60);
    let key = gate.admin().key(&limited).await;
    for path in ["/a/x", "/open/x"] {
        for status in [200, 429] {
            let reply = call(&gate, "GET", path, &key).await;
            assert_eq!(reply.status, status, "{path}");
            assert_eq!(reply.header("x-ratelimit-limit").as_deref(), Some("1"), "{path} {status}");
            assert_eq!(reply.header("x-ratelimit-remaining").as_deref(), Some("0"), "{path} {status}");
        }
    }
}

#[tokio::test]
async fn c6_1_row_21_policies_are_applied_again_when_they_change() {
    let upstream = Upstream::start().await;
    let policy = |rate: u32, inactive: bool| {
        json!({"id": "gold", "org_id": "org", "rate": rate, "per": 600, "is_inactive": inactive,
            "access_rights": {"a": {"api_id": "a", "versions": ["Default"]}}})
    };
    let gate = Gate::setup().api(keyed("a", &upstream.url(""))).policy(policy(1, false)).start().await;
    let key = gate.admin().key(&json!({"org_id": "org", "apply_policies": ["gold"]})).await;
    assert_eq!(statuses(&gate, 2, "GET", "/a/x", &key).await, [200, 429]);
    let file = gate.dir().join("policies/gold.json");
    std::fs::write(&file, policy(5, false).to_string()).unwrap();
    until("the new rate counts", async || call(&gate, "GET", "/a/x", &key).await.status == 200).await;
    std::fs::write(&file, policy(5, true).to_string()).unwrap();
    until("the policy is off", async || call(&gate, "GET", "/a/x", &key).await.status == 403).await;
    let reply = call(&gate, "GET", "/a/x", &key).await;
    assert_eq!(refused(&reply), (403, json!("Key is inactive, please renew")));
}

#[tokio::test]
async fn so_many_at_once() {
    let upstream = Upstream::start().await;
    let mut api = keyed("a", &upstream.url(""));
    api["x-sluicegate"] = json!({"concurrency": {"requests": 3}});
    let gate = Gate::setup().api(api).start().await;
    let mut limited = session(&["a"]);
    limited["concurrency"] = json!({"requests": 1});
    let key = gate.admin().key(&limited).await;
    let other = gate.admin().key(&session(&["a"])).await;
    let slow = |key: &str| {
        let (key, url) = (format!("Authorization: {key}"), gate.url("/a/slow/30000"));
        tokio::process::Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-H", &key, &url])
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    };
    // It has its place before anybody asks for one: who asks meanwhile takes it away for a moment.
    let there = upstream.hits() + 1;
    let first = slow(&key);
    until("the first is under way", async || upstream.hits() >= there).await;
    until("a second of the same key is refused", async || {
        let reply = call(&gate, "GET", "/a/x", &key).await;
        reply.status == 429 && refused(&reply).1 == json!("Too many requests at once")
    })
    .await;
    assert_eq!(call(&gate, "GET", "/a/x", &other).await.status, 200, "others have their own");
    let there = upstream.hits() + 2;
    let _more = (slow(&other), slow(&other));
    until("both are under way", async || upstream.hits() >= there).await;
    until("the API is full", async || call(&gate, "GET", "/a/x", &other).await.status == 429).await;
    drop(first);
    until("a place is given back", async || call(&gate, "GET", "/a/x", &other).await.status == 200).await;
}

#[tokio::test]
async fn c4_4_row_46_callers_are_told_of_their_limits() {
    let upstream = Upstream::start().await;
    let mut api = keyed("a", &upstream.url(""));
    api["allowed_ips"] = json!(["127.0.0.1"]);
    let gate = Gate::setup().api(api).api(keyless("open", &upstream.url(""))).start().await;
    let mut limited = session(&["a"]);
    limited["quota_max"] = json!(10);
    limited["quota_renewal_rate"] = json!(3600);
    limited["rate"] = json!(5);
    limited["per"] = json!(2);
    let (key, free) = (gate.admin().key(&limited).await, gate.admin().key(&session(&["a"])).await);
    let ask = async |key: &str, path: &str| gate.get(path, &["-H", &format!("Authorization: {key}")]).await;
    assert_eq!(ask(&key, "/a/x").await.status, 200);
    let reached = upstream.hits();
    for _ in 0..3 {
        let told = ask(&key, "/a/tyk/rate-limits/").await;
        assert_eq!(told.status, 200, "{told:?}");
        let told = told.json();
        assert_eq!(told["rate_limit"], json!({"requests": 5, "per_unit": 2}));
        assert_eq!((&told["quota"]["quota_max"], &told["quota"]["quota_remaining"]), (&json!(10), &json!(9)));
        assert!(told["quota"]["quota_renews"].as_i64().is_some_and(|renews| renews > 0), "{told}");
    }
    assert_eq!(ask(&free, "/a/tyk/rate-limits").await.json()["quota"]["quota_max"], json!(-1));
    assert_eq!(ask("none", "/a/tyk/rate-limits/").await.status, 403);
    assert_eq!(upstream.hits(), reached, "nobody asked the backend");
    let stranger = gate
        .get("/a/tyk/rate-limits/", &["-H", &format!("Authorization: {key}"), "-H", "X-Real-IP: 9.9.9.9"])
        .await;
    assert_eq!(stranger.status, 403);
    assert_eq!(gate.get("/open/tyk/rate-limits/", &[]).await.json()["path"], "/tyk/rate-limits/");
}
