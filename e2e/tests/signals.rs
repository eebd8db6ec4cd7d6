//! What nodes and dashboards tell a gate by way of Redis, and whom it believes (contract 13.1).

use std::path::Path;
use std::process::Command;

use e2e::definition::{keyless, session};
use e2e::{Gate, Redis, Upstream, until};
use serde_json::{Value, json};

const CHANNEL: &str = "tyk.cluster.notifications";

fn openssl(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").current_dir(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Makes `<name>.pem` and its public half, `<name>.pub`.
fn key(folder: &Path, name: &str) {
    let (private, public) = (format!("{name}.pem"), format!("{name}.pub"));
    openssl(folder, &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &private]);
    openssl(folder, &["pkey", "-in", &private, "-pubout", "-out", &public]);
}

/// A signal as a dashboard signs it.
fn signal(folder: &Path, signer: &str, command: &str, payload: &str) -> String {
    std::fs::write(folder.join("payload"), payload).unwrap();
    let private = format!("{signer}.pem");
    openssl(folder, &["dgst", "-sha256", "-sign", &private, "-out", "signature", "payload"]);
    let signature = openssl(folder, &["base64", "-A", "-in", "signature"]);
    let signature = String::from_utf8(signature).unwrap();
    json!({"command": command, "payload": payload, "signature": signature, "algorithm": 0}).to_string()
}

fn oauth_api(target: &str) -> Value {
    let mut api = keyless("a", target);
    let object = api.as_object_mut().unwrap();
    object.remove("use_keyless");
    object.insert("use_oauth2".to_owned(), json!(true));
    object.insert("oauth_meta".to_owned(), json!({"allowed_access_types": ["client_credentials"]}));
    api
}

#[tokio::test]
async fn c13_1_rows_1_and_7_contract_13_1_lapsed_tokens_are_purged_when_a_known_dashboard_says_so() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let mut policy = session(&["a"]);
    policy["id"] = json!("gold");
    policy["active"] = json!(true);
    let mut gate = Gate::setup()
        .conf(redis.conf())
        .conf(json!({"public_key_path": "dashboard.pub"}))
        .api(oauth_api(&upstream.url("")))
        .policy(policy)
        .prepare();
    let folder = gate.dir().to_owned();
    key(&folder, "dashboard");
    key(&folder, "somebody");
    gate.start().await;
    let asked = json!({"client_id": "c", "api_id": "a", "policy_id": "gold"});
    let made = gate.admin().post("/oauth/clients/create", &asked).await;
    assert_eq!(made.status, 200, "{made:?}");
    let tokens = "oauth-data.a.oauth-client-tokens.c";
    redis.call(&["ZADD", tokens, "1", "ended", "4102444800", "alive"]);
    let purge = |signer: &str| signal(&folder, signer, "OAuthPurgeLapsedTokens", "now");

    redis.call(&["PUBLISH", CHANNEL, &purge("somebody")]);
    until("a foreign signature is told", async || {
        gate.log().contains("is not of the key of public_key_path")
    })
    .await;
    assert_eq!(redis.call(&["ZCARD", tokens]), "2", "somebody was believed");

    redis.call(&["PUBLISH", CHANNEL, &purge("dashboard")]);
    until("what has ended is off the list", async || redis.call(&["ZRANGE", tokens, "0", "-1"]) == "alive")
        .await;

    redis.call(&["PUBLISH", CHANNEL, &signal(&folder, "dashboard", "UserKeyReset", "old.new:x")]);
    until("what is not for this gate is told", async || gate.log().contains("what only a dashboard keeps"))
        .await;
}

#[tokio::test]
async fn a_public_key_that_is_none_is_told_at_the_start() {
    let redis = Redis::start().await;
    let conf = json!({"public_key_path": "none.pub"});
    let mut gate = Gate::setup().conf(redis.conf()).conf(conf).file("none.pub", "nothing").prepare();
    gate.spawn();
    assert_ne!(gate.ended().await, Some(0));
    let log = gate.log();
    assert!(log.contains("public_key_path: `") && log.contains("none.pub`: no RSA public key"), "{log}");
}
