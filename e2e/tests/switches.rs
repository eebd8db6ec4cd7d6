//! Fields of definitions and settings of nodes that switch something on or off: seen to do so (contract 2.1, 2.4, 3.1, 3.6,
//! 4.3, 8.6).

use e2e::definition::{keyless, oas};
use e2e::{Gate, Upstream, curl, until};
use serde_json::{Value, json};

fn with(mut api: Value, more: Value) -> Value {
    api.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api
}

#[tokio::test]
async fn c2_4_row_3_what_a_version_does_everywhere_can_be_switched_off() {
    let upstream = Upstream::start().await;
    let api = |id: &str, off: bool| {
        let mut api = keyless(id, &upstream.url(""));
        api["version_data"]["versions"]["Default"] = json!({
            "name": "Default", "use_extended_paths": true,
            "global_headers": {"X-Asked": "1"}, "global_headers_remove": ["X-Gone"], "global_headers_disabled": off,
            "global_response_headers": {"X-Told": "1"}, "global_response_headers_remove": ["X-Upstream"],
            "global_response_headers_disabled": off,
            "global_size_limit": 10, "global_size_limit_disabled": off,
            "global_enforce_timeout": "1s", "global_enforce_timeout_disabled": off,
        });
        with(api, json!({"domain": format!("{id}.test"), "domain_disabled": off}))
    };
    let gate = Gate::setup().api(api("on", false)).api(api("off", true)).start().await;
    for (id, off) in [("on", false), ("off", true)] {
        let host = format!("Host: {id}.test");
        let ask = async |path: &str, fields: &[&str]| {
            gate.get(&format!("/{id}{path}"), &[&["-H", &host], fields].concat()).await
        };
        let reply = ask("/x", &["-H", "X-Gone: 1"]).await;
        assert_eq!(reply.status, 200, "{id}");
        let sent = &reply.json()["headers"];
        assert_eq!((sent["x-asked"].is_null(), sent["x-gone"].is_null()), (off, !off), "{id}");
        assert_eq!(reply.header("x-told").is_none(), off, "{id}");
        assert_eq!(reply.header("x-upstream").is_none(), !off, "{id}");
        let large = ask("/x", &["-d", "more than ten bytes"]).await;
        assert_eq!(large.status, if off { 200 } else { 400 }, "{id}");
        let slow = ask("/slow/1500", &[]).await;
        assert_eq!(slow.status, if off { 200 } else { 504 }, "{id}");
        // Without its domain it is served at every name.
        let elsewhere = gate.get(&format!("/{id}/x"), &["-H", "Host: elsewhere.test"]).await;
        assert_eq!(elsewhere.status, if off { 200 } else { 404 }, "{id}");
    }
}

#[tokio::test]
async fn c2_6_row_6_bundles_and_data_of_plugins_can_be_switched_off() {
    use base64::Engine as _;
    let upstream = Upstream::start().await;
    let script = "function say(request, session, spec) { request.SetHeaders['X-Data'] = JSON.stringify(spec.config_data || null); }";
    let code = base64::prelude::BASE64_STANDARD.encode(script);
    let api = |id: &str, more: Value| {
        let middleware = json!({"driver": "javascript", "pre": [{"name": "say", "code": code}]});
        let data = json!({"custom_middleware": middleware, "config_data": {"a": 1}});
        with(with(keyless(id, &upstream.url("")), data), more)
    };
    // No bundle is there, and none could be fetched.
    let unused = json!({"custom_middleware_bundle": "none.zip", "custom_middleware_bundle_disabled": true});
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true}))
        .api(api("on", json!({})))
        .api(api("off", json!({"config_data_disabled": true})))
        .api(api("unused", unused))
        .start()
        .await;
    for (id, has_data) in [("on", true), ("off", false), ("unused", true)] {
        let echo = gate.get(&format!("/{id}/x"), &[]).await.json();
        let data = echo["headers"]["x-data"][0].as_str().unwrap_or_default().to_owned();
        assert_eq!(data.contains(r#""a":1"#), has_data, "{id}: {data}");
    }
}

#[tokio::test]
async fn c3_1_lists_breakers_and_examples_of_operations() {
    let upstream = Upstream::start().await;
    let mut api = oas("a", &upstream.url(""));
    let get = |id: &str| json!({"get": {"operationId": id}});
    let pets = json!({"get": {"operationId": "pets", "responses": {"200": {"description": "ok", "content": {
        "application/json": {"example": [1]}, "text/plain": {"example": "one"},
    }}}}});
    api["paths"] = json!({
        "/Secret": get("secret"), "/Exact": get("exact"), "/status/500": get("failing"), "/pets": pets,
    });
    let examples = json!({"enabled": true, "contentType": "text/plain"});
    api["x-tyk-api-gateway"]["middleware"] = json!({"operations": {
        "secret": {"block": {"enabled": true, "ignoreCase": true}},
        "exact": {"block": {"enabled": true}},
        "failing": {"circuitBreaker": {"enabled": true, "threshold": 0.5, "sampleSize": 2, "coolDownPeriod": 600}},
        "pets": {"mockResponse": {"enabled": true, "fromOASExamples": examples}},
    }});
    let gate = Gate::setup().oas(api).start().await;
    for (path, status) in
        [("/Secret", 403), ("/sECRET", 403), ("/Exact", 403), ("/exact", 200), ("/status/404", 404)]
    {
        assert_eq!(gate.get(&format!("/a{path}"), &[]).await.status, status, "{path}");
    }
    let reply = gate.get("/a/pets", &[]).await;
    let kind = reply.header("content-type").unwrap_or_default();
    assert!(reply.text() == "one" && kind.starts_with("text/plain"), "{reply:?}");
    until("the breaker is open", async || gate.get("/a/status/500", &[]).await.status == 503).await;
    let hits = upstream.hits();
    let reply = gate.get("/a/status/500", &[]).await;
    assert_eq!(reply.json()["error"], "Service temporarily unavailable.");
    assert_eq!(upstream.hits(), hits, "the upstream is left alone");
    assert_eq!(gate.get("/a/status/404", &[]).await.status, 404, "other paths are not concerned");
}

#[tokio::test]
async fn c8_6_rows_4_and_5_what_is_kept_is_chosen_by_status_field_and_upstream_in_openapi_too() {
    let upstream = Upstream::start().await;
    let keeping = |id: &str, more: Value| {
        let mut api = oas(id, &upstream.url(""));
        let cache = with(json!({"enabled": true, "timeout": 60, "cacheAllSafeRequests": true}), more);
        api["x-tyk-api-gateway"]["middleware"] = json!({"global": {"cache": cache}});
        api
    };
    let gate = Gate::setup()
        .oas(keeping("status", json!({"cacheResponseCodes": [404]})))
        .oas(keeping("field", json!({"cacheByHeaders": ["X-Lang"]})))
        .oas(keeping(
            "upstream",
            json!({"enableUpstreamCacheControl": true, "controlTTLHeaderName": "X-Life"}),
        ))
        .start()
        .await;
    let de: &[&str] = &["-H", "X-Lang: de"];
    for (path, first, second, is_kept) in [
        ("/status/x?status=404", &[][..], &[][..], true),
        ("/status/x?status=200", &[], &[], false),
        ("/field/x", de, de, true),
        ("/field/y", de, &["-H", "X-Lang: fr"], false),
        ("/field/z", &["-H", "X-Other: a"], &["-H", "X-Other: b"], true),
        ("/upstream/x?field-x-tyk-cache-action-set=1&field-x-life=60", &[], &[], true),
        // Nothing is kept of which the upstream does not say so.
        ("/upstream/y", &[], &[], false),
        ("/upstream/z?field-x-life=60", &[], &[], false),
    ] {
        gate.get(path, first).await;
        let reply = gate.get(path, second).await;
        let hit = reply.header("x-tyk-cached-response").as_deref() == Some("1");
        assert_eq!(hit, is_kept, "{path}: {reply:?}");
    }
}

#[tokio::test]
async fn c2_1_names_of_the_admin_api_and_of_readiness() {
    let upstream = Upstream::start().await;
    let mut gate = Gate::setup()
        .conf(json!({"control_api_hostname": "admin.test", "readiness_check_endpoint_name": "up"}))
        .api(keyless("a", &upstream.url("")))
        .prepare();
    gate.spawn();
    let host: &[&str] = &["-H", "Host: admin.test", "--max-time", "2"];
    until("it is ready", async || gate.get("/up", host).await.status == 200).await;
    let secret = format!("x-tyk-authorization: {}", Gate::SECRET);
    for (host, status) in [("admin.test", 200), ("other.test", 404)] {
        let resolve = format!("{host}:{}:127.0.0.1", gate.port());
        let url = |path: &str| format!("http://{host}:{}{path}", gate.port());
        let reply = curl(&["--resolve", &resolve, "-H", &secret, &url("/tyk/apis")]).await;
        assert_eq!(reply.status, status, "{host}: {reply:?}");
        assert_eq!(curl(&["--resolve", &resolve, &url("/a/x")]).await.status, 200, "{host}");
    }
    assert_eq!(gate.get("/ready", host).await.status, 404);
}
