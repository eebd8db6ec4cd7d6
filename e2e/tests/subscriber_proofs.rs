//! Subscribers stay no longer than what they have shown: each token to its own end, whatever its session says, and
//! certificates and OAuth clients until they are taken back.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use e2e::bridge::sample_pem;
use e2e::definition::session;
use e2e::issuer::{Issuer, shared};
use e2e::streaming::{events, post, post_to_sse};
use e2e::tokens::{now, policy};
use e2e::{Endless, Gate, Reply, Setup, curl, until};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const SECRET: &[u8] = b"a shared secret of more than 32 bytes";
/// Base64 of [`SECRET`].
const SOURCE: &str = "YSBzaGFyZWQgc2VjcmV0IG9mIG1vcmUgdGhhbiAzMiBieXRlcw==";
const GONE: &str = "may not receive this any more";

/// An event API, from `/post` to everybody at `/sse`, whose callers have to satisfy all of these schemes: name, what OpenAPI
/// says of it, what the gate does.
fn api(id: &str, schemes: &[(&str, Value, Value)]) -> Value {
    let mut api = events(id, json!({"s": post_to_sse(json!({"delivery": "broadcast"}))}));
    let section = &mut api["x-tyk-api-gateway"]["server"]["authentication"];
    section["enabled"] = json!(true);
    for (name, _, scheme) in schemes {
        section["securitySchemes"][*name] = scheme.clone();
        section["securitySchemes"][*name]["enabled"] = json!(true);
    }
    let all = schemes.iter().map(|(name, ..)| ((*name).to_owned(), json!([])));
    api["security"] = Value::Array(vec![Value::Object(all.collect())]);
    for (name, kind, _) in schemes {
        api["components"]["securitySchemes"][*name] = kind.clone();
    }
    api
}

fn bearer() -> Value {
    json!({"type": "http", "scheme": "bearer"})
}

fn oauth2() -> Value {
    json!({"type": "oauth2", "flows": {}})
}

fn key_scheme(more: Value) -> (&'static str, Value, Value) {
    ("key", json!({"type": "apiKey", "in": "header", "name": "X-Key"}), more)
}

fn jwt_scheme() -> (&'static str, Value, Value) {
    ("jwt", bearer(), json!({"defaultPolicies": ["p"], "signingMethod": "hmac", "source": SOURCE}))
}

fn authorization(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

#[tokio::test]
async fn of_two_tokens_of_one_user_each_has_its_own_end() {
    let issuer = &Issuer::start().await;
    let introspection = json!({"enabled": true, "url": issuer.url("/introspect"), "clientId": "gate", "clientSecret": "s3cret"});
    let signed = json!({"enabled": true, "signingMethod": "ecdsa", "source": issuer.url("/keys")});
    let mut open_id = api("oidc", &[]);
    open_id["x-tyk-api-gateway"]["server"]["authentication"]["oidc"] = json!({"enabled": true, "providers": [{
        "issuer": issuer.url(""), "clientToPolicyMapping": [{"clientId": "web", "policyId": "p"}],
    }]});
    open_id.as_object_mut().unwrap().remove("security");
    let gate = &Gate::setup()
        .oas(api("jwt", &[jwt_scheme()]))
        .oas(open_id)
        .oas(api("others", &[("others", oauth2(), json!({"providers": [{"jwt": signed}]}))]))
        .oas(api("asked", &[("asked", oauth2(), json!({"providers": [{"introspection": introspection}]}))]))
        .policy(policy("p", &["jwt", "oidc"], json!({})))
        .start()
        .await;
    let token = |api: &str, user: &str, end: Option<u64>| {
        let mut claims = json!({"sub": user, "iss": issuer.url(""), "aud": "web"});
        if let Some(end) = end {
            claims["exp"] = json!(end);
        }
        match api {
            "jwt" => shared(SECRET, &json!({}), &claims),
            "asked" => {
                let token = format!("{user}-{}", end.unwrap_or_default());
                claims["active"] = json!(true);
                issuer.knows(&token, claims);
                token
            }
            _ => issuer.token(&claims),
        }
    };
    // In each order, and beside one that does not end.
    let rows = [
        ("jwt", Some(600), true),
        ("jwt", Some(600), false),
        ("jwt", None, true),
        ("oidc", Some(600), true),
        ("others", Some(600), true),
        ("others", None, true),
        ("asked", Some(600), true),
    ];
    let each = rows.into_iter().enumerate().map(async |(number, (api, lasts, lasting_first))| {
        let (user, path) = (format!("user{number}"), format!("/{api}/sse"));
        let end = now() + 3;
        let lasting = authorization(&token(api, &user, lasts.map(|lasts| now() + lasts)));
        let ending = authorization(&token(api, &user, Some(end)));
        let open = async |field: &str| {
            let events = Endless::get(gate.port(), &path, &[field]).await;
            assert_eq!(events.status, 200, "{api} {number}");
            events
        };
        let (mut stays, mut goes);
        if lasting_first {
            stays = open(&lasting).await;
            goes = open(&ending).await;
        } else {
            goes = open(&ending).await;
            stays = open(&lasting).await;
        }
        let (rest, _) = goes.rest().await;
        let late =
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap().checked_sub(Duration::from_secs(end));
        assert!(late.is_some_and(|late| late < Duration::from_secs(1)), "{api} {number}: {late:?}");
        assert!(rest.contains(GONE), "{api} {number}: {rest}");
        assert_eq!(
            post(&gate.url(&format!("/{api}/post")), "still here", &["-H", &lasting]).await.status,
            200
        );
        while stays.data().await.unwrap() != "still here" {}
    });
    futures_util::future::join_all(each).await;
}

#[tokio::test]
async fn a_key_that_was_needed_beside_a_token_takes_its_subscribers_along() {
    let mut both = api("both", &[jwt_scheme(), key_scheme(json!({}))]);
    both["x-tyk-api-gateway"]["server"]["authentication"]["baseIdentityProvider"] = json!("jwt_claim");
    let gate = Gate::setup().oas(both).policy(policy("p", &["both"], json!({}))).start().await;
    let token = authorization(&shared(SECRET, &json!({}), &json!({"sub": "me", "exp": now() + 600})));
    let (key, other) =
        (gate.admin().key(&session(&["both"])).await, gate.admin().key(&session(&["both"])).await);
    let open = async |key: &str| {
        let events = Endless::get(gate.port(), "/both/sse", &[&token, &format!("X-Key: {key}")]).await;
        assert_eq!(events.status, 200);
        events
    };
    let (mut goes, mut stays) = (open(&key).await, open(&other).await);
    let began = Instant::now();
    assert_eq!(gate.admin().delete(&format!("/keys/{key}")).await.status, 200);
    let (rest, _) = goes.rest().await;
    assert!(began.elapsed() < Duration::from_secs(1) && rest.contains(GONE), "{:?}: {rest}", began.elapsed());
    let fields = ["-H", &token, "-H", &format!("X-Key: {other}")];
    assert_eq!(post(&gate.url("/both/post"), "still here", &fields).await.status, 200);
    assert_eq!(stays.data().await.unwrap(), "still here");
}

/// A self-signed certificate that ends then, and both it and its key.
fn certificate(name: &str, end: u64) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(end);
    let certificate = params.self_signed(&key).unwrap().pem();
    let both = format!("{certificate}{}", key.serialize_pem());
    (certificate, both)
}

/// A client over TLS: what it is told lies in a file, and it ends when it is sent away.
struct Subscriber {
    told: PathBuf,
    ended: JoinHandle<Reply>,
}

impl Subscriber {
    /// `fields` are curl's.
    fn open(gate: &Gate, name: &str, path: &str, both: &str, fields: &[&str]) -> Self {
        gate.write(&format!("{name}.pem"), both);
        let file = |name: String| gate.dir().join(name);
        let (certificate, told) = (file(format!("{name}.pem")), file(format!("{name}.told")));
        let mut arguments = vec!["-k".to_owned(), "-N".to_owned()];
        arguments.extend(["--cert".to_owned(), certificate.display().to_string()]);
        arguments.extend(["-o".to_owned(), told.display().to_string()]);
        arguments.extend(fields.iter().map(|field| (*field).to_owned()));
        arguments.push(gate.url(path));
        let ended =
            tokio::spawn(
                async move { curl(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await },
            );
        Self { told, ended }
    }

    fn told(&self) -> String {
        std::fs::read_to_string(&self.told).unwrap_or_default()
    }

    /// Waits until it gets what is sent.
    async fn gets(&self, send: impl AsyncFn()) {
        let before = self.told().matches("data: ").count();
        until("the subscriber gets something", async || {
            send().await;
            self.told().matches("data: ").count() > before
        })
        .await;
    }

    async fn gone(self) {
        let ended = e2e::soon("the subscriber is sent away", self.ended).await.unwrap();
        let told = std::fs::read_to_string(&self.told).unwrap_or_default();
        assert!(told.contains(GONE), "{told} {ended:?}");
    }
}

fn over_tls() -> Setup {
    Gate::setup()
        .file("gate.pem", &sample_pem("api"))
        .conf(json!({"http_server_options": {"use_ssl": true, "ssl_certificates": ["gate.pem"]}}))
}

async fn added(gate: &Gate, pem: &str) -> String {
    let reply = gate.admin().call("POST", "/certs?org_id=org", Some(pem)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_certificate_takes_its_subscribers_along_when_it_goes_or_ends() {
    let gate = over_tls().start().await;
    let (one, one_both) = certificate("one", now() + 6000);
    let (two, two_both) = certificate("two", now() + 6000);
    let end = now() + 10;
    let (brief, brief_both) = certificate("brief", end);
    let (one_id, two_id) = (added(&gate, &one).await, added(&gate, &two).await);
    let brief_id = added(&gate, &brief).await;
    let bound = api("bound", &[key_scheme(json!({"enableClientCertificate": true}))]);
    // Keyless, with a list.
    let mut listed = api("listed", &[]);
    listed.as_object_mut().unwrap().remove("security");
    let server = listed["x-tyk-api-gateway"]["server"].as_object_mut().unwrap();
    server.remove("authentication");
    server.insert("clientCertificates".to_owned(), json!({"enabled": true, "allowlist": [one_id, two_id]}));
    for api in [bound, listed] {
        let reply = gate.admin().post("/apis/oas", &api).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    gate.admin().reload().await;
    let key = async |id: &str| {
        let mut session = session(&["bound"]);
        session["certificate"] = json!(id);
        format!("X-Key: {}", gate.admin().key(&session).await)
    };
    let (one_key, two_key, brief_key) = (key(&one_id).await, key(&two_id).await, key(&brief_id).await);
    let bound =
        |name: &str, both: &str, key: &str| Subscriber::open(&gate, name, "/bound/sse", both, &["-H", key]);
    let goes = bound("one", &one_both, &one_key);
    let stays = bound("two", &two_both, &two_key);
    let ends = bound("brief", &brief_both, &brief_key);
    let listed_goes = Subscriber::open(&gate, "listed-one", "/listed/sse", &one_both, &[]);
    let listed_stays = Subscriber::open(&gate, "listed-two", "/listed/sse", &two_both, &[]);

    let client = gate.dir().join("two.pem").display().to_string();
    let fields = ["-k", "--cert", &client, "-H", &two_key];
    let send = async |api: &str| {
        let reply = post(&gate.url(&format!("/{api}/post")), "here", &fields).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    };
    for (subscriber, api) in [
        (&goes, "bound"),
        (&stays, "bound"),
        (&ends, "bound"),
        (&listed_goes, "listed"),
        (&listed_stays, "listed"),
    ] {
        subscriber.gets(async || send(api).await).await;
    }

    let began = Instant::now();
    assert_eq!(gate.admin().delete(&format!("/certs/{one_id}?org_id=org")).await.status, 200);
    goes.gone().await;
    listed_goes.gone().await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");

    ends.gone().await;
    let late =
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().saturating_sub(Duration::from_secs(end + 1));
    assert!(now() >= end && late < Duration::from_secs(1), "{late:?}");
    // Theirs is there still.
    stays.gets(async || send("bound").await).await;
    listed_stays.gets(async || send("listed").await).await;
    stays.ended.abort();
    listed_stays.ended.abort();
}

#[tokio::test]
async fn a_client_that_leaves_the_catalog_takes_subscribers_with_its_tokens_along() {
    let folder = std::env::temp_dir().join(format!("sluicegate-e2e-proofs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let url = format!("sqlite:{}", folder.join("catalog.db").display());
    let on = || Gate::setup().conf(json!({"catalog": {"url": "env://CATALOG_URL"}})).env("CATALOG_URL", &url);
    // What they share is the catalog alone: no other gate takes the tokens back.
    let (here, there) = (on().start().await, on().start().await);
    let flows =
        json!({"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/oauth/token", "scopes": {}}}});
    let reply = here.admin().post("/apis/oas", &api("ev", &[("oauth", flows, json!({}))])).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let reply = here.admin().post("/policies", &policy("gold", &["ev"], json!({}))).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let client = async || {
        let asked = json!({"api_id": "ev", "redirect_uri": "https://app.example/cb", "policy_id": "gold"});
        let made = here.admin().post("/oauth/clients/create", &asked).await;
        assert_eq!(made.status, 200, "{made:?}");
        let text = |name: &str| made.json()[name].as_str().unwrap().to_owned();
        (text("client_id"), text("secret"))
    };
    let ((goes, goes_secret), (stays, stays_secret)) = (client().await, client().await);
    let token = async |id: &str, secret: &str| {
        let (user, url) = (format!("{id}:{secret}"), there.url("/ev/oauth/token/"));
        let mut given = Reply::default();
        until("the other gate knows the client", async || {
            given = curl(&["-u", &user, "-d", "grant_type=client_credentials", &url]).await;
            given.status == 200
        })
        .await;
        authorization(given.json()["access_token"].as_str().unwrap())
    };
    let (leaving, staying) = (token(&goes, &goes_secret).await, token(&stays, &stays_secret).await);
    let mut left = Endless::get(there.port(), "/ev/sse", &[&leaving]).await;
    let mut kept = Endless::get(there.port(), "/ev/sse", &[&staying]).await;
    assert_eq!((left.status, kept.status), (200, 200));
    let began = Instant::now();
    assert_eq!(here.admin().delete(&format!("/oauth/clients/ev/{goes}")).await.status, 200);
    let (rest, _) = left.rest().await;
    // It looks into the catalog twice a second.
    assert!(began.elapsed() < Duration::from_secs(2) && rest.contains(GONE), "{:?}: {rest}", began.elapsed());
    assert_eq!(post(&there.url("/ev/post"), "still here", &["-H", &staying]).await.status, 200);
    assert_eq!(kept.data().await.unwrap(), "still here");
    let _ = std::fs::remove_dir_all(&folder);
}
