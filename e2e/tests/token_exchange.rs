//! Tokens of callers are exchanged before requests go on (contract 5.12, RFC 8693, RFC 7523), over the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use e2e::definition::{oas, session};
use e2e::issuer::{Issuer, shared};
use e2e::{Gate, Reply, Upstream, free_port};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token endpoint that answers by its path, and notes what it is asked.
struct Endpoint {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (notes, number) = (Arc::clone(&asked), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (notes, number) = (Arc::clone(&notes), Arc::clone(&number));
                tokio::spawn(async move {
                    let mut read = Vec::new();
                    let mut buffer = [0; 4096];
                    let text = loop {
                        let count = socket.read(&mut buffer).await.unwrap_or(0);
                        read.extend_from_slice(&buffer[..count]);
                        let text = String::from_utf8_lossy(&read).into_owned();
                        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                            let length = head.to_ascii_lowercase();
                            let length = length
                                .split("content-length: ")
                                .nth(1)
                                .map(|rest| rest.lines().next().unwrap().to_owned());
                            length.is_none_or(|length| body.len() >= length.trim().parse().unwrap())
                        });
                        if whole || count == 0 {
                            break text;
                        }
                    };
                    let (status, body) = match text.split(' ').nth(1).unwrap_or_default() {
                        "/refuse" => {
                            ("400 Bad", json!({"error": "invalid_grant", "error_description": "no"}))
                        }
                        "/client" => ("401 No", json!({"error": "invalid_client"})),
                        "/step" => (
                            "400 Bad",
                            json!({"error": "interaction_required", "claims": "{\"a\":1}", "authorization_uri": "https://idp.example/in"}),
                        ),
                        "/broken" => ("500 Oops", json!({})),
                        "/odd" => ("200 OK", json!({"access_token": "a b"})),
                        _ => {
                            let number = number.fetch_add(1, Ordering::SeqCst);
                            (
                                "200 OK",
                                json!({"access_token": format!("new-{number}"), "expires_in": 300, "token_type": "Bearer"}),
                            )
                        }
                    };
                    notes.lock().push(text);
                    let body = body.to_string();
                    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    let _ = socket.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> usize {
        self.asked.lock().len()
    }

    fn last(&self) -> String {
        self.asked.lock().last().cloned().unwrap_or_default()
    }
}

/// An API whose tokens are verified by the keys of an issuer, and exchanged.
fn api(id: &str, target: &str, issuer: &Issuer, more: Value, providers: Value) -> Value {
    let mut api = oas(id, target);
    api["components"] = json!({"securitySchemes": {
        "jwt": {"type": "http", "scheme": "bearer"},
        "idp": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://idp.example/token", "scopes": {}}}},
    }});
    api["security"] = json!([{"idp": []}]);
    let mut idp = json!({"enabled": true, "tokenExchange": {"enabled": true, "providers": providers}});
    idp.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api["x-tyk-api-gateway"]["server"]["authentication"] = json!({"enabled": true, "securitySchemes": {
        "jwt": {
            "enabled": true, "signingMethod": "ecdsa", "subjectClaims": ["sub"], "defaultPolicies": ["gold"],
            "jwksURIs": [{"url": issuer.url("/keys")}],
        },
        "idp": idp,
    }});
    api
}

fn provider(name: &str, endpoint: &str, more: Value) -> Value {
    let mut provider = json!({
        "name": name, "issuers": [format!("https://{name}.example")], "tokenEndpoint": endpoint,
        "clientAuth": {"clientId": "gate", "clientSecret": "s3cret/"},
        "defaultTarget": {"audience": "orders", "scopes": ["read", "write"]},
    });
    provider.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    provider
}

async fn with(gate: &Gate, path: &str, token: &str) -> Reply {
    gate.get(path, &["-H", &format!("Authorization: Bearer {token}")]).await
}

/// What the upstream got as `Authorization`.
fn passed(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{reply:?}");
    let values = reply.json()["headers"]["authorization"].as_array().cloned().unwrap_or_default();
    values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn c5_12_rows_2_5_6_an_upstream_sees_the_exchanged_token_alone() {
    let (upstream, issuer, endpoint) =
        (Upstream::start().await, Issuer::start().await, Endpoint::start().await);
    let url = |path: &str| format!("{}{path}", endpoint.url);
    let cache = json!({"cache": {"enabled": true, "safetyMargin": "1s"}});
    let bearer = json!({
        "grantType": "jwt-bearer", "clientAuth": {"method": "client_secret_post", "clientId": "gate", "clientSecret": "s3cret/"},
        "customParams": {"requested_token_use": "on_behalf_of"},
        "defaultTarget": {"audience": "api://orders", "scopes": ["read", "https://graph.example/all"]},
    });
    let away = format!("http://127.0.0.1:{}/", free_port());
    let providers = json!([
        provider("fresh", &url("/token"), json!({})),
        provider("kept", &url("/token"), cache),
        provider("bearer", &url("/token"), bearer),
        provider("refuse", &url("/refuse"), json!({})),
        provider("client", &url("/client"), json!({})),
        provider("step", &url("/step"), json!({"grantType": "jwt-bearer"})),
        provider("nostep", &url("/step"), json!({})),
        provider("broken", &url("/broken"), json!({})),
        provider("odd", &url("/odd"), json!({})),
        provider("away", &away, json!({"timeout": "2s"})),
        provider("many", &url("/token"), json!({"issuers": ["regex:^https://[a-z]+\\.tenant\\.example$"]})),
    ]);
    let mut policy = session(&["a", "query"]);
    policy["id"] = json!("gold");
    policy["active"] = json!(true);
    let other = json!({"header": {"enabled": true, "name": "X-Auth-Token"}, "query": {"enabled": true, "name": "token"}});
    let gate = Gate::setup()
        .oas(api("a", &upstream.url(""), &issuer, json!({}), providers.clone()))
        .oas(api("query", &upstream.url(""), &issuer, other, providers))
        .policy(policy)
        .start()
        .await;
    let token = |name: &str, more: Value| {
        let mut claims = json!({"iss": format!("https://{name}.example"), "sub": "me", "exp": now() + 600});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        issuer.token(&claims)
    };

    // Each request has a token of its own.
    let fresh = token("fresh", json!({}));
    assert_eq!(passed(&with(&gate, "/a/x", &fresh).await), ["Bearer new-0"]);
    assert_eq!(passed(&with(&gate, "/a/x", &fresh).await), ["Bearer new-1"]);
    let asked = endpoint.last();
    // Base64 of `gate:s3cret%2F`.
    assert!(asked.to_ascii_lowercase().contains("authorization: basic z2f0ztpzm2nyzxqlmky="), "{asked}");
    let body = asked.split_once("\r\n\r\n").unwrap().1;
    let expected = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token={fresh}&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&audience=orders&scope=read%20write"
    );
    assert_eq!(body, expected);

    // Or the same for a while, and asked for once by however many.
    let kept = token("kept", json!({}));
    let replies = futures_util::future::join_all((0..8).map(|_| with(&gate, "/a/x", &kept))).await;
    assert!(replies.iter().all(|reply| passed(reply) == ["Bearer new-2"]), "{replies:?}");
    let others = token("kept", json!({"sub": "you"}));
    assert_eq!(passed(&with(&gate, "/a/x", &others).await), ["Bearer new-3"]);
    assert_eq!(passed(&with(&gate, "/a/x", &kept).await), ["Bearer new-2"]);

    // The other grant.
    let bearer = token("bearer", json!({}));
    assert_eq!(passed(&with(&gate, "/a/x", &bearer).await), ["Bearer new-4"]);
    let asked = endpoint.last();
    let body = asked.split_once("\r\n\r\n").unwrap().1;
    let expected = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={bearer}&scope=api%3A%2F%2Forders%2Fread%20https%3A%2F%2Fgraph.example%2Fall&requested_token_use=on_behalf_of&client_id=gate&client_secret=s3cret%2F"
    );
    assert_eq!(body, expected);
    assert_eq!(passed(&with(&gate, "/a/x", &token("some.tenant", json!({}))).await), ["Bearer new-5"]);

    // What cannot be exchanged goes no further.
    let hits = upstream.hits();
    for (name, status, error) in [
        ("unknown", 403, "Bearer error=\"no_matching_provider\""),
        ("some.tenant.example.evil", 403, "Bearer error=\"no_matching_provider\""),
        ("refuse", 403, "Bearer error=\"exchange_failed\""),
        ("nostep", 403, "Bearer error=\"exchange_failed\""),
        (
            "step",
            401,
            "Bearer error=\"insufficient_claims\", claims=\"eyJhIjoxfQ==\", authorization_uri=\"https://idp.example/in\"",
        ),
        ("client", 500, ""),
        ("broken", 503, ""),
        ("odd", 503, ""),
        ("away", 503, ""),
    ] {
        let reply = with(&gate, "/a/x", &token(name, json!({}))).await;
        assert_eq!(reply.status, status, "{name}: {reply:?}");
        assert_eq!(reply.header("www-authenticate").unwrap_or_default(), error, "{name}");
        assert_eq!(reply.header("retry-after").is_some(), status == 503, "{name}");
    }
    // What is not verified is shown to nobody.
    let asked = endpoint.asked();
    let forged =
        shared(b"secret", &json!({"kid": "first"}), &json!({"iss": "https://fresh.example", "sub": "me"}));
    for (token, status) in [
        (forged, 403),
        (token("fresh", json!({"exp": now() - 1})), 401),
        ("nonsense".to_owned(), 403),
        (token("fresh", json!({"iss": null})), 403),
    ] {
        assert_eq!(with(&gate, "/a/x", &token).await.status, status, "{token}");
    }
    // Nor is a token that is not the verified one.
    let mine = format!("Authorization: Bearer {fresh}");
    let theirs = format!("X-Auth-Token: {}", token("fresh", json!({"sub": "you"})));
    // However much it says the same: nobody has looked at its signature.
    let (said, signature) = fresh.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("X-Auth-Token: {said}.{other}{}", &signature[1..]);
    for (arguments, told) in [
        (vec!["-H", &mine], "Authorization field missing"),
        (vec!["-H", &mine, "-H", &theirs], "Key not authorized"),
        (vec!["-H", &mine, "-H", &forged], "Key not authorized"),
        (vec!["-H", &mine, "-H", "X-Auth-Token: x"], "parsing inbound token claims: malformed token"),
    ] {
        let reply = gate.get("/query/x", &arguments).await;
        assert_eq!((reply.status, &reply.json()["error"]), (401, &json!(told)), "{arguments:?}");
    }
    assert_eq!(endpoint.asked(), asked);
    assert_eq!(upstream.hits(), hits);
    let reply = gate.get(&format!("/query/x?token={fresh}&a=b"), &["-H", &mine]).await;
    assert_eq!(passed(&reply), ["Bearer new-6"]);
    assert_eq!(reply.json()["path"], "/x?a=b");
    let log = gate.log();
    assert!(!log.contains("s3cret") && !log.contains(&fresh) && !log.contains("new-6"), "{log}");
}

#[tokio::test]
async fn c8_12_row_8_who_wants_to_know_is_told_of_exchanges_and_scopes() {
    let (upstream, issuer, endpoint) =
        (Upstream::start().await, Issuer::start().await, Endpoint::start().await);
    let providers = json!([
        provider(
            "good",
            &format!("{}/token", endpoint.url),
            json!({"cache": {"enabled": true, "safetyMargin": "1s"}})
        ),
        provider("refuse", &format!("{}/refuse", endpoint.url), json!({})),
    ]);
    let mut policy = session(&["a", "scoped"]);
    (policy["id"], policy["active"]) = (json!("gold"), json!(true));
    let mut scoped =
        api("scoped", &upstream.url(""), &issuer, json!({"scopeCheck": {"enabled": true}}), json!([]));
    scoped["x-tyk-api-gateway"]["server"]["authentication"]["securitySchemes"]["idp"]["tokenExchange"] =
        json!({});
    scoped["security"] = json!([{"idp": ["needed"]}]);
    let log = json!([{"handler_name": "eh_log_handler", "handler_meta": {"prefix": "WATCH"}}]);
    let gate = Gate::setup()
        .conf(json!({"event_handlers": {"events": {"OAuth2ExchangeSucceeded": log.clone(),
            "OAuth2ExchangeFailed": log.clone(), "OAuth2ScopeCheckFailed": log}}}))
        .oas(api("a", &upstream.url(""), &issuer, json!({}), providers))
        .oas(scoped)
        .policy(policy)
        .start()
        .await;
    let token = |name: &str| {
        issuer.token(&json!({"iss": format!("https://{name}.example"), "sub": "me", "exp": now() + 600}))
    };
    let good = token("good");
    for _ in 0..2 {
        assert_eq!(with(&gate, "/a/x", &good).await.status, 200);
    }
    assert_ne!(with(&gate, "/a/x", &token("refuse")).await.status, 200);
    assert_eq!(with(&gate, "/scoped/x", &good).await.status, 403);
    for event in ["OAuth2ExchangeFailed", "OAuth2ScopeCheckFailed", "OAuth2ExchangeSucceeded"] {
        e2e::until(event, async || gate.log().contains(&format!("WATCH:{event}"))).await;
    }
    // A token that is remembered is not exchanged again.
    assert_eq!(gate.log().matches("WATCH:OAuth2ExchangeSucceeded").count(), 1);
}

/// A part of a signed token.
fn decoded(part: &str) -> Value {
    serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn c3_3_row_9_the_gate_signs_who_it_is_with_the_key_of_a_certificate() {
    let (upstream, issuer, endpoint) =
        (Upstream::start().await, Issuer::start().await, Endpoint::start().await);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["gate".to_owned()]).unwrap().self_signed(&key).unwrap();
    let keyless = rcgen::KeyPair::generate().unwrap();
    let keyless =
        rcgen::CertificateParams::new(vec!["bare".to_owned()]).unwrap().self_signed(&keyless).unwrap();
    let mut policy = session(&["a"]);
    policy["id"] = json!("gold");
    policy["active"] = json!(true);
    let gate = Gate::setup()
        .policy(policy)
        .file("own.pem", &format!("{}{}", certificate.pem(), key.serialize_pem()));
    let gate = gate.start().await;
    let add = async |pem: &str| {
        gate.write("added.pem", pem);
        let body = format!("@{}", gate.dir().join("added.pem").display());
        let reply = gate.admin().call("POST", "/certs?org_id=org", Some(&body)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["id"].as_str().unwrap().to_owned()
    };
    let both = add(&format!("{}{}", certificate.pem(), key.serialize_pem())).await;
    let bare = add(&keyless.pem()).await;
    let url = format!("{}/token", endpoint.url);
    let signs =
        |id: &str| json!({"clientAuth": {"method": "private_key_jwt", "clientId": "gate", "certId": id}});
    let providers = json!([
        provider("stored", &url, signs(&both)),
        provider("bearer", &url, {
            let mut more = signs(&both);
            more["grantType"] = json!("jwt-bearer");
            more
        }),
        provider("bare", &url, signs(&bare)),
        provider("gone", &url, signs("orgnone")),
    ]);
    let api = api("a", &upstream.url(""), &issuer, json!({}), providers);
    assert_eq!(gate.admin().post("/apis/oas", &api).await.status, 200);
    gate.admin().reload().await;
    let token = |name: &str| {
        issuer.token(&json!({"iss": format!("https://{name}.example"), "sub": "me", "exp": now() + 600}))
    };
    for name in ["stored", "bearer"] {
        assert_eq!(passed(&with(&gate, "/a/x", &token(name)).await).len(), 1);
        let asked = endpoint.last();
        assert!(
            !asked.to_ascii_lowercase().contains("authorization:") && !asked.contains("client_secret"),
            "{asked}"
        );
        let body = asked.split_once("\r\n\r\n").unwrap().1;
        let kind = "client_id=gate&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        assert!(body.contains(kind), "{body}");
        let assertion = body.split("client_assertion=").nth(1).unwrap().split('&').next().unwrap();
        let [header, claims, signature] = assertion.split('.').collect::<Vec<_>>()[..] else {
            panic!("{assertion}")
        };
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.der());
        let expected = json!({"alg": "ES256", "typ": "JWT", "x5t#S256": BASE64.encode(digest)});
        assert_eq!(decoded(header), expected);
        let said = decoded(claims);
        assert_eq!((&said["iss"], &said["sub"], &said["aud"]), (&json!("gate"), &json!("gate"), &json!(url)));
        assert_eq!(said["exp"].as_u64().unwrap() - said["iat"].as_u64().unwrap(), 60);
        assert!(said["jti"].as_str().is_some_and(|id| id.len() > 20));
        let text = format!("{header}.{claims}");
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key_raw())
            .verify(text.as_bytes(), &BASE64.decode(signature).unwrap())
            .unwrap();
    }
    let before = endpoint.asked();
    for name in ["bare", "gone"] {
        let reply = with(&gate, "/a/x", &token(name)).await;
        assert_eq!(
            (reply.status, reply.json()["error"].as_str()),
            (500, Some("token exchange is misconfigured"))
        );
    }
    assert_eq!(endpoint.asked(), before, "nobody is asked without a signature");
}
