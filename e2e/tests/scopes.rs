//! What operations ask of tokens (contract 5.12, RFC 6750, RFC 9728), and what tokens are exchanged for where operations say so,
//! over the wire.

use e2e::definition::oas;
use e2e::issuer::Issuer;
use e2e::tokens::{now, policy, with};
use e2e::{Gate, Reply, Upstream};
use serde_json::{Value, json};

/// An API whose tokens an issuer signs. `idp`: what the scheme says that takes them; `more`: what is added to the document.
fn api(id: &str, target: &str, issuer: &Issuer, idp: Value, more: Value) -> Value {
    let mut api = oas(id, target);
    let scopes = json!({"orders:read": "", "orders:write": ""});
    api["components"] = json!({"securitySchemes": {
        "jwt": {"type": "http", "scheme": "bearer"},
        "idp": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://i/t", "scopes": scopes}}},
    }});
    api["security"] = json!([{"idp": []}]);
    api["paths"] = json!({
        "/orders": {
            "get": {"operationId": "list", "security": [{"idp": ["orders:read"]}, {"idp": ["orders:all"]}]},
            "post": {"operationId": "make", "security": [{"idp": ["orders:read", "orders:write"]}]},
        },
        "/orders/{id}": {"get": {"operationId": "one", "security": [{"idp": ["orders:read"]}]}},
        "/orders/all": {"get": {"operationId": "all", "security": [{"idp": ["orders:all"]}]}},
        "/health": {"get": {"operationId": "health", "security": [{"idp": ["nobody"]}]}},
        "/free": {"get": {"operationId": "free", "security": [{"idp": []}]}},
        "/plain": {"get": {"operationId": "plain"}},
        "/open": {"get": {"operationId": "open", "security": [{"idp": ["nobody"]}]}},
    });
    let mut scheme = json!({"enabled": true});
    scheme.as_object_mut().unwrap().extend(idp.as_object().unwrap().clone());
    let extension = &mut api["x-tyk-api-gateway"];
    extension["server"]["authentication"] = json!({"enabled": true, "securitySchemes": {
        "jwt": {
            "enabled": true, "signingMethod": "ecdsa", "subjectClaims": ["sub"], "defaultPolicies": ["gold"],
            "jwksURIs": [{"url": issuer.url("/keys")}],
        },
        "idp": scheme,
    }});
    extension["middleware"] = json!({"operations": {
        "health": {"scopeCheck": {"enabled": false}}, "open": {"ignoreAuthentication": {"enabled": true}},
    }});
    merge(&mut api, more);
    api
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

async fn post(gate: &Gate, path: &str, token: &str) -> Reply {
    gate.get(path, &["-X", "POST", "-H", &format!("Authorization: Bearer {token}")]).await
}

#[tokio::test]
async fn c5_12_rows_1_and_4_operations_ask_for_scopes() {
    let (upstream, issuer) = (Upstream::start().await, Issuer::start().await);
    let check = |more: Value| {
        let mut check = json!({"enabled": true});
        merge(&mut check, more);
        json!({"scopeCheck": check})
    };
    let add = |id: &str, idp: Value, more: Value| api(id, &upstream.url(""), &issuer, idp, more);
    let gate = Gate::setup()
        .oas(add("union", check(json!({})), json!({})))
        .oas(add("whole", check(json!({})), json!({"security": [{"idp": ["base"]}]})))
        .oas(add(
            "operation",
            check(json!({"scopeSource": "operation"})),
            json!({"security": [{"idp": ["base"]}]}),
        ))
        .oas(add("global", check(json!({"scopeSource": "global"})), json!({"security": [{"idp": ["base"]}]})))
        .oas(add(
            "comma",
            check(json!({"separator": ",", "claimNames": ["realm.roles", "perms"]})),
            json!({}),
        ))
        .policy(policy("gold", &["union", "whole", "operation", "global", "comma"], json!({})))
        .start()
        .await;
    let token = |claims: Value| {
        let mut whole = json!({"iss": "https://i", "sub": "me", "exp": now() + 600});
        merge(&mut whole, claims);
        issuer.token(&whole)
    };
    let read = token(json!({"scope": "openid orders:read"}));
    let both = token(json!({"scope": "orders:read", "scp": ["orders:write"]}));
    let all = token(json!({"scp": ["orders:all"]}));
    let none = token(json!({}));
    let base = token(json!({"scope": "base"}));
    let roles = token(json!({"realm": {"roles": ["orders:read"]}, "perms": "a, orders:write"}));
    for (path, token, expected) in [
        ("/union/orders", &read, ""),
        ("/union/orders/", &read, ""),
        ("/union/orders", &all, ""),
        ("/union/orders", &none, "orders:read"),
        ("/union/orders", &base, "orders:read"),
        ("/union/orders/7", &read, ""),
        ("/union/orders/7", &all, "orders:read"),
        // As it is written counts before what fits, however it is spelt.
        ("/union/orders/all", &read, "orders:all"),
        ("/union/orders/al%6c", &read, "orders:all"),
        ("/union/orders/all/", &read, "orders:all"),
        ("/union/orders/all?x=/orders/7", &read, "orders:all"),
        ("/union/orders/a%2Fb", &none, "orders:read"),
        ("/union/health", &none, ""),
        ("/union/free", &none, ""),
        ("/union/plain", &none, ""),
        ("/union/elsewhere", &none, ""),
        ("/whole/orders", &read, ""),
        ("/whole/orders", &base, ""),
        ("/whole/orders", &none, "orders:read"),
        ("/whole/plain", &base, ""),
        ("/whole/plain", &read, "base"),
        ("/whole/elsewhere", &read, "base"),
        ("/whole/free", &none, ""),
        ("/whole/health", &none, ""),
        ("/operation/orders", &base, "orders:read"),
        ("/operation/plain", &none, ""),
        ("/operation/elsewhere", &none, ""),
        ("/global/orders", &base, ""),
        ("/global/orders", &read, "base"),
        ("/global/elsewhere", &read, "base"),
        ("/comma/orders", &roles, ""),
        ("/comma/orders", &read, "orders:read"),
    ] {
        let reply = with(&gate, path, token).await;
        if expected.is_empty() {
            assert_eq!(reply.status, 200, "{path} {token}: {reply:?}");
            continue;
        }
        let description = format!("missing required scope: {expected}");
        assert_eq!(reply.status, 403, "{path} {token}: {reply:?}");
        assert_eq!(
            reply.json(),
            json!({"error": "insufficient_scope", "error_description": description, "scope": expected}),
            "{path}"
        );
        assert_eq!(
            reply.header("www-authenticate").unwrap(),
            format!(
                "Bearer error=\"insufficient_scope\", error_description=\"{description}\", scope=\"{expected}\""
            )
        );
    }
    // Another method is another operation; asking for the head is asking.
    assert_eq!(post(&gate, "/union/orders", &both).await.status, 200);
    assert_eq!(post(&gate, "/union/orders", &read).await.json()["scope"], "orders:read orders:write");
    assert_eq!(post(&gate, "/comma/orders", &roles).await.status, 200);
    let head = gate.get("/union/orders/7", &["-I", "-H", &format!("Authorization: Bearer {none}")]).await;
    assert_eq!(head.status, 403, "{head:?}");
    // Whoever asks in XML reads JSON all the same: it is what clients of OAuth look for.
    let bearer = format!("Authorization: Bearer {none}");
    let reply = gate.get("/union/orders", &["-H", &bearer, "-H", "Content-Type: text/xml"]).await;
    assert_eq!(reply.json()["error"], "insufficient_scope");
    // Tokens are verified before: what a forged one says of scopes counts for nothing.
    let (start, _) = read.rsplit_once('.').unwrap();
    let (_, other) = none.rsplit_once('.').unwrap();
    assert_eq!(with(&gate, "/union/orders", &format!("{start}.{other}")).await.status, 403);
    assert_eq!(gate.get("/union/orders", &[]).await.status, 400);
    assert_eq!(gate.get("/union/open", &[]).await.status, 200, "it is open to everybody");
}

#[tokio::test]
async fn c5_12_row_2_a_scheme_tells_where_tokens_are_had() {
    let (upstream, issuer) = (Upstream::start().await, Issuer::start().await);
    let metadata = |more: Value| {
        let mut metadata = json!({"enabled": true, "authorizationServers": ["https://i"]});
        merge(&mut metadata, more);
        json!({"scopeCheck": {"enabled": true}, "protectedResourceMetadata": metadata})
    };
    let whole = json!({"x-tyk-api-gateway": {"server": {"authentication": {"protectedResourceMetadata": {
        "enabled": true, "authorizationServers": ["https://other"], "scopesSupported": ["other"],
    }}}}});
    let add = |id: &str, idp: Value, more: Value| api(id, &upstream.url(""), &issuer, idp, more);
    let gate = Gate::setup()
        .oas(add("a", metadata(json!({})), whole))
        .oas(add(
            "catalog",
            metadata(json!({"autoDeriveScopes": false, "wellKnownPath": "about"})),
            json!({}),
        ))
        .policy(policy("gold", &["a", "catalog"], json!({})))
        .start()
        .await;
    let base = format!("http://127.0.0.1:{}", gate.port());
    let document = gate.get("/a/.well-known/oauth-protected-resource", &[]).await.json();
    assert_eq!(
        document,
        json!({
            "resource": format!("{base}/a"), "authorization_servers": ["https://i"],
            "scopes_supported": ["orders:read", "orders:write", "orders:all", "nobody"],
        })
    );
    let document = gate.get("/catalog/about", &[]).await.json();
    assert_eq!(document["scopes_supported"], json!(["orders:read", "orders:write"]));

    // Every 401 and every lack of scopes says where.
    let place = format!("resource_metadata=\"{base}/a/.well-known/oauth-protected-resource\"");
    let over = issuer.token(&json!({"sub": "me", "exp": now() - 9}));
    let poor = issuer.token(&json!({"sub": "me", "exp": now() + 600}));
    for (token, status, challenge) in [
        (None, 401, format!("Bearer realm=\"tyk\", {place}")),
        (Some(&over), 401, format!("Bearer realm=\"tyk\", {place}")),
        (
            Some(&poor),
            403,
            format!(
                "Bearer error=\"insufficient_scope\", error_description=\"missing required scope: orders:read\", scope=\"orders:read\", {place}"
            ),
        ),
    ] {
        let reply = match token {
            Some(token) => with(&gate, "/a/orders", token).await,
            None => gate.get("/a/orders", &[]).await,
        };
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(reply.header("www-authenticate"), Some(challenge), "{token:?}");
    }
}

#[tokio::test]
async fn c5_12_row_5_operations_want_tokens_of_their_own() {
    let (upstream, issuer) = (Upstream::start().await, Issuer::start().await);
    let exchange = |kind: &str, issuers: Value| {
        json!({"tokenExchange": {"enabled": true, "providers": [{
            "name": "p", "issuers": issuers, "tokenEndpoint": issuer.url("/exchange"), "grantType": kind,
            "clientAuth": {"clientId": "gate", "clientSecret": "hush"},
            "defaultTarget": {"audience": "usual", "scopes": ["s1"]},
            "cache": {"enabled": true, "safetyMargin": "1s"},
        }]}})
    };
    let targets = json!({"x-tyk-api-gateway": {"middleware": {"operations": {
        "one": {"exchange": {"enabled": true, "audience": "reports", "scopes": ["s2", "s3"]}},
        "make": {"exchange": {"enabled": true}},
        "all": {"exchange": {"enabled": false, "audience": "never"}},
    }}}});
    let known = json!(["https://i"]);
    // Whose tokens are opaque, and only their issuer can tell of them.
    let mut opaque = api("opaque", &upstream.url(""), &issuer, exchange("", known.clone()), targets.clone());
    opaque["components"]["securitySchemes"]["asked"] = json!({"type": "oauth2", "flows": {}});
    let schemes = &mut opaque["x-tyk-api-gateway"]["server"]["authentication"]["securitySchemes"];
    schemes.as_object_mut().unwrap().remove("jwt");
    schemes["asked"] = json!({"enabled": true, "providers": [{"introspection": {
        "enabled": true, "url": issuer.url("/introspect"), "clientId": "gate", "clientSecret": "s3cret", "identityBaseField": "sub",
    }}]});
    let gate = Gate::setup()
        .oas(api("a", &upstream.url(""), &issuer, exchange("", known.clone()), targets.clone()))
        .oas(api(
            "bearer",
            &upstream.url(""),
            &issuer,
            exchange("jwt-bearer", known.clone()),
            targets.clone(),
        ))
        .oas(opaque)
        .policy(policy("gold", &["a", "bearer"], json!({})))
        .start()
        .await;
    let claims = json!({"iss": "https://i", "sub": "me", "exp": now() + 600});
    let token = issuer.token(&claims);
    let asked = |last: &str, name: &str| {
        let pairs = last.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value.replace("%3A", ":").replace("%2F", "/"))
            .next()
    };
    let mut number = 0;
    for (api, method, path, audience, scope) in [
        ("a", "GET", "/orders", Some("usual"), "s1"),
        ("a", "GET", "/orders/7", Some("reports"), "s2%20s3"),
        ("a", "GET", "/orders/all", Some("usual"), "s1"),
        // What the operation asks of its callers is what it needs.
        ("a", "POST", "/orders", Some("usual"), "orders:read%20orders:write"),
        ("a", "GET", "/elsewhere", Some("usual"), "s1"),
        ("bearer", "GET", "/orders/7", None, "reports/s2%20reports/s3"),
        ("bearer", "GET", "/plain", None, "usual/s1"),
    ] {
        number += 1;
        issuer.exchanges(200, json!({"access_token": format!("new-{number}"), "expires_in": 300}));
        let seen = issuer.hits("/exchange");
        let bearer = format!("Authorization: Bearer {token}");
        let reply = gate.get(&format!("/{api}{path}"), &["-X", method, "-H", &bearer]).await;
        assert_eq!(reply.status, 200, "{api} {path}: {reply:?}");
        if issuer.hits("/exchange") == seen {
            // The same target as before: the kept token serves.
            assert!(["/orders/all", "/elsewhere"].contains(&path), "{path}");
            assert_eq!(reply.json()["headers"]["authorization"], json!(["Bearer new-1"]), "{path}");
            continue;
        }
        assert_eq!(
            reply.json()["headers"]["authorization"],
            json!([format!("Bearer new-{number}")]),
            "{path}"
        );
        let last = issuer.last("/exchange");
        assert_eq!(asked(&last, "audience").as_deref(), audience, "{api} {path}: {last}");
        assert_eq!(asked(&last, "scope").as_deref(), Some(scope), "{api} {path}: {last}");
    }

    // A token that its issuer vouches for is exchanged as well, and no other one.
    issuer.knows("opaque-one", json!({"active": true, "sub": "me", "iss": "https://i", "exp": now() + 600}));
    issuer.knows(
        "opaque-two",
        json!({"active": true, "sub": "me", "iss": "https://strange", "exp": now() + 600}),
    );
    let reply = with(&gate, "/opaque/orders/7", "opaque-one").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(asked(&issuer.last("/exchange"), "subject_token").as_deref(), Some("opaque-one"));
    let hits = issuer.hits("/exchange");
    let reply = with(&gate, "/opaque/orders/7", "opaque-two").await;
    assert_eq!(reply.header("www-authenticate").as_deref(), Some("Bearer error=\"no_matching_provider\""));
    assert_eq!(with(&gate, "/opaque/orders/7", "opaque-three").await.status, 401);
    assert_eq!(issuer.hits("/exchange"), hits);
}
