//! Sessions, policies and limits, row by row of contract 6; what is not here is tested where this table says.
//!
//! | row | tests |
//! |---|---|
//! | 5.1 keys, hashes, names | `keys.rs`, `callers.rs` (`c5_1_*`), `state.rs`; `apidef/src/keys.rs`, `gateway/src/auth/names.rs` |
//! | 5.2 auth token | `keys.rs`, `signatures.rs`, `certificates.rs` |
//! | 5.3 basic | `authentication.rs`, `callers.rs` (`c5_3_*`) |
//! | 5.4 signatures | `signatures.rs`; `gateway/src/auth/signature/tests.rs` |
//! | 5.5 JWT | `jwt.rs`, `callers.rs` (`c5_5_*`); `gateway/src/auth/jwt/` |
//! | 5.6 OAuth server | `oauth.rs`, `oauth_guards.rs` (`c5_6_*`) |
//! | 5.7 OIDC, external OAuth | `issuers.rs` |
//! | 5.8 custom | `plugins.rs` |
//! | 5.9 static mTLS | `certificates.rs` |
//! | 5.10, 5.11 several, keyless | `callers.rs` (`c5_10_*`, `c5_11_*`), `authentication.rs` |
//! | 5.12 OAuth2 scheme | `scopes.rs`, `token_exchange.rs` |
//! | 6.1 session object | here |
//! | 6.2 lifetime | here; SET XX: `gateway/src/admin/tests/keys.rs`, `state/tests/redis.rs` |
//! | 6.3 policy object | here, `catalog.rs` |
//! | 6.4 applying | each rule: `apidef/src/policies/tests.rs`; while keys are in use: here, `limits.rs`; `key_expires_in`: `gateway/src/admin/tests/keys.rs` |
//! | 6.5 algorithms, Redis away | `limiters.rs`, `state.rs`; bounds: `gateway/src/limits/simulator/` |
//! | 6.5 smoothing | here |
//! | 6.5 scope order, custom key, throttling | `limits.rs` |
//! | 6.6 quotas | here, `keys.rs`, `limits.rs` |
//! | 6.7 headers | here, `limits.rs`; context variables: `headers.rs` |

use std::time::{SystemTime, UNIX_EPOCH};

use e2e::definition::{keyed, oas, session};
use e2e::{Gate, Redis, Reply, Upstream, until};
use serde_json::{Value, json};

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

async fn call(gate: &Gate, path: &str, key: &str) -> Reply {
    gate.get(path, &["-H", &format!("Authorization: {key}")]).await
}

fn with(mut session: Value, more: Value) -> Value {
    session.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    session
}

/// Makes a key; gives it and the name under which Redis has its session.
async fn make(gate: &Gate, session: &Value) -> (String, String) {
    let made = gate.admin().post("/keys", session).await;
    assert_eq!(made.status, 200, "{made:?}");
    let text = |name: &str| made.json()[name].as_str().unwrap().to_owned();
    (text("key"), format!("apikey-{}", text("key_hash")))
}

#[tokio::test]
async fn c6_1_a_session_comes_back_as_it_was_sent_and_without_what_is_zero() {
    let upstream = Upstream::start().await;
    let redis = Redis::start().await;
    let gate = Gate::setup().conf(redis.conf()).api(keyed("a", &upstream.url(""))).start().await;
    let sent = json!({
        "rate": 10.5, "per": 2.5, "throttle_interval": 0.5, "throttle_retry_limit": 3, "max_query_depth": 4,
        "expires": now() + 1000, "quota_max": 100, "quota_renewal_rate": 60, "org_id": "org",
        "access_rights": {"a": {
            "api_name": "a", "api_id": "a", "versions": ["Default"],
            "allowed_urls": [{"url": "/x.*", "methods": ["GET"]}],
            "restricted_types": [{"name": "T", "fields": ["f"]}],
            "allowed_types": [{"name": "U", "fields": ["g"]}],
            "field_access_rights": [{"type_name": "T", "field_name": "f", "limits": {"max_query_depth": 2}}],
            "disable_introspection": true,
            "limit": {
                "rate": 5.5, "per": 1.5, "throttle_interval": 1.5, "throttle_retry_limit": 2,
                "max_query_depth": 3, "quota_max": 50, "quota_renewal_rate": 30,
                "smoothing": {"enabled": true, "threshold": 1, "trigger": 0.5, "step": 1, "delay": 30},
            },
            "endpoints": [{"path": "/x", "methods": [{"name": "GET", "limit": {"rate": 2.5, "per": 1.5}}]}],
        }},
        "oauth_client_id": "client", "oauth_keys": {"client": "token"},
        "mtls_static_certificate_bindings": ["orgabc"],
        "hmac_enabled": true, "enable_http_signature_validation": true, "rsa_certificate_id": "orgdef",
        "is_inactive": true, "data_expires": 7,
        "monitor": {"trigger_limits": [80.5, 60.5]}, "enable_detailed_recording": true,
        "meta_data": {"team": "blue", "deep": {"a": [1, 2]}}, "tags": ["one", "two"], "alias": "name",
        "id_extractor_deadline": 5, "session_lifetime": 5000,
        "post_expiry_action": "retain", "post_expiry_grace_period": 60,
        "smoothing": {"enabled": true, "threshold": 2, "trigger": 0.25, "step": 3, "delay": 40},
        "a_field_of_tomorrow": {"kept": true},
    });
    let (key, name) = make(&gate, &sent).await;
    let told = gate.admin().get(&format!("/keys/{key}")).await.json();
    let stored: Value = serde_json::from_str(redis.call(&["GET", &name]).trim()).unwrap();
    for (field, value) in sent.as_object().unwrap() {
        for (whose, session) in [("told", &told), ("stored", &stored)] {
            let got = &session[field];
            match field.as_str() {
                // What is counted is added to limits of APIs.
                "access_rights" => {
                    let (got, value) = (&got["a"], &value["a"]);
                    for (part, value) in
                        value.as_object().unwrap().iter().filter(|(part, _)| *part != "limit")
                    {
                        assert_eq!(&got[part], value, "{whose}: {part}");
                    }
                    for (part, value) in value["limit"].as_object().unwrap() {
                        assert_eq!(&got["limit"][part], value, "{whose}: limit {part}");
                    }
                }
                _ => assert_eq!(got, value, "{whose}: {field}"),
            }
        }
    }
    let (key, name) = make(&gate, &session(&["a"])).await;
    let told = gate.admin().get(&format!("/keys/{key}")).await.json();
    let stored: Value = serde_json::from_str(redis.call(&["GET", &name]).trim()).unwrap();
    for field in [
        "throttle_interval",
        "throttle_retry_limit",
        "max_query_depth",
        "oauth_client_id",
        "oauth_keys",
        "certificate",
        "mtls_static_certificate_bindings",
        "hmac_enabled",
        "rsa_certificate_id",
        "is_inactive",
        "apply_policy_id",
        "apply_policies",
        "data_expires",
        "enable_detailed_recording",
        "tags",
        "alias",
        "id_extractor_deadline",
        "session_lifetime",
        "post_expiry_action",
        "smoothing",
    ] {
        assert!(told.get(field).is_none() && stored.get(field).is_none(), "{field}: {told} {stored}");
    }
}

#[tokio::test]
async fn c6_2_rows_1_to_7_sessions_are_stored_for_their_lifetime() {
    let upstream = Upstream::start().await;
    let redis = Redis::start().await;
    let living = |id: &str, seconds: i64, respects: bool| {
        with(
            keyed(id, &upstream.url("")),
            json!({"session_lifetime": seconds, "session_lifetime_respects_key_expiration": respects}),
        )
    };
    let setup = || {
        let setup = Gate::setup().conf(redis.conf()).api(living("none", 0, false));
        setup.api(living("short", 200, false)).api(living("long", 300, false)).api(living("kind", 200, true))
    };
    let gate = setup().start().await;
    let lives = async |gate: &Gate, apis: &[&str], more: Value| -> i64 {
        let (_, name) = make(gate, &with(session(apis), more)).await;
        redis.call(&["TTL", &name]).trim().parse().unwrap()
    };
    let later = now() + 500;
    for (apis, more, expected) in [
        (&["none"][..], json!({}), -1),
        (&["none"], json!({"expires": later}), -1),
        (&["none"], json!({"session_lifetime": 100}), 100),
        (&["short"], json!({}), 200),
        (&["short"], json!({"session_lifetime": 100}), 100),
        (&["short", "long"], json!({}), 300),
        (&["short"], json!({"expires": later}), 200),
        (&["kind"], json!({"expires": later}), 500),
        (&["kind"], json!({"expires": now() + 50}), 200),
        (&["kind"], json!({}), -1),
        (&["short"], json!({"expires": later, "post_expiry_action": "delete"}), 500),
        (
            &["short"],
            json!({"expires": later, "post_expiry_action": "retain", "post_expiry_grace_period": 50}),
            550,
        ),
        (
            &["short"],
            json!({"expires": later, "post_expiry_action": "retain", "post_expiry_grace_period": -1}),
            -1,
        ),
    ] {
        let got = lives(&gate, apis, more.clone()).await;
        assert!(
            got == expected || (expected > 0 && (expected - 20..=expected).contains(&got)),
            "{apis:?} {more}: {got}, not {expected}"
        );
    }
    let forced = json!({"force_global_session_lifetime": true, "global_session_lifetime": 77});
    let gate = setup().conf(forced).start().await;
    let got = lives(&gate, &["short"], json!({"session_lifetime": 5000, "expires": later})).await;
    assert!((60..=77).contains(&got), "{got}");
}

#[tokio::test]
async fn c6_3_rows_2_and_3_policies_come_from_one_file_and_active_means_nothing() {
    let upstream = Upstream::start().await;
    let open = json!({"a": {"api_id": "a", "versions": ["Default"]}});
    let policies = json!({
        "on": {"name": "on", "org_id": "org", "active": true, "access_rights": open},
        "off": {"name": "off", "org_id": "org", "active": false, "access_rights": open},
        "gone": {"name": "gone", "org_id": "org", "active": true, "is_inactive": true, "access_rights": open},
    });
    let gate = Gate::setup()
        .file("policies.json", &policies.to_string())
        .conf(json!({"policies": {"policy_path": "", "policy_source": "file", "policy_record_name": "policies.json"}}))
        .api(keyed("a", &upstream.url("")))
        .start()
        .await;
    for (policy, status) in [("on", 200), ("off", 200), ("gone", 403)] {
        let key = gate.admin().key(&json!({"org_id": "org", "apply_policies": [policy]})).await;
        let reply = call(&gate, "/a/x", &key).await;
        assert_eq!(reply.status, status, "{policy}: {reply:?}");
        if status == 403 {
            assert_eq!(reply.json()["error"], "Key is inactive, please renew");
        }
    }
}

#[tokio::test]
async fn c6_4_keys_in_use_follow_their_policies_and_are_refused_without() {
    let upstream = Upstream::start().await;
    let policy = |id: &str, org: &str, more: Value| {
        let rights = json!({"a": {"api_id": "a", "versions": ["Default"]}});
        with(json!({"id": id, "org_id": org, "access_rights": rights}), more)
    };
    let gate = Gate::setup()
        .api(keyed("a", &upstream.url("")))
        .policy(policy("one", "org", json!({})))
        .policy(policy("two", "org", json!({})))
        .start()
        .await;
    let single = gate.admin().key(&json!({"org_id": "org", "apply_policies": ["one"]})).await;
    let both = gate.admin().key(&json!({"org_id": "org", "apply_policies": ["one", "two"]})).await;
    let write = |id: &str, policy: &Value| gate.write(&format!("policies/{id}.json"), &policy.to_string());
    let statuses =
        async || (call(&gate, "/a/x", &single).await.status, call(&gate, "/a/x", &both).await.status);
    assert_eq!(statuses().await, (200, 200));
    let per_api = json!({"partitions": {"per_api": true}});
    let mixed = json!({"partitions": {"per_api": true, "quota": true}});
    let quota = json!({"partitions": {"quota": true}, "quota_max": 5, "quota_renewal_rate": 60});
    for (what, one, expected) in [
        ("another organisation's: the key is refused", policy("one", "else", json!({})), (403, 403)),
        ("per_api alone", policy("one", "org", per_api), (200, 403)),
        ("per_api and a partition in one", policy("one", "org", mixed), (403, 403)),
        ("a partition that gives no right", policy("one", "org", quota), (403, 200)),
        ("all is well again", policy("one", "org", json!({})), (200, 200)),
    ] {
        if what == "per_api alone" {
            write("two", &policy("two", "org", json!({"partitions": {"acl": true}})));
        }
        write("one", &one);
        until(what, async || statuses().await == expected).await;
    }
    let refused = call(&gate, "/a/x", &single).await;
    assert_eq!(refused.status, 200);
    std::fs::remove_file(gate.dir().join("policies/one.json")).unwrap();
    // One that is not known is an error alone, and skipped beside others.
    until("the only policy is gone", async || statuses().await == (403, 200)).await;
    let refused = call(&gate, "/a/x", &single).await;
    assert_eq!(refused.json()["error"], "Access to this API has been disallowed");
}

#[tokio::test]
async fn c6_5_row_5_smoothing_lets_a_rate_grow_in_steps() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .conf(json!({"enable_redis_rolling_limiter": true, "enable_rate_limit_smoothing": true}))
        .api(keyed("a", &upstream.url("")))
        .start()
        .await;
    let smoothed = json!({
        "rate": 6, "per": 600,
        "smoothing": {"enabled": true, "threshold": 2, "trigger": 0.5, "step": 2, "delay": 2},
    });
    let key = gate.admin().key(&with(session(&["a"]), smoothed)).await;
    // Two to begin with; half a step before they are used up there are two more, and more only after the delay.
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(call(&gate, "/a/x", &key).await.status);
    }
    assert_eq!(seen, [200, 200, 200, 200, 429]);
    until("the next step", async || call(&gate, "/a/x", &key).await.status == 200).await;
    // Up to the rate, and not above it.
    let admitted = async || call(&gate, "/a/x", &key).await.status == 200;
    until("the last one", admitted).await;
    let begun = std::time::Instant::now();
    until("nothing more for longer than the delay", async || {
        assert!(!admitted().await, "more than the rate");
        begun.elapsed().as_millis() > 2500
    })
    .await;
}

#[tokio::test]
async fn c6_6_rows_1_3_5_quotas_begin_with_a_request_renew_end_or_have_no_end() {
    let upstream = Upstream::start().await;
    let redis = Redis::start().await;
    let api = || keyed("a", &upstream.url(""));
    let gates =
        [Gate::setup().api(api()).start().await, Gate::setup().conf(redis.conf()).api(api()).start().await];
    for gate in &gates {
        let counted = |max: i64, renewal: i64| {
            with(session(&["a"]), json!({"quota_max": max, "quota_renewal_rate": renewal}))
        };
        let statuses = async |key: &str, calls: usize| {
            let mut seen = Vec::new();
            for _ in 0..calls {
                seen.push(call(gate, "/a/x", key).await.status);
            }
            seen
        };
        let quick = gate.admin().key(&counted(1, 2)).await;
        assert_eq!(statuses(&quick, 2).await, [200, 403]);
        until("the quota is renewed", async || call(gate, "/a/x", &quick).await.status == 200).await;
        // Without a renewal it is never renewed.
        let once = gate.admin().key(&counted(1, 0)).await;
        assert_eq!(statuses(&once, 3).await, [200, 403, 403]);
        let told = gate.admin().get(&format!("/keys/{once}")).await.json();
        assert_eq!(told["quota_remaining"].as_i64().unwrap_or(0), 0, "{told}");
        // 0 and -1 are no limit.
        for max in [0, -1] {
            let free = gate.admin().key(&counted(max, 60)).await;
            assert_eq!(statuses(&free, 3).await, [200, 200, 200], "{max}");
        }
        // APIs with limits of their own count apart.
        let apart = json!({"access_rights": {"a": {"api_id": "a", "versions": ["Default"],
            "limit": {"quota_max": 2, "quota_renewal_rate": 3600}}}});
        let apart = gate.admin().key(&with(counted(1, 3600), apart)).await;
        assert_eq!(statuses(&apart, 3).await, [200, 200, 403]);
        let told = gate.admin().get(&format!("/keys/{apart}")).await.json();
        let limit = &told["access_rights"]["a"]["limit"];
        assert_eq!(limit["quota_remaining"].as_i64().unwrap_or(0), 0, "{told}");
        assert!(limit["quota_renews"].as_i64().unwrap() > now() + 3000, "{told}");
    }
}

#[tokio::test]
async fn c6_7_row_1_limits_are_told_with_answers_and_not_with_errors_of_the_gate() {
    let upstream = Upstream::start().await;
    // Mocks of classic definitions are answered before anybody is asked who calls; those of OpenAPI are not.
    let mut mocked = oas("o", &upstream.url(""));
    mocked["paths"] = json!({"/mocked": {"get": {"operationId": "mocked"}}});
    mocked["components"] =
        json!({"securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "Authorization"}}});
    mocked["security"] = json!([{"token": []}]);
    let extension = &mut mocked["x-tyk-api-gateway"];
    extension["server"]["authentication"] = json!({"enabled": true, "securitySchemes": {"token": {"enabled": true, "header": {"enabled": true, "name": "Authorization"}}}});
    extension["middleware"] =
        json!({"operations": {"mocked": {"mockResponse": {"enabled": true, "code": 201, "body": "mock"}}}});
    let down = keyed("down", "http://127.0.0.1:1/");
    let gate = Gate::setup().api(keyed("a", &upstream.url(""))).oas(mocked).api(down).start().await;
    let limits = json!({"quota_max": 9, "quota_renewal_rate": 3600});
    let key = gate.admin().key(&with(session(&["a", "o", "down"]), limits)).await;
    for (path, status, told) in
        [("/a/x", 200, true), ("/o/mocked", 201, true), ("/a/status/404", 404, true), ("/down/x", 500, false)]
    {
        let reply = call(&gate, path, &key).await;
        assert_eq!(reply.status, status, "{path}: {reply:?}");
        for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
            assert_eq!(reply.header(name).is_some(), told, "{path}: {name} {reply:?}");
        }
    }
    let unknown = call(&gate, "/a/x", "nobody").await;
    assert_eq!((unknown.status, unknown.header("x-ratelimit-limit")), (403, None));
}
