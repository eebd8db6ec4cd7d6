//! Tokens over the wire: who is let in, what the others are told, and what an issuer that misbehaves costs (contract 5.5).

use std::time::{Duration, Instant};

use e2e::definition::{keyed, keyless, oas, session};
use e2e::issuer::{Issuer, Mood, shared};
use e2e::tokens::{assert_refused, now, policy, with};
use e2e::{Gate, Upstream, until};
use serde_json::{Value, json};

const SECRET: &[u8] = b"a shared secret of more than 32 bytes";
/// Base64 of [`SECRET`].
const SOURCE: &str = "YSBzaGFyZWQgc2VjcmV0IG9mIG1vcmUgdGhhbiAzMiBieXRlcw==";

/// A classic API that takes tokens.
fn api(id: &str, target: &str, more: Value) -> Value {
    let mut api = keyless(id, target);
    let object = api.as_object_mut().unwrap();
    object.remove("use_keyless");
    object.extend(json!({"enable_jwt": true, "jwt_default_policies": ["all"]}).as_object().unwrap().clone());
    object.extend(more.as_object().unwrap().clone());
    api
}

/// An OpenAPI one; `scheme` is its security scheme.
fn open_api(id: &str, target: &str, scheme: Value) -> Value {
    let mut api = oas(id, target);
    api["components"] = json!({"securitySchemes": {"jwt": {"type": "http", "scheme": "bearer"}}});
    api["security"] = json!([{"jwt": []}]);
    let mut whole = json!({"enabled": true, "defaultPolicies": ["all"]});
    whole.as_object_mut().unwrap().extend(scheme.as_object().unwrap().clone());
    api["x-tyk-api-gateway"]["server"]["authentication"] =
        json!({"enabled": true, "securitySchemes": {"jwt": whole}});
    api
}

fn hs(claims: Value) -> String {
    shared(SECRET, &json!({}), &claims)
}

#[tokio::test]
async fn c5_5_a_signed_token_opens_what_its_policies_open() {
    let upstream = Upstream::start().await;
    let fixed = |more: Value| {
        let mut whole = json!({
            "jwt_source": SOURCE, "jwt_signing_method": "hmac", "jwt_policy_field_name": "pol",
            "scopes": {"jwt": {"scope_claim_name": "scp", "scope_to_policy": {"write": "b", "strange": "foreign"}}},
        });
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        whole
    };
    let gate = Gate::setup()
        .api(api("a", &upstream.url(""), fixed(json!({}))))
        .api(api("b", &upstream.url(""), fixed(json!({}))))
        .api(api("none", &upstream.url(""), fixed(json!({"jwt_default_policies": []}))))
        .policy(policy("all", &["a", "none"], json!({})))
        .policy(policy("b", &["b"], json!({})))
        .policy(policy("foreign", &["a"], json!({"org_id": "other"})))
        .start()
        .await;
    let until = now() + 600;
    let no = "Access to this API has been disallowed";
    for (path, claims, status, message) in [
        ("/a/x", json!({"sub": "me", "exp": until}), 200, ""),
        ("/b/x", json!({"sub": "me", "exp": until}), 403, no),
        ("/a/x", json!({"sub": "me", "pol": "b"}), 403, no),
        ("/b/x", json!({"sub": "me", "pol": "b"}), 200, ""),
        ("/a/x", json!({"sub": "me", "pol": ["b", "all"]}), 200, ""),
        // Scopes come to a policy that is named, and replace those by default.
        ("/b/x", json!({"sub": "me", "scp": "read write"}), 200, ""),
        ("/a/x", json!({"sub": "me", "scp": "read write"}), 403, no),
        ("/a/x", json!({"sub": "me", "pol": "all", "scp": ["write"]}), 200, ""),
        ("/b/x", json!({"sub": "me", "pol": "all", "scp": ["write"]}), 200, ""),
        ("/a/x", json!({"sub": "me", "scp": "read"}), 200, ""),
        // A session without policies could do everything; there is none.
        ("/none/x", json!({"sub": "me"}), 403, "key not authorized: no scope or policy in token"),
        (
            "/none/x",
            json!({"sub": "me", "scp": "read"}),
            403,
            "key not authorized: no matching policy found in scope claim",
        ),
        ("/none/x", json!({"sub": "me", "scp": "strange"}), 403, "key not authorized: no matching policy"),
        ("/none/x", json!({"sub": "me", "pol": "foreign"}), 403, "key not authorized: no matching policy"),
        ("/none/x", json!({"sub": "me", "pol": "unknown"}), 403, "key not authorized: no matching policy"),
        ("/none/x", json!({"sub": "me", "pol": "all"}), 200, ""),
        // Times and identities.
        ("/a/x", json!({"exp": until}), 403, "Key not authorized"),
        ("/a/x", json!({"sub": ""}), 403, "Key not authorized"),
        ("/a/x", json!({"sub": 7}), 403, "Key not authorized"),
        ("/a/x", json!({"sub": "me", "exp": now() - 1}), 401, "Key not authorized: token has expired"),
        (
            "/a/x",
            json!({"sub": "me", "iat": now() + 100}),
            401,
            "Key not authorized: token used before issued",
        ),
        ("/a/x", json!({"sub": "me", "nbf": now() + 100}), 401, "Key not authorized: token is not valid yet"),
    ] {
        let token = hs(claims.clone());
        // The second time the token is known.
        for _ in 0..2 {
            let reply = with(&gate, path, &token).await;
            assert_eq!(reply.status, status, "{path} {claims}: {reply:?}");
            if status != 200 {
                assert_refused(&reply, status, message);
            }
        }
    }
    assert_refused(&gate.get("/a/x", &[]).await, 400, "Authorization field missing");
    assert_refused(&with(&gate, "/a/x", "nonsense").await, 403, "Key not authorized");
    let none = shared(SECRET, &json!({"alg": "none"}), &json!({"sub": "me"}));
    assert_refused(&with(&gate, "/a/x", &none).await, 403, "Key not authorized: Unexpected signing method");
    let forged = shared(b"another secret", &json!({}), &json!({"sub": "me", "exp": until}));
    assert_refused(&with(&gate, "/a/x", &forged).await, 403, "Key not authorized");
}

#[tokio::test]
async fn c5_5_rows_8_to_10_a_session_is_made_and_follows_its_tokens() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .conf(json!({"hash_keys": true, "enable_hashed_keys_listing": true}))
        .api(api("a", &upstream.url(""), json!({"jwt_source": SOURCE, "jwt_policy_field_name": "pol", "jwt_identity_base_field": "user.id"})))
        .api(keyed("keyed", &upstream.url("")))
        .policy(policy("all", &["a", "keyed"], json!({"rate": 1000, "per": 1})))
        .policy(policy("few", &["a"], json!({"rate": 7, "per": 60, "key_expires_in": 5000})))
        .start()
        .await;
    let until = now() + 600;
    let claims = json!({"user": {"id": "me@x"}, "sub": "other", "exp": until, "clientId": "client"});
    let token = hs(claims.clone());
    assert_eq!(with(&gate, "/a/x", &token).await.status, 200);
    let listed = gate.admin().get("/keys").await.json();
    let keys = listed["keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 1, "one session for one identity: {listed}");
    let path = format!("/keys/{}?hashed=1", keys[0].as_str().unwrap());
    let stored = gate.admin().get(&path).await.json();
    assert_eq!((&stored["alias"], &stored["org_id"]), (&json!("me@x"), &json!("org")));
    assert_eq!((&stored["expires"], &stored["apply_policies"]), (&json!(until), &json!(["all"])));
    assert_eq!(stored["oauth_client_id"], json!("client"));
    assert_eq!(stored["meta_data"]["TykJWTSessionID"], json!(format!("org{}", md5("me@x").await)));

    // Whoever knows the identity can make the key of its session: by itself that opens nothing.
    let key = stored["meta_data"]["TykJWTSessionID"].as_str().unwrap();
    assert_refused(&with(&gate, "/keyed/x", key).await, 403, "Access to this API has been disallowed");

    // Nor does what an admin writes: the session stays that of a token, and says so.
    let mut written = session(&["a", "keyed"]);
    (written["alias"], written["expires"]) = (json!("by hand"), stored["expires"].clone());
    assert_eq!(gate.admin().put(&path, &written).await.status, 200);
    assert_eq!(gate.admin().get(&path).await.json()["meta_data"]["TykJWTSessionID"], json!(key));
    assert_refused(&with(&gate, "/keyed/x", key).await, 403, "Access to this API has been disallowed");
    assert_eq!(with(&gate, "/a/x", &token).await.status, 200);
    assert_eq!(gate.admin().get(&path).await.json()["apply_policies"], json!(["all"]));

    // Another token of the same one: another policy, and it ends later.
    let mut later = claims.clone();
    (later["exp"], later["pol"]) = (json!(until + 600), json!("few"));
    assert_eq!(with(&gate, "/a/x", &hs(later)).await.status, 200);
    let stored = gate.admin().get(&path).await.json();
    assert_eq!((&stored["expires"], &stored["apply_policies"]), (&json!(until + 600), &json!(["few"])));
    // The first one again, though it is known, has its own policy and does not shorten the session.
    assert_eq!(with(&gate, "/a/x", &token).await.status, 200);
    let stored = gate.admin().get(&path).await.json();
    assert_eq!((&stored["expires"], &stored["apply_policies"]), (&json!(until + 600), &json!(["all"])));
    assert_eq!(gate.admin().get("/keys").await.json()["keys"].as_array().unwrap().len(), 1);

    // What an admin takes away is made again by the next token.
    assert_eq!(gate.admin().delete(&path).await.status, 200);
    assert_eq!(with(&gate, "/a/x", &token).await.status, 200);
    assert_eq!(gate.admin().get(&path).await.json()["expires"], json!(until));

    // A policy that goes takes its tokens along, known ones too.
    std::fs::remove_file(gate.dir().join("policies/all.json")).unwrap();
    gate.admin().reload().await;
    assert_refused(&with(&gate, "/a/x", &token).await, 403, "key not authorized: no matching policy");
}

async fn md5(text: &str) -> String {
    let output =
        tokio::process::Command::new("sh").args(["-c", &format!("printf %s '{text}' | md5sum")]).output();
    String::from_utf8(output.await.unwrap().stdout).unwrap()[..32].to_owned()
}

#[tokio::test]
async fn c5_5_rows_3_and_13_a_token_may_be_signed_with_the_secret_of_a_key() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .api(api("a", &upstream.url(""), json!({"jwt_identity_base_field": "key"})))
        .api(api("skip", &upstream.url(""), json!({"jwt_skip_kid": true, "jwt_identity_base_field": "key"})))
        .policy(policy("all", &["a", "skip"], json!({})))
        .start()
        .await;
    let mut with_secret = session(&["a", "skip"]);
    with_secret["jwt_data"] = json!({"secret": "of this key"});
    let key = gate.admin().key(&with_secret).await;
    let without = gate.admin().key(&session(&["a", "skip"])).await;
    let of =
        |secret: &str, kid: Value, claims: Value| shared(secret.as_bytes(), &json!({"kid": kid}), &claims);
    let no = "Key not authorized";
    for (path, token, status) in [
        ("/a/x", of("of this key", json!(key), json!({})), 200),
        ("/a/x", of("of this key", json!(null), json!({"key": key})), 200),
        ("/a/x", of("of this key", json!("unknown"), json!({"key": key})), 403),
        ("/skip/x", of("of this key", json!("unknown"), json!({"key": key})), 200),
        // Where nothing says who it is, nobody can be found.
        ("/skip/x", of("of this key", json!(key), json!({})), 404),
        ("/a/x", of("of another", json!(key), json!({})), 403),
        ("/a/x", of("", json!(without), json!({})), 403),
        ("/a/x", of("of this key", json!("../../etc/passwd"), json!({})), 403),
        ("/a/x", of("of this key", json!([key]), json!({})), 404),
        ("/a/x", of("of this key", json!(null), json!({"key": 7})), 404),
    ] {
        let reply = with(&gate, path, &token).await;
        assert_eq!(reply.status, status, "{path} {token}: {reply:?}");
        if status != 200 {
            assert_refused(&reply, status, no);
        }
    }
    // Another secret counts at once, for tokens that are known too.
    let token = of("of this key", json!(key), json!({}));
    with_secret["jwt_data"] = json!({"secret": "a new one"});
    assert_eq!(gate.admin().put(&format!("/keys/{key}"), &with_secret).await.status, 200);
    assert_refused(&with(&gate, "/a/x", &token).await, 403, no);
    assert_eq!(with(&gate, "/a/x", &of("a new one", json!(key), json!({}))).await.status, 200);
}

#[tokio::test]
async fn c5_5_rows_3_7_8_claims_of_openapi_definitions_are_checked() {
    let upstream = Upstream::start().await;
    let scheme = json!({
        "source": SOURCE, "signingMethod": "hmac", "allowedIssuers": ["issuer"], "allowedAudiences": ["gate"],
        "subjectClaims": ["email", "user.name"], "basePolicyClaims": ["none", "pol"],
        "customClaimValidation": {"user.role": {"type": "exact_match", "allowedValues": ["admin"]}},
        "cookie": {"enabled": true, "name": "token"},
    });
    let gate = Gate::setup()
        .oas(open_api("a", &upstream.url(""), scheme))
        .policy(policy("all", &["a"], json!({})))
        .start()
        .await;
    let good =
        json!({"iss": "issuer", "aud": ["x", "gate"], "user": {"name": "me", "role": "admin"}, "pol": "all"});
    let without = |change: &dyn Fn(&mut Value)| {
        let mut claims = good.clone();
        change(&mut claims);
        hs(claims)
    };
    assert_eq!(with(&gate, "/a/x", &hs(good.clone())).await.status, 200);
    let cookie = gate.get("/a/x", &["-b", &format!("token={}", hs(good.clone()))]).await;
    assert_eq!(cookie.status, 200, "{cookie:?}");
    for (token, status, message) in [
        (
            without(&|claims| claims["iss"] = json!("other")),
            401,
            "Key not authorized: invalid issuer claim: other",
        ),
        (
            without(&|claims| claims["aud"] = json!("other")),
            401,
            "Key not authorized: no matching audience found in token: [other]",
        ),
        (
            without(&|claims| claims["user"]["role"] = json!("user")),
            401,
            "Key not authorized: claim user.role value does not match any expected values",
        ),
        (without(&|claims| claims["user"]["name"] = json!(null)), 403, "Key not authorized"),
    ] {
        assert_refused(&with(&gate, "/a/x", &token).await, status, message);
    }
}

#[tokio::test]
async fn c5_5_rows_3_and_4_published_keys_are_fetched_once_and_follow_their_issuer() {
    let upstream = Upstream::start().await;
    let (issuer, other) = (Issuer::start().await, Issuer::start().await);
    other.rotate("of the other");
    let both = json!({
        "signingMethod": "ecdsa",
        "jwksURIs": [{"url": issuer.url("/keys")}, {"url": other.url("/moved"), "cacheTimeout": 1}],
    });
    let gate = Gate::setup()
        .oas(open_api("a", &upstream.url(""), both.clone()))
        .oas(open_api("b", &upstream.url(""), both))
        .policy(policy("all", &["a", "b"], json!({})))
        .start()
        .await;
    // Before anybody asks.
    until("the keys to be fetched", async || issuer.hits("/keys") == 1 && other.hits("/keys") > 0).await;
    let claims = json!({"sub": "me", "exp": now() + 600});
    let first = issuer.token(&claims);
    for _ in 0..20 {
        assert_eq!(with(&gate, "/a/x", &first).await.status, 200);
        assert_eq!(with(&gate, "/b/x", &first).await.status, 200);
    }
    assert_eq!(with(&gate, "/a/x", &other.token(&claims)).await.status, 200, "keys of several issuers");
    assert_eq!(issuer.hits("/keys"), 1, "one fetch serves all APIs and tokens");
    // Older than they should be, they are used, and fetched meanwhile.
    until("the keys to be fetched again", async || {
        assert_eq!(with(&gate, "/a/x", &other.token(&claims)).await.status, 200);
        other.hits("/keys") > 1
    })
    .await;

    // An unknown key may be a new one: fetched once, however many ask for keys that do not exist.
    issuer.rotate("second");
    let second = issuer.token(&claims);
    assert_eq!(with(&gate, "/a/x", &second).await.status, 200, "the new key counts at once");
    assert_refused(&with(&gate, "/a/x", &first).await, 403, "Key not authorized");
    let before = issuer.hits("/keys");
    for number in 0..20 {
        let unknown = issuer.token_of(&format!("unknown {number}"), &claims);
        assert_refused(&with(&gate, "/a/x", &unknown).await, 403, "Key not authorized");
    }
    assert!(issuer.hits("/keys") <= before + 1, "{} fetches for nothing", issuer.hits("/keys") - before);

    // Several issuers may use the same id.
    other.rotate("second");
    until("the new keys to be fetched", async || {
        with(&gate, "/a/x", &other.token(&claims)).await.status == 200
    })
    .await;
    assert_eq!(with(&gate, "/a/x", &second).await.status, 200);
    let stranger = Issuer::start().await;
    assert_refused(
        &with(&gate, "/a/x", &stranger.token_of("second", &claims)).await,
        403,
        "Key not authorized",
    );

    // An admin may have them forgotten: what was known is believed no more.
    issuer.rotate("third");
    assert_eq!(with(&gate, "/b/x", &second).await.status, 200);
    let reply = gate.admin().delete("/cache/jwks/b").await;
    assert_eq!((reply.status, reply.json()), (200, json!({"status": "ok", "message": "cache invalidated"})));
    assert_refused(&with(&gate, "/b/x", &second).await, 403, "Key not authorized");
    assert_eq!(with(&gate, "/b/x", &issuer.token(&claims)).await.status, 200);
    issuer.rotate("fourth");
    assert_eq!(gate.admin().delete("/cache/jwks").await.status, 200);
    assert_eq!(with(&gate, "/b/x", &issuer.token(&claims)).await.status, 200);
}

#[tokio::test]
async fn an_issuer_that_misbehaves_lets_nobody_in_and_keeps_nobody_out() {
    let upstream = Upstream::start().await;
    let issuer = Issuer::start().await;
    issuer.mood(Mood::Failing(500));
    let gate = Gate::setup()
        .oas(open_api(
            "a",
            &upstream.url(""),
            json!({"signingMethod": "ecdsa", "jwksURIs": [{"url": issuer.url("/keys"), "cacheTimeout": 1}]}),
        ))
        .policy(policy("all", &["a"], json!({})))
        .start()
        .await;
    let token = issuer.token(&json!({"sub": "me", "exp": now() + 600}));
    // Nobody can tell whether the token is good: that is no reason to say that it is not.
    for mood in [Mood::Failing(500), Mood::Rubbish, Mood::Huge, Mood::Failing(404)] {
        issuer.mood(mood);
        assert_eq!(gate.admin().delete("/cache/jwks").await.status, 200);
        let reply = with(&gate, "/a/x", &token).await;
        assert_refused(&reply, 503, "Service temporarily unavailable.");
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
    }
    // Asked by many, it is asked seldom.
    let before = issuer.hits("/keys");
    for _ in 0..20 {
        assert_eq!(with(&gate, "/a/x", &token).await.status, 503);
    }
    assert!(issuer.hits("/keys") - before <= 3, "{}", issuer.hits("/keys") - before);
    issuer.mood(Mood::Well);
    until("the issuer to be believed again", async || with(&gate, "/a/x", &token).await.status == 200).await;

    // Known keys are used while the issuer is slow or away.
    for mood in [Mood::Slow(Duration::from_secs(60)), Mood::Failing(503), Mood::Huge] {
        issuer.mood(mood);
        let before = issuer.hits("/keys");
        until("the keys to be asked for again", async || {
            let start = Instant::now();
            let fresh = issuer.token(&json!({"sub": "me", "exp": now() + 600, "jti": format!("{start:?}")}));
            assert_eq!(with(&gate, "/a/x", &fresh).await.status, 200, "{mood:?}");
            assert!(start.elapsed() < Duration::from_secs(3), "{mood:?} made a client wait");
            issuer.hits("/keys") > before
        })
        .await;
    }
}
