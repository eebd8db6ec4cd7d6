//! Rows of the contract that need little each: what is told, and where, in the words of the original.

use e2e::definition::{keyed, keyless, oas, session};
use e2e::issuer::shared;
use e2e::tokens::{now, policy, with as with_token};
use e2e::{Gate, Redis, Spoken, Upstream, Wire, until};
use serde_json::{Value, json};

const SECRET: &[u8] = b"a shared secret of more than 32 bytes";
/// Base64 of [`SECRET`].
const SOURCE: &str = "YSBzaGFyZWQgc2VjcmV0IG9mIG1vcmUgdGhhbiAzMiBieXRlcw==";

fn with(mut api: Value, more: Value) -> Value {
    api.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api
}

fn error(reply: &e2e::Reply) -> (u16, String) {
    let told: Value = serde_json::from_str(reply.text()).unwrap_or_default();
    (reply.status, told["error"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn c2_9_rows_2_and_3_apis_that_want_the_same_listen_path_are_all_served() {
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    let same = |id: &str, target: String| {
        let mut api = keyless(id, &target);
        api["proxy"]["listen_path"] = json!("/same/");
        api
    };
    let gate = Gate::setup().api(same("one", one.url("/one"))).start().await;
    // Who was there keeps its place, whatever comes.
    gate.write("apps/a-two.json", &same("two", two.url("/two")).to_string());
    gate.admin().reload().await;
    let path = async |path: &str| gate.get(path, &[]).await.json()["path"].clone();
    assert_eq!(path("/same/x").await, "/one/x");
    assert_eq!(path("/same/-two/x").await, "/two/x");
    assert_eq!(path("/two/x").await, "/two/x", "and by its id, as all are");
    until("it is told", async || gate.log().contains("it is served at `/same/-two`")).await;
}

#[tokio::test]
async fn c4_6_rows_12_and_19_upstreams_that_say_nothing_and_gates_that_speak_no_websockets() {
    let silent = Wire::start(|mut line| async move {
        line.request().await;
        line.closed().await;
    })
    .await;
    let gate = Gate::setup()
        .conf(json!({"proxy_default_timeout": 1, "http_server_options": {"enable_websockets": false}}))
        .api(keyless("a", &silent.url()))
        .start()
        .await;
    let begun = std::time::Instant::now();
    let reply = gate.get("/a/x", &[]).await;
    assert!(matches!(reply.status, 500 | 504), "{reply:?}");
    let took = begun.elapsed().as_millis();
    assert!((900..10_000).contains(&took), "after {took} ms");
    until("its connection is closed", async || silent.open() == 0).await;

    let before = silent.accepted();
    let fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
    let mut arguments: Vec<&str> = fields.iter().flat_map(|field| ["-H", field]).collect();
    arguments.extend(["-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]);
    let reply = gate.get("/a/x", &arguments).await;
    assert_eq!(error(&reply), (403, "websockets are not allowed".to_owned()));
    assert_eq!(silent.accepted(), before);
}

#[tokio::test]
async fn c6_7_row_3_rates_in_headers_are_those_of_the_key_before_those_of_the_api() {
    let upstream = Upstream::start().await;
    let rate = json!({"global_rate_limit": {"rate": 100, "per": 50}});
    let gate = Gate::setup()
        .conf(json!({"rate_limit_response_headers": "rate_limits"}))
        .api(with(keyed("a", &upstream.url("")), rate.clone()))
        .api(with(keyless("open", &upstream.url("")), rate))
        .start()
        .await;
    let key = gate.admin().key(&with(session(&["a"]), json!({"rate": 2, "per": 30}))).await;
    let free = gate.admin().key(&session(&["a"])).await;
    for (path, key, limit, remaining, per, status) in [
        ("/a/x", &key, "2", "1", 30, 200),
        ("/a/x", &key, "2", "0", 30, 200),
        ("/a/x", &key, "2", "0", 30, 429),
        // Two of the key's were the API's as well.
        ("/a/x", &free, "100", "97", 50, 200),
        ("/open/x", &free, "100", "99", 50, 200),
    ] {
        let reply = gate.get(path, &["-H", &format!("Authorization: {key}")]).await;
        let told = |name: &str| reply.header(&format!("x-ratelimit-{name}")).unwrap_or_default();
        assert_eq!(
            (reply.status, told("limit").as_str(), told("remaining").as_str()),
            (status, limit, remaining)
        );
        let reset: u64 = told("reset").parse().unwrap();
        assert!((now()..=now() + per + 1).contains(&reset), "{path}: {reset} at {}", now());
    }
}

#[tokio::test]
async fn c8_9_rows_2_3_5_context_variables_of_limits_tokens_and_fields() {
    let upstream = Upstream::start().await;
    let all = "$tyk_context.headers_Host|$tyk_context.jwt_claims_sub|$tyk_context.jwt_claims_team|$tyk_context.rate_limit_limit|\
               $tyk_context.quota_limit|$tyk_context.quota_remaining|$tyk_context.none|$tyk_context.cookies_c|$tyk_context.path_parts";
    let api = with(
        keyless("a", &upstream.url("")),
        json!({
            "use_keyless": false, "enable_jwt": true, "jwt_signing_method": "hmac", "jwt_source": SOURCE,
            "jwt_default_policies": ["all"], "enable_context_vars": true,
            "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default", "use_extended_paths": true,
                "global_headers": {"X-All": all, "X-Fields": "$tyk_context.headers",
                    "X-Resets": "$tyk_context.rate_limit_reset $tyk_context.quota_reset"}}}},
        }),
    );
    let limits = json!({"rate": 5, "per": 60, "quota_max": 9, "quota_renewal_rate": 3600});
    let gate = Gate::setup().api(api).policy(policy("all", &["a"], limits)).start().await;
    let claims = json!({"sub": "ann", "team": ["red", "blue"], "exp": now() + 600});
    let token = format!("Authorization: Bearer {}", shared(SECRET, &json!({}), &claims));
    let fields = ["-H", token.as_str(), "-H", "Host: shop.example", "-b", "c=d", "-H", "X-Own: mine"];
    let reply = gate.get("/a/x/y", &fields).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let echo = reply.json();
    let of = |name: &str| echo["headers"][name][0].as_str().unwrap_or_default().to_owned();
    let all: Vec<String> = of("x-all").split('|').map(str::to_owned).collect();
    assert_eq!(all, ["shop.example", "ann", "red,blue", "5", "9", "8", "", "d", "a,x,y"]);
    assert!(of("x-fields").contains("X-Own:mine") && of("x-fields").contains(';'), "{}", of("x-fields"));
    let resets: Vec<u64> = of("x-resets").split(' ').map(|text| text.parse().unwrap()).collect();
    assert!((now()..=now() + 61).contains(&resets[0]), "{resets:?}");
    assert!((now() + 3500..=now() + 3601).contains(&resets[1]), "{resets:?}");
    assert_eq!(with_token(&gate, "/a/x", "none").await.status, 403);
}

#[tokio::test]
async fn c8_12_rows_1_and_3_organisations_over_their_limits_and_rates_that_grow_are_told() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let receiver = Spoken::start(|_| (200, String::new())).await;
    let handler = json!([{"handler_name": "eh_web_hook_handler",
        "handler_meta": {"method": "POST", "target_path": receiver.url("/hook")}}]);
    let events = json!({"OrgQuotaExceeded": handler, "OrgRateLimitExceeded": handler, "RateLimitSmoothingUp": handler});
    let mut setup = Gate::setup().conf(redis.conf()).conf(json!({
        "enforce_org_quotas": true, "enable_redis_rolling_limiter": true, "enable_rate_limit_smoothing": true,
    }));
    for (org, record) in [
        ("fast", json!({"rate": 1, "per": 600})),
        ("counted", json!({"quota_max": 1, "quota_renewal_rate": 600})),
        ("org", json!({})),
    ] {
        redis.call(&["SET", &format!("orgkey.{org}"), &record.to_string()]);
        let api = if org == "org" { keyed(org, &upstream.url("")) } else { keyless(org, &upstream.url("")) };
        setup = setup.api(with(api, json!({"org_id": org, "event_handlers": {"events": events}})));
    }
    let gate = setup.start().await;
    let smoothed = json!({
        "rate": 6, "per": 600,
        "smoothing": {"enabled": true, "threshold": 2, "trigger": 0.5, "step": 2, "delay": 2},
    });
    let key = format!("Authorization: {}", gate.admin().key(&with(session(&["org"]), smoothed)).await);
    let told = |event: &str| {
        let bodies = receiver
            .asked()
            .into_iter()
            .filter_map(|request| serde_json::from_str::<Value>(request.split_once("\r\n\r\n")?.1).ok());
        bodies.into_iter().find(|body| body["event"] == event)
    };
    for (org, event, message) in [
        ("fast", "OrgRateLimitExceeded", "Organisation rate limit has been exceeded"),
        ("counted", "OrgQuotaExceeded", "Organisation quota has been exceeded"),
        ("org", "RateLimitSmoothingUp", ""),
    ] {
        for _ in 0..2 {
            gate.get(&format!("/{org}/x"), &["-H", &key]).await;
        }
        until(event, async || told(event).is_some()).await;
        let body = told(event).unwrap_or_default();
        assert!(body["message"].as_str().is_some_and(|told| told.contains(message)), "{body}");
        let path = body["path"].as_str().unwrap_or_default().to_owned();
        assert!(event == "RateLimitSmoothingUp" || path == format!("/{org}/x"), "{body}");
    }
    assert!(told("RateLimitSmoothingDown").is_none());
}

#[tokio::test]
async fn c4_2_row_1_each_refusal_of_callers_can_have_other_words() {
    let upstream = Upstream::start().await;
    let ids = [
        "auth.auth_field_missing",
        "auth.key_not_found",
        "auth.key_is_invalid",
        "oauth.auth_field_missing",
        "oauth.auth_field_malformed",
        "oauth.key_not_found",
        "oauth.client_deleted",
    ];
    let words: serde_json::Map<String, Value> = ids
        .iter()
        .enumerate()
        .map(|(at, id)| ((*id).to_owned(), json!({"code": 450 + at, "message": format!("says {id}")})))
        .collect();
    let oauth = json!({
        "use_keyless": false, "use_oauth2": true, "oauth_meta": {"allowed_access_types": ["client_credentials"]},
    });
    let gate = Gate::setup()
        .conf(json!({"override_messages": words}))
        .api(keyed("keyed", &upstream.url("")))
        .api(with(keyless("oauth", &upstream.url("")), oauth))
        .policy(policy("gold", &["oauth"], json!({})))
        .start()
        .await;
    let client = json!({"client_id": "c", "secret": "s", "api_id": "oauth", "policy_id": "gold"});
    assert_eq!(gate.admin().post("/oauth/clients/create", &client).await.status, 200);
    let given = gate.get("/oauth/oauth/token/", &["-u", "c:s", "-d", "grant_type=client_credentials"]).await;
    assert_eq!(given.status, 200, "{given:?}");
    let token = format!("Bearer {}", given.json()["access_token"].as_str().unwrap_or_default());
    let ask = async |path: &str, authorization: Option<&str>| {
        let field = format!("Authorization: {}", authorization.unwrap_or_default());
        let fields = if authorization.is_some() { vec!["-H", &field] } else { Vec::new() };
        error(&gate.get(path, &fields).await)
    };
    assert_eq!(ask("/oauth/x", Some(&token)).await.0, 200);
    // Who is a user of the gate by a name and a password, and shows the name alone.
    let user =
        with(session(&["keyed"]), json!({"basic_auth_data": {"password": "p", "hash_type": "bcrypt"}}));
    assert_eq!(gate.admin().post("/keys/ann", &user).await.status, 200);
    assert_eq!(gate.admin().delete("/oauth/clients/oauth/c").await.status, 200);
    let mut left = Vec::new();
    for (id, path, authorization) in [
        ("auth.auth_field_missing", "/keyed/x", None),
        ("auth.key_not_found", "/keyed/x", Some("none")),
        ("auth.key_is_invalid", "/keyed/x", Some("ann")),
        ("oauth.auth_field_missing", "/oauth/x", None),
        ("oauth.auth_field_malformed", "/oauth/x", Some("Bearer")),
        ("oauth.key_not_found", "/oauth/x", Some("Bearer none")),
        ("oauth.client_deleted", "/oauth/x", Some(&*token)),
    ] {
        let at = ids.iter().position(|known| *known == id).unwrap_or_default();
        let expected = (450 + u16::try_from(at).unwrap(), format!("says {id}"));
        let seen = ask(path, authorization).await;
        if seen != expected {
            left.push((id, seen));
        }
    }
    assert!(left.is_empty(), "{left:?}");

    // Whoever has words for unknown keys alone does not tell with them which users there are.
    let words = json!({"auth.key_not_found": {"code": 418, "message": "nobody"}});
    let gate = Gate::setup()
        .conf(json!({"override_messages": words}))
        .api(keyed("keyed", &upstream.url("")))
        .start()
        .await;
    assert_eq!(gate.admin().post("/keys/ann", &user).await.status, 200);
    for key in ["ann", "none"] {
        let reply = gate.get("/keyed/x", &["-H", &format!("Authorization: {key}")]).await;
        assert_eq!(error(&reply), (418, "nobody".to_owned()), "{key}");
    }
}

#[tokio::test]
async fn c2_1_row_8_what_is_not_active_is_served_all_the_same() {
    let upstream = Upstream::start().await;
    let classic = with(keyless("classic", &upstream.url("")), json!({"active": false}));
    let mut described = oas("described", &upstream.url(""));
    described["x-tyk-api-gateway"]["info"]["state"]["active"] = json!(false);
    let gate = Gate::setup().api(classic).oas(described).start().await;
    for path in ["/classic/x", "/described/x"] {
        assert_eq!(gate.get(path, &[]).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn c2_8_row_6_balancing_over_nothing_is_refused() {
    let gate = Gate::setup().start().await;
    let mut nothing = keyless("nothing", "http://127.0.0.1:9");
    nothing["proxy"]["enable_load_balancing"] = json!(true);
    nothing["proxy"]["target_list"] = json!([]);
    let reply = gate.admin().post("/apis", &nothing).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    let words = "all load balancing targets have weight 0, at least one target must have weight > 0";
    assert_eq!(reply.json()["errors"][0]["message"], words, "{}", reply.text());
    assert_eq!(gate.admin().get("/apis/nothing").await.status, 404);
}

#[tokio::test]
async fn c3_2_row_31_a_size_for_all_operations() {
    let upstream = Upstream::start().await;
    let with_size = |id: &str, enabled: bool| {
        let mut described = oas(id, &upstream.url(""));
        described["x-tyk-api-gateway"]["middleware"] =
            json!({"global": {"requestSizeLimit": {"enabled": enabled, "value": 4}}});
        described
    };
    let gate = Gate::setup().oas(with_size("on", true)).oas(with_size("off", false)).start().await;
    for (path, body, status) in [("/on/x", "1234", 200), ("/on/x", "12345", 400), ("/off/x", "12345", 200)] {
        let reply = gate.get(path, &["-d", body]).await;
        let told = if status == 400 { "Request is too large" } else { "" };
        assert_eq!(error(&reply), (status, told.to_owned()), "{path} {body}");
    }
}

#[tokio::test]
async fn c3_5_row_2_what_a_document_asks_of_callers_is_no_matter_of_its_requests() {
    let upstream = Upstream::start().await;
    let mut described = oas("a", &upstream.url(""));
    let count = json!({"name": "count", "in": "query", "required": true, "schema": {"type": "integer"}});
    described["paths"] = json!({"/x": {"get": {
        "operationId": "x", "parameters": [count], "security": [{"key": []}], "responses": {"200": {"description": "it"}},
    }}});
    described["components"] =
        json!({"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}});
    described["x-tyk-api-gateway"]["middleware"] =
        json!({"operations": {"x": {"validateRequest": {"enabled": true}}}});
    let gate = Gate::setup().oas(described).start().await;
    assert_eq!(gate.get("/a/x?count=1", &[]).await.status, 200);
    assert_eq!(gate.get("/a/x?count=one", &[]).await.status, 422);
}

#[tokio::test]
async fn c8_8_row_2_tracked_paths_are_recorded_by_their_pattern() {
    let upstream = Upstream::start().await;
    let mut api = keyless("a", &upstream.url(""));
    api["version_data"]["versions"]["Default"] = json!({"name": "Default", "use_extended_paths": true,
        "extended_paths": {"track_endpoints": [{"path": "/users/{id}", "method": "GET"}]}});
    let gate = Gate::setup().conf(json!({"enable_analytics": true})).api(api).start().await;
    for (path, fields) in
        [("/a/users/7", &[][..]), ("/a/users/8", &[]), ("/a/users/9", &["-X", "PUT"]), ("/a/y", &[])]
    {
        assert_eq!(gate.get(path, fields).await.status, 200);
    }
    let mut paths = Vec::new();
    until("all are recorded", async || {
        let told: Vec<Value> =
            serde_json::from_slice(&gate.admin().get("/records?limit=9").await.body).unwrap();
        paths = told.iter().map(|record| record["path"].as_str().unwrap_or_default().to_owned()).collect();
        paths.len() == 4
    })
    .await;
    let of_pattern = paths.iter().filter(|path| *path == "/users/{id}").count();
    let of_others = paths.iter().filter(|path| path.ends_with("/users/9") || path.ends_with("/y")).count();
    assert_eq!((of_pattern, of_others), (2, 2), "{paths:?}");
}

#[tokio::test]
async fn c13_2_row_4_a_gate_without_definitions_is_ready() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().start().await;
    gate.admin().reload().await;
    assert_eq!(gate.get("/ready", &[]).await.status, 200);
    gate.write("apps/a.json", &keyless("a", &upstream.url("")).to_string());
    gate.admin().reload().await;
    assert_eq!(gate.get("/a/x", &[]).await.status, 200);
}
