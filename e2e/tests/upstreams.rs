//! Who the gate is towards upstreams, and what it asks of them (contract 2.3, 4.4 rows 29 and 41, 12): credentials, tokens,
//! signatures, certificates on both sides, and proxies in between.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::definition::{keyed, keyless, oas, session};
use e2e::{Authority, Gate, HttpProxy, Reply, Shown, Socket, Spoken, Upstream, front, until};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};

const PROBLEM: &str = "There was a problem proxying the request";

fn with(mut definition: Value, more: Value) -> Value {
    definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    definition
}

fn refused(reply: &Reply, status: u16, message: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.text(), format!("{{\n    \"error\": \"{message}\"\n}}"));
}

fn sent(reply: &Reply, name: &str) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["headers"][name].clone()
}

#[tokio::test]
async fn urls_may_say_who_the_gate_is() {
    let upstream = Upstream::start().await;
    let at = |path: &str| upstream.url(path).replacen("://", "://gate:p%40ss@", 1);
    let finder = Spoken::start(|_| (500, String::new())).await;
    let mut keyed = keyed("keyed", &at(""));
    keyed["strip_auth_data"] = json!(true);
    let mut found = keyless("found", &at(""));
    found["proxy"]["service_discovery"] = json!({"use_discovery_service": true, "data_path": "host",
        "query_endpoint": finder.url("/x").replacen("://", "://finder:hidden@", 1)});
    let away = keyless("away", &format!("http://gate:p%40ss@127.0.0.1:{}", e2e::free_port()));
    let gate = Gate::setup()
        .api(keyless("a", &at("/base")))
        .oas(oas("o", &at("")))
        .api(keyed)
        .api(found)
        .api(away)
        .start()
        .await;
    // Base64 of `gate:p@ss`.
    let basic = json!(["Basic Z2F0ZTpwQHNz"]);
    for path in ["/a/x", "/o/x", "/found/x"] {
        assert_eq!(sent(&gate.get(path, &[]).await, "authorization"), basic, "{path}");
    }
    let own = gate.get("/a/x", &["-H", "Authorization: Bearer mine"]).await;
    assert_eq!(sent(&own, "authorization"), json!(["Bearer mine"]));
    let key = gate.admin().key(&session(&["keyed"])).await;
    let reply = gate.get("/keyed/x", &["-H", &format!("Authorization: {key}")]).await;
    assert_eq!(sent(&reply, "authorization"), basic, "the caller's key was taken out before");
    assert_eq!(sent(&reply, "host"), json!([upstream.authority()]));
    assert!(finder.asked()[0].contains("authorization: Basic ZmluZGVyOmhpZGRlbg=="), "{:?}", finder.asked());
    refused(&gate.get("/away/x", &[]).await, 500, PROBLEM);
    let log = gate.log();
    assert!(!log.contains("p%40ss") && !log.contains("p@ss") && !log.contains("hidden"), "{log}");
    // Whoever may read definitions sees them as they were written.
    assert_eq!(gate.admin().get("/apis/a").await.json()["proxy"]["target_url"], json!(at("/base")));
}

#[tokio::test]
async fn c2_1_row_36_an_upstream_is_told_a_name_and_a_password() {
    let upstream = Upstream::start().await;
    let basic = |id: &str, header: Value| {
        with(
            keyless(id, &upstream.url("")),
            json!({"upstream_auth": {"enabled": true, "basic_auth": {"enabled": true, "username": "gate", "password": "pä:ss",
                "header": header}}}),
        )
    };
    let mut document = oas("o", &upstream.url(""));
    document["x-tyk-api-gateway"]["upstream"]["authentication"] =
        json!({"enabled": true, "basicAuth": {"enabled": true, "username": "u", "password": "p"}});
    let gate = Gate::setup()
        .api(basic("a", json!({"enabled": false, "name": "X"})))
        .api(basic("b", json!({"enabled": true, "name": "X-Auth"})))
        .oas(document)
        .start()
        .await;
    let own = ["-H", "Authorization: Bearer of-the-client"];
    assert_eq!(sent(&gate.get("/a/x", &own).await, "authorization"), json!(["Basic Z2F0ZTpww6Q6c3M="]));
    let reply = gate.get("/b/x", &[&own[..], &["-H", "X-Auth: forged"]].concat()).await;
    assert_eq!(sent(&reply, "x-auth"), json!(["Basic Z2F0ZTpww6Q6c3M="]));
    assert_eq!(sent(&reply, "authorization"), json!(["Bearer of-the-client"]));
    assert_eq!(sent(&gate.get("/o/x", &own).await, "authorization"), json!(["Basic dTpw"]));
    assert!(
        !gate.log().contains("pä:ss") && !gate.log().contains("Z2F0ZTpww6Q6c3M="),
        "a password is in the log"
    );
}

/// A token endpoint that numbers its tokens.
async fn issuing() -> Spoken {
    let issued = AtomicUsize::new(0);
    Spoken::start(move |_| {
        let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
        (
            200,
            json!({"access_token": format!("t{number}"), "token_type": "bearer", "expires_in": 600})
                .to_string(),
        )
    })
    .await
}

fn oauth(id: &str, target: &str, kind: &str, client: Value) -> Value {
    let holder = if kind == "password" { "password" } else { "client_credentials" };
    let oauth = json!({"enabled": true, "allowed_authorize_types": [kind], holder: client});
    with(keyless(id, target), json!({"upstream_auth": {"enabled": true, "oauth": oauth}}))
}

#[tokio::test]
async fn c2_1_row_36_a_token_is_fetched_once_for_all_who_need_it() {
    let (upstream, issuer) = (Upstream::start().await, issuing().await);
    let client = json!({"client_id": "the gate", "client_secret": "s+cret", "token_url": issuer.url("/token?x=1"), "scopes": ["a", "b"]});
    let user = with(
        client.clone(),
        json!({"username": "ann", "password": "p&w", "method": "client_secret_post",
        "header": {"enabled": true, "name": "X-Token"}}),
    );
    let gate = Gate::setup()
        .api(oauth("a", &upstream.url(""), "clientCredentials", client.clone()))
        .api(oauth("b", &upstream.url(""), "clientCredentials", client))
        .api(oauth("c", &upstream.url(""), "password", user))
        .start()
        .await;
    let asked =
        ["/a/x", "/a/x", "/a/x", "/b/x", "/b/x"].map(|path| gate.get(path, &["-H", "Authorization: own"]));
    for reply in futures_util::future::join_all(asked).await {
        assert_eq!(sent(&reply, "authorization"), json!(["Bearer t1"]));
    }
    let reply = gate.get("/c/x", &["-d", "body"]).await;
    assert_eq!(
        (sent(&reply, "x-token"), reply.json()["body"].clone()),
        (json!(["Bearer t2"]), json!("body"))
    );
    let requests = issuer.asked();
    assert_eq!(requests.len(), 2, "{requests:?}");
    let lower = requests[0].to_lowercase();
    assert!(lower.starts_with("post /token?x=1 "), "{lower}");
    assert!(lower.contains("content-type: application/x-www-form-urlencoded"), "{lower}");
    // The name and the secret of the client, each encoded as in a form.
    assert!(requests[0].contains("Basic dGhlJTIwZ2F0ZTpzJTJCY3JldA=="), "{requests:?}");
    assert!(requests[0].ends_with("\r\n\r\ngrant_type=client_credentials&scope=a%20b"), "{requests:?}");
    let form = "grant_type=password&username=ann&password=p%26w&scope=a%20b&client_id=the%20gate&client_secret=s%2Bcret";
    assert!(requests[1].ends_with(form) && !requests[1].contains("Basic "), "{requests:?}");
    for secret in ["s+cret", "s%2Bcret", "p&w", "Bearer t"] {
        assert!(!gate.log().contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn c2_1_row_36_what_came_with_a_token_can_be_named_afterwards() {
    let upstream = Upstream::start().await;
    let issuer = Spoken::start(|_| {
        let answer =
            json!({"access_token": "t", "expires_in": 300, "instance_url": "eu7", "tier": 3, "secret": "s"});
        (200, answer.to_string())
    })
    .await;
    let client = json!({
        "client_id": "c", "client_secret": "s", "token_url": issuer.url("/"), "extra_metadata": ["instance_url", "tier", "none"],
    });
    let mut api = oauth("a", &upstream.url(""), "clientCredentials", client);
    let version = &mut api["version_data"]["versions"]["Default"];
    version["global_headers"] = json!({"X-Tier": "$tyk_context.tier", "X-None": "<$tyk_context.none>", "X-Secret": "<$tyk_context.secret>"});
    version["use_extended_paths"] = json!(true);
    version["extended_paths"]["url_rewrites"] = json!([
        {"path": "/x", "method": "GET", "match_pattern": "x", "rewrite_to": "/$tyk_context.instance_url/x"},
    ]);
    let gate = Gate::setup().api(api).start().await;
    for _ in 0..2 {
        let reply = gate.get("/a/x", &[]).await;
        assert_eq!(
            (sent(&reply, "authorization"), sent(&reply, "x-tier")),
            (json!(["Bearer t"]), json!(["3"]))
        );
        assert_eq!(reply.json()["path"], "/eu7/x");
        assert!(!reply.text().contains("<s>"), "what is not asked for is not known: {reply:?}");
    }
    assert_eq!(issuer.asked().len(), 1);
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_fetched_anew() {
    let issuer = issuing().await;
    let good = Arc::new(AtomicUsize::new(1));
    let wanted = Arc::clone(&good);
    let upstream = Spoken::start(move |request| {
        let token = format!("Bearer t{}\r\n", wanted.load(Ordering::SeqCst));
        if request.contains(&token) { (200, "in".to_owned()) } else { (401, "out".to_owned()) }
    })
    .await;
    let client = json!({"client_id": "c", "client_secret": "s", "token_url": issuer.url("/")});
    let gate = Gate::setup().api(oauth("a", &upstream.url(""), "clientCredentials", client)).start().await;
    let ask = async |arguments: &[&str]| gate.get("/a/x", arguments).await.status;
    assert_eq!(ask(&[]).await, 200);
    // Without a body the request is sent again, once.
    good.store(2, Ordering::SeqCst);
    assert_eq!((ask(&[]).await, issuer.asked().len(), upstream.asked().len()), (200, 2, 3));
    // With one it is not; the next request has another token.
    good.store(3, Ordering::SeqCst);
    assert_eq!((ask(&["-d", "x"]).await, upstream.asked().len()), (401, 4));
    assert_eq!((ask(&["-d", "x"]).await, issuer.asked().len()), (200, 3));
    // Who takes no token at all is asked twice and no more.
    good.store(0, Ordering::SeqCst);
    let before = upstream.asked().len();
    assert_eq!((ask(&[]).await, upstream.asked().len() - before), (401, 2));
    assert_eq!(issuer.asked().len(), 4);
}

#[tokio::test]
async fn c4_4_row_29_without_a_token_nothing_goes_upstream() {
    let upstream = Upstream::start().await;
    let issuer = Spoken::start(|request| match request.split(' ').nth(1) {
        Some("/no") => (401, json!({"error": "invalid_client", "error_description": "s3cret"}).to_string()),
        Some("/huge") => (200, "x".repeat(1 << 20)),
        _ => (200, "<html>".to_owned()),
    })
    .await;
    let client = |url: String| json!({"client_id": "c", "client_secret": "hidden", "token_url": url});
    let mut setup = Gate::setup();
    let closed = format!("http://127.0.0.1:{}/", e2e::free_port());
    for (id, url) in
        [("a", issuer.url("/no")), ("b", issuer.url("/huge")), ("c", issuer.url("/html")), ("d", closed)]
    {
        setup = setup.api(oauth(id, &upstream.url(""), "clientCredentials", client(url)));
    }
    let gate = setup.start().await;
    for path in ["/a/x", "/b/x", "/c/x", "/d/x"] {
        refused(&gate.get(path, &[]).await, 500, PROBLEM);
    }
    assert_eq!(upstream.hits(), 0);
    let log = gate.log();
    assert!(log.contains("no token for the upstream") && log.contains("invalid_client"), "{log}");
    assert!(!log.contains("s3cret") && !log.contains("hidden"), "a secret is in the log");
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A parameter of a signature.
fn parameter<'s>(signature: &'s str, name: &str) -> &'s str {
    signature.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap()
}

/// What was signed, as the upstream got it.
fn signed(reply: &Reply, names: &str) -> String {
    let told = reply.json();
    let line = |name: &str| match name {
        "(request-target)" => {
            let path = told["path"].as_str().unwrap().split('?').next().unwrap();
            format!("(request-target): {} {path}", told["method"].as_str().unwrap().to_lowercase())
        }
        _ => format!("{name}: {}", told["headers"][name][0].as_str().unwrap()),
    };
    names.split(' ').map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn c5_4_rows_8_and_9_requests_are_signed_for_an_upstream() {
    let upstream = Upstream::start().await;
    let api = |id: &str, signing: Value| {
        with(keyless(id, &upstream.url("/base")), json!({"request_signing": signing}))
    };
    let hmac = |more: Value| {
        with(
            json!({"is_enabled": true, "key_id": "gate", "algorithm": "hmac-sha512", "secret": "s3cret"}),
            more,
        )
    };
    let rsa = |certificate: &str| json!({"is_enabled": true, "key_id": "gate", "algorithm": "rsa-sha256", "certificate_id": certificate});
    let gate = Gate::setup()
        .api(api("a", hmac(json!({}))))
        .api(api(
            "b",
            hmac(json!({"header_list": ["x-one", "x-two", "host"], "signature_header": "Signature"})),
        ))
        .api(api("c", rsa("apps/../pair.pem")))
        .api(api("d", rsa("apps/../gone.pem")))
        .api(api("e", rsa("apps/../curve.pem")))
        .prepare();
    let file = |name: &str| gate.dir().join(name).display().to_string();
    openssl(&[
        "req",
        "-x509",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=gate",
        "-newkey",
        "rsa:2048",
        "-keyout",
        &file("key.pem"),
        "-out",
        &file("crt.pem"),
    ]);
    openssl(&[
        "req",
        "-x509",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=gate",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-keyout",
        &file("eck.pem"),
        "-out",
        &file("ecc.pem"),
    ]);
    let both = |key: &str, certificate: &str| {
        std::fs::read_to_string(file(certificate)).unwrap() + &std::fs::read_to_string(file(key)).unwrap()
    };
    gate.write("pair.pem", &both("key.pem", "crt.pem"));
    gate.write("curve.pem", &both("eck.pem", "ecc.pem"));
    let mut gate = gate;
    for (id, name) in [("c", "pair.pem"), ("d", "gone.pem"), ("e", "curve.pem")] {
        let path = gate.dir().join(name).display().to_string();
        gate.write(&format!("apps/{id}.json"), &api(id, rsa(&path)).to_string());
    }
    gate.start().await;

    for (path, header, names) in [
        ("/a/x?q=1", "authorization", "(request-target) host date"),
        ("/b/x", "signature", "x-one host date"),
    ] {
        let reply = gate.get(path, &["-H", "X-One: 1"]).await;
        let field = sent(&reply, header)[0].as_str().unwrap().to_owned();
        assert!(field.starts_with("Signature keyId=\"gate\",algorithm=\"hmac-sha512\","), "{field}");
        assert_eq!(parameter(&field, "headers"), names);
        gate.write("text", &signed(&reply, names));
        let text = gate.dir().join("text").display().to_string();
        gate.write("mac", "");
        let mac = gate.dir().join("mac").display().to_string();
        openssl(&["dgst", "-sha512", "-hmac", "s3cret", "-binary", "-out", &mac, &text]);
        let expected = String::from_utf8(openssl(&["base64", "-A", "-in", &mac])).unwrap();
        let expected = expected.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        assert_eq!(parameter(&field, "signature"), expected);
    }
    let dated = gate.get("/a/x", &["-H", "Date: Mon, 02 Jan 2006 15:04:05 GMT"]).await;
    assert_eq!(
        sent(&dated, "date"),
        json!(["Mon, 02 Jan 2006 15:04:05 GMT"]),
        "a date of the client is its own"
    );

    let reply = gate.get("/c/x", &["-d", "body"]).await;
    let field = sent(&reply, "authorization")[0].as_str().unwrap().to_owned();
    let file = |name: &str| gate.dir().join(name).display().to_string();
    gate.write("text", &signed(&reply, parameter(&field, "headers")));
    gate.write("signature64", parameter(&field, "signature"));
    openssl(&["base64", "-d", "-A", "-in", &file("signature64"), "-out", &file("signature")]);
    openssl(&["pkey", "-in", &file("key.pem"), "-pubout", "-out", &file("public.pem")]);
    openssl(&[
        "dgst",
        "-sha256",
        "-verify",
        &file("public.pem"),
        "-signature",
        &file("signature"),
        &file("text"),
    ]);
    let hits = upstream.hits();
    refused(&gate.get("/d/x", &[]).await, 500, "Certificate not found");
    refused(&gate.get("/e/x", &[]).await, 500, "Certificate does not contain RSA private key");
    assert_eq!(upstream.hits(), hits);
    assert!(!gate.log().contains("s3cret"), "a secret is in the log");
}

#[tokio::test]
async fn c4_4_row_41_a_gate_takes_what_a_gate_signs() {
    let upstream = Upstream::start().await;
    let guarded = json!({"use_standard_auth": false, "enable_signature_checking": true, "hmac_allowed_clock_skew": 60000});
    let inner = Gate::setup().api(with(keyed("in", &upstream.url("")), guarded)).start().await;
    let key = with(session(&["in"]), json!({"hmac_enabled": true, "hmac_string": "s3cret"}));
    assert_eq!(inner.admin().post("/keys/gate", &key).await.status, 200);
    let signing = json!({"is_enabled": true, "key_id": "gate", "algorithm": "hmac-sha256", "secret": "s3cret",
        "header_list": ["(request-target)", "host", "content-type"]});
    let outer = Gate::setup()
        .api(with(keyless("out", &inner.url("/in")), json!({"request_signing": signing})))
        .start()
        .await;
    let reply = outer.get("/out/a%20b?c=d", &["-d", "x=y"]).await;
    assert_eq!((reply.status, reply.json()["body"].clone()), (200, json!("x=y")), "{reply:?}");
    assert_eq!(inner.get("/in/x", &[]).await.status, 400);
}

#[tokio::test]
async fn c12_rows_2_and_6_the_gate_shows_the_certificate_of_the_host() {
    let (upstream, servers, clients) = (Upstream::start().await, Authority::new(), Authority::new());
    let port = front(&upstream.authority(), &servers.sign(&["localhost"]), Some(&clients)).await;
    let (known, stranger) = (clients.sign(&["gate"]), servers.sign(&["gate"]));
    let pem = |made: &Shown| made.0.pem() + &made.1.serialize_pem();
    let target = format!("https://localhost:{port}");
    let api = |id: &str, certificates: Value| {
        with(keyless(id, &target), json!({"upstream_certificates": certificates}))
    };
    let mut document = oas("o", &target);
    let gate = Gate::setup()
        .file("root.pem", &servers.pem())
        .file("known.pem", &pem(&known))
        .file("stranger.pem", &pem(&stranger))
        .conf(json!({"proxy_close_connections": true}))
        .prepare();
    let path = |name: &str| gate.dir().join(name).display().to_string();
    let (known_file, stranger_file) = (path("known.pem"), path("stranger.pem"));
    document["x-tyk-api-gateway"]["upstream"]["mutualTLS"] = json!({"enabled": true, "domainToCertificateMapping":
        [{"domain": format!("localhost:{port}"), "certificate": known_file}]});
    // Which certificate counts where: the host before all hosts, the API before the gate.
    let mut setup = Gate::setup()
        .file("known.pem", &pem(&known))
        .env("SSL_CERT_FILE", &path("root.pem"))
        .conf(json!({"proxy_close_connections": true, "security": {"certificates": {"upstream": {"localhost": known_file}}}}))
        .api(api("gate", json!({})))
        .api(api("host", json!({"*": stranger_file, "localhost": known_file})))
        .api(api("port", json!({"localhost": stranger_file, format!("localhost:{port}"): known_file})))
        .api(api("all", json!({"*": stranger_file})))
        .api(api("gone", json!({"localhost": "gone"})))
        .oas(document);
    let mut off = api("off", json!({"*": stranger_file}));
    off["upstream_certificates_disabled"] = json!(true);
    setup = setup.api(off);
    let running = setup.start().await;
    // The log tells one failure a second, so that the one that is looked for comes first.
    refused(&running.get("/gone/x", &[]).await, 500, PROBLEM);
    assert!(running.log().contains("there is no certificate `gone` to show"), "{}", running.log());
    for (path, status) in [
        ("/gate/x", 200),
        ("/host/x", 200),
        ("/port/x", 200),
        ("/off/x", 200),
        ("/o/x", 200),
        ("/all/x", 500),
    ] {
        let reply = running.get(path, &[]).await;
        assert_eq!(reply.status, status, "{path}: {reply:?}\n{}", running.log());
    }

    // Certificates of the store are used by new connections as they come and go.
    let admin = running.admin();
    let id = {
        let stored = admin.call("POST", "/certs?org_id=org", Some(&pem(&known))).await;
        stored.json()["id"].as_str().unwrap().to_owned()
    };
    running.write("apps/gone.json", &api("gone", json!({"localhost": id})).to_string());
    admin.reload().await;
    assert_eq!(running.get("/gone/x", &[]).await.status, 200);
    assert_eq!(admin.delete(&format!("/certs/{id}?org_id=org")).await.status, 200);
    refused(&running.get("/gone/x", &[]).await, 500, PROBLEM);
    assert!(!running.log().contains("PRIVATE KEY"), "a key is in the log");
}

#[tokio::test]
async fn c2_3_row_10_an_upstream_has_to_have_the_pinned_key() {
    let (upstream, authority) = (Upstream::start().await, Authority::new());
    let shown = authority.sign(&["elsewhere"]);
    let port = front(&upstream.authority(), &shown, None).await;
    let target = format!("https://localhost:{port}");
    let pin = sha2_of(&shown.1);
    let other = "0".repeat(64);
    let api = |id: &str, pins: Value| with(keyless(id, &target), json!({"pinned_public_keys": pins}));
    let mut document = oas("o", &target);
    document["x-tyk-api-gateway"]["upstream"]["certificatePinning"] =
        json!({"enabled": true, "domainToPublicKeysMapping": [{"domain": "*", "publicKeys": [other, pin]}]});
    // Its own pins are off, and those of the gate are not.
    let mut off = api("off", json!({"*": other}));
    off["certificate_pinning_disabled"] = json!(true);
    off["proxy"]["transport"] = json!({"ssl_insecure_skip_verify": true});
    let gate = Gate::setup()
        .conf(json!({"security": {"pinned_public_keys": {"localhost": pin.to_uppercase()}}}))
        .api(api("gate", json!({})))
        .api(api("good", json!({"localhost": format!("{other}, {pin}")})))
        .api(api("bad", json!({"*": other})))
        .api(api("id", json!({"*": "orgSTORED"})))
        .api(off)
        .oas(document)
        .start()
        .await;
    for (path, status) in
        [("/gate/x", 200), ("/good/x", 200), ("/o/x", 200), ("/bad/x", 500), ("/off/x", 200), ("/id/x", 500)]
    {
        let reply = gate.get(path, &[]).await;
        assert_eq!(reply.status, status, "{path}: {reply:?}\n{}", gate.log());
    }
    assert!(
        gate.log().contains("certificate public key pinning error. Public keys do not match."),
        "{}",
        gate.log()
    );
    // A public key of the store by its id.
    let public = shown.1.public_key_pem();
    let stored = gate.admin().call("POST", "/certs?org_id=org", Some(&public)).await;
    let id = stored.json()["id"].as_str().unwrap().to_owned();
    gate.write("apps/id.json", &api("id", json!({"*": id})).to_string());
    gate.admin().reload().await;
    assert_eq!(gate.get("/id/x", &[]).await.status, 200);
}

/// Hex SHA-256 of a public key.
fn sha2_of(key: &KeyPair) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key.subject_public_key_info());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn c2_3_row_8_upstreams_are_reached_through_a_proxy() {
    let (upstream, authority) = (Upstream::start().await, Authority::new());
    let tls = front(&upstream.authority(), &authority.sign(&["localhost"]), None).await;
    let http = HttpProxy::start().await;
    let proxy = http.port();
    let through = |id: &str, target: &str, proxy: &str| {
        let mut api = keyless(id, target);
        api["proxy"]["transport"] = json!({"proxy_url": proxy, "ssl_insecure_skip_verify": true});
        api
    };
    let address = format!("http://u:p@127.0.0.1:{proxy}");
    let mut document = oas("o", &upstream.url("/base"));
    document["x-tyk-api-gateway"]["upstream"]["proxy"] = json!({"enabled": true, "url": address});
    let gate = Gate::setup()
        .api(through("clear", &upstream.url("/base"), &address))
        .api(through("tls", &format!("https://localhost:{tls}"), &address))
        .api(through("no", &upstream.url(""), &format!("http://u:wrong@127.0.0.1:{proxy}")))
        .api(through("not", &format!("https://localhost:{tls}"), &format!("http://127.0.0.1:{proxy}")))
        .oas(document)
        .start()
        .await;
    let reply = gate.get("/clear/x?y=z", &["-H", "Proxy-Authorization: Basic Zm9v"]).await;
    assert_eq!((reply.status, reply.json()["path"].clone()), (200, json!("/base/x?y=z")), "{reply:?}");
    assert_eq!(gate.get("/o/x", &[]).await.json()["path"], "/base/x");
    assert_eq!((http.tunnels(), http.handed_on()), (0, 2));
    assert_eq!(sent(&gate.get("/tls/x", &[]).await, "proxy-authorization"), Value::Null);
    assert_eq!((http.tunnels(), http.handed_on()), (1, 2));
    assert_eq!(gate.get("/no/x", &[]).await.status, 407, "the proxy's own answer");
    refused(&gate.get("/not/x", &[]).await, 500, PROBLEM);
    until("the failure is told", async || gate.log().contains("it answers 407")).await;
    assert!(!gate.log().contains("u:wrong"), "a password is in the log");
}

#[tokio::test]
async fn a_proxy_is_spoken_to_over_tls() {
    let (upstream, names, others) = (Upstream::start().await, Authority::new(), Authority::new());
    let target = front(&upstream.authority(), &names.sign(&["localhost"]), None).await;
    let http = HttpProxy::start().await;
    let proxy = front(&format!("127.0.0.1:{}", http.port()), &names.sign(&["localhost"]), None).await;
    let strange = front(&format!("127.0.0.1:{}", http.port()), &others.sign(&["localhost"]), None).await;
    let through = |id: &str, target: &str, port: u16, transport: Value| {
        let mut api = keyless(id, target);
        api["proxy"]["transport"] =
            with(transport, json!({"proxy_url": format!("https://u:p@localhost:{port}")}));
        api
    };
    let (clear, tls) = (upstream.url("/base"), format!("https://localhost:{target}"));
    let any = json!({"ssl_insecure_skip_verify": true});
    let mut gate = Gate::setup()
        .api(through("clear", &clear, proxy, json!({})))
        .api(through("tls", &tls, proxy, json!({})))
        .api(through("strange", &clear, strange, json!({})))
        .api(through("any", &clear, strange, any))
        .file("root.pem", &names.pem())
        .env("SSL_CERT_FILE", "root.pem")
        .prepare();
    gate.start().await;
    let reply = gate.get("/clear/x?y=z", &[]).await;
    assert_eq!((reply.status, reply.json()["path"].clone()), (200, json!("/base/x?y=z")), "{reply:?}");
    assert_eq!((http.tunnels(), http.handed_on()), (0, 1), "a request in clear is handed on");
    for _ in 0..2 {
        let reply = gate.get("/tls/x", &["-d", "body"]).await;
        assert_eq!(
            (reply.status, reply.json()["body"].clone()),
            (200, json!("body")),
            "{reply:?}\n{}",
            gate.log()
        );
    }
    assert_eq!((http.tunnels(), http.handed_on()), (1, 1), "a tunnel is used again");
    for path in ["/clear/ws", "/tls/ws"] {
        let mut socket = Socket::open(gate.port(), path, &[]).await.unwrap();
        socket.send("hello").await;
        assert_eq!(socket.next().await.unwrap().into_text().unwrap().as_str(), "hello");
    }
    // Whoever takes any certificate shares no connection with those who do not.
    for (path, status) in [("/strange/x", 500), ("/any/x", 200), ("/strange/x", 500)] {
        assert_eq!(gate.get(path, &[]).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn c12_rows_8_and_9_tls_is_as_the_definition_wants_it() {
    let (upstream, authority) = (Upstream::start().await, Authority::new());
    let port = front(&upstream.authority(), &authority.sign(&["localhost"]), None).await;
    let target = format!("https://localhost:{port}");
    let api = |id: &str, transport: Value| {
        let mut api = keyless(id, &target);
        api["proxy"]["transport"] = transport;
        api
    };
    let chacha = json!(["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"]);
    let rsa_only = json!(["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]);
    let gate = Gate::setup()
        .api(api("any", json!({"ssl_insecure_skip_verify": true})))
        .api(api("unknown", json!({})))
        .api(api(
            "old",
            json!({"ssl_insecure_skip_verify": true, "ssl_max_version": 771, "ssl_ciphers": chacha}),
        ))
        .api(api(
            "none",
            json!({"ssl_insecure_skip_verify": true, "ssl_max_version": 771, "ssl_ciphers": rsa_only}),
        ))
        .api(api("name", json!({"ssl_insecure_skip_verify": true, "ssl_force_common_name_check": true})))
        .start()
        .await;
    for (path, status) in
        [("/unknown/x", 500), ("/any/x", 200), ("/old/x", 200), ("/none/x", 500), ("/name/x", 500)]
    {
        let reply = gate.get(path, &[]).await;
        assert_eq!(reply.status, status, "{path}: {reply:?}\n{}", gate.log());
    }
    assert!(gate.log().contains("UnknownIssuer"), "{}", gate.log());
}

#[tokio::test]
async fn c4_6_rows_1_and_16_requests_are_shared_out_over_the_targets() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let closed = format!("http://127.0.0.1:{}", e2e::free_port());
    let balanced = |id: &str, targets: Value| {
        let mut api = keyless(id, "http://127.0.0.1:1/unused");
        api["proxy"]["enable_load_balancing"] = json!(true);
        api["proxy"]["target_list"] = targets;
        api
    };
    let mut document = oas("o", "http://127.0.0.1:1/unused");
    document["x-tyk-api-gateway"]["upstream"]["loadBalancing"] = json!({"enabled": true, "targets": [
        {"url": first.url("/w"), "weight": 300}, {"url": second.url("/w"), "weight": 100}]});
    let gate = Gate::setup()
        .api(balanced("a", json!([first.url("/1"), second.url("/2")])))
        .api(balanced("b", json!([closed, first.url(""), closed, second.url("")])))
        .api(balanced("c", json!([closed])))
        .oas(document)
        .start()
        .await;
    let mut paths = Vec::new();
    for _ in 0..4 {
        paths.push(gate.get("/a/x?y", &[]).await.json()["path"].as_str().unwrap().to_owned());
    }
    paths.sort();
    assert_eq!(paths, ["/1/x?y", "/1/x?y", "/2/x?y", "/2/x?y"]);
    let before = (first.hits(), second.hits());
    for _ in 0..8 {
        assert_eq!(gate.get("/o/x", &["-d", "body"]).await.json()["body"], "body");
    }
    assert_eq!((first.hits() - before.0, second.hits() - before.1), (6, 2));
    // Who cannot be reached has no turn, and nobody notices: bodies included.
    let before = (first.hits(), second.hits());
    for _ in 0..8 {
        assert_eq!(gate.get("/b/x", &["-d", "body"]).await.json()["body"], "body");
    }
    let got = (first.hits() - before.0, second.hits() - before.1);
    assert!(got.0 > 0 && got.1 > 0 && got.0 + got.1 == 8, "{got:?}");
    refused(&gate.get("/c/x", &[]).await, 500, PROBLEM);
}

#[tokio::test]
async fn c2_5_rows_7_and_8_paths_have_times_and_breakers_of_their_own() {
    let upstream = Upstream::start().await;
    let mut api = keyless("a", &upstream.url(""));
    api["version_data"]["versions"]["Default"]["extended_paths"] = json!({
        "hard_timeouts": [{"path": "/slow", "method": "GET", "duration": "100ms"}],
        "circuit_breakers": [{"path": "/status", "method": "GET", "threshold_percent": 0.5, "samples": 4, "return_to_service_after": 1}],
    });
    let mut document = oas("o", &upstream.url(""));
    document["paths"] = json!({"/slow/{n}": {"get": {"operationId": "slow"}}});
    document["x-tyk-api-gateway"]["middleware"] =
        json!({"operations": {"slow": {"enforceTimeout": {"enabled": true, "duration": "100ms"}}}});
    let gate = Gate::setup().api(api).oas(document).start().await;
    for path in ["/a/slow/5000", "/o/slow/5000"] {
        refused(&gate.get(path, &[]).await, 504, "Upstream service reached hard timeout.");
    }
    assert_eq!(gate.get("/a/slow/300", &["-X", "PUT"]).await.status, 200, "another method");
    assert_eq!(gate.get("/a/other", &[]).await.status, 200, "another path");

    for (answer, status) in [(200, 200), (200, 200), (500, 500), (503, 503)] {
        assert_eq!(gate.get(&format!("/a/status/{answer}"), &[]).await.status, status);
    }
    let hits = upstream.hits();
    refused(&gate.get("/a/status/200", &[]).await, 503, "Service temporarily unavailable.");
    assert_eq!(gate.get("/a/status/200", &["-X", "POST"]).await.status, 200, "another method");
    assert_eq!(upstream.hits(), hits + 1);
    until("the upstream is tried again", async || gate.get("/a/status/200", &[]).await.status == 200).await;
    assert_eq!(gate.get("/a/status/200", &[]).await.status, 200);
}
