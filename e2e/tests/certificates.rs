//! Certificates in the store, and clients that show one (contract 5.2, 5.9, 7.3, 12).

use e2e::bridge::sample_pem;
use e2e::definition::{keyed, keyless, oas, session};
use e2e::{Admin, Gate, Redis, Reply, Setup, Upstream, curl, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

/// A certificate with its key, as PEM.
struct Made {
    certificate: String,
    key: String,
}

impl Made {
    fn both(&self) -> String {
        format!("{}{}", self.certificate, self.key)
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "Acme");
    params.not_after = rcgen::date_time_ymd(2100, 1, 1);
    params
}

/// A self-signed certificate.
fn own(name: &str) -> Made {
    let key = KeyPair::generate().unwrap();
    Made { certificate: params(name).self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

fn ended(name: &str) -> Made {
    let (key, mut params) = (KeyPair::generate().unwrap(), params(name));
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    Made { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params("authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn signed(name: &str, authority: &CertifiedIssuer<'static, KeyPair>) -> Made {
    let key = KeyPair::generate().unwrap();
    Made { certificate: params(name).signed_by(&key, authority).unwrap().pem(), key: key.serialize_pem() }
}

/// A gate that listens with TLS.
fn secure() -> Setup {
    Gate::setup()
        .file("gate.pem", &sample_pem("api"))
        .conf(json!({"http_server_options": {"use_ssl": true, "ssl_certificates": ["gate.pem"]}}))
        .conf(json!({"enable_custom_domains": true}))
}

fn mutual(id: &str, target: &str, allowed: &[&str]) -> Value {
    let mut api = keyless(id, target);
    api["use_mutual_tls_auth"] = json!(true);
    api["client_certificates"] = json!(allowed);
    api
}

async fn add(admin: &Admin, pem: &str) -> Reply {
    admin.call("POST", "/certs?org_id=org", Some(pem)).await
}

async fn added(admin: &Admin, pem: &str) -> String {
    let reply = add(admin, pem).await;
    assert_eq!((reply.status, &reply.json()["message"]), (200, &json!("Certificate added")), "{reply:?}");
    reply.json()["id"].as_str().unwrap().to_owned()
}

/// Asks with this certificate.
async fn with(gate: &Gate, path: &str, client: Option<&Made>, more: &[&str]) -> (u16, String) {
    let mut arguments: Vec<String> = more.iter().map(|text| (*text).to_owned()).collect();
    if let Some(client) = client {
        gate.write("client.pem", &client.both());
        arguments.extend(["--cert".to_owned(), gate.dir().join("client.pem").display().to_string()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let reply = gate.get(path, &arguments).await;
    let told = serde_json::from_str(reply.text()).unwrap_or(Value::Null);
    (reply.status, told["error"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn c7_3_rows_28_to_31_certificates_are_added_told_and_removed() {
    for redis in [None, Some(Redis::start().await)] {
        let mut setup = Gate::setup();
        if let Some(redis) = &redis {
            setup = setup.conf(redis.conf());
        }
        let mut gate = setup.start().await;
        let admin = gate.admin();
        let (first, second) = (own("first.test"), own("second.test"));
        let id = added(&admin, &first.both()).await;
        assert!(id.starts_with("org") && id.len() == 3 + 64, "{id}");
        let again = add(&admin, &first.certificate).await;
        assert_eq!(
            (again.status, again.json()["message"].as_str()),
            (403, Some(&*format!("Certificate with {id} id already exists")))
        );
        for (pem, status, message) in [
            ("", 405, "Malformed request body"),
            ("no pem", 403, "Failed to decode certificate. It should be PEM encoded."),
            (&*format!("{}{}", first.both(), second.key), 403, "Found multiple private keys"),
            (
                &*format!(
                    "{}{}",
                    second.certificate,
                    KeyPair::from_pem(&second.key).unwrap().public_key_pem()
                ),
                403,
                "Public keys can't be combined with certificates",
            ),
            (&*ended("old").certificate, 403, "certificate is expired"),
            (
                &*format!("{}{}", second.certificate, first.key),
                403,
                "the private key does not belong to the certificate, or cannot be used",
            ),
        ] {
            let reply = add(&admin, pem).await;
            assert_eq!((reply.status, reply.json()["message"].as_str()), (status, Some(message)), "{pem}");
        }
        let other = added(&admin, &second.certificate).await;
        assert_eq!(admin.get("/certs?org_id=org").await.json(), json!({"certs": [id, other]}));
        let detailed = admin.get("/certs?org_id=org&mode=detailed").await.json();
        let told = &detailed["certs"][0];
        assert_eq!(
            (
                &told["subject_cn"],
                &told["dns_names"],
                &told["has_private"],
                &told["is_ca"],
                &told["not_after"]
            ),
            (
                &json!("first.test"),
                &json!(["first.test"]),
                &json!(true),
                &json!(false),
                &json!("2100-01-01T00:00:00Z")
            )
        );
        let one = admin.get(&format!("/certs/{id}")).await.json();
        assert_eq!(
            (&one["fingerprint"], &one["subject"]["CommonName"]),
            (&json!(id[3..]), &json!("first.test"))
        );
        assert_eq!(one["issuer"]["Organization"], json!(["Acme"]));
        assert_eq!(admin.get(&format!("/certs/{id},{other}")).await.json().as_array().map(Vec::len), Some(2));
        let none = admin.get("/certs/orgnone").await;
        assert_eq!(
            (none.status, none.json()["message"].as_str()),
            (404, Some("Certificate with given SHA256 fingerprint not found"))
        );
        // The files of the machine are not for an admin's questions.
        assert_eq!(admin.get("/certs/%2Fetc%2Fssl%2Fcerts%2Fca-certificates.crt").await.status, 404);

        gate.stop().await;
        gate.start().await;
        let admin = gate.admin();
        assert_eq!(admin.get(&format!("/certs/{id}")).await.json()["has_private"], json!(true), "kept");
        let removed = admin.delete(&format!("/certs/{id}?org_id=org")).await;
        assert_eq!((removed.status, removed.json()["message"].as_str()), (200, Some("removed")));
        assert_eq!(admin.get("/certs?org_id=org").await.json(), json!({"certs": [other]}));
        if let Some(redis) = &redis {
            let stored = redis.call(&["GET", &format!("cert-raw-{other}")]);
            assert!(stored.contains("BEGIN CERTIFICATE"), "{stored}");
        }
    }
}

#[tokio::test]
async fn c5_1_row_29_private_keys_are_stored_encrypted() {
    let redis = Redis::start().await;
    let gate = Gate::setup()
        .conf(redis.conf())
        .conf(json!({"security": {"private_certificate_encoding_secret": "passphrase"}}))
        .start()
        .await;
    let made = own("a.test");
    let id = added(&gate.admin(), &made.both()).await;
    // What is refused is told, and without the key.
    assert_eq!(add(&gate.admin(), &format!("{}{}", own("b.test").certificate, made.key)).await.status, 403);
    let stored = redis.call(&["GET", &format!("cert-raw-{id}")]);
    assert!(stored.contains("BEGIN ENCRYPTED PRIVATE KEY"), "{stored}");
    assert!(stored.contains("DEK-Info: AES-256-CBC,"), "{stored}");
    let line = made.key.lines().nth(1).unwrap();
    assert!(!stored.contains(line) && !gate.log().contains(line));
}

#[tokio::test]
async fn c5_9_rows_1_to_3_only_clients_of_the_list_may_call() {
    let upstream = Upstream::start().await;
    let authority = authority();
    let (known, stranger, vouched, old) =
        (own("known"), own("stranger"), signed("vouched", &authority), ended("old"));
    let gate =
        secure().file("old.pem", &old.certificate).api(keyless("open", &upstream.url(""))).start().await;
    let admin = gate.admin();
    let id = added(&admin, &known.certificate).await;
    let root = added(&admin, &authority.pem()).await;
    let file = gate.dir().join("old.pem").display().to_string();
    let definition = mutual("m", &upstream.url(""), &[&id, &root, &file]);
    assert_eq!(admin.post("/apis", &definition).await.status, 200);
    admin.reload().await;

    let refused = |text: &str| (403, text.to_owned());
    let passed = (200, String::new());
    assert_eq!(with(&gate, "/m/x", Some(&known), &[]).await, passed);
    assert_eq!(with(&gate, "/m/x", Some(&vouched), &[]).await, passed, "by an authority of the list");
    assert_eq!(with(&gate, "/m/x", None, &[]).await, refused("Client TLS certificate is required"));
    assert_eq!(with(&gate, "/m/x", Some(&old), &[]).await, refused("Certificate has expired"));
    let (status, told) = with(&gate, "/m/x", Some(&stranger), &[]).await;
    assert!(status == 403 && told.starts_with("Certificate with SHA256 "), "{told}");
    assert!(told.ends_with(" not allowed"), "{told}");
    assert_eq!(with(&gate, "/open/x", None, &[]).await, passed, "others are not asked");

    // A certificate that is taken away admits nobody from then on: neither itself, though the list still names it, nor
    // what it vouched for.
    for (gone, client) in [(&root, &vouched), (&id, &known)] {
        admin.delete(&format!("/certs/{gone}?org_id=org")).await;
        let (status, told) = with(&gate, "/m/x", Some(client), &[]).await;
        assert!(status == 403 && told.ends_with(" not allowed"), "{told}");
    }
}

#[tokio::test]
async fn c5_9_row_2_without_tls_nobody_can_show_a_certificate() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(mutual("m", &upstream.url(""), &[])).start().await;
    assert_eq!(with(&gate, "/m/x", None, &[]).await, (403, "TLS not enabled".to_owned()));
}

#[tokio::test]
async fn c5_9_row_4_a_domain_with_an_open_api_beside_asks_without_demanding() {
    let upstream = Upstream::start().await;
    let mut api = mutual("m", &upstream.url(""), &[]);
    api["domain"] = json!("m.test");
    // With an open API that answers on every name, a certificate is asked for and not demanded.
    let gate = secure().api(api).api(keyless("open", &upstream.url(""))).start().await;
    let resolve = format!("m.test:{}:127.0.0.1", gate.port());
    let url = format!("https://m.test:{}/m/x", gate.port());
    let reply = curl(&["-k", "--resolve", &resolve, &url]).await;
    assert_eq!(
        (reply.status, reply.json()["error"].as_str()),
        (403, Some("Client TLS certificate is required"))
    );
}

#[tokio::test]
async fn c2_2_row_12_keys_are_bound_to_certificates() {
    let upstream = Upstream::start().await;
    let mut api = keyed("d", &upstream.url(""));
    api["auth_configs"]["authToken"]["use_certificate"] = json!(true);
    let gate = secure().api(api).api(keyed("plain", &upstream.url(""))).start().await;
    let admin = gate.admin();
    let (mine, other) = (own("mine"), own("other"));
    let id = added(&admin, &mine.certificate).await;
    let mut bound = session(&["d", "plain"]);
    bound["certificate"] = json!(id);
    let key = admin.key(&bound).await;
    let custom = admin.post("/keys/chosen-by-hand", &bound).await.json()["key"].as_str().unwrap().to_owned();
    let token = format!("authorization: {key}");
    let unbound = format!("authorization: {}", admin.key(&session(&["d"])).await);

    let passed = (200, String::new());
    let required = (401, "Client certificate required".to_owned());
    let disallowed = (401, "Access to this API has been disallowed".to_owned());
    assert_eq!(with(&gate, "/d/x", Some(&mine), &["-H", &token]).await, passed);
    assert_eq!(with(&gate, "/d/x", None, &["-H", &token]).await, required);
    assert_eq!(with(&gate, "/d/x", Some(&other), &["-H", &token]).await, disallowed);
    assert_eq!(with(&gate, "/d/x", Some(&mine), &["-H", &unbound]).await, disallowed);
    assert_eq!(with(&gate, "/d/x", None, &[]).await, required);
    let (status, _) = with(&gate, "/d/x", Some(&other), &[]).await;
    assert_eq!(status, 403, "a certificate that no key is bound to");
    assert_eq!(with(&gate, "/d/x", Some(&mine), &[]).await, passed, "the certificate is the key");
    // The key that is made of a certificate is no secret: whoever has seen the certificate could make it.
    for guessed in [&key, &id, &id["org".len()..].to_owned()] {
        let guessed = format!("authorization: {guessed}");
        let forbidden = (403, "Access to this API has been disallowed".to_owned());
        assert_eq!(with(&gate, "/plain/x", None, &["-H", &guessed]).await, forbidden);
        assert_eq!(with(&gate, "/plain/x", Some(&mine), &["-H", &guessed]).await, forbidden);
        assert_eq!(with(&gate, "/d/x", None, &["-H", &guessed]).await, required);
    }
    let chosen = format!("authorization: {custom}");
    assert_eq!(with(&gate, "/plain/x", None, &["-H", &chosen]).await, passed, "a key that was chosen is one");
    assert_eq!(with(&gate, "/d/x", Some(&mine), &["-H", &chosen]).await, passed);

    // What has been taken out of the store is known no more.
    admin.delete(&format!("/certs/{id}?org_id=org")).await;
    let unknown = (403, "Access to this API has been disallowed".to_owned());
    assert_eq!(with(&gate, "/d/x", Some(&mine), &[]).await, unknown);
    assert_eq!(with(&gate, "/d/x", Some(&mine), &["-H", &token]).await, unknown);
}

#[tokio::test]
async fn c3_3_row_10_certificate_auth_lets_in_certificates_that_keys_are_bound_to_and_no_key_alone() {
    let upstream = Upstream::start().await;
    let mut alone = oas("alone", &upstream.url(""));
    alone["x-tyk-api-gateway"]["server"]["authentication"] =
        json!({"enabled": true, "certificateAuth": {"enabled": true}});
    let mut named = oas("named", &upstream.url(""));
    named["components"] =
        json!({"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}});
    named["security"] = json!([{"key": []}]);
    named["x-tyk-api-gateway"]["server"]["authentication"] = json!({
        "enabled": true, "securitySchemes": {"key": {"enabled": true}}, "certificateAuth": {"enabled": true},
    });
    let gate = secure().oas(alone).oas(named).start().await;
    let admin = gate.admin();
    let (mine, other) = (own("mine"), own("other"));
    let mut bound = session(&["alone", "named"]);
    bound["certificate"] = json!(added(&admin, &mine.certificate).await);
    let key = admin.key(&bound).await;
    let passed = (200, String::new());
    let required = (401, "Client certificate required".to_owned());
    for (path, header) in [("/alone/x", "authorization"), ("/named/x", "x-key")] {
        let key = format!("{header}: {key}");
        assert_eq!(with(&gate, path, Some(&mine), &[]).await, passed, "{path}");
        assert_eq!(with(&gate, path, Some(&mine), &["-H", &key]).await, passed, "{path}");
        assert_eq!(with(&gate, path, None, &["-H", &key]).await, required, "{path}");
        assert_eq!(with(&gate, path, None, &[]).await, required, "{path}");
        assert_eq!(with(&gate, path, Some(&other), &[]).await.0, 403, "{path}");
    }
}

#[tokio::test]
async fn c5_2_row_5_a_key_alone_can_be_made_enough_for_an_api_of_certificates() {
    let upstream = Upstream::start().await;
    let mut api = keyed("d", &upstream.url(""));
    api["auth_configs"]["authToken"]["use_certificate"] = json!(true);
    let gate =
        secure().conf(json!({"security": {"allow_unsafe_dynamic_mtls_token": true}})).api(api).start().await;
    let admin = gate.admin();
    let (mine, other) = (own("mine"), own("other"));
    let mut bound = session(&["d"]);
    bound["certificate"] = json!(added(&admin, &mine.certificate).await);
    let token = format!("authorization: {}", admin.key(&bound).await);
    let passed = (200, String::new());
    for (client, arguments, expected) in [
        (None, &["-H", &*token][..], passed.clone()),
        (Some(&mine), &["-H", &*token], passed.clone()),
        (Some(&mine), &[], passed),
        // One that is shown has to fit.
        (Some(&other), &["-H", &*token], (401, "Access to this API has been disallowed".to_owned())),
        (None, &[], (401, "Client certificate required".to_owned())),
        (None, &["-H", "authorization: unknown"], (403, "Access to this API has been disallowed".to_owned())),
    ] {
        assert_eq!(with(&gate, "/d/x", client, arguments).await, expected, "{arguments:?}");
    }
}

#[tokio::test]
async fn c5_2_row_6_keys_of_every_scheme_can_be_bound_where_certificates_are_listed() {
    let upstream = Upstream::start().await;
    let gate = secure().start().await;
    let admin = gate.admin();
    let (mine, other) = (own("mine"), own("other"));
    let ids = [added(&admin, &mine.certificate).await, added(&admin, &other.certificate).await];
    let listed: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut token = keyed("t", &upstream.url(""));
    token["use_mutual_tls_auth"] = json!(true);
    token["client_certificates"] = json!(listed);
    let mut basic = mutual("b", &upstream.url(""), &listed);
    basic["use_keyless"] = json!(false);
    basic["use_basic_auth"] = json!(true);
    for api in [&token, &basic, &keyed("free", &upstream.url(""))] {
        assert_eq!(admin.post("/apis", api).await.status, 200);
    }
    admin.reload().await;
    let mut bound = session(&["t", "b", "free"]);
    bound["mtls_static_certificate_bindings"] = json!(["somebody", ids[0]]);
    let key = format!("authorization: {}", admin.key(&bound).await);
    // The fingerprint alone is no id, and that of another organisation is another's.
    let mut lax = bound.clone();
    lax["mtls_static_certificate_bindings"] = json!([ids[0]["org".len()..], format!("o{}", ids[0])]);
    let lax = format!("authorization: {}", admin.key(&lax).await);
    bound["basic_auth_data"] = json!({"password": "secret"});
    assert_eq!(admin.post("/keys/ann", &bound).await.status, 200);
    let passed = (200, String::new());
    let mismatch = (401, "Access to this API has been disallowed".to_owned());
    for (path, credential, client, expected) in [
        ("/t/x", ["-H", key.as_str()], &mine, &passed),
        ("/t/x", ["-H", key.as_str()], &other, &mismatch),
        ("/t/x", ["-H", lax.as_str()], &mine, &mismatch),
        ("/b/x", ["-u", "ann:secret"], &mine, &passed),
        ("/b/x", ["-u", "ann:secret"], &other, &mismatch),
        ("/free/x", ["-H", key.as_str()], &other, &passed),
    ] {
        assert_eq!(&with(&gate, path, Some(client), &credential).await, expected, "{path} {credential:?}");
    }
}

#[tokio::test]
async fn c7_1_row_3_the_admin_api_can_ask_for_certificates() {
    let (admin, stranger) = (own("admin"), own("stranger"));
    let gate = secure()
        .file("admin.pem", &admin.certificate)
        .conf(json!({"security": {"control_api_use_mutual_tls": true, "certificates": {"control_api": ["./admin.pem"]}}}))
        .start()
        .await;
    let secret = format!("x-tyk-authorization: {}", Gate::SECRET);
    for (client, status) in [(Some(&admin), 200), (Some(&stranger), 403), (None, 403)] {
        assert_eq!(with(&gate, "/tyk/apis", client, &["-H", &secret]).await.0, status);
    }
}

#[tokio::test]
async fn c2_1_row_12_apis_show_the_certificates_of_their_domains() {
    let upstream = Upstream::start().await;
    let gate = secure().start().await;
    let admin = gate.admin();
    let subject = async || {
        let resolve = format!("shop.test:{}:127.0.0.1", gate.port());
        let url = format!("https://shop.test:{}/s/x", gate.port());
        let reply = curl(&["-k", "-v", "--resolve", &resolve, &url]).await;
        let line = reply.error.lines().find(|line| line.contains("subject:")).unwrap_or_default().to_owned();
        (reply.status, line.contains("CN=shop.test"))
    };
    let mut api = keyless("s", &upstream.url(""));
    api["domain"] = json!("shop.test");
    let id = added(&admin, &own("shop.test").both()).await;
    api["certificates"] = json!([id]);
    assert_eq!(admin.post("/apis", &api).await.status, 200);
    admin.reload().await;
    assert_eq!(subject().await, (200, true));
    // Without it the certificate of the gate is shown, without a restart.
    admin.delete(&format!("/certs/{id}?org_id=org")).await;
    until("the certificate is no longer shown", async || subject().await == (200, false)).await;
}
