//! Tokens of issuers that say themselves where their keys are (OpenID Connect), and tokens that only their issuers can tell
//! about (introspection), over the wire (contract 5.7).

use std::time::{Duration, Instant};

use e2e::definition::{keyless, oas};
use e2e::issuer::{Issuer, Mood, shared};
use e2e::streaming::{events, post, post_to_sse};
use e2e::tokens::{assert_refused, now, policy, with};
use e2e::{Endless, Gate, Upstream, raw, until};
use serde_json::{Value, json};

/// A classic API without its own way to authenticate.
fn api(id: &str, target: &str, more: Value) -> Value {
    let mut api = keyless(id, target);
    let object = api.as_object_mut().unwrap();
    object.remove("use_keyless");
    object.extend(more.as_object().unwrap().clone());
    api
}

#[tokio::test]
async fn c5_7_rows_1_and_2_clients_of_an_issuer_have_their_policies() {
    let upstream = Upstream::start().await;
    let (issuer, stranger) = (Issuer::start().await, Issuer::start().await);
    // Base64 of `web`, `phone` and `lost`.
    let providers = json!([{"issuer": issuer.url(""), "client_ids": {"d2Vi": "web", "cGhvbmU=": "phone", "bG9zdA==": "unknown"}}]);
    let mut open = oas("open", &upstream.url(""));
    open["x-tyk-api-gateway"]["server"]["authentication"] = json!({"enabled": true, "oidc": {
        "enabled": true, "segregateByClientId": true,
        "providers": [{"issuer": issuer.url(""), "clientToPolicyMapping": [{"clientId": "web", "policyId": "web"}, {"clientId": "phone", "policyId": "phone"}]}],
        "scopes": {"claimName": "scope", "scopeToPolicyMapping": [{"scope": "more", "policyId": "phone"}]},
    }});
    let gate = Gate::setup()
        .conf(json!({"hash_keys": true, "enable_hashed_keys_listing": true}))
        .api(api(
            "a",
            &upstream.url(""),
            json!({"use_openid": true, "openid_options": {"providers": providers}}),
        ))
        .oas(open)
        .policy(policy("web", &["a", "open"], json!({})))
        .policy(policy("phone", &["open"], json!({})))
        .start()
        .await;
    let claims = |more: Value| {
        let mut claims = json!({"iss": issuer.url(""), "sub": "me", "aud": "web", "exp": now() + 600});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    let no = "Key not authorised";
    for (path, token, status, message) in [
        ("/a/x", issuer.token(&claims(json!({}))), 200, ""),
        ("/a/x", issuer.token(&claims(json!({"aud": ["other", "web"]}))), 200, ""),
        (
            "/a/x",
            issuer.token(&claims(json!({"aud": "phone"}))),
            403,
            "Access to this API has been disallowed",
        ),
        (
            "/a/x",
            issuer.token(&claims(json!({"aud": "lost"}))),
            403,
            "Key not authorized: no matching policy",
        ),
        ("/a/x", issuer.token(&claims(json!({"aud": "other"}))), 401, no),
        ("/a/x", issuer.token(&claims(json!({"aud": null}))), 401, no),
        ("/a/x", issuer.token(&claims(json!({"iss": stranger.url("")}))), 401, no),
        ("/a/x", stranger.token(&claims(json!({}))), 401, no),
        ("/a/x", issuer.token(&claims(json!({"exp": now() - 1}))), 401, no),
        ("/a/x", issuer.token(&claims(json!({"exp": null}))), 401, no),
        ("/a/x", issuer.token(&claims(json!({"sub": ""}))), 401, no),
        ("/a/x", shared(b"secret", &json!({"kid": "first"}), &claims(json!({}))), 401, no),
        ("/a/x", "nonsense".to_owned(), 401, no),
        ("/open/x", issuer.token(&claims(json!({}))), 200, ""),
        ("/open/x", issuer.token(&claims(json!({"aud": "phone", "scope": "more"}))), 200, ""),
    ] {
        for _ in 0..2 {
            let reply = with(&gate, path, &token).await;
            assert_eq!(reply.status, status, "{path} {token}: {reply:?}");
            if status != 200 {
                assert_refused(&reply, status, message);
            }
        }
    }
    assert_refused(&gate.get("/a/x", &[]).await, 401, no);
    assert_eq!(issuer.hits("/.well-known/openid-configuration"), 1, "one fetch serves all");
    // One session for the user of `a`, one for each client of `open`.
    assert_eq!(gate.admin().get("/keys").await.json()["keys"].as_array().unwrap().len(), 3);
    // A new key counts at once here, too.
    issuer.rotate("second");
    assert_eq!(with(&gate, "/a/x", &issuer.token(&claims(json!({})))).await.status, 200);
}

#[tokio::test]
async fn c5_7_rows_3_to_5_a_token_of_others_opens_one_api() {
    let upstream = Upstream::start().await;
    let issuer = Issuer::start().await;
    let introspection = |more: Value| introspection(&issuer, more);
    let jwt = json!({"external_oauth": {"enabled": true, "providers": [{"jwt": {
        "enabled": true, "signing_method": "ecdsa", "source": issuer.url("/keys"), "identity_base_field": "user",
    }}]}});
    let gate = Gate::setup()
        .api(api("jwt", &upstream.url(""), jwt))
        .api(api("asked", &upstream.url(""), introspection(json!({}))))
        .api(api(
            "kept",
            &upstream.url(""),
            introspection(json!({"cache": {"enabled": true, "timeout": 2}, "identity_base_field": "user"})),
        ))
        .api(api("stranger", &upstream.url(""), introspection(json!({"client_secret": "wrong"}))))
        .api(api("nobody", &upstream.url(""), json!({"external_oauth": {"enabled": true, "providers": []}})))
        .api(api(
            "unsaid",
            &upstream.url(""),
            json!({"external_oauth": {"enabled": true, "providers": [{}]}}),
        ))
        .start()
        .await;
    issuer.knows("good", json!({"active": true, "sub": "me", "user": "me", "exp": now() + 600}));
    issuer.knows("lasting", json!({"active": true, "sub": "me", "user": "me"}));
    issuer.knows("over", json!({"active": true, "sub": "me", "exp": now() - 1}));
    issuer.knows("gone", json!({"active": false, "sub": "me"}));
    issuer.knows("text", json!({"active": "true", "sub": "me"}));
    issuer.knows("nameless", json!({"active": true}));
    let invalid = (401, "access token is not valid");
    let failed = (500, "error happened during the access token validation");
    let signed = |claims: Value| issuer.token(&claims);
    for (path, token, (status, message)) in [
        ("/jwt/x", signed(json!({"user": "me", "exp": now() + 600})), (200, "")),
        ("/jwt/x", signed(json!({"sub": "me"})), (200, "")),
        ("/jwt/x", signed(json!({"user": "me", "exp": now() - 1})), invalid),
        ("/jwt/x", signed(json!({})), invalid),
        ("/jwt/x", shared(b"secret", &json!({"kid": "first"}), &json!({"sub": "me"})), invalid),
        ("/jwt/x", "good".to_owned(), invalid),
        ("/asked/x", "good".to_owned(), (200, "")),
        ("/asked/x", "lasting".to_owned(), (200, "")),
        ("/asked/x", "over".to_owned(), invalid),
        ("/asked/x", "gone".to_owned(), invalid),
        ("/asked/x", "text".to_owned(), invalid),
        ("/asked/x", "nameless".to_owned(), invalid),
        ("/asked/x", "unknown".to_owned(), invalid),
        ("/asked/x", "good&client_secret=x".to_owned(), invalid),
        ("/kept/x", "good".to_owned(), (200, "")),
        ("/stranger/x", "good".to_owned(), failed),
        ("/nobody/x", "good".to_owned(), (404, "there should be at least one provider configured")),
        ("/unsaid/x", "good".to_owned(), (500, "access token validation method is not specified")),
    ] {
        let reply = with(&gate, path, &token).await;
        assert_eq!(reply.status, status, "{path} {token}: {reply:?}");
        if status != 200 {
            assert_refused(&reply, status, message);
        }
    }
    assert_refused(&gate.get("/asked/x", &[]).await, 400, "authorization field missing");

    // Asked each time, unless answers are kept.
    let asked = |times: usize, path: &'static str| {
        let (gate, issuer) = (&gate, &issuer);
        async move {
            let before = issuer.hits("/introspect");
            for _ in 0..times {
                assert_eq!(with(gate, path, "good").await.status, 200);
            }
            issuer.hits("/introspect") - before
        }
    };
    assert_eq!(asked(5, "/asked/x").await, 5);
    assert!(asked(5, "/kept/x").await <= 1);
    // What is taken back is taken back when the answer has been kept for its time.
    issuer.knows("good", json!({"active": false}));
    until("a token that was taken back to be refused", async || {
        with(&gate, "/kept/x", "good").await.status == 401
    })
    .await;

    // Asked once, however many wait: all have asked long before there is an answer.
    issuer.knows("slow", json!({"active": true, "sub": "me"}));
    issuer.mood(Mood::Slow(Duration::from_secs(2)));
    let before = issuer.hits("/introspect");
    let request =
        "GET /asked/x HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer slow\r\nConnection: close\r\n\r\n";
    let all = (0..8).map(|_| raw(gate.port(), request.as_bytes()));
    let replies = futures_util::future::join_all(all).await;
    assert!(replies.iter().all(|reply| reply.starts_with("HTTP/1.1 200 ")), "{replies:?}");
    assert_eq!(issuer.hits("/introspect") - before, 1);
    for mood in [Mood::Failing(500), Mood::Rubbish, Mood::Huge] {
        issuer.mood(mood);
        assert_refused(&with(&gate, "/asked/x", "slow").await, failed.0, failed.1);
    }
}

/// Where an issuer is asked about tokens.
fn introspection(issuer: &Issuer, more: Value) -> Value {
    let mut asked = json!({"enabled": true, "url": issuer.url("/introspect"), "client_id": "gate", "client_secret": "s3cret"});
    asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"external_oauth": {"enabled": true, "providers": [{"introspection": asked}]}})
}

#[tokio::test]
async fn an_issuer_is_not_asked_more_than_it_bears() {
    let (upstream, issuer) = (Upstream::start().await, Issuer::start().await);
    let gate = Gate::setup()
        .api(api("plain", &upstream.url(""), introspection(&issuer, json!({}))))
        .api(api(
            "kept",
            &upstream.url(""),
            introspection(&issuer, json!({"cache": {"enabled": true, "timeout": 60}})),
        ))
        .start()
        .await;
    let asked = || issuer.hits("/introspect");
    const INVALID: &str = "access token is not valid";
    const FAILED: &str = "error happened during the access token validation";
    issuer.knows("known", json!({"active": true, "sub": "me", "exp": now() + 600}));
    assert_eq!(with(&gate, "/kept/x", "known").await.status, 200);

    // What is not good is not asked about again at once, and others are.
    let before = asked();
    for token in ["bad", "bad", "bad", "worse", "bad"] {
        for path in ["/plain/x", "/plain/x"] {
            assert_refused(&with(&gate, path, token).await, 401, INVALID);
        }
    }
    assert_eq!(asked() - before, 2);

    // An issuer that fails is left alone, whichever API asks and whatever tokens come; what is known stays known.
    issuer.mood(Mood::Failing(500));
    let (before, began) = (asked(), Instant::now());
    for number in 0..20 {
        let path = if number % 2 == 0 { "/plain/x" } else { "/kept/x" };
        assert_refused(&with(&gate, path, &format!("garbage{number}")).await, 500, FAILED);
        assert_eq!(with(&gate, "/kept/x", "known").await.status, 200);
    }
    // Four, and one at the end of each pause: of one second, of two ...
    let most = 4 + began.elapsed().as_secs() as usize;
    assert!(asked() - before <= most, "{} of {most}", asked() - before);
    issuer.mood(Mood::Well);
    issuer.knows("late", json!({"active": true, "sub": "me"}));
    until("it is asked again", async || with(&gate, "/plain/x", "late").await.status == 200).await;

    // That it cannot make anything of some tokens says nothing about others.
    issuer.mood(Mood::Failing(400));
    let before = asked();
    for number in 0..8 {
        assert_refused(&with(&gate, "/plain/x", &format!("odd{number}")).await, 500, FAILED);
    }
    assert_eq!(asked() - before, 8);
}

#[tokio::test]
async fn a_slow_issuer_keeps_nobody_waiting_whose_token_is_known() {
    let issuer = Issuer::start().await;
    let mut ev = events("ev", json!({"s": post_to_sse(json!({"delivery": "broadcast"}))}));
    ev["components"] = json!({"securitySchemes": {"others": {"type": "oauth2", "flows": {}}}});
    ev["security"] = json!([{"others": []}]);
    ev["x-tyk-api-gateway"]["server"]["authentication"] = json!({"enabled": true, "securitySchemes": {"others": {
        "enabled": true, "providers": [{"introspection": {
            "enabled": true, "url": issuer.url("/introspect"), "clientId": "gate", "clientSecret": "s3cret",
            "cache": {"enabled": true, "timeout": 8},
        }}],
    }}});
    let gate = Gate::setup().oas(ev).start().await;
    issuer.knows("good", json!({"active": true, "sub": "me", "exp": now() + 600}));
    let authorization = "Authorization: Bearer good";
    let mut events = Endless::get(gate.port(), "/ev/sse", &[authorization]).await;
    assert_eq!((events.status, issuer.hits("/introspect")), (200, 1));
    // It is taken back, which shows when it is asked about anew, some time before the answer has been kept for its time.
    issuer.knows("good", json!({"active": false}));
    let slow = Duration::from_secs(2);
    issuer.mood(Mood::Slow(slow));
    let (mut begun, url) = (None, gate.url("/ev/post"));
    let refused = loop {
        let asked = Instant::now();
        let reply = post(&url, "x", &["-H", authorization]).await;
        if reply.status != 200 {
            break reply;
        }
        assert!(asked.elapsed() < slow / 2, "{:?}", asked.elapsed());
        if begun.is_none() && issuer.hits("/introspect") == 2 {
            begun = Some(Instant::now());
        }
    };
    assert_refused(&refused, 401, "access token is not valid");
    let took = begun.expect("requests had their answers while the issuer was asked").elapsed();
    assert!(took < slow * 2, "{took:?}");
    assert_eq!(issuer.hits("/introspect"), 2, "asked once, however many requests came");
    let (rest, _) = events.rest().await;
    assert!(rest.contains("may not receive this any more"), "{rest}");
}

#[tokio::test]
async fn c3_3_row_14_clients_are_told_where_they_get_tokens() {
    let upstream = Upstream::start().await;
    let api = |id: &str, metadata: Value| {
        let mut api = oas(id, &upstream.url(""));
        api["components"] = json!({"securitySchemes": {"jwt": {"type": "http", "scheme": "bearer"}}});
        api["security"] = json!([{"jwt": []}]);
        api["x-tyk-api-gateway"]["server"]["authentication"] = json!({
            "enabled": true, "protectedResourceMetadata": metadata,
            "securitySchemes": {"jwt": {"enabled": true, "signingMethod": "hmac", "source": "c2VjcmV0"}},
        });
        api
    };
    let gate = Gate::setup()
        .oas(api("plain", json!({"enabled": true, "authorizationServers": ["https://i"]})))
        .oas(api(
            "full",
            json!({"enabled": true, "wellKnownPath": "about", "resource": "https://api.example/full",
                "authorizationServers": ["https://i", "https://j"], "scopesSupported": ["read", "write"]}),
        ))
        .oas(api("silent", json!({"enabled": false})))
        .start()
        .await;
    let base = format!("http://127.0.0.1:{}", gate.port());
    let document = gate.get("/plain/.well-known/oauth-protected-resource", &[]).await;
    assert_eq!(
        (document.status, document.json()),
        (200, json!({"resource": format!("{base}/plain"), "authorization_servers": ["https://i"]}))
    );
    assert_eq!(document.header("content-type").as_deref(), Some("application/json"));
    let document = gate.get("/full/about", &[]).await.json();
    assert_eq!(
        document,
        json!({"resource": "https://api.example/full", "authorization_servers": ["https://i", "https://j"], "scopes_supported": ["read", "write"]})
    );
    let missing = "Authorization field missing";
    for (path, status, challenge) in [
        (
            "/plain/x",
            401,
            Some(format!(
                "Bearer realm=\"tyk\", resource_metadata=\"{base}/plain/.well-known/oauth-protected-resource\""
            )),
        ),
        ("/full/x", 401, Some(format!("Bearer realm=\"tyk\", resource_metadata=\"{base}/full/about\""))),
        // Beside that address nothing is open.
        (
            "/full/about/x",
            401,
            Some(format!("Bearer realm=\"tyk\", resource_metadata=\"{base}/full/about\"")),
        ),
        ("/silent/.well-known/oauth-protected-resource", 400, None),
    ] {
        let reply = gate.get(path, &[]).await;
        assert_refused(&reply, status, missing);
        assert_eq!(reply.header("www-authenticate"), challenge, "{path}");
    }
    assert_refused(&gate.get("/full/about", &["-d", "x"]).await, 401, missing);
    let odd = gate.get("/plain/x", &["-H", "Host: a\"b"]).await;
    assert_ne!(odd.status, 200, "{odd:?}");
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test]
async fn c3_3_row_8_subscribers_with_a_token_of_others_stay_until_it_ends() {
    let issuer = Issuer::start().await;
    let mut api = events(
        "ev",
        json!({"s": {
            "input": {"http_server": {"path": "/post", "ws_path": ""}},
            "output": {"http_server": {"path": "", "ws_path": "", "stream_path": "/sse", "stream_format": "event_source", "delivery": "broadcast"}},
        }}),
    );
    api["components"] = json!({"securitySchemes": {"others": {"type": "oauth2", "flows": {}}}});
    api["security"] = json!([{"others": []}]);
    api["x-tyk-api-gateway"]["server"]["authentication"] = json!({"enabled": true, "securitySchemes": {"others": {
        "enabled": true, "providers": [{"jwt": {"enabled": true, "signingMethod": "ecdsa", "source": issuer.url("/keys")}}],
    }}});
    let gate = Gate::setup().oas(api).policy(policy("p", &["ev"], json!({}))).start().await;
    let authorization = |token: &str| format!("Authorization: Bearer {token}");
    let lasting = authorization(&issuer.token(&json!({"sub": "me", "exp": now() + 600})));
    let end = now() + 3;
    let ending = authorization(&issuer.token(&json!({"sub": "other", "exp": end})));
    let mut stays = Endless::get(gate.port(), "/ev/sse", &[&lasting]).await;
    let mut goes = Endless::get(gate.port(), "/ev/sse", &[&ending]).await;
    assert_eq!((stays.status, goes.status), (200, 200));
    // Nobody else's change counts for them, and there is no session that could be gone.
    std::fs::write(gate.dir().join("policies/p.json"), policy("p", &["ev"], json!({"rate": 7})).to_string())
        .unwrap();
    gate.admin().reload().await;
    let (rest, _) = goes.rest().await;
    assert!(now() >= end && rest.contains("may not receive this any more"), "{rest}");
    assert_eq!(post(&gate.url("/ev/post"), "still here", &["-H", &lasting]).await.status, 200);
    assert_eq!(stays.data().await.unwrap(), "still here");
}
