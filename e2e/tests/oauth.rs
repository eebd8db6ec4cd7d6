//! The OAuth 2.0 server of an API over the wire (contract 5.6): every grant, every way in which somebody may try to get a
//! token that is not theirs, and tokens that are given by one gate, admitted by another, and taken back by either.

use std::time::{Duration, Instant};

use e2e::definition::{keyed, keyless, oas, session};
use e2e::{Gate, Redis, Reply, Setup, Upstream, post_form, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const CALLBACK: &str = "https://app.example/cb";
const S256: [(&str, &str); 2] = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];

/// A classic API whose gate gives tokens.
fn api(id: &str, target: &str, meta: Value) -> Value {
    let mut api = keyless(id, target);
    let object = api.as_object_mut().unwrap();
    object.remove("use_keyless");
    object.insert("use_oauth2".to_owned(), json!(true));
    object.insert("oauth_meta".to_owned(), meta);
    api
}

fn all() -> Value {
    json!({
        "allowed_access_types": ["authorization_code", "refresh_token", "password", "client_credentials"],
        "allowed_authorize_types": ["code", "token"],
        "auth_login_redirect": "https://login.example/in",
    })
}

fn policy(id: &str, apis: &[&str]) -> Value {
    let mut policy = session(apis);
    policy["id"] = json!(id);
    policy["active"] = json!(true);
    policy
}

/// A gate with two such APIs, one of each format, one that gives tokens for codes only, and one that takes keys.
fn setup(upstream: &Upstream) -> Setup {
    let target = upstream.url("");
    let mut open = oas("b", &target);
    open["components"] = json!({"securitySchemes": {"oauth": {"type": "oauth2", "flows": {
        "authorizationCode": {"authorizationUrl": "/oauth/authorize", "tokenUrl": "/oauth/token", "scopes": {}},
        "clientCredentials": {"tokenUrl": "/oauth/token", "scopes": {}},
    }}}});
    open["security"] = json!([{"oauth": []}]);
    open["x-tyk-api-gateway"]["server"]["authentication"] = json!({"enabled": true, "securitySchemes": {"oauth": {
        "enabled": true, "allowedAuthorizeTypes": ["code"], "refreshToken": true, "authLoginRedirect": "/login?from=b",
    }}});
    let codes = json!({
        "allowed_access_types": ["authorization_code"], "allowed_authorize_types": ["code"],
        "auth_login_redirect": "https://login.example/in",
    });
    Gate::setup()
        .api(api("a", &target, all()))
        .oas(open)
        .api(api("codes", &target, codes))
        .api(keyed("keyed", &target))
        .policy(policy("gold", &["a", "b", "codes", "keyed"]))
        .policy(policy("other", &["keyed"]))
}

/// Two gates that share what they know, or one that is both.
struct Gates(Gate, Option<Gate>, #[expect(dead_code, reason = "lives as long as the gates")] Option<Redis>);

impl Gates {
    async fn start(upstream: &Upstream, shared: bool, more: Value) -> Self {
        if !shared {
            let conf = json!({"hash_keys": true, "hash_key_function": "murmur128"});
            return Self(setup(upstream).conf(conf).conf(more).start().await, None, None);
        }
        let redis = Redis::start().await;
        let start = async || setup(upstream).conf(redis.conf()).conf(more.clone()).start().await;
        let (one, other) = (start().await, start().await);
        Self(one, Some(other), Some(redis))
    }

    fn first(&self) -> &Gate {
        &self.0
    }

    fn second(&self) -> &Gate {
        self.1.as_ref().unwrap_or(&self.0)
    }
}

/// A client, by its id and secret.
struct Client {
    id: String,
    secret: String,
}

impl Client {
    async fn make(gate: &Gate, api: &str, more: Value) -> Self {
        let mut asked = json!({"api_id": api, "redirect_uri": CALLBACK, "policy_id": "gold"});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = gate.admin().post("/oauth/clients/create", &asked).await;
        assert_eq!(made.status, 200, "{made:?}");
        let made = made.json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Self { id: text("client_id"), secret: text("secret") }
    }

    /// Asks for a token, with the credentials in the header.
    async fn token(&self, gate: &Gate, api: &str, fields: &[(&str, &str)]) -> Reply {
        let user = format!("{}:{}", self.id, self.secret);
        post_form(gate, &format!("/{api}/oauth/token/"), fields, &["-u", &user]).await
    }

    /// Asks for a code, or a token at once, as who let a user log in does.
    async fn authorize(&self, gate: &Gate, api: &str, fields: &[(&str, &str)]) -> Reply {
        let mut all = vec![("client_id", self.id.as_str())];
        all.extend(fields);
        let secret = format!("x-tyk-authorization: {}", Gate::SECRET);
        post_form(gate, &format!("/{api}/tyk/oauth/authorize-client/"), &all, &["-H", &secret]).await
    }

    async fn code(&self, gate: &Gate, api: &str, more: &[(&str, &str)]) -> String {
        let mut fields = vec![("response_type", "code"), ("redirect_uri", CALLBACK)];
        fields.extend(more);
        let reply = self.authorize(gate, api, &fields).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["code"].as_str().unwrap().to_owned()
    }

    async fn access(&self, gate: &Gate, api: &str) -> String {
        let reply = self.token(gate, api, &[("grant_type", "client_credentials")]).await;
        text(&reply, "access_token")
    }
}

fn text(reply: &Reply, name: &str) -> String {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()[name].as_str().unwrap_or_else(|| panic!("no {name}: {reply:?}")).to_owned()
}

async fn with(gate: &Gate, path: &str, token: &str) -> Reply {
    gate.get(path, &["-H", &format!("Authorization: Bearer {token}")]).await
}

async fn admits(gate: &Gate, token: &str) {
    let reply = with(gate, "/a/x", token).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

fn refused(reply: &Reply, status: u16, message: &str) {
    assert_eq!(
        (reply.status, reply.text()),
        (status, format!("{{\n    \"error\": \"{message}\"\n}}").as_str()),
        "{reply:?}"
    );
}

/// Waits until a gate admits a token no more, and tells how long that took.
async fn forgotten(gate: &Gate, token: &str) -> Duration {
    let begun = Instant::now();
    until("the token is taken back", async || with(gate, "/a/x", token).await.status == 403).await;
    begun.elapsed()
}

fn by_code<'a>(code: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
    fields.extend(more);
    fields
}

#[tokio::test]
async fn c5_6_every_grant_leads_to_a_token_that_every_gate_admits() {
    let upstream = Upstream::start().await;
    for shared in [false, true] {
        let gates = Gates::start(&upstream, shared, json!({})).await;
        let (first, second) = (gates.first(), gates.second());
        let client = Client::make(first, "a", json!({"meta_data": {"plan": "gold"}})).await;

        // A code: over the login page, with proof.
        let query = format!(
            "/a/oauth/authorize/?response_type=code&client_id={}&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&state=a%26b&code_challenge={CHALLENGE}&code_challenge_method=S256",
            client.id
        );
        let sent = second.get(&query, &[]).await;
        assert_eq!(sent.status, 307, "{sent:?}");
        let location = sent.header("location").unwrap();
        let expected = format!("https://login.example/in?response_type=code&client_id={}&", client.id);
        assert!(location.starts_with(&expected) && location.contains("state=a%26b"), "{location}");
        let reply = client
            .authorize(
                first,
                "a",
                &[("response_type", "code"), ("redirect_uri", CALLBACK), ("state", "a&b"), S256[0], S256[1]],
            )
            .await;
        let code = text(&reply, "code");
        assert_eq!(reply.json()["redirect_to"], format!("{CALLBACK}?code={code}&state=a%26b"));
        assert_eq!(reply.json()["state"], "a&b");
        let given = client.token(second, "a", &by_code(&code, &[("code_verifier", VERIFIER)])).await;
        let (access, refresh) = (text(&given, "access_token"), text(&given, "refresh_token"));
        assert_eq!(
            (&given.json()["token_type"], &given.json()["expires_in"]),
            (&json!("bearer"), &json!(3600))
        );
        for (name, value) in [
            ("cache-control", "no-cache, no-store, max-age=0, must-revalidate"),
            ("pragma", "no-cache"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("x-xss-protection", "1; mode=block"),
            ("expires", "Fri, 01 Jan 1990 00:00:00 GMT"),
            ("strict-transport-security", "max-age=63072000; includeSubDomains; preload"),
        ] {
            assert_eq!(given.header(name).as_deref(), Some(value), "{given:?}");
        }
        admits(first, &access).await;
        admits(second, &access).await;
        // Nobody else's API, unless it takes keys and the policy opens it.
        refused(
            &with(first, "/codes/x", &access).await,
            403,
            "Key not authorised. OAuth client access was revoked",
        );
        assert_eq!(with(second, "/keyed/x", &access).await.status, 200);
        let key = first.admin().get(&format!("/keys/{access}?org_id=org")).await.json();
        assert_eq!((&key["oauth_client_id"], &key["meta_data"]["plan"]), (&json!(client.id), &json!("gold")));
        assert_eq!(key["apply_policies"], json!(["gold"]));

        // It is refreshed, and what was before is nothing any more.
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        let again = client.token(first, "a", &fields).await;
        let (newer, next) = (text(&again, "access_token"), text(&again, "refresh_token"));
        assert!(newer != access && next != refresh);
        admits(second, &newer).await;
        assert!(forgotten(second, &access).await < Duration::from_secs(1));
        assert!(forgotten(first, &access).await < Duration::from_secs(1));

        // A token at once, with rules of its own.
        let rules = session(&["a"]).to_string();
        let fields = [("response_type", "token"), ("key_rules", rules.as_str()), ("state", "s")];
        let reply = client.authorize(first, "a", &fields).await;
        let access = text(&reply, "access_token");
        let expected = format!("{CALLBACK}#access_token={access}&token_type=bearer&expires_in=3600&state=s");
        assert_eq!(
            reply.json()["redirect_to"].as_str().unwrap().replace("%3D", "="),
            expected.replace("%3D", "=")
        );
        assert!(reply.json().get("refresh_token").is_none());
        admits(second, &access).await;
        assert_eq!(with(second, "/keyed/x", &access).await.status, 403, "the rules open one API");

        // A user's name and password.
        let mut user = session(&["a"]);
        user["basic_auth_data"] = json!({"password": "s3cret"});
        assert_eq!(first.admin().post("/keys/ann", &user).await.status, 200);
        let fields =
            [("grant_type", "password"), ("username", "ann"), ("password", "s3cret"), ("scope", "x y")];
        let given = client.token(second, "a", &fields).await;
        assert_eq!(given.json()["scope"], "x y", "{given:?}");
        admits(first, &text(&given, "access_token")).await;
        let refresh = text(&given, "refresh_token");
        let more = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str()), ("scope", "x z")];
        assert_eq!(client.token(first, "a", &more).await.json()["error"], "invalid_scope");
        let less = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str()), ("scope", "y")];
        let given = client.token(first, "a", &less).await;
        assert_eq!(given.json()["scope"], "y", "{given:?}");
        // Who is no user any more refreshes nothing.
        assert_eq!(first.admin().delete("/keys/ann?org_id=org&username=true").await.status, 200);
        let refresh = text(&given, "refresh_token");
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        assert_eq!(client.token(second, "a", &fields).await.json()["error"], "invalid_grant");

        // The client's own credentials: in a header, a form, JSON or a query.
        admits(second, &client.access(first, "a").await).await;
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &client.id),
            ("client_secret", &client.secret),
        ];
        let given = post_form(second, "/a/oauth/token", &fields, &[]).await;
        admits(first, &text(&given, "access_token")).await;
        assert!(given.json().get("refresh_token").is_none());
        let body = json!({"grant_type": "client_credentials", "client_id": client.id, "client_secret": client.secret});
        let given = first
            .get(
                "/a/oauth/token/",
                &["-H", "content-type: application/json", "--data-binary", &body.to_string()],
            )
            .await;
        admits(second, &text(&given, "access_token")).await;
        let user = format!("{}:{}", client.id, client.secret);
        let given = first.get("/a/oauth/token/?grant_type=client_credentials", &["-u", &user]).await;
        admits(second, &text(&given, "access_token")).await;

        // The other format.
        let client = Client::make(first, "b", json!({})).await;
        let sent =
            first.get(&format!("/b/oauth/authorize/?response_type=code&client_id={}", client.id), &[]).await;
        let location = sent.header("location").unwrap();
        assert!(location.starts_with("/login?from=b&response_type=code&"), "{location}");
        let code = client.code(first, "b", &[]).await;
        let given = client.token(second, "b", &by_code(&code, &[])).await;
        assert_eq!(with(first, "/b/x", &text(&given, "access_token")).await.status, 200);
        let log = gates.0.log();
        for secret in [&client.secret, &code, &text(&given, "access_token"), &text(&given, "refresh_token")] {
            assert!(!log.contains(secret.as_str()), "{secret} is logged:\n{log}");
        }
    }
}

#[tokio::test]
async fn c5_6_who_does_not_prove_it_gets_no_token() {
    let upstream = Upstream::start().await;
    for shared in [false, true] {
        let gates = Gates::start(&upstream, shared, json!({})).await;
        let (first, second) = (gates.first(), gates.second());
        let client = Client::make(first, "a", json!({})).await;
        let thief = Client::make(first, "a", json!({})).await;
        let bare = Client::make(first, "a", json!({"policy_id": ""})).await;
        let codes = Client::make(first, "codes", json!({})).await;
        let two = format!("{CALLBACK};https://other.example/");
        let several = Client::make(first, "a", json!({"redirect_uri": two.replace(';', "/")})).await;
        let wrong = Client { id: client.id.clone(), secret: thief.secret.clone() };
        let stranger = Client { id: "nobody".to_owned(), secret: "x".to_owned() };
        let credentials = [("grant_type", "client_credentials")];
        let proof = [("code_verifier", VERIFIER)];
        let mut other_proof = VERIFIER.to_owned();
        other_proof.replace_range(0..1, "e");

        // (who, API, fields, error); a code is made anew for each row, bound to the proof where the row says so.
        type Row<'a> = (&'a Client, &'a str, bool, Vec<(&'a str, &'a str)>, &'a str);
        let rows: Vec<Row<'_>> = vec![
            (&wrong, "a", false, credentials.to_vec(), "invalid_client"),
            (&stranger, "a", false, credentials.to_vec(), "invalid_client"),
            (&client, "b", false, credentials.to_vec(), "invalid_client"),
            (&codes, "codes", false, credentials.to_vec(), "unsupported_grant_type"),
            (&bare, "a", false, credentials.to_vec(), "unauthorized_client"),
            (&client, "a", false, vec![("grant_type", "implicit")], "unsupported_grant_type"),
            (&client, "a", false, vec![], "invalid_request"),
            (&client, "a", false, vec![credentials[0], credentials[0]], "invalid_request"),
            (&client, "a", false, vec![credentials[0], ("client_secret", "x")], "invalid_request"),
            (&client, "a", false, vec![credentials[0], ("client_id", &thief.id)], "invalid_request"),
            (&client, "a", false, by_code("CODE", &proof), "invalid_grant"),
            (&client, "a", false, by_code("CODE", &[("code_verifier", "")]), ""),
            (&client, "a", true, by_code("CODE", &proof), ""),
            (&client, "a", true, by_code("CODE", &[]), "invalid_grant"),
            (&client, "a", true, by_code("CODE", &[("code_verifier", CHALLENGE)]), "invalid_grant"),
            (&client, "a", true, by_code("CODE", &[("code_verifier", &other_proof)]), "invalid_grant"),
            (&client, "a", true, by_code("CODE", &[proof[0], ("code", "CODE")]), "invalid_request"),
            (&thief, "a", true, by_code("CODE", &proof), "invalid_grant"),
            (&client, "a", false, by_code("nothing", &[]), "invalid_grant"),
            (&client, "a", false, vec![("grant_type", "authorization_code")], "invalid_request"),
            (
                &client,
                "a",
                false,
                vec![("grant_type", "authorization_code"), ("code", "CODE")],
                "invalid_grant",
            ),
            (
                &client,
                "a",
                false,
                vec![
                    ("grant_type", "authorization_code"),
                    ("code", "CODE"),
                    ("redirect_uri", "https://app.example/cb/"),
                ],
                "invalid_grant",
            ),
            (
                &client,
                "a",
                false,
                vec![("grant_type", "refresh_token"), ("refresh_token", "nothing")],
                "invalid_grant",
            ),
            (&client, "a", false, vec![("grant_type", "refresh_token")], "invalid_request"),
            (
                &client,
                "a",
                false,
                vec![("grant_type", "refresh_token"), ("refresh_token", "CODE")],
                "invalid_grant",
            ),
            (
                &client,
                "a",
                false,
                vec![("grant_type", "password"), ("username", "nobody"), ("password", "x")],
                "invalid_grant",
            ),
            (
                &client,
                "a",
                false,
                vec![("grant_type", "password"), ("username", "nobody")],
                "invalid_request",
            ),
        ];
        for (who, api, proven, fields, error) in rows {
            let code = client.code(first, "a", if proven { &S256 } else { &[] }).await;
            let fields: Vec<(&str, &str)> = fields
                .iter()
                .map(|(name, value)| (*name, if *value == "CODE" { &code } else { *value }))
                .collect();
            let reply = who.token(second, api, &fields).await;
            let found = reply.json()["error"].as_str().unwrap_or_default().to_owned();
            assert_eq!(found, error, "{api} {proven} {fields:?}: {reply:?}");
            assert_eq!(reply.status, if error.is_empty() { 200 } else { 403 }, "{fields:?}: {reply:?}");
            assert!(reply.json().get("access_token").is_some() == error.is_empty());
        }
        // What is no request for a token at all.
        for (arguments, status, error) in [
            (vec!["--data-binary", "{", "-H", "content-type: application/json"], 403, "invalid_request"),
            (vec!["--data-binary", "[]", "-H", "content-type: application/json"], 403, "invalid_request"),
            (vec!["--data-binary", "x", "-H", "content-type: text/plain"], 403, "invalid_request"),
            (
                vec!["--data", "grant_type=client_credentials", "-H", "authorization: Bearer x"],
                403,
                "invalid_client",
            ),
            (
                vec!["--data", "grant_type=client_credentials", "-H", "authorization: Basic !"],
                403,
                "invalid_client",
            ),
        ] {
            let reply = first.get("/a/oauth/token/", &arguments).await;
            assert_eq!(
                (reply.status, reply.json()["error"].as_str()),
                (status, Some(error)),
                "{arguments:?}"
            );
        }
        assert_eq!(first.get("/a/oauth/token/", &["-X", "DELETE"]).await.status, 405);
        assert_eq!(first.get("/a/oauth/revoke", &[]).await.status, 405);
        let large = format!("grant_type={}", "x".repeat(70_000));
        assert_eq!(first.get("/a/oauth/token/", &["--data", &large]).await.status, 413);

        // A user is sent nowhere but to log in, and only for a client that is known, with an address that is its own.
        for (fields, message) in [
            (vec![("redirect_uri", "https://evil.example/cb")], "malformed"),
            (vec![("redirect_uri", "https://app.example/cb?x=y")], "malformed"),
            (vec![("redirect_uri", "https://app.example/cb/../evil")], "malformed"),
            (vec![("redirect_uri", "https://app.example.evil.example/cb")], "malformed"),
            (vec![("redirect_uri", "javascript:alert(1)")], "malformed"),
            (vec![("redirect_uri", "//evil.example")], "malformed"),
            (vec![("client_id", "nobody")], "not authorized"),
            (vec![("client_id", &codes.id)], "not authorized"),
            (vec![("client_id", "")], "malformed"),
            (vec![("response_type", "id_token")], "does not support"),
            (vec![("response_type", "code token")], "does not support"),
            (vec![("response_type", "")], "malformed"),
            (vec![("code_challenge", CHALLENGE)], "malformed"),
            (vec![("code_challenge", CHALLENGE), ("code_challenge_method", "plain")], "malformed"),
            (vec![("code_challenge", "x"), ("code_challenge_method", "S256")], "malformed"),
            (vec![("state", "x"), ("state", "y")], "malformed"),
        ] {
            let mut asked = vec![
                ("response_type", "code"),
                ("client_id", client.id.as_str()),
                ("redirect_uri", CALLBACK),
            ];
            for (name, value) in &fields {
                match asked.iter_mut().find(|(known, _)| known == name) {
                    Some(field) => field.1 = value,
                    None => asked.push((name, value)),
                }
            }
            if fields.len() == 2 && fields[0].0 == fields[1].0 {
                asked.push(fields[0]);
            }
            let secret = format!("x-tyk-authorization: {}", Gate::SECRET);
            for (path, more) in
                [("/a/oauth/authorize/", &[][..]), ("/a/tyk/oauth/authorize-client/", &["-H", &secret][..])]
            {
                let reply = post_form(second, path, &asked, more).await;
                assert_eq!(reply.status, 403, "{path} {asked:?}: {reply:?}");
                assert_eq!(reply.header("location"), None);
                let told = reply.json()["message"].as_str().unwrap().to_owned();
                assert!(told.contains(message), "{path} {asked:?}: {told}");
            }
        }
        let reply =
            several.authorize(first, "a", &[("response_type", "code"), ("redirect_uri", CALLBACK)]).await;
        assert_eq!(reply.status, 403, "without a separator there is one address: {reply:?}");
        // Only who has the admin secret says that a user has logged in.
        let fields = [("response_type", "code"), ("client_id", client.id.as_str())];
        for more in [&[][..], &["-H", "x-tyk-authorization: wrong"][..]] {
            let reply = post_form(first, "/a/tyk/oauth/authorize-client/", &fields, more).await;
            let message = "Attempted administrative access with invalid or missing key!";
            assert_eq!((reply.status, reply.json()["message"].as_str()), (403, Some(message)), "{reply:?}");
        }
        for (rules, status) in
            [("{", 400), ("[1]", 400), ("{}", 403), (r#"{"apply_policies":["none"]}"#, 403)]
        {
            let fields = [("response_type", "token"), ("key_rules", rules)];
            let reply = client.authorize(first, "a", &fields).await;
            assert_eq!(reply.status, status, "{rules}: {reply:?}");
        }
        // The same over the admin API, which finds the API by its client.
        let asked = format!("response_type=code&client_id={}&redirect_uri={CALLBACK}", client.id);
        let reply = first.admin().call("POST", "/oauth/authorize-client/", Some(&asked)).await;
        let code = text(&reply, "code");
        assert_eq!(client.token(second, "a", &by_code(&code, &[])).await.status, 200);
        let asked = "response_type=code&client_id=nobody";
        assert_eq!(first.admin().call("POST", "/oauth/authorize-client/", Some(asked)).await.status, 404);
    }
}

#[tokio::test]
async fn what_is_used_twice_is_taken_back_with_all_it_led_to() {
    let upstream = Upstream::start().await;
    for shared in [false, true] {
        let gates = Gates::start(&upstream, shared, json!({})).await;
        let (first, second) = (gates.first(), gates.second());
        let client = Client::make(first, "a", json!({})).await;
        // A code: the second who brings it gets nothing, and the first loses what it got.
        let code = client.code(first, "a", &[]).await;
        let given = client.token(first, "a", &by_code(&code, &[])).await;
        let (access, refresh) = (text(&given, "access_token"), text(&given, "refresh_token"));
        admits(second, &access).await;
        let again = client.token(second, "a", &by_code(&code, &[])).await;
        assert_eq!((again.status, again.json()["error"].as_str()), (403, Some("invalid_grant")));
        assert!(forgotten(first, &access).await < Duration::from_secs(1));
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        assert_eq!(client.token(first, "a", &fields).await.json()["error"], "invalid_grant");
        // A refresh token, the same.
        let code = client.code(first, "a", &[]).await;
        let given = client.token(first, "a", &by_code(&code, &[])).await;
        let refresh = text(&given, "refresh_token");
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        let newer = client.token(first, "a", &fields).await;
        let (access, next) = (text(&newer, "access_token"), text(&newer, "refresh_token"));
        admits(second, &access).await;
        assert_eq!(client.token(second, "a", &fields).await.json()["error"], "invalid_grant");
        assert!(forgotten(second, &access).await < Duration::from_secs(1));
        let fields = [("grant_type", "refresh_token"), ("refresh_token", next.as_str())];
        assert_eq!(client.token(first, "a", &fields).await.json()["error"], "invalid_grant");
        // Of many who bring one code at once, one gets a token at most.
        let code = client.code(first, "a", &[]).await;
        let fields = by_code(&code, &[]);
        let all = futures_util::future::join_all(
            (0..8).map(|number| client.token(if number % 2 == 0 { first } else { second }, "a", &fields)),
        );
        let given = all.await.iter().filter(|reply| reply.status == 200).count();
        assert_eq!(given, 1);
    }
}

#[tokio::test]
async fn c7_3_rows_35_to_37_tokens_are_taken_back_everywhere_within_a_second() {
    let upstream = Upstream::start().await;
    for shared in [false, true] {
        let gates = Gates::start(&upstream, shared, json!({"enable_hashed_keys_listing": true})).await;
        let (first, second) = (gates.first(), gates.second());
        let client = Client::make(first, "a", json!({})).await;
        let other = Client::make(first, "a", json!({})).await;
        let both = async |token: &str| {
            admits(first, token).await;
            admits(second, token).await;
        };
        let gone = async |token: &str| {
            assert!(forgotten(first, token).await < Duration::from_secs(1));
            assert!(forgotten(second, token).await < Duration::from_secs(1));
        };
        let kept = other.access(first, "a").await;
        both(&kept).await;

        // One token, by whoever has it.
        let access = client.access(first, "a").await;
        both(&access).await;
        let revoke = async |fields: &[(&str, &str)]| post_form(second, "/a/oauth/revoke", fields, &[]).await;
        let reply = revoke(&[]).await;
        assert_eq!((reply.status, reply.json()["message"].as_str()), (400, Some("token is required")));
        let fields = [("token", access.as_str()), ("client_id", &other.id), ("client_secret", &other.secret)];
        assert_eq!(revoke(&fields).await.status, 200, "others are told nothing");
        both(&access).await;
        // Whatever it is taken for.
        let reply = revoke(&[("token", &access), ("token_type_hint", "refresh_token")]).await;
        assert_eq!(reply.text(), "{\"status\":\"ok\",\"message\":\"token revoked successfully\"}\n");
        gone(&access).await;
        refused(&with(second, "/a/x", &access).await, 403, "Key not authorised");

        // A refresh token takes its access token along.
        let code = client.code(first, "a", &[]).await;
        let given = client.token(first, "a", &by_code(&code, &[])).await;
        let (access, refresh) = (text(&given, "access_token"), text(&given, "refresh_token"));
        both(&access).await;
        assert_eq!(revoke(&[("token", &refresh), ("token_type_hint", "access_token")]).await.status, 200);
        gone(&access).await;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        assert_eq!(client.token(first, "a", &fields).await.json()["error"], "invalid_grant");

        // Nobody takes back what is no token: not a key, not a user.
        let key = first.admin().key(&session(&["keyed"])).await;
        let mut user = session(&["a"]);
        user["basic_auth_data"] = json!({"password": "s3cret"});
        assert_eq!(first.admin().post("/keys/ann", &user).await.status, 200);
        for token in [key.as_str(), "ann", "organn", "nonsense"] {
            assert_eq!(revoke(&[("token", token)]).await.status, 200);
        }
        assert_eq!(with(second, "/keyed/x", &key).await.status, 200);
        refused(&with(second, "/a/x", &key).await, 403, "Key not authorised");
        let password = [("grant_type", "password"), ("username", "ann"), ("password", "s3cret")];
        let given = client.token(second, "a", &password).await;
        let (access, refresh) = (text(&given, "access_token"), text(&given, "refresh_token"));
        both(&access).await;
        refused(&with(first, "/a/x", "ann").await, 403, "Key not authorised");

        // All of a client, refresh tokens and codes as well.
        let code = client.code(first, "a", &[]).await;
        let all = async |fields: &[(&str, &str)]| post_form(second, "/a/oauth/revoke_all", fields, &[]).await;
        for (fields, status, message) in [
            (vec![], 401, "client_id is required"),
            (vec![("client_id", client.id.as_str())], 401, "client_secret is required"),
            (vec![("client_id", &client.id), ("client_secret", "x")], 401, "client secret is wrong"),
            (vec![("client_id", "x"), ("client_secret", "x")], 404, "error getting oauth client"),
            (
                vec![("client_id", &client.id), ("client_secret", &client.secret)],
                200,
                "tokens revoked successfully",
            ),
        ] {
            let reply = all(&fields).await;
            assert_eq!(
                (reply.status, reply.json()["message"].as_str()),
                (status, Some(message)),
                "{reply:?}"
            );
        }
        gone(&access).await;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        assert_eq!(client.token(first, "a", &fields).await.json()["error"], "invalid_grant");
        assert_eq!(client.token(first, "a", &by_code(&code, &[])).await.json()["error"], "invalid_grant");

        // Another policy takes back what was given under the one before.
        let access = client.access(first, "a").await;
        both(&access).await;
        let path = format!("/oauth/clients/a/{}", client.id);
        let changed = json!({"redirect_uri": CALLBACK, "policy_id": "gold", "description": "mine"});
        assert_eq!(second.admin().put(&path, &changed).await.status, 200);
        both(&access).await;
        let reply = second.admin().put(&path, &json!({"policy_id": "other"})).await;
        let message = "Policy access rights doesn't contain API this OAuth client belongs to";
        assert_eq!((reply.status, reply.json()["message"].as_str()), (400, Some(message)));
        assert_eq!(second.admin().put(&path, &json!({"redirect_uri": CALLBACK})).await.status, 200);
        gone(&access).await;
        assert_eq!(second.admin().put(&path, &changed).await.status, 200);

        // Another secret: the one before opens nothing.
        let rotated = second.admin().put(&format!("{path}/rotate"), &json!({})).await;
        let fields = [("grant_type", "client_credentials")];
        assert_eq!(client.token(first, "a", &fields).await.json()["error"], "invalid_client");
        let client = Client { id: client.id, secret: text(&rotated, "secret") };
        let access = client.access(first, "a").await;
        both(&access).await;
        let listed = first.admin().get(&format!("{path}/tokens")).await.json();
        assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
        let paged = first.admin().get(&format!("{path}/tokens?page=1")).await.json();
        assert_eq!(paged["Pagination"], json!({"page_num": 1, "page_total": 1, "page_size": 100}));
        assert_eq!(paged["Tokens"], listed);

        // Without its client a token is nothing.
        let code = client.code(first, "a", &[]).await;
        assert_eq!(second.admin().delete(&path).await.json()["action"], "deleted");
        gone(&access).await;
        let message = "Key not authorised. OAuth client access was revoked";
        refused(&with(first, "/a/x", &access).await, 403, message);
        assert_eq!(client.token(first, "a", &by_code(&code, &[])).await.json()["error"], "invalid_client");
        both(&kept).await;
    }
}

#[tokio::test]
async fn c7_3_clients_are_managed_over_the_admin_api() {
    let upstream = Upstream::start().await;
    for shared in [false, true] {
        let gates = Gates::start(&upstream, shared, json!({})).await;
        let (first, second) = (gates.first().admin(), gates.second().admin());
        for (asked, status, message) in [
            (json!({"api_id": "none", "policy_id": "gold"}), 400, "API doesn't exist"),
            (json!({"api_id": "keyed", "policy_id": "gold"}), 400, "API is not OAuth2"),
            (json!({"api_id": "a", "policy_id": "none"}), 400, "Policy doesn't exist"),
            (json!({}), 400, "Policy doesn't exist"),
            (json!({"policy_id": "other"}), 400, "API is not OAuth2"),
            (json!([]), 500, "Unmarshalling failed"),
            (json!({"api_id": 1}), 500, "Unmarshalling failed"),
        ] {
            let reply = first.post("/oauth/clients/create", &asked).await;
            assert_eq!((reply.status, reply.json()["message"].as_str()), (status, Some(message)), "{asked}");
        }
        for redirect in ["javascript:alert(1)", "/cb", "https://a/#b", "https://a/ b"] {
            let reply =
                first.post("/oauth/clients/create", &json!({"api_id": "a", "redirect_uri": redirect})).await;
            assert_eq!(reply.status, 400, "{redirect}: {reply:?}");
        }
        let asked = json!({
            "client_id": "mine", "secret": "hush", "redirect_uri": CALLBACK, "policy_id": "gold",
            "meta_data": {"a": 1}, "description": "d",
        });
        assert_eq!(first.post("/oauth/clients/create", &asked).await.json(), asked);
        assert_eq!(second.get("/oauth/clients/apis/mine").await.json(), json!(["a", "b", "codes"]));
        assert_eq!(second.get("/oauth/clients/apis/mine?orgID=other").await.json(), json!([]));
        assert_eq!(second.get("/oauth/clients/a").await.json(), json!([asked]));
        assert_eq!(second.get("/oauth/clients/b/mine").await.json(), asked);
        let unknown = second.get("/oauth/clients/none").await;
        assert_eq!((unknown.status, unknown.text()), (404, "null\n"));
        for (method, path) in [
            ("GET", "/oauth/clients/a/none"),
            ("GET", "/oauth/clients/none/mine"),
            ("DELETE", "/oauth/clients/a/none"),
            ("PUT", "/oauth/clients/a/none"),
            ("PUT", "/oauth/clients/a/none/rotate"),
            ("GET", "/oauth/clients/a/none/tokens"),
        ] {
            let reply = first.call(method, path, Some("{}")).await;
            let message = reply.json()["message"].as_str().unwrap().to_owned();
            assert_eq!((reply.status, &*message), (404, "OAuth Client ID not found"), "{method} {path}");
        }
        assert_eq!(first.delete("/oauth/clients/b/mine").await.status, 200);
        assert_eq!(second.get("/oauth/clients/b").await.json(), json!([]));
        for (method, path, body, status, message) in [
            ("DELETE", "/oauth/tokens", "", 422, "scope parameter is required"),
            ("DELETE", "/oauth/tokens?scope=all", "", 400, "unknown scope"),
            ("DELETE", "/oauth/tokens?scope=lapsed", "", 200, "lapsed tokens purged"),
            ("DELETE", "/oauth/refresh/x", "", 400, "Missing parameter api_id"),
            ("DELETE", "/oauth/refresh/x?api_id=none", "", 404, "API for this refresh token not found"),
            ("DELETE", "/oauth/refresh/x?api_id=keyed", "", 400, "OAuth is not enabled on this API"),
            ("POST", "/oauth/revoke", "", 400, "token is required"),
            ("POST", "/oauth/revoke", "token=x&client_id=mine", 200, "token revoked successfully"),
            ("POST", "/oauth/revoke_all", "", 401, "client_id is required"),
            ("POST", "/oauth/revoke_all", "client_id=mine", 401, "client_secret is required"),
            ("POST", "/oauth/revoke_all", "client_id=mine&client_secret=x", 401, "client secret is wrong"),
            (
                "POST",
                "/oauth/revoke_all",
                "client_id=none&client_secret=x",
                404,
                "oauth client doesn't exist",
            ),
            (
                "POST",
                "/oauth/revoke_all",
                "client_id=mine&client_secret=hush",
                200,
                "tokens revoked successfully",
            ),
        ] {
            let reply = first.call(method, path, Some(body)).await;
            assert_eq!(
                (reply.status, reply.json()["message"].as_str()),
                (status, Some(message)),
                "{method} {path} {body}"
            );
        }
        let client = Client { id: "mine".to_owned(), secret: "hush".to_owned() };
        let code = client.code(gates.first(), "a", &[]).await;
        let given = client.token(gates.first(), "a", &by_code(&code, &[])).await;
        let (access, refresh) = (text(&given, "access_token"), text(&given, "refresh_token"));
        let path = format!("/oauth/refresh/{refresh}?api_id=a");
        assert_eq!(second.delete(&path).await.json()["action"], "deleted");
        forgotten(gates.first(), &access).await;
        let access = client.access(gates.first(), "a").await;
        assert_eq!(second.call("POST", "/oauth/revoke", Some(&format!("token={access}"))).await.status, 200);
        forgotten(gates.first(), &access).await;
    }
}

#[tokio::test]
async fn c5_6_rows_3_and_11_tokens_end_and_survive_as_they_should() {
    let upstream = Upstream::start().await;
    let conf = json!({
        "oauth_token_expire": 1, "oauth_refresh_token_expire": 3600, "oauth_redirect_uri_separator": ";",
        "oauth_error_status_code": 401,
    });
    let mut gates = Gates::start(&upstream, false, conf).await;
    let two = format!("{CALLBACK};https://other.example/");
    let client = Client::make(gates.first(), "a", json!({"redirect_uri": two})).await;
    let code = client.code(gates.first(), "a", &[]).await;
    let given = client.token(gates.first(), "a", &by_code(&code, &[])).await;
    assert_eq!(given.json()["expires_in"], 1);
    let (access, refresh) = (text(&given, "access_token"), text(&given, "refresh_token"));
    let ended = async |gate: &Gate| matches!(with(gate, "/a/x", &access).await.status, 401 | 403);
    until("the token has ended", async || ended(gates.first()).await).await;
    let reply = client.token(gates.first(), "a", &[("grant_type", "x")]).await;
    assert_eq!(reply.status, 401);
    let wrong = Client { id: client.id.clone(), secret: "x".to_owned() };
    let reply = wrong.token(gates.first(), "a", &[("grant_type", "client_credentials")]).await;
    assert_eq!(reply.header("www-authenticate").as_deref(), Some("Basic realm=\"a\""), "{reply:?}");
    // What was given is there after a crash.
    gates.0.kill();
    gates.0.start().await;
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let again = client.token(gates.first(), "a", &fields).await;
    assert_eq!(again.status, 200, "{again:?}");
    // With several addresses a request has to name one.
    let reply = client.authorize(gates.first(), "a", &[("response_type", "code")]).await;
    assert_eq!(reply.status, 401, "{reply:?}");
    for (header, status, message, challenge) in [
        ("x: y", 400, "Authorization field missing", "Bearer"),
        ("authorization: x", 400, "Bearer token malformed", "Bearer error=\"invalid_request\""),
        ("authorization: Basic eDp5", 400, "Bearer token malformed", "Bearer error=\"invalid_request\""),
        ("authorization: Bearer a b", 400, "Bearer token malformed", "Bearer error=\"invalid_request\""),
        ("authorization: Bearer nothing", 403, "Key not authorised", "Bearer error=\"invalid_token\""),
    ] {
        let reply = gates.first().get("/a/x", &["-H", header]).await;
        refused(&reply, status, message);
        assert_eq!(reply.header("www-authenticate").as_deref(), Some(challenge), "{header}");
    }
}

/// A server that fails once and then takes what it is told; gives the heads and bodies.
async fn listener() -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/new", listener.local_addr().unwrap());
    let (send, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((mut socket, _)) = listener.accept().await else { return };
            let mut read = Vec::new();
            let mut buffer = [0; 4096];
            let text = loop {
                let count = socket.read(&mut buffer).await.unwrap_or(0);
                read.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&read).into_owned();
                if count == 0 || text.ends_with('}') {
                    break text;
                }
            };
            let status = if number == 0 { "500 No" } else { "200 OK" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            let _ = socket.write_all(answer.as_bytes()).await;
            if send.send(text).is_err() {
                return;
            }
        }
    });
    (url, told)
}

#[tokio::test]
async fn c2_1_row_31_new_tokens_are_told_of() {
    let upstream = Upstream::start().await;
    let (url, mut told) = listener().await;
    let mut noticed = api("noticed", &upstream.url(""), all());
    noticed["notifications"] = json!({"shared_secret": "between us", "oauth_on_keychange_url": url});
    let gate = setup(&upstream).api(noticed).policy(policy("gold", &["noticed"])).start().await;
    let client = Client::make(&gate, "noticed", json!({})).await;
    let code = client.code(&gate, "noticed", &[]).await;
    let given = client.token(&gate, "noticed", &by_code(&code, &[])).await;
    let (access, refresh) = (text(&given, "access_token"), text(&given, "refresh_token"));
    let notice = async |told: &mut mpsc::UnboundedReceiver<String>| {
        let text = e2e::soon("a notice", told.recv()).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("post /new ") && head.contains("x-tyk-shared-secret: between us"), "{head}");
        serde_json::from_str::<Value>(body).unwrap()
    };
    let new = json!({
        "auth_code": code, "new_oauth_token": access, "refresh_token": refresh, "old_refresh_token": "",
        "notification_type": "new",
    });
    assert_eq!(notice(&mut told).await, new);
    assert_eq!(notice(&mut told).await, new, "it is told again after it was not taken");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let again = client.token(&gate, "noticed", &fields).await;
    let refreshed = json!({
        "auth_code": "", "new_oauth_token": text(&again, "access_token"),
        "refresh_token": text(&again, "refresh_token"), "old_refresh_token": refresh, "notification_type": "refresh",
    });
    assert_eq!(notice(&mut told).await, refreshed);
    let log = gate.log();
    assert!(!log.contains("between us") && !log.contains(&access), "{log}");
}
