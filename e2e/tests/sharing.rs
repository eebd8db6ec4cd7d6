//! What gates on one Redis know together (contract 5.1, 6.5): how much smoothing allows, and what issuers have said.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2e::definition::{keyed, keyless, oas, session};
use e2e::issuer::Issuer;
use e2e::tokens::{assert_refused, now, policy, with as with_token};
use e2e::{Gate, Redis, Reply, Setup, Spoken, Upstream, until};
use serde_json::{Value, json};

fn with(mut api: Value, more: Value) -> Value {
    api.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api
}

/// Two gates of one setup.
async fn pair(setup: impl Fn() -> Setup) -> [Gate; 2] {
    [setup().start().await, setup().start().await]
}

/// Fields of a request as the upstream got it.
fn sent(reply: &Reply, name: &str) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["headers"][name].clone()
}

/// How many scripts Redis has run; one that it did not know is sent again.
fn scripts(redis: &Redis) -> u64 {
    let stats = redis.call(&["INFO", "commandstats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:")).unwrap_or_default();
    let number = |name: &str| {
        let field = line.trim().split(',').find_map(|field| field.strip_prefix(name));
        field.and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    number("calls=") - number("failed_calls=")
}

/// Waits until the other gates can know so much: nobody waits for that.
async fn shared(redis: &Redis, names: &str, count: usize) {
    let known = || redis.call(&["KEYS", names]).lines().filter(|name| !name.is_empty()).count();
    until(&format!("{count} of {names}"), async || known() == count).await;
}

/// The number of a metric without labels.
async fn metric(gate: &Gate, name: &str) -> u64 {
    let page = gate.get("/metrics", &[]).await;
    let line = page.text().lines().find_map(|line| line.strip_prefix(&format!("{name} "))).map(str::to_owned);
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

/// From two to six, by two; nothing moves twice within a test.
fn smoothing() -> Value {
    json!({"enabled": true, "threshold": 2, "trigger": 0.5, "step": 2, "delay": 600})
}

#[tokio::test]
async fn c6_5_row_5_what_smoothing_allows_is_one_for_all_gates() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let rate = json!({"rate": 6, "per": 600, "smoothing": smoothing()});
    let mut of_path = keyless("path", &upstream.url(""));
    let limited = with(rate.clone(), json!({"path": "/x", "method": "GET"}));
    of_path["version_data"]["versions"]["Default"]["extended_paths"] = json!({"rate_limit": [limited]});
    let mut open = oas("oas", &upstream.url(""));
    open["x-tyk-api-gateway"]["upstream"]["rateLimit"] =
        json!({"enabled": true, "rate": 6, "per": "10m", "smoothing": smoothing()});
    let [one, two] = pair(|| {
        Gate::setup()
            .conf(redis.conf())
            .conf(json!({
                "hash_keys": false, "enable_redis_rolling_limiter": true, "enable_rate_limit_smoothing": true,
            }))
            .api(keyed("keyed", &upstream.url("")))
            .api(with(keyless("global", &upstream.url("")), json!({"global_rate_limit": rate})))
            .api(of_path.clone())
            .oas(open.clone())
    })
    .await;
    let key = one.admin().key(&with(session(&["keyed"]), rate.clone())).await;
    for (path, whose) in [
        ("/keyed/x", key.as_str()),
        ("/global/x", "apilimiter-orgglobal"),
        ("/path/x", "apilimiter-orgpath-"),
        ("/oas/x", "apilimiter-orgoas"),
    ] {
        let field = format!("Authorization: {key}");
        let ask = async |gate: &Gate| gate.get(path, &["-H", &field]).await.status;
        // Two to begin with. The second is more than half a step below, so that there are two more, for everybody.
        let before = scripts(&redis);
        let statuses = [
            ask(&one).await,
            ask(&one).await,
            ask(&two).await,
            ask(&two).await,
            ask(&two).await,
            ask(&one).await,
        ];
        assert_eq!(statuses, [200, 200, 200, 200, 429, 429], "{path}");
        assert_eq!(scripts(&redis) - before, 6, "{path}: one round trip each");
        let keys = redis.call(&["KEYS", &format!("rate-limit-*{whose}*-allowance")]);
        assert_eq!(keys.lines().count(), 1, "{path}: {keys}");
        assert_eq!(redis.call(&["HGET", &keys, "current"]), "4", "{path}");
        let life: i64 = redis.call(&["TTL", &keys]).parse().unwrap();
        assert!((600..=1200).contains(&life), "{path}: {life} s");
        let window = keys.trim_end_matches("-allowance");
        assert_eq!(redis.call(&["TYPE", window]), "zset", "{window}");
    }
}

#[tokio::test]
async fn c8_12_row_1_rates_that_grow_and_shrink_are_told() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let receiver = Spoken::start(|_| (200, String::new())).await;
    let handler = json!([{"handler_name": "eh_web_hook_handler",
        "handler_meta": {"method": "POST", "target_path": receiver.url("/hook")}}]);
    let events = json!({"RateLimitSmoothingUp": handler, "RateLimitSmoothingDown": handler});
    let rule = json!({"enabled": true, "threshold": 2, "trigger": 0.5, "step": 2, "delay": 1});
    let rate = json!({"rate": 6, "per": 1, "smoothing": rule});
    let api = |api: Value| with(api, json!({"event_handlers": {"events": events}}));
    let gate = Gate::setup()
        .conf(redis.conf())
        .conf(json!({"enable_redis_rolling_limiter": true, "enable_rate_limit_smoothing": true}))
        .api(api(keyed("keyed", &upstream.url(""))))
        .api(api(with(keyless("open", &upstream.url("")), json!({"global_rate_limit": rate}))))
        .start()
        .await;
    let key = format!("Authorization: {}", gate.admin().key(&with(session(&["keyed"]), rate.clone())).await);
    for path in ["/keyed/x", "/open/x"] {
        let told = |event: &str| {
            let events = receiver.asked();
            events.iter().any(|asked| asked.contains(event) && asked.contains(path))
        };
        let ask = async || gate.get(path, &["-H", &key]).await.status;
        until("it grows", async || {
            ask().await;
            told("RateLimitSmoothingUp")
        })
        .await;
        // What is left of one request in a window is less than half a step above the step below.
        until("it shrinks", async || {
            until("the window is empty", async || {
                let keys = redis.call(&["KEYS", "rate-limit-*"]);
                keys.lines().all(|key| key.ends_with("-allowance"))
            })
            .await;
            ask().await;
            told("RateLimitSmoothingDown")
        })
        .await;
    }
}

#[tokio::test]
async fn c5_1_row_35_what_an_issuer_says_of_a_token_is_asked_once_for_all_gates() {
    let (upstream, mut redis) = (Upstream::start().await, Redis::start().await);
    let issuer = Issuer::start().await;
    let api = |id: &str, more: Value| {
        let asked = with(
            json!({
                "enabled": true, "url": issuer.url("/introspect"), "client_id": "gate", "client_secret": "s3cret",
                "cache": {"enabled": true, "timeout": 60},
            }),
            more,
        );
        let oauth = json!({"use_keyless": false, "external_oauth": {"enabled": true, "providers": [{"introspection": asked}]}});
        with(keyless(id, &upstream.url("")), oauth)
    };
    let [one, two] = pair(|| {
        Gate::setup()
            .conf(redis.conf())
            .api(api("a", json!({})))
            .api(api("stranger", json!({"client_secret": "wrong"})))
            .api(api("fresh", json!({"cache": {"enabled": false}})))
    })
    .await;
    issuer.knows("good", json!({"active": true, "sub": "me", "exp": now() + 30}));
    issuer.knows("gone", json!({"active": false, "sub": "me"}));
    for gate in [&one, &two, &one, &two] {
        assert_eq!(with_token(gate, "/a/x", "good").await.status, 200);
        shared(&redis, "introspection-good", 1).await;
    }
    assert_eq!(issuer.hits("/introspect"), 1);
    let kept: Value = serde_json::from_str(&redis.call(&["GET", "introspection-good"])).unwrap();
    assert_eq!((&kept["active"], &kept["sub"]), (&json!(true), &json!("me")));
    let life: u64 = redis.call(&["TTL", "introspection-good"]).parse().unwrap();
    assert!((1..=30).contains(&life), "not longer than the token: {life}");
    // Who is known to one issuer is not to another, nor where nothing is to be kept.
    const FAILED: &str = "error happened during the access token validation";
    assert_refused(&with_token(&two, "/stranger/x", "good").await, 500, FAILED);
    assert_eq!(with_token(&two, "/fresh/x", "good").await.status, 200);
    assert_eq!(issuer.hits("/introspect"), 3);
    // Nor is what anybody says who can write there, or what is over.
    let mark = kept["x-sluicegate"].clone();
    for (token, told) in [
        ("forged", json!({"active": true, "sub": "root"})),
        ("moved", json!({"active": true, "sub": "root", "x-sluicegate": {"by": "me", "until": now() + 60}})),
        (
            "over",
            json!({"active": true, "sub": "me", "x-sluicegate": {"by": mark["by"], "until": now() - 1}}),
        ),
        ("broken", json!("{")),
    ] {
        redis.call(&["SET", &format!("introspection-{token}"), &told.to_string()]);
        assert_refused(&with_token(&one, "/a/x", token).await, 401, "access token is not valid");
    }
    // A refusal is not kept.
    for gate in [&one, &two] {
        assert_refused(&with_token(gate, "/a/x", "gone").await, 401, "access token is not valid");
    }
    assert_eq!(redis.call(&["EXISTS", "introspection-gone"]), "0");
    // Without the store each asks for itself.
    redis.kill();
    issuer.knows("late", json!({"active": true, "sub": "me", "exp": now() + 30}));
    for gate in [&one, &two] {
        assert_eq!(with_token(gate, "/a/x", "late").await.status, 200);
        // And what the other one is not told is counted.
        until("it is counted", async || metric(gate, "sluicegate_shared_untold_total").await == 1).await;
    }
}

#[tokio::test]
async fn nobody_waits_until_other_gates_are_told() {
    let (upstream, redis) = (Upstream::start().await, Arc::new(Redis::start().await));
    let pauses = Arc::clone(&redis);
    // When the gate has its token, there is nobody who would take what the others are to know.
    let issuer = Spoken::start(move |_| {
        pauses.signal("STOP");
        (200, json!({"access_token": "given", "expires_in": 600}).to_string())
    })
    .await;
    const TRIES: usize = 5;
    let mut setup = Gate::setup().conf(redis.conf()).conf(json!({"storage": {"timeout": 10}}));
    for number in 1..=TRIES {
        let client =
            json!({"client_id": number.to_string(), "client_secret": "s", "token_url": issuer.url("/")});
        let oauth = json!({"enabled": true, "allowed_authorize_types": ["clientCredentials"], "client_credentials": client});
        let more = json!({"upstream_auth": {"enabled": true, "oauth": oauth}});
        setup = setup.api(with(keyless(&format!("a{number}"), &upstream.url("")), more));
    }
    let gate = setup.start().await;
    let mut fastest = Duration::MAX;
    for number in 1..=TRIES {
        let begun = Instant::now();
        let reply = gate.get(&format!("/a{number}/x"), &[]).await;
        fastest = fastest.min(begun.elapsed());
        assert_eq!(sent(&reply, "authorization"), json!(["Bearer given"]));
        redis.signal("CONT");
        // They are told as soon as somebody takes it.
        shared(&redis, "upstreamOAuthCC-*", number).await;
    }
    assert!(fastest < Duration::from_millis(450), "{fastest:?}");
    assert_eq!(metric(&gate, "sluicegate_shared_untold_total").await, 0);
    assert_eq!(metric(&gate, "sluicegate_shared_queued").await, 0);
}

#[tokio::test]
async fn c5_1_row_40_tokens_for_upstreams_are_fetched_once_for_all_gates() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let issued = Arc::new(AtomicUsize::new(0));
    let number = Arc::clone(&issued);
    let issuer = Spoken::start(move |request| {
        let kind = if request.contains("grant_type=password") { "pw" } else { "cc" };
        let number = number.fetch_add(1, Ordering::SeqCst) + 1;
        (
            200,
            json!({"access_token": format!("{kind}{number}"), "expires_in": 600, "tier": "gold"}).to_string(),
        )
    })
    .await;
    let wanted = Arc::new(AtomicUsize::new(3));
    let taken = Arc::clone(&wanted);
    let picky = Spoken::start(move |request| {
        let fits = request.contains(&format!("Bearer cc{}\r\n", taken.load(Ordering::SeqCst)));
        if fits { (200, "in".to_owned()) } else { (401, "out".to_owned()) }
    })
    .await;
    let client = |id: &str| json!({"client_id": id, "client_secret": "s", "token_url": issuer.url("/"), "extra_metadata": ["tier"]});
    let api = |id: &str, target: String, kind: &str, client: Value| {
        let holder = if kind == "password" { "password" } else { "client_credentials" };
        let oauth = json!({"enabled": true, "allowed_authorize_types": [kind], holder: client});
        with(keyless(id, &target), json!({"upstream_auth": {"enabled": true, "oauth": oauth}}))
    };
    let user = with(client("c"), json!({"username": "ann", "password": "hunter2"}));
    let mut named = api("cc", upstream.url(""), "clientCredentials", client("c"));
    named["version_data"]["versions"]["Default"]["global_headers"] = json!({"X-Tier": "$tyk_context.tier"});
    let setup = || {
        Gate::setup()
            .conf(redis.conf())
            .api(named.clone())
            .api(api("pw", upstream.url(""), "password", user.clone()))
            .api(api("picky", picky.url(""), "clientCredentials", client("d")))
    };
    let [one, two] = pair(setup).await;
    for gate in [&one, &two] {
        let reply = gate.get("/cc/x", &[]).await;
        assert_eq!(
            (sent(&reply, "authorization"), sent(&reply, "x-tier")),
            (json!(["Bearer cc1"]), json!(["gold"]))
        );
        assert_eq!(sent(&gate.get("/pw/x", &[]).await, "authorization"), json!(["Bearer pw2"]));
        shared(&redis, "upstreamOAuth*", 2).await;
    }
    assert_eq!(issuer.asked().len(), 2, "{:?}", issuer.asked());
    for (prefix, token) in [("upstreamOAuthCC-", "cc1"), ("upstreamOAuthPW-", "pw2")] {
        let keys = redis.call(&["KEYS", &format!("{prefix}*")]);
        assert_eq!(keys.lines().count(), 1, "{keys}");
        let sealed = redis.call(&["GET", &keys]);
        assert!(!sealed.contains(token) && !sealed.is_empty(), "{sealed}");
        let life: u64 = redis.call(&["TTL", &keys]).parse().unwrap();
        assert!((500..600).contains(&life), "shorter than the token lives: {life}");
        // One that cannot be opened is as good as none.
        redis.call(&["SET", &keys, "rubbish"]);
    }
    let ask = async |gate: &Gate| gate.get("/picky/x", &[]).await.status;
    let others = redis.call(&["KEYS", "upstreamOAuthCC-*"]);
    assert_eq!(ask(&one).await, 200);
    shared(&redis, "upstreamOAuthCC-*", 2).await;
    let both = redis.call(&["KEYS", "upstreamOAuthCC-*"]);
    let picky_one = both.lines().find(|name| *name != others).unwrap();
    let sealed = redis.call(&["GET", picky_one]);
    assert_eq!((ask(&two).await, issuer.asked().len()), (200, 3));
    // A token that an upstream does not take is not fetched from the others again; they get the new one when they need it.
    wanted.store(4, Ordering::SeqCst);
    assert_eq!((ask(&two).await, issuer.asked().len()), (200, 4));
    until("the new one is shared", async || redis.call(&["GET", picky_one]) != sealed).await;
    assert_eq!((ask(&one).await, issuer.asked().len()), (200, 4), "the new one is shared");
    drop(two);
    let again = setup().start().await;
    assert_eq!(sent(&again.get("/cc/x", &[]).await, "authorization"), json!(["Bearer cc5"]));
    assert_eq!((ask(&again).await, issuer.asked().len()), (200, 5));
    let log = format!("{}{}", one.log(), again.log());
    assert!(!log.contains("hunter2") && !log.contains("Bearer cc"), "a secret is in the log");
    // Who has another secret cannot open what they share.
    let other =
        setup().conf(json!({"security": {"private_certificate_encoding_secret": "another"}})).start().await;
    assert_eq!(sent(&other.get("/cc/x", &[]).await, "authorization"), json!(["Bearer cc6"]));
}

#[tokio::test]
async fn c5_12_row_5_tokens_are_exchanged_once_for_all_gates() {
    let (upstream, redis, issuer) = (Upstream::start().await, Redis::start().await, Issuer::start().await);
    let provider = |name: &str, more: Value| {
        let provider = json!({
            "name": name, "issuers": [format!("https://{name}.example")], "tokenEndpoint": issuer.url("/exchange"),
            "clientAuth": {"clientId": "gate", "clientSecret": "s3cret"},
            "defaultTarget": {"audience": "orders", "scopes": ["read"]},
        });
        with(provider, more)
    };
    let mut api = oas("a", &upstream.url(""));
    api["components"] = json!({"securitySchemes": {
        "jwt": {"type": "http", "scheme": "bearer"},
        "idp": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://idp.example/token", "scopes": {}}}},
    }});
    api["security"] = json!([{"idp": []}]);
    let providers = json!([
        provider("kept", json!({"cache": {"enabled": true, "safetyMargin": "1s"}})),
        provider("fresh", json!({})),
    ]);
    api["x-tyk-api-gateway"]["server"]["authentication"] = json!({"enabled": true, "securitySchemes": {
        "jwt": {"enabled": true, "signingMethod": "ecdsa", "subjectClaims": ["sub"], "defaultPolicies": ["gold"],
            "jwksURIs": [{"url": issuer.url("/keys")}]},
        "idp": {"enabled": true, "tokenExchange": {"enabled": true, "providers": providers}},
    }});
    let [one, two] =
        pair(|| Gate::setup().conf(redis.conf()).oas(api.clone()).policy(policy("gold", &["a"], json!({}))))
            .await;
    issuer.exchanges(200, json!({"access_token": "new-token", "expires_in": 300}));
    let token = |name: &str| {
        issuer.token(&json!({"iss": format!("https://{name}.example"), "sub": "me", "exp": now() + 600}))
    };
    let kept = token("kept");
    for gate in [&one, &two, &one] {
        assert_eq!(
            sent(&with_token(gate, "/a/x", &kept).await, "authorization"),
            json!(["Bearer new-token"])
        );
        shared(&redis, "tokenExchange-*", 1).await;
    }
    assert_eq!(issuer.hits("/exchange"), 1);
    let keys = redis.call(&["KEYS", "tokenExchange-*"]);
    assert_eq!(keys.lines().count(), 1, "{keys}");
    let sealed = redis.call(&["GET", &keys]);
    assert!(!sealed.contains("new-token") && !keys.contains(&kept), "{keys} {sealed}");
    // Where nothing is to be kept, nothing is shared; nor are tokens of somebody else.
    let fresh = token("fresh");
    for gate in [&one, &two] {
        with_token(gate, "/a/x", &fresh).await;
    }
    assert_eq!(issuer.hits("/exchange"), 3);
    let other = issuer.token(&json!({"iss": "https://kept.example", "sub": "you", "exp": now() + 600}));
    with_token(&two, "/a/x", &other).await;
    assert_eq!(issuer.hits("/exchange"), 4);
}
