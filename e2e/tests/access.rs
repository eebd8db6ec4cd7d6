//! Fields and settings of who may call, one by one (contract 2.2, 3.3, 5.3 to 5.7, 6.2, 1.3): what each of them changes, over the
//! wire.

use std::time::{Duration, Instant};

use e2e::definition::{keyed, keyless, oas, session};
use e2e::issuer::{Issuer, shared};
use e2e::tokens::{assert_refused, now, policy, with as with_token};
use e2e::{Gate, Redis, Sentinels, Spoken, Upstream, until};
use serde_json::{Value, json};

const SECRET: &[u8] = b"a shared secret of more than 32 bytes";
/// Base64 of [`SECRET`].
const SOURCE: &str = "YSBzaGFyZWQgc2VjcmV0IG9mIG1vcmUgdGhhbiAzMiBieXRlcw==";

fn with(mut api: Value, more: Value) -> Value {
    api.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api
}

fn hs(claims: Value) -> String {
    shared(SECRET, &json!({}), &claims)
}

/// An OpenAPI definition with one scheme of this kind.
fn guarded(id: &str, target: &str, kind: Value, scheme: Value) -> Value {
    let mut api = oas(id, target);
    api["components"] = json!({"securitySchemes": {"s": kind}});
    api["security"] = json!([{"s": []}]);
    api["x-tyk-api-gateway"]["server"]["authentication"] =
        json!({"enabled": true, "securitySchemes": {"s": with(json!({"enabled": true}), scheme)}});
    api
}

fn bearer() -> Value {
    json!({"type": "http", "scheme": "bearer"})
}

fn api_key() -> Value {
    json!({"type": "apiKey", "in": "header", "name": "Authorization"})
}

#[tokio::test]
async fn c5_5_row_6_clocks_of_issuers_may_be_off_by_what_definitions_say() {
    let upstream = Upstream::start().await;
    let fixed = json!({
        "use_keyless": false, "enable_jwt": true, "jwt_source": SOURCE, "jwt_signing_method": "hmac",
        "jwt_default_policies": ["all"],
    });
    let classic = |id: &str, more: Value| with(with(keyless(id, &upstream.url("")), fixed.clone()), more);
    let open = |id: &str, more: Value| {
        let scheme = json!({"source": SOURCE, "signingMethod": "hmac", "defaultPolicies": ["all"]});
        guarded(id, &upstream.url(""), bearer(), with(scheme, more))
    };
    let external = |id: &str, more: Value| {
        let jwt = json!({"enabled": true, "source": SOURCE, "signing_method": "hmac", "identity_base_field": "sub"});
        let oauth = json!({"enabled": true, "providers": [{"jwt": with(jwt, more)}]});
        with(keyless(id, &upstream.url("")), json!({"use_keyless": false, "external_oauth": oauth}))
    };
    let ids = [
        "c-none", "c-exp", "c-iat", "c-nbf", "o-none", "o-exp", "o-iat", "o-nbf", "x-none", "x-exp", "x-iat",
        "x-nbf",
    ];
    let gate = Gate::setup()
        .api(classic("c-none", json!({})))
        .api(classic("c-exp", json!({"jwt_expires_at_validation_skew": 60})))
        .api(classic("c-iat", json!({"jwt_issued_at_validation_skew": 60})))
        .api(classic("c-nbf", json!({"jwt_not_before_validation_skew": 60})))
        .oas(open("o-none", json!({})))
        .oas(open("o-exp", json!({"expiresAtValidationSkew": 60})))
        .oas(open("o-iat", json!({"issuedAtValidationSkew": 60})))
        .oas(open("o-nbf", json!({"notBeforeValidationSkew": 60})))
        .api(external("x-none", json!({})))
        .api(external("x-exp", json!({"expires_at_validation_skew": 60})))
        .api(external("x-iat", json!({"issued_at_validation_skew": 60})))
        .api(external("x-nbf", json!({"not_before_validation_skew": 60})))
        .policy(policy("all", &ids, json!({})))
        .start()
        .await;
    let (early, late) = (now() + 40, now() - 40);
    for (field, at, text) in [
        ("exp", late, "token has expired"),
        ("iat", early, "token used before issued"),
        ("nbf", early, "token is not valid yet"),
    ] {
        for id in ids {
            let token = hs(with(json!({"sub": format!("of-{id}")}), json!({field: at})));
            let reply = with_token(&gate, &format!("/{id}/x"), &token).await;
            if id.ends_with(field) {
                assert_eq!(reply.status, 200, "{id}, {field}: {reply:?}");
            } else if id.starts_with('x') {
                assert_refused(&reply, 401, "access token is not valid");
            } else {
                assert_refused(&reply, 401, &format!("Key not authorized: {text}"));
            }
        }
        // Nor is it off by more.
        let far = if field == "exp" { now() - 100 } else { now() + 100 };
        for kind in ["c", "o", "x"] {
            let token = hs(json!({"sub": "far", field: far}));
            assert_eq!(
                with_token(&gate, &format!("/{kind}-{field}/x"), &token).await.status,
                401,
                "{kind} {field}"
            );
        }
    }
}

#[tokio::test]
async fn c5_5_row_11_older_names_of_scopes_and_single_names_of_claims_count() {
    let upstream = Upstream::start().await;
    let fixed =
        json!({"use_keyless": false, "enable_jwt": true, "jwt_source": SOURCE, "jwt_signing_method": "hmac"});
    let scoped = json!({"jwt_scope_claim_name": "perms", "jwt_scope_to_policy_mapping": {"write": "b"}});
    let scheme = json!({"source": SOURCE, "signingMethod": "hmac"});
    let open = |id: &str, more: Value| guarded(id, &upstream.url(""), bearer(), with(scheme.clone(), more));
    let mut own = with(session(&["own"]), json!({"jwt_data": {"secret": "of this key"}}));
    own["access_rights"]["kid"] = json!({"api_id": "kid", "api_name": "kid", "versions": ["Default"]});
    let gate = Gate::setup()
        .api(with(with(keyless("scoped", &upstream.url("")), fixed), scoped))
        .oas(open("subjects", json!({"allowedSubjects": ["ann", "bob"], "defaultPolicies": ["b"]})))
        .oas(open("named", json!({"policyFieldName": "pol"})))
        .oas(open("client", json!({"clientBaseField": "azp"})))
        .oas(guarded(
            "own",
            &upstream.url(""),
            bearer(),
            json!({"signingMethod": "hmac", "skipKid": true, "identityBaseField": "key"}),
        ))
        .oas(guarded(
            "kid",
            &upstream.url(""),
            bearer(),
            json!({"signingMethod": "hmac", "identityBaseField": "key"}),
        ))
        .policy(policy("b", &["scoped", "subjects", "named", "client"], json!({})))
        .policy(policy("other", &["nothing"], json!({})))
        .start()
        .await;
    let key = gate.admin().key(&own).await;
    // The key of a client, whose policy its tokens have.
    let of_client = json!({"org_id": "org", "apply_policies": ["b"]});
    assert_eq!(gate.admin().post("/keys/webclient", &of_client).await.status, 200);
    let of_key = |kid: &str, claims: Value| shared(b"of this key", &json!({"kid": kid}), &claims);
    let no = |text: &str| (403, text.to_owned());
    let good = (200, String::new());
    for (path, token, expected) in [
        ("/scoped/x", hs(json!({"sub": "a", "perms": "read write"})), good.clone()),
        ("/scoped/x", hs(json!({"sub": "b", "perms": ["write"]})), good.clone()),
        (
            "/scoped/x",
            hs(json!({"sub": "c", "perms": "read"})),
            no("key not authorized: no matching policy found in scope claim"),
        ),
        (
            "/scoped/x",
            hs(json!({"sub": "d", "scope": "write"})),
            no("key not authorized: no scope or policy in token"),
        ),
        ("/subjects/x", hs(json!({"sub": "ann"})), good.clone()),
        (
            "/subjects/x",
            hs(json!({"sub": "eve"})),
            (401, "Key not authorized: invalid subject value: eve".to_owned()),
        ),
        ("/named/x", hs(json!({"sub": "a", "pol": "b"})), good.clone()),
        ("/named/x", hs(json!({"sub": "b", "pol": "other"})), no("Access to this API has been disallowed")),
        ("/named/x", hs(json!({"sub": "c", "policy": "b"})), no("key not authorized: no matching policy")),
        ("/client/x", hs(json!({"sub": "a", "azp": "webclient"})), good.clone()),
        ("/client/x", hs(json!({"sub": "b", "azp": "nobody"})), no("key not authorized: no matching policy")),
        // The header names a key, or what it names counts for nothing.
        ("/own/x", of_key("unknown", json!({"key": key})), good.clone()),
        ("/kid/x", of_key("unknown", json!({"key": key})), no("Key not authorized")),
        ("/kid/x", of_key(&key, json!({"key": "unknown"})), good.clone()),
        ("/own/x", of_key(&key, json!({"key": "unknown"})), no("Key not authorized")),
    ] {
        let reply = with_token(&gate, path, &token).await;
        assert_eq!(reply.status, expected.0, "{path} {token}: {reply:?}");
        if expected.0 != 200 {
            assert_refused(&reply, expected.0, &expected.1);
        }
    }
}

#[tokio::test]
async fn c5_7_row_1_users_of_an_issuer_have_a_session_for_each_client_where_that_is_asked_for() {
    let (upstream, issuer, redis) = (Upstream::start().await, Issuer::start().await, Redis::start().await);
    // Base64 of `web` and `phone`.
    let providers = json!([{"issuer": issuer.url(""), "client_ids": {"d2Vi": "p", "cGhvbmU=": "p"}}]);
    let api = |id: &str, apart: bool| {
        let options = json!({"providers": providers, "segregate_by_client": apart});
        with(
            keyless(id, &upstream.url("")),
            json!({"use_keyless": false, "use_openid": true, "openid_options": options}),
        )
    };
    let gate = Gate::setup()
        .conf(redis.conf())
        .api(api("whole", false))
        .api(api("apart", true))
        .policy(policy("p", &["whole", "apart"], json!({})))
        .start()
        .await;
    let sessions = || redis.call(&["KEYS", "apikey-*"]).lines().filter(|key| !key.is_empty()).count();
    for (path, made) in [("/whole/x", 1), ("/apart/x", 2)] {
        let before = sessions();
        for client in ["web", "phone", "web"] {
            let claims = json!({"iss": issuer.url(""), "sub": path, "aud": client, "exp": now() + 600});
            assert_eq!(with_token(&gate, path, &issuer.token(&claims)).await.status, 200, "{path} {client}");
        }
        assert_eq!(sessions() - before, made, "{path}");
    }
}

#[tokio::test]
async fn c3_3_rows_4_and_7_fields_of_openapi_schemes_do_what_the_classic_ones_do() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let token = |id: &str, more: Value| guarded(id, &upstream.url(""), api_key(), more);
    let mut stripped = token("stripped", json!({}));
    stripped["x-tyk-api-gateway"]["server"]["authentication"]["stripAuthorizationData"] = json!(true);
    let lifetime = |id: &str, custom: Value| {
        let mut api = token(id, json!({}));
        api["x-tyk-api-gateway"]["server"]["authentication"]["customKeyLifetime"] = custom;
        api
    };
    let signed = |more: Value| {
        let usual =
            json!({"enabled": true, "algorithm": "MasherySHA256", "header": "X-Sig", "secret": "pepper"});
        json!({"signatureValidation": with(usual, more)})
    };
    let gate = Gate::setup()
        .conf(redis.conf())
        .conf(json!({"hash_keys": false}))
        .oas(token("plain", json!({})))
        .oas(stripped)
        .oas(lifetime("short", json!({"enabled": true, "value": "1h"})))
        .oas(lifetime("longer", json!({"enabled": true, "value": "1h", "respectValidity": true})))
        .oas(lifetime("off", json!({"enabled": false, "value": "1h"})))
        .oas(token("signed", signed(json!({}))))
        .oas(token("told", signed(json!({"errorCode": 418, "errorMessage": "sign it"}))))
        .start()
        .await;
    let all = ["plain", "stripped", "signed", "told"];
    let key = gate.admin().key(&session(&all)).await;
    let field = format!("Authorization: {key}");
    let ask = async |path: &str| gate.get(path, &["-H", &field, "-H", "X-Other: stays"]).await;
    for (path, seen) in [("/plain/x", json!([key])), ("/stripped/x", Value::Null)] {
        let reply = ask(path).await;
        let headers = reply.json()["headers"].clone();
        assert_eq!(
            (reply.status, &headers["authorization"], &headers["x-other"]),
            (200, &seen, &json!(["stays"]))
        );
    }
    assert_refused(&ask("/signed/x").await, 401, "Request signature verification failed");
    assert_refused(&ask("/told/x").await, 418, "sign it");
    // Seconds for which a key is kept that ends in two hours; `-1` is for ever.
    for (api, least, most) in
        [("short", 3500, 3600), ("longer", 7100, 7200), ("off", -1, -1), ("plain", -1, -1)]
    {
        let ending = with(session(&[api]), json!({"expires": now() + 7200}));
        let key = gate.admin().key(&ending).await;
        let life: i64 = redis.call(&["TTL", &format!("apikey-{key}")]).parse().unwrap();
        assert!((least..=most).contains(&life), "{api}: {life}");
    }
}

#[tokio::test]
async fn c4_4_row_22_rates_and_quotas_of_keys_refuse_unless_they_are_switched_off() {
    let upstream = Upstream::start().await;
    let switched = |id: &str, rate: bool, quota: bool| {
        with(keyed(id, &upstream.url("")), json!({"disable_rate_limit": rate, "disable_quota": quota}))
    };
    let gate = Gate::setup()
        .conf(json!({"rate_limit_response_headers": "rate_limits"}))
        .api(switched("both", false, false))
        .api(switched("rate", false, true))
        .api(switched("quota", true, false))
        .api(switched("none", true, true))
        .start()
        .await;
    for (api, limits, third, text) in [
        ("both", json!({"rate": 2, "per": 600}), 429, "Rate Limit Exceeded"),
        ("both", json!({"quota_max": 2, "quota_renewal_rate": 600}), 403, "Quota exceeded"),
        (
            "rate",
            json!({"rate": 2, "per": 600, "quota_max": 1, "quota_renewal_rate": 600}),
            429,
            "Rate Limit Exceeded",
        ),
        (
            "quota",
            json!({"rate": 1, "per": 600, "quota_max": 2, "quota_renewal_rate": 600}),
            403,
            "Quota exceeded",
        ),
        ("none", json!({"rate": 1, "per": 600, "quota_max": 1, "quota_renewal_rate": 600}), 200, ""),
    ] {
        let key = gate.admin().key(&with(session(&[api]), limits.clone())).await;
        let field = format!("Authorization: {key}");
        let mut replies = Vec::new();
        for _ in 0..3 {
            replies.push(gate.get(&format!("/{api}/x"), &["-H", &field]).await);
        }
        let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
        assert_eq!(statuses, [200, 200, third], "{api} {limits}");
        if third == 200 {
            continue;
        }
        assert_refused(&replies[2], third, text);
        if third == 429 {
            // The end of the window, in Unix seconds: the same for all of them.
            let resets: Vec<u64> = replies
                .iter()
                .map(|reply| {
                    reply.header("x-ratelimit-reset").and_then(|reset| reset.parse().ok()).unwrap_or(0)
                })
                .collect();
            let ends = now() + 600;
            assert!(
                resets.iter().all(|reset| (ends - 30..=ends + 1).contains(reset)),
                "{resets:?}, not {ends}"
            );
            assert!(resets.iter().all(|reset| reset.abs_diff(resets[0]) <= 1), "{resets:?}");
        }
    }
}

#[tokio::test]
async fn c5_3_a_password_that_was_right_is_believed_for_as_long_as_is_said() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let api = |id: &str, basic: Value| {
        with(
            keyless(id, &upstream.url("")),
            json!({"use_keyless": false, "use_basic_auth": true, "basic_auth": basic}),
        )
    };
    let gate = Gate::setup()
        .conf(redis.conf())
        .conf(json!({"hash_keys": false, "hash_key_function": ""}))
        .api(api("never", json!({"disable_caching": true})))
        .api(api("long", json!({"cache_ttl": 600})))
        .api(api("short", json!({"cache_ttl": 1})))
        .start()
        .await;
    // bcrypt with a cost of eleven: to verify it takes far longer than all the rest of a request.
    let user = with(
        session(&["never", "long", "short"]),
        json!({"basic_auth_data": {"hash_type": "bcrypt", "password": "$2b$11$abcdefghijklmnopqrstuuv49YaZ9FXXtUHz6rpbfBuNSBPSH12vO"}}),
    );
    redis.call(&["SET", "apikey-organn", &user.to_string()]);
    let takes = async |path: &str| {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: gate\r\nAuthorization: Basic YW5uOmEgc2VjcmV0\r\nConnection: close\r\n\r\n"
        );
        let begun = Instant::now();
        let answer = gate.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        begun.elapsed()
    };
    let first = takes("/never/x").await;
    let quick = |took: Duration| took < first / 6;
    for _ in 0..3 {
        let took = takes("/never/x").await;
        assert!(!quick(took), "{took:?} beside {first:?}");
    }
    for path in ["/long/x", "/short/x"] {
        until("it is believed", async || quick(takes(path).await)).await;
    }
    let begun = Instant::now();
    until("a second is over", async || begun.elapsed() > Duration::from_millis(1100)).await;
    let took = takes("/short/x").await;
    assert!(!quick(took), "it was not verified anew: {took:?} beside {first:?}");
    until("the other is believed still", async || quick(takes("/long/x").await)).await;
}

/// An API whose gate gives tokens to clients.
fn giving(id: &str, target: &str, more: Value) -> Value {
    let meta = json!({"allowed_access_types": ["client_credentials"]});
    let api =
        with(keyless(id, target), json!({"use_keyless": false, "use_oauth2": true, "oauth_meta": meta}));
    with(api, more)
}

async fn client(gate: &Gate, api: &str) {
    let client = json!({"client_id": "c", "secret": "s", "api_id": api, "policy_id": "gold"});
    assert_eq!(gate.admin().post("/oauth/clients/create", &client).await.status, 200);
}

#[tokio::test]
async fn c5_6_row_12_a_notice_that_nobody_takes_is_sent_three_times() {
    let upstream = Upstream::start().await;
    let receiver = Spoken::start(|_| (503, String::new())).await;
    let notified =
        json!({"notifications": {"shared_secret": "ours", "oauth_on_keychange_url": receiver.url("/new")}});
    let gate = Gate::setup()
        .api(giving("a", &upstream.url(""), notified))
        .policy(policy("gold", &["a"], json!({})))
        .start()
        .await;
    client(&gate, "a").await;
    let token = async || {
        let given = gate.get("/a/oauth/token/", &["-u", "c:s", "-d", "grant_type=client_credentials"]).await;
        assert_eq!(given.status, 200, "{given:?}");
        given.json()["access_token"].as_str().unwrap_or_default().to_owned()
    };
    let told = |token: &str| receiver.asked().iter().filter(|asked| asked.contains(token)).count();
    let first = token().await;
    until("the first is told of three times", async || told(&first) == 3).await;
    // As long as three tries take nothing more comes of the first.
    let second = token().await;
    until("so is the second", async || told(&second) == 3).await;
    assert_eq!((told(&first), receiver.asked().len()), (3, 6));
    assert!(receiver.asked()[0].to_ascii_lowercase().contains("x-tyk-shared-secret: ours"));
    until("it is logged", async || gate.log().contains("a new token could not be told of")).await;
    // The fields of the endpoint's answers are there with what it refuses, too.
    let refused =
        gate.get("/a/oauth/token/", &["-u", "c:wrong", "-d", "grant_type=client_credentials"]).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    for (name, value) in [
        ("cache-control", "no-cache, no-store, max-age=0, must-revalidate"),
        ("pragma", "no-cache"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("x-xss-protection", "1; mode=block"),
        ("expires", "Fri, 01 Jan 1990 00:00:00 GMT"),
        ("strict-transport-security", "max-age=63072000; includeSubDomains; preload"),
    ] {
        assert_eq!(refused.header(name).as_deref(), Some(value), "{refused:?}");
    }
}

#[tokio::test]
async fn c1_3_tokens_that_have_ended_are_listed_for_as_long_as_the_gate_is_told_to() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    for (api, retain, kept) in [("for-ever", 0, true), ("shortly", 1, false)] {
        let gate = Gate::setup()
            .conf(redis.conf())
            .conf(json!({"oauth_token_expire": 1, "oauth_token_expired_retain_period": retain}))
            .api(giving(api, &upstream.url(""), json!({})))
            .policy(policy("gold", &[api], json!({})))
            .start()
            .await;
        client(&gate, api).await;
        let token = async || {
            let path = format!("/{api}/oauth/token/");
            let given = gate.get(&path, &["-u", "c:s", "-d", "grant_type=client_credentials"]).await;
            assert_eq!(given.status, 200, "{given:?}");
        };
        token().await;
        let list = format!("oauth-data.{api}.oauth-client-tokens.c");
        let first = redis.call(&["ZRANGE", &list, "0", "0"]);
        assert!(!first.is_empty());
        let ends: u64 = redis.call(&["ZSCORE", &list, &first]).parse().unwrap();
        until("the first has ended for longer than that", async || now() > ends + 2).await;
        // Whoever gives the next one looks at the list.
        token().await;
        let is_listed = || !redis.call(&["ZSCORE", &list, &first]).is_empty();
        if kept {
            assert!(is_listed(), "{api}");
        } else {
            until("the first is off the list", async || !is_listed()).await;
        }
        assert!(redis.call(&["ZCARD", &list]).parse::<u32>().unwrap() >= 1);
    }
}

#[tokio::test]
async fn c1_3_organisations_without_apis_have_no_sessions_where_the_store_is_suppressed() {
    let upstream = Upstream::start().await;
    for (suppressed, written) in [(true, 404), (false, 200)] {
        let gate = Gate::setup()
            .conf(json!({"suppress_default_org_store": suppressed}))
            .api(keyless("a", &upstream.url("")))
            .start()
            .await;
        let admin = gate.admin();
        let record = json!({"rate": 1, "per": 1});
        assert_eq!(admin.post("/org/keys/org", &record).await.status, 200, "the organisation of an API");
        assert_eq!(admin.get("/org/keys/org").await.status, 200);
        let reply = admin.post("/org/keys/stranger", &record).await;
        assert_eq!(reply.status, written, "{reply:?}");
        if suppressed {
            assert_eq!(reply.json()["message"], "No such organisation found in Active API list");
        }
        assert_eq!(admin.get("/org/keys/stranger").await.status, written);
        assert_eq!(admin.delete("/org/keys/stranger").await.status, written);
    }
}

/// How often the nodes on a Redis have told the others something.
fn told(redis: &Redis) -> u64 {
    let stats = redis.call(&["INFO", "commandstats"]);
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_publish:calls="));
    calls.and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn c1_3_nodes_tell_of_their_load_as_often_as_they_are_told_to() {
    let (often, seldom) = (Redis::start().await, Redis::start().await);
    let gate = async |redis: &Redis, seconds: u64| {
        Gate::setup().conf(redis.conf()).conf(json!({"drl_notification_frequency": seconds})).start().await
    };
    let (_one, other) = (gate(&often, 1).await, gate(&seldom, 600).await);
    let heard = async || {
        let metrics = other.get("/metrics", &[]).await;
        told(&seldom) > 0 && metrics.text().lines().any(|line| line == "sluicegate_nodes 1")
    };
    until("it has been heard once", heard).await;
    // What is told until the first is heard comes each tenth of a second, and stops.
    let mut quiet = (0, 0);
    until("three announcements of the one, none of the other", async || {
        if told(&seldom) != quiet.1 {
            quiet = (told(&often), told(&seldom));
        }
        told(&often) >= quiet.0 + 3
    })
    .await;
}

#[tokio::test]
async fn c6_5_few_requests_of_many_nodes_count_aside_where_that_is_asked_for() {
    let upstream = Upstream::start().await;
    for (aside, waits) in [(true, false), (false, true)] {
        let redis = Redis::start().await;
        let setup = || {
            Gate::setup()
                .conf(redis.conf())
                .conf(json!({"storage": {"timeout": 3}, "drl_enable_sentinel_rate_limiter": aside}))
                .api(with(
                    keyless("a", &upstream.url("")),
                    json!({"global_rate_limit": {"rate": 100, "per": 600}}),
                ))
        };
        let (one, two) = (setup().start().await, setup().start().await);
        for gate in [&one, &two] {
            until("they know each other", async || {
                gate.get("/metrics", &[]).await.text().lines().any(|line| line == "sluicegate_nodes 2")
            })
            .await;
            assert_eq!(gate.get("/a/x", &[]).await.status, 200);
        }
        // Both ways it is one window, which all share.
        let windows = || redis.call(&["KEYS", "rate-limit-*"]);
        until("both are counted", async || redis.call(&["ZCARD", &windows()]) == "2").await;
        redis.signal("STOP");
        let begun = Instant::now();
        let reply = one.raw(b"GET /a/x HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n").await;
        let took = begun.elapsed();
        redis.signal("CONT");
        assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
        assert_eq!(took > Duration::from_secs(2), waits, "{aside}: {took:?}");
    }
}

#[tokio::test]
async fn c1_3_sentinels_may_ask_for_a_password_of_their_own() {
    let upstream = Upstream::start().await;
    let sentinels = Sentinels::start_with("canary-sentinel-password").await;
    let setup = |password: &str| {
        Gate::setup()
            .conf(sentinels.conf())
            .conf(json!({"storage": {"sentinel_password": password}}))
            .api(keyed("a", &upstream.url("")))
    };
    let gate = setup("canary-sentinel-password").start().await;
    let key = gate.admin().key(&session(&["a"])).await;
    let field = format!("Authorization: {key}");
    assert_eq!(gate.get("/a/x", &["-H", &field]).await.status, 200);
    for wrong in ["", "another"] {
        let mut gate = setup(wrong).prepare();
        gate.spawn();
        until("it says that it reaches no Redis", async || {
            let reply = gate.get("/ready", &[]).await;
            reply.status == 503 && reply.json()["message"] == "Redis connection not available"
        })
        .await;
        assert!(!gate.log().contains("canary-sentinel-password"));
    }
    assert!(!gate.log().contains("canary-sentinel-password"));
}
