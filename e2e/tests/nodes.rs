//! What one gate does is done on the others that share its Redis, within a second (contract 13.1, 13.2).

use std::time::{Duration, Instant};

use e2e::bridge::sample_pem;
use e2e::definition::{keyed, keyless, oas, session};
use e2e::issuer::Issuer;
use e2e::tokens::{now, policy, with};
use e2e::{Gate, Redis, Setup, Upstream, until};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

const CHANNEL: &str = "tyk.cluster.notifications";
/// The others have heard of a change after so long. What they do then is not within it.
const SOON: Duration = Duration::from_secs(1);

/// As [`until`], and sooner than everything that a gate does by the clock.
async fn at_once<F: AsyncFnMut() -> bool>(what: &str, condition: F) {
    let begun = Instant::now();
    until(what, condition).await;
    assert!(begun.elapsed() < SOON, "{what}: {:?}", begun.elapsed());
}

/// A signal as gates sign it: `hex(sha256(command + payload + node_secret))`.
fn signed(command: &str, payload: &str) -> String {
    let text = format!("{command}{payload}{}", Gate::SECRET);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let signature: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"command": command, "payload": payload, "signature": signature, "algorithm": 5}).to_string()
}

async fn reloads(gate: &Gate) -> u64 {
    let metrics = gate.get("/metrics", &[]).await;
    let line = metrics.text().lines().find_map(|line| line.strip_prefix("sluicegate_reloads_total "));
    line.unwrap().parse().unwrap()
}

async fn status(gate: &Gate, path: &str, key: &str) -> u16 {
    gate.get(path, &["-H", &format!("Authorization: {key}")]).await.status
}

#[tokio::test]
async fn c13_1_rows_1_and_2_signals_reload_whoever_listens_to_them() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let setup = || Gate::setup().conf(redis.conf()).api(keyed("a", &upstream.url("")));
    let gate = setup().start().await;
    let deaf = setup().conf(json!({"suppress_redis_signal_reload": true})).start().await;
    let key = gate.admin().key(&session(&["a"])).await;
    assert_eq!((status(&gate, "/a/x", &key).await, status(&deaf, "/a/x", &key).await), (200, 200));
    let before = reloads(&deaf).await;
    for command in ["ApiUpdated", "ApiRemoved", "ApiAdded", "PolicyChanged", "GroupReload"] {
        let known = reloads(&gate).await;
        let heard = redis.call(&["PUBLISH", CHANNEL, &signed(command, "a")]);
        assert_eq!(heard, "2", "both gates listen");
        at_once(command, async || reloads(&gate).await > known).await;
    }
    // What is no reload: nobody loads anything, whoever has signed it.
    let known = reloads(&gate).await;
    for message in [signed("UserKeyReset", "old.new:a"), signed("Nothing", ""), "{}".to_owned()] {
        redis.call(&["PUBLISH", CHANNEL, &message]);
    }
    // Signals are taken in their order, so that what came before this one has been heard by both.
    assert_eq!(gate.admin().delete(&format!("/keys/{key}")).await.status, 200);
    for gate in [&gate, &deaf] {
        at_once("the key is gone", async || status(gate, "/a/x", &key).await == 403).await;
    }
    assert_eq!(reloads(&gate).await, known);
    assert_eq!(reloads(&deaf).await, before, "it was told to reload by nobody but its admin");
    deaf.admin().reload().await;
    assert_eq!(reloads(&deaf).await, before + 1);
}

#[tokio::test]
async fn c13_2_changes_of_apis_and_policies_and_group_reloads_are_live_everywhere() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let folder = std::env::temp_dir().join(format!("sluicegate-e2e-cluster-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // A catalog for all, at which they look so seldom that they act on what they are told.
    let catalog = format!("sqlite:{}", folder.join("catalog.db").display());
    let setup =
        || Gate::setup().conf(redis.conf()).conf(json!({"catalog": {"url": catalog, "poll_interval": 600}}));
    let (one, other) = (setup().start().await, setup().start().await);
    // One that does not listen, and one with files of its own.
    let deaf = setup().conf(json!({"suppress_redis_signal_reload": true})).start().await;
    let apart = Gate::setup().conf(redis.conf()).api(keyless("own", &upstream.url(""))).start().await;
    let admin = one.admin();
    let seen = async |path: &str, key: &str| {
        let reply = other.get(path, &["-H", &format!("Authorization: {key}")]).await;
        (reply.status, serde_json::from_str::<Value>(reply.text()).unwrap_or_default()["path"].clone())
    };

    // What is written over the admin API is told by itself.
    let (of_one, of_deaf, of_apart) = (reloads(&one).await, reloads(&deaf).await, reloads(&apart).await);
    let mut writes = 0;
    let mut written = |reply: &e2e::Reply| {
        assert_eq!(reply.status, 200, "{reply:?}");
        writes += 1;
    };
    written(&admin.post("/apis", &keyed("a", &upstream.url("/one"))).await);
    at_once("an API is added", async || status(&other, "/a/x", "none").await == 403).await;
    let gold = |more: Value| policy("gold", &["a", "o"], more);
    written(&admin.post("/policies", &gold(json!({}))).await);
    at_once("a policy is added", async || other.admin().get("/policies/gold").await.status == 200).await;
    let key = admin.key(&json!({"org_id": "org", "apply_policies": ["gold"]})).await;
    assert_eq!(seen("/a/x", &key).await, (200, json!("/one/x")));
    for (inactive, expected) in [(true, 403), (false, 200)] {
        written(&admin.put("/policies/gold", &gold(json!({"is_inactive": inactive}))).await);
        at_once("the policy is another one", async || seen("/a/x", &key).await.0 == expected).await;
    }
    written(&admin.put("/apis/a", &keyed("a", &upstream.url("/two"))).await);
    at_once("the API is another one", async || seen("/a/x", &key).await == (200, json!("/two/x"))).await;
    written(&admin.delete("/apis/a").await);
    at_once("the API is gone", async || seen("/a/x", &key).await.0 == 404).await;

    let document = |path: &str| oas("o", &upstream.url(path));
    written(&admin.post("/apis/oas", &document("/three")).await);
    at_once("a document is added", async || seen("/o/x", "").await == (200, json!("/three/x"))).await;
    written(&admin.put("/apis/oas/o", &document("/four")).await);
    at_once("it is another one", async || seen("/o/x", "").await == (200, json!("/four/x"))).await;
    let text = document("/five").to_string();
    written(&admin.call("PATCH", "/apis/oas/o", Some(&text)).await);
    at_once("it is another one again", async || seen("/o/x", "").await == (200, json!("/five/x"))).await;
    written(&admin.delete("/apis/oas/o").await);
    at_once("it is gone", async || seen("/o/x", "").await.0 == 404).await;
    written(&admin.delete("/policies/gold").await);
    at_once("the policy is gone", async || other.admin().get("/policies/gold").await.status == 404).await;

    // Each has loaded once for each change, and nobody tells anybody what was told to it.
    until("all have heard", async || reloads(&apart).await >= of_apart + writes).await;
    assert_eq!(reloads(&one).await, of_one + writes, "who wrote it loads it once");
    assert_eq!(reloads(&apart).await, of_apart + writes);
    assert_eq!(reloads(&deaf).await, of_deaf);
    assert_eq!(apart.get("/own/x", &[]).await.status, 200);

    // As those do who run several gates by files: a change at each of them, and then all are told.
    let known = reloads(&other).await;
    assert_eq!(admin.get("/reload/group").await.status, 200);
    at_once("all have reloaded", async || reloads(&other).await > known).await;
    drop((one, other, deaf));
    std::fs::remove_dir_all(&folder).unwrap();
}

fn secure(redis: &Redis) -> Setup {
    Gate::setup()
        .conf(redis.conf())
        .file("gate.pem", &sample_pem("api"))
        .conf(json!({"http_server_options": {"use_ssl": true, "ssl_certificates": ["gate.pem"]}}))
}

#[tokio::test]
async fn c13_1_row_7_certificates_that_come_and_go_do_so_everywhere() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["client".to_owned()]).unwrap().self_signed(&key).unwrap();
    let fingerprint = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.der());
    let id: String = fingerprint.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let id = format!("org{id}");
    let mut api = keyless("m", &upstream.url(""));
    api["use_mutual_tls_auth"] = json!(true);
    api["client_certificates"] = json!([id]);
    let (one, other) = (secure(&redis).start().await, secure(&redis).api(api).start().await);
    let pem = format!("{}{}", certificate.pem(), key.serialize_pem());
    other.write("client.pem", &pem);
    let client = other.dir().join("client.pem").display().to_string();
    let ask = async || other.get("/m/x", &["--cert", &client]).await.status;
    for _ in 0..2 {
        // What is known and what is not are both kept in memory.
        assert_eq!(ask().await, 403);
        let added = one.admin().call("POST", "/certs?org_id=org", Some(&certificate.pem())).await;
        assert_eq!((added.status, &added.json()["id"]), (200, &json!(id)), "{added:?}");
        at_once("the certificate counts", async || ask().await == 200).await;
        assert_eq!(one.admin().delete(&format!("/certs/{id}?org_id=org")).await.status, 200);
        at_once("the certificate counts no more", async || ask().await == 403).await;
    }
}

#[tokio::test]
async fn c13_1_row_7_published_keys_are_forgotten_everywhere() {
    let (upstream, redis, issuer) = (Upstream::start().await, Redis::start().await, Issuer::start().await);
    let guarded = |id: &str| {
        let mut api = keyless(id, &upstream.url(""));
        for (name, value) in [
            ("use_keyless", json!(false)),
            ("enable_jwt", json!(true)),
            ("jwt_signing_method", json!("ecdsa")),
            ("jwt_source", json!(issuer.url("/keys"))),
            ("jwt_identity_base_field", json!("sub")),
            ("jwt_default_policies", json!(["all"])),
        ] {
            api[name] = value;
        }
        api
    };
    let setup =
        || Gate::setup().conf(redis.conf()).api(guarded("a")).policy(policy("all", &["a"], json!({})));
    let (one, other) = (setup().start().await, setup().start().await);
    let claims = json!({"sub": "me", "exp": now() + 600});
    for path in ["/cache/jwks/a", "/cache/jwks"] {
        let token = issuer.token(&claims);
        assert_eq!(with(&other, "/a/x", &token).await.status, 200);
        // The key has been withdrawn, and the other gate has no reason to ask for it anew.
        issuer.rotate("next");
        assert_eq!(with(&other, "/a/x", &token).await.status, 200);
        assert_eq!(one.admin().delete(path).await.status, 200);
        at_once(path, async || with(&other, "/a/x", &token).await.status == 403).await;
    }
    // As others would say it.
    let token = issuer.token(&claims);
    assert_eq!(with(&other, "/a/x", &token).await.status, 200);
    issuer.rotate("last");
    redis.call(&["PUBLISH", CHANNEL, &signed("InvalidateJWKSCacheForAPI", "b")]);
    assert_eq!(with(&other, "/a/x", &token).await.status, 200, "that is another API");
    redis.call(&["PUBLISH", CHANNEL, &signed("InvalidateJWKSCacheForAPI", "a")]);
    at_once("a signal", async || with(&other, "/a/x", &token).await.status == 403).await;
}
