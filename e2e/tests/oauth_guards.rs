//! What guards the OAuth 2.0 endpoints themselves (contract 5.6): how often somebody may guess, and pages of other origins.

use e2e::definition::{keyless, session};
use e2e::tokens::policy;
use e2e::{Gate, Reply, Setup, Upstream, curl};
use serde_json::{Value, json};

fn api(id: &str, target: &str, more: Value) -> Value {
    let mut api = keyless(id, target);
    let object = api.as_object_mut().unwrap();
    object.remove("use_keyless");
    object.insert("use_oauth2".to_owned(), json!(true));
    object.insert(
        "oauth_meta".to_owned(),
        json!({
            "allowed_access_types": ["client_credentials", "password", "refresh_token"], "allowed_authorize_types": ["code"],
            "auth_login_redirect": "https://login.example/in",
        }),
    );
    object.extend(more.as_object().unwrap().clone());
    api
}

fn setup(upstream: &Upstream, limits: Value) -> Setup {
    let cors =
        json!({"CORS": {"enable": true, "allowed_origins": ["https://a.example"], "allowed_headers": ["*"]}});
    Gate::setup()
        .conf(json!({"limits": limits}))
        .api(api("a", &upstream.url(""), json!({})))
        .api(api("pages", &upstream.url(""), cors))
        .policy(policy("gold", &["a", "pages"], json!({})))
}

/// A client with this secret.
async fn client(gate: &Gate, id: &str, secret: &str) {
    let asked = json!({
        "api_id": "a", "client_id": id, "secret": secret, "redirect_uri": "https://app.example/cb", "policy_id": "gold",
    });
    let made = gate.admin().post("/oauth/clients/create", &asked).await;
    assert_eq!(made.status, 200, "{made:?}");
}

/// Asks from an address, as somebody behind a proxy.
async fn ask(gate: &Gate, from: &str, path: &str, user: Option<(&str, &str)>, form: &str) -> Reply {
    let url = gate.url(path);
    let from = format!("X-Real-IP: {from}");
    let user = user.map(|(id, secret)| format!("{id}:{secret}"));
    let mut arguments = vec!["-X", "POST", "-H", &from, "-d", form];
    if let Some(user) = &user {
        arguments.extend(["-u", user]);
    }
    arguments.push(&url);
    curl(&arguments).await
}

fn waits(reply: &Reply) {
    assert_eq!(reply.status, 429, "{reply:?}");
    assert_eq!(reply.json()["error"], "Too many failed requests");
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

const CREDENTIALS: &str = "grant_type=client_credentials";

#[tokio::test]
async fn c5_6_an_address_that_guesses_waits() {
    let upstream = Upstream::start().await;
    let gate = setup(&upstream, json!({"oauth_guesses_by_address": 5})).start().await;
    client(&gate, "one", "right").await;
    let token = async |from: &str, secret: &str| {
        ask(&gate, from, "/a/oauth/token/", Some(("one", secret)), CREDENTIALS).await
    };
    // Whoever is right is counted as nothing.
    for _ in 0..8 {
        assert_eq!(token("192.0.2.1", "right").await.status, 200);
    }
    // Whatever is guessed, at whatever endpoint.
    assert_eq!(token("192.0.2.1", "wrong").await.status, 403);
    let nobody = ask(&gate, "192.0.2.1", "/a/oauth/token/", Some(("nobody", "x")), CREDENTIALS).await;
    assert_eq!(nobody.status, 403);
    let all = ask(&gate, "192.0.2.1", "/a/oauth/revoke_all", None, "client_id=one&client_secret=x").await;
    assert_eq!(all.status, 401);
    let refresh = "grant_type=refresh_token&refresh_token=x";
    let refreshed = ask(&gate, "192.0.2.1", "/a/oauth/token/", Some(("one", "right")), refresh).await;
    assert_eq!(refreshed.status, 403);
    let asked = "response_type=code&client_id=one&redirect_uri=https%3A%2F%2Fapp.example%2Fcb";
    let rules = ask(&gate, "192.0.2.1", "/a/tyk/oauth/authorize-client/", None, asked).await;
    assert_eq!(rules.status, 403, "{rules:?}");
    waits(&token("192.0.2.1", "right").await);
    waits(&ask(&gate, "192.0.2.1", "/a/oauth/revoke", None, "token=x").await);
    waits(&ask(&gate, "192.0.2.1", "/a/oauth/authorize/", None, asked).await);
    // Nobody else waits, and the API itself is none of it.
    assert_eq!(token("192.0.2.2", "right").await.status, 200);
    let known = ask(&gate, "192.0.2.2", "/a/oauth/authorize/", None, asked).await;
    assert_eq!(known.status, 307, "{known:?}");
    assert_eq!(gate.get("/a/x", &["-H", "X-Real-IP: 192.0.2.1"]).await.status, 400);
    // What is malformed is no guess.
    for _ in 0..8 {
        let reply = ask(&gate, "192.0.2.3", "/a/oauth/token/", Some(("one", "right")), "grant_type=x").await;
        assert_eq!(reply.status, 403);
    }
    assert_eq!(token("192.0.2.3", "right").await.status, 200);
}

#[tokio::test]
async fn c5_6_a_client_that_is_guessed_for_serves_where_it_served() {
    let upstream = Upstream::start().await;
    let limits = json!({"oauth_guesses_by_address": 0, "oauth_guesses_by_client": 4});
    let gate = setup(&upstream, limits).start().await;
    for id in ["one", "two"] {
        client(&gate, id, "right").await;
    }
    let mut user = session(&["a"]);
    user["basic_auth_data"] = json!({"password": "hers"});
    assert_eq!(gate.admin().post("/keys/ann", &user).await.status, 200);
    let token = async |from: &str, id: &str, secret: &str, form: &str| {
        ask(&gate, from, "/a/oauth/token/", Some((id, secret)), form).await
    };
    let password = |password: &str| format!("grant_type=password&username=ann&password={password}");
    assert_eq!(token("192.0.2.1", "one", "right", CREDENTIALS).await.status, 200);
    // Secrets of the client and passwords of its users, each from another place.
    for (from, secret, form) in [
        ("192.0.2.11", "wrong", CREDENTIALS.to_owned()),
        ("192.0.2.12", "right", password("x")),
        ("192.0.2.13", "right", password("y")),
        ("192.0.2.14", "wrong", CREDENTIALS.to_owned()),
    ] {
        assert_eq!(token(from, "one", secret, &form).await.status, 403);
    }
    waits(&token("192.0.2.15", "one", "right", &password("hers")).await);
    waits(&token("192.0.2.15", "one", "other", CREDENTIALS).await);
    assert_eq!(token("192.0.2.1", "one", "right", &password("hers")).await.status, 200);
    assert_eq!(token("192.0.2.15", "two", "right", CREDENTIALS).await.status, 200);
}

#[tokio::test]
async fn c5_6_pages_may_ask_for_tokens_where_they_may_call_the_api() {
    let upstream = Upstream::start().await;
    let gate = setup(&upstream, json!({})).start().await;
    let preflight = async |path: &str, origin: &str| {
        let origin = format!("Origin: {origin}");
        let arguments = [
            "-X",
            "OPTIONS",
            "-H",
            &origin,
            "-H",
            "Access-Control-Request-Method: POST",
            "-H",
            "Access-Control-Request-Headers: authorization",
        ];
        gate.get(path, &arguments).await
    };
    for path in ["/oauth/token/", "/oauth/token", "/oauth/authorize/", "/oauth/revoke", "/oauth/revoke_all"] {
        let reply = preflight(&format!("/pages{path}"), "https://a.example").await;
        assert_eq!(reply.status, 204, "{path}: {reply:?}");
        let told = |name: &str| reply.header(name).unwrap_or_default();
        assert_eq!(told("access-control-allow-origin"), "https://a.example");
        assert_eq!(told("access-control-allow-methods"), "POST");
        assert_eq!(told("access-control-allow-headers"), "authorization");
        let reply = preflight(&format!("/pages{path}"), "https://b.example").await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (204, None));
        // Without rules nothing is answered for pages.
        let reply = preflight(&format!("/a{path}"), "https://a.example").await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (405, None));
    }
    let origin = ["-H", "Origin: https://a.example", "-d", CREDENTIALS, "-X", "POST"];
    let reply = gate.get("/pages/oauth/token/", &origin).await;
    assert_eq!(reply.status, 403, "{reply:?}");
    assert_eq!(reply.header("access-control-allow-origin").as_deref(), Some("https://a.example"));
    assert_eq!(upstream.hits(), 0);
}
